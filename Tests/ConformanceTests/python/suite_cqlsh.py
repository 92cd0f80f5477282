"""Cassandra's own shell, unmodified: DESCRIBE, SELECT with paging, CONSISTENCY, COPY TO and FROM."""

import csv
import os
import re
import subprocess
import sys
import tempfile

from harness import PATIENCE, Failed, behaviour, equal, true
from ring import HANGING

OPTIONS = """\
    AND additional_write_policy = '99p'
    AND allow_auto_snapshot = true
    AND bloom_filter_fp_chance = 0.01
    AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}
    AND cdc = false
    AND comment = ''
    AND compaction = {'class': 'org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy', \
'max_threshold': '32', 'min_threshold': '4'}
    AND compression = {'chunk_length_in_kb': '16', 'class': \
'org.apache.cassandra.io.compress.LZ4Compressor'}
    AND memtable = 'default'
    AND crc_check_chance = 1.0
    AND default_time_to_live = 0
    AND extensions = {}
    AND gc_grace_seconds = 864000
    AND incremental_backups = true
    AND max_index_interval = 2048
    AND memtable_flush_period_in_ms = 0
    AND min_index_interval = 128
    AND read_repair = 'BLOCKING'
    AND speculative_retry = '99p';"""


def cqlsh(env, statements, may_fail=False, keyspace=None):
    """What cqlsh prints for the statements."""
    env.make_keyspace()
    program = os.path.join(os.path.dirname(sys.executable), "cqlsh")
    if not os.path.exists(program):
        raise Failed(f"there is no {program}")
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(
            [sys.executable, program, "--no-color", "--connect-timeout", str(PATIENCE),
             "--request-timeout", str(PATIENCE), env.ring.addresses[0], str(env.ring.port),
             *(["-k", keyspace] if keyspace else []), "-e", statements],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=HANGING, env={**os.environ, "HOME": home, "PYTHONWARNINGS": "ignore"})
    if result.returncode != 0 and not may_fail:
        raise Failed(
            f"cqlsh ended with {result.returncode}: {result.stderr.strip() or result.stdout}")
    return result.stdout + (result.stderr if may_fail else "")


def people(env):
    def make():
        env.execute(
            "CREATE TABLE people (country text, city text, born int, name text, "
            "height double, alive boolean, leader text static, "
            "PRIMARY KEY ((country, city), born, name)) "
            "WITH CLUSTERING ORDER BY (born DESC, name ASC)")
        insert = env.session.prepare(
            "INSERT INTO people (country, city, born, name, height, alive) "
            "VALUES (?, ?, ?, ?, ?, ?)")
        for i in range(55):
            env.execute(insert, (
                "ch", "Z\u00fcrich", 1900 + i, f"name, \"{i}\"", 1.5 + i % 8 / 8,
                None if i % 5 == 0 else i % 2 == 0))
        env.execute("UPDATE people SET leader = 'one' WHERE country = 'ch' AND city = 'Z\u00fcrich'")
        return "people"
    return env.shared("people", make)


@behaviour
def it_connects_and_shows_version_and_host(env):
    text = cqlsh(env, "SHOW VERSION; SHOW HOST")
    true(re.search(r"\[cqlsh 6\.2\.\d \| Cassandra 5\.0\.\d+ \| CQL spec 3\.4\.\d", text), text)
    true("Native protocol v5" in text, text)
    true(f"at {env.ring.addresses[0]}:{env.ring.port}" in text, text)


@behaviour
def DESCRIBE_CLUSTER_names_it_and_its_partitioner(env):
    text = cqlsh(env, "DESCRIBE CLUSTER")
    true(re.search(r"^Cluster: \S+", text, re.M), text)
    true("Partitioner: Murmur3Partitioner" in text, text)
    true("Snitch: " in text, text)


@behaviour
def DESCRIBE_CLUSTER_in_a_keyspace_shows_who_owns_which_range(env):
    text = cqlsh(env, "DESCRIBE CLUSTER", keyspace=env.keyspace)
    true("Range ownership:" in text, text)
    lines = re.findall(r"^\s*(-?\d+)\s+\[(.*)\]\s*$", text, re.M)
    equal(len(lines), 16 * len(env.ring.addresses), "ranges")


@behaviour
def DESCRIBE_KEYSPACES_and_TABLES_list_names(env):
    people(env)
    text = cqlsh(env, "DESCRIBE KEYSPACES")
    for name in (env.keyspace, "system", "system_schema", "system_traces"):
        true(name in text.split(), f"{name} is not in {text}")
    true("people" in cqlsh(env, "DESCRIBE TABLES", keyspace=env.keyspace).split(), "people")


@behaviour
def DESCRIBE_TABLE_gives_the_statement_that_made_it(env):
    people(env)
    text = cqlsh(env, f"DESCRIBE TABLE {env.keyspace}.people").strip()
    equal(text, f"""\
CREATE TABLE {env.keyspace}.people (
    country text,
    city text,
    born int,
    name text,
    leader text static,
    alive boolean,
    height double,
    PRIMARY KEY ((country, city), born, name)
) WITH CLUSTERING ORDER BY (born DESC, name ASC)
""" + OPTIONS)


@behaviour
def DESCRIBE_TABLE_of_a_single_key_column_puts_the_key_beside_it(env):
    env.execute("CREATE TABLE single (\"K\" int PRIMARY KEY, v frozen<map<text, int>>)")
    text = cqlsh(env, f"DESCRIBE TABLE {env.keyspace}.single").strip()
    equal(text, f"""\
CREATE TABLE {env.keyspace}.single (
    "K" int PRIMARY KEY,
    v frozen<map<text, int>>
) WITH """ + OPTIONS[len("    AND "):])


@behaviour
def DESCRIBE_output_makes_the_same_table_again(env):
    env.execute(
        "CREATE TABLE again (a int, \"B b\" text, c timeuuid, s int static, v tuple<int, text>, "
        "PRIMARY KEY (a, \"B b\", c)) WITH CLUSTERING ORDER BY (\"B b\" DESC, c ASC) "
        "AND comment = 'it''s' AND gc_grace_seconds = 5 "
        "AND compaction = {'class': 'LeveledCompactionStrategy'}")
    text = cqlsh(env, f"DESCRIBE TABLE {env.keyspace}.again").strip()
    env.execute("DROP TABLE again")
    env.execute(text)
    equal(cqlsh(env, f"DESCRIBE TABLE {env.keyspace}.again").strip(), text)


@behaviour
def DESCRIBE_KEYSPACE_gives_all_that_is_in_it(env):
    env.execute(
        "CREATE KEYSPACE described WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    env.execute("CREATE TYPE described.address (street text, zip int)")
    env.execute("CREATE TABLE described.homes (k int PRIMARY KEY, a frozen<address>)")
    text = cqlsh(env, "DESCRIBE KEYSPACE described")
    env.execute("DROP KEYSPACE described")
    true(
        "CREATE KEYSPACE described WITH replication = {'class': 'SimpleStrategy', "
        "'replication_factor': '1'}  AND durable_writes = true;" in text, text)
    for statement in text.strip().split(";"):
        if statement.strip():
            env.execute(statement)
    equal(cqlsh(env, "DESCRIBE KEYSPACE described"), text)
    env.execute("DROP KEYSPACE described")


@behaviour
def DESCRIBE_TYPE_and_what_is_missing(env):
    env.execute("CREATE TYPE shape (name text, sides frozen<list<int>>)")
    text = cqlsh(env, "DESCRIBE TYPE shape", keyspace=env.keyspace).strip()
    equal(
        text, f"CREATE TYPE {env.keyspace}.shape (\n    name text,\n"
        "    sides frozen<list<int>>\n);")
    text = cqlsh(env, "DESCRIBE TABLE nowhere", may_fail=True, keyspace=env.keyspace)
    true("'nowhere' not found in keyspace" in text, text)


@behaviour
def DESCRIBE_SCHEMA_runs_through(env):
    people(env)
    true(f"CREATE TABLE {env.keyspace}.people" in cqlsh(env, "DESCRIBE SCHEMA"), "people")
    text = cqlsh(env, "DESCRIBE FULL SCHEMA")
    true("CREATE TABLE system_schema.tables" in text, "system tables")


@behaviour
def SELECT_prints_a_table(env):
    people(env)
    text = cqlsh(
        env, "SELECT born, name, height, alive, leader FROM people "
        "WHERE country = 'ch' AND city = 'Z\u00fcrich' AND born >= 1952", keyspace=env.keyspace)
    equal([line.rstrip() for line in text.strip("\n").splitlines()], [
        " born | name       | height | alive | leader",
        "------+------------+--------+-------+--------",
        " 1954 | name, \"54\" |   2.25 |  True |    one",
        " 1953 | name, \"53\" |  2.125 | False |    one",
        " 1952 | name, \"52\" |      2 |  True |    one",
        "",
        "(3 rows)"])


@behaviour
def SELECT_is_paged(env):
    people(env)
    text = cqlsh(env, "PAGING 10; SELECT born FROM people", keyspace=env.keyspace)
    true("Page size: 10" in text, text)
    years = [int(year) for year in re.findall(r"^ (19\d\d)\s*$", text, re.M)]
    equal(years, list(range(1954, 1899, -1)))
    true("(55 rows)" in text, text)
    text = cqlsh(env, "PAGING OFF; SELECT born FROM people", keyspace=env.keyspace)
    true("(55 rows)" in text, text)


@behaviour
def CONSISTENCY_is_shown_and_used(env):
    people(env)
    text = cqlsh(
        env, "CONSISTENCY; CONSISTENCY QUORUM; SELECT count(*) FROM people; CONSISTENCY ALL; "
        "SELECT count(*) FROM people", keyspace=env.keyspace)
    true("Current consistency level is ONE." in text, text)
    true("Consistency level set to QUORUM." in text, text)
    equal(len(re.findall(r"^\s+55\s*$", text, re.M)), 2, "counts")


@behaviour
def TRACING_shows_the_sessions_events(env):
    people(env)
    text = cqlsh(env, "TRACING ON; SELECT born FROM people LIMIT 1", keyspace=env.keyspace)
    true("Tracing session: " in text, text)
    true("Request complete" in text, text)


@behaviour
def EXPAND_prints_rows_downward(env):
    people(env)
    text = cqlsh(env, "EXPAND ON; SELECT born, leader FROM people LIMIT 1", keyspace=env.keyspace)
    true("@ Row 1" in text, text)
    true(re.search(r"born\s+\| 1954", text), text)


@behaviour
def errors_are_printed_and_end_the_shell_with_a_failure(env):
    text = cqlsh(env, "SELECT * FROM nowhere.t", may_fail=True)
    true("InvalidRequest: Error from server: code=2200 [Invalid query]" in text, text)
    true("keyspace nowhere does not exist" in text, text)
    text = cqlsh(env, "SELEC * FROM t", may_fail=True)
    true("SyntaxException" in text and "line 1:0" in text, text)


def csv_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, escapechar="\\", doublequote=False))


@behaviour
def COPY_TO_writes_what_the_table_holds_and_COPY_FROM_reads_it_back(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "people.csv")
        columns = "country, city, born, name, height, alive"
        text = cqlsh(
            env, f"COPY people ({columns}) TO '{path}' WITH HEADER = true AND NUMPROCESSES = 1",
            keyspace=env.keyspace)
        true("55 rows exported to 1 files" in text, text)
        rows = csv_rows(path)
        equal(rows[0], ["country", "city", "born", "name", "height", "alive"])
        expected = [
            ["ch", "Z\u00fcrich", str(1900 + i), f"name, \"{i}\"", f"{1.5 + i % 8 / 8:.5g}",
             "" if i % 5 == 0 else str(i % 2 == 0)] for i in range(55)]
        equal(sorted(rows[1:]), sorted(expected))
        before = sorted(env.rows(f"SELECT {columns} FROM people"), key=str)
        env.execute("TRUNCATE people")
        text = cqlsh(
            env, f"COPY people ({columns}) FROM '{path}' WITH HEADER = true AND NUMPROCESSES = 1",
            keyspace=env.keyspace)
        true("55 rows imported from 1 files" in text, text)
        equal(sorted(env.rows(f"SELECT {columns} FROM people"), key=str), before)


@behaviour
def SOURCE_runs_a_file(env):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tour.cql")
        with open(path, "w") as file:
            file.write(
                "CREATE TABLE sourced (k int PRIMARY KEY, v text);\n"
                "INSERT INTO sourced (k, v) VALUES (1, $$it's$$);\n"
                "BEGIN BATCH\n  INSERT INTO sourced (k) VALUES (2);\n"
                "  INSERT INTO sourced (k) VALUES (3);\nAPPLY BATCH;\n")
        cqlsh(env, f"SOURCE '{path}'", keyspace=env.keyspace)
    equal(
        sorted(env.rows("SELECT k, v FROM sourced")), [(1, "it's"), (2, None), (3, None)])
