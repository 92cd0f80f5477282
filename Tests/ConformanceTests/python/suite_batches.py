"""Batches: all or nothing, what may be in one, what warns, and the log behind those of several partitions."""

import threading
import time

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement

from harness import behaviour, equal, eventually, needs, refusals, true


def plain(env):
    return env.shared("plain", lambda: env.table("k int PRIMARY KEY, v int, w text"))


def wide(env):
    return env.shared("wide", lambda: env.table("k int, c int, v int, PRIMARY KEY (k, c)"))


def counters(env):
    return env.shared("counters", lambda: env.table("k int PRIMARY KEY, n counter"))


def keys(env, count=1):
    first = getattr(env, "key", 1000) + 1
    env.key = first + count
    return first if count == 1 else list(range(first, first + count))


def rows(env, some, level=ConsistencyLevel.QUORUM):
    found = env.execute(SimpleStatement(
        f"SELECT k, v FROM {plain(env)} WHERE k IN ({', '.join(map(str, some))})",
        consistency_level=level))
    return sorted(tuple(row) for row in found)


def warnings(session, statement):
    future = session.execute_async(statement)
    future.result()
    return future.warnings or []


@behaviour
def a_logged_batch_writes_all_of_its_partitions(env):
    some = keys(env, 5)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.execute(f"BEGIN BATCH {inserts} APPLY BATCH")
    equal(rows(env, some), [(k, k) for k in some])


@behaviour
def a_logged_batch_on_a_table_without_grace_for_tombstones_warns(env):
    names = [env.table("k int PRIMARY KEY, v int", "WITH gc_grace_seconds = 0") for _ in range(2)]
    full = [f"{env.keyspace}.{name}" for name in names]
    for count, where in ((1, f"table [{full[0]}]"), (2, f"tables [{full[0]}, {full[1]}]")):
        inserts = " ".join(f"INSERT INTO {name} (k, v) VALUES (1, 1);" for name in names[:count])
        given = warnings(env.session, f"BEGIN BATCH {inserts} APPLY BATCH")
        equal(len(given), 1, f"{given}")
        true(given[0].startswith(
            f"Executing a LOGGED BATCH on {where}, configured with a gc_grace_seconds of 0."), given[0])
    equal(warnings(env.session, f"BEGIN UNLOGGED BATCH INSERT INTO {names[0]} (k) VALUES (1) APPLY BATCH"), [])


@behaviour
def a_logged_batch_gives_no_warning_about_a_missing_log(env):
    some = keys(env, 3)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    equal(warnings(env.session, f"BEGIN BATCH {inserts} APPLY BATCH"), [])


@behaviour
def a_logged_batch_message_writes_all_of_its_partitions(env):
    some = keys(env, 4)
    insert = env.session.prepare(f"INSERT INTO {plain(env)} (k, v) VALUES (?, ?)")
    batch = BatchStatement(batch_type=BatchType.LOGGED)
    for k in some:
        batch.add(insert, (k, 2 * k))
    env.execute(batch)
    equal(rows(env, some), [(k, 2 * k) for k in some])


@behaviour
def a_batch_mixes_inserts_updates_and_deletions_of_several_tables(env):
    one, two = keys(env), keys(env)
    env.execute(f"INSERT INTO {plain(env)} (k, v) VALUES ({one}, 1)")
    env.execute(
        f"BEGIN BATCH DELETE FROM {plain(env)} WHERE k = {one}; "
        f"UPDATE {plain(env)} SET v = 5 WHERE k = {two}; "
        f"INSERT INTO {wide(env)} (k, c, v) VALUES ({one}, 1, 1); APPLY BATCH")
    equal(rows(env, [one, two]), [(two, 5)])
    equal(env.rows(f"SELECT c, v FROM {wide(env)} WHERE k = {one}"), [(1, 1)])


@behaviour
def an_unlogged_batch_writes_all_of_its_partitions(env):
    some = keys(env, 5)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.execute(f"BEGIN UNLOGGED BATCH {inserts} APPLY BATCH")
    equal(rows(env, some), [(k, k) for k in some])


@behaviour
def an_unlogged_batch_of_many_partitions_warns(env):
    some = keys(env, 11)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    given = warnings(env.session, f"BEGIN UNLOGGED BATCH {inserts} APPLY BATCH")
    true(
        any(
            "Unlogged batch covering 11 partitions detected against table" in text
            and f"{env.keyspace}.{plain(env)}" in text for text in given),
        f"warnings {given}")


@behaviour
def an_unlogged_batch_of_few_partitions_does_not_warn(env):
    some = keys(env, 3)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    equal(warnings(env.session, f"BEGIN UNLOGGED BATCH {inserts} APPLY BATCH"), [])


@behaviour
def a_large_batch_warns(env):
    one, two = keys(env), keys(env)
    given = warnings(
        env.session, f"BEGIN BATCH INSERT INTO {plain(env)} (k, w) VALUES ({one}, '{'x' * 4000}'); "
        f"INSERT INTO {plain(env)} (k, w) VALUES ({two}, '{'y' * 4000}'); APPLY BATCH")
    true(any("exceeding specified threshold" in text and text.startswith(f"Batch for [{env.keyspace}.")
             for text in given), f"warnings {given}")


@behaviour
def a_batch_that_is_too_large_is_refused(env):
    one, two = keys(env), keys(env)
    env.refused(
        InvalidRequest, "Batch too large",
        lambda: env.execute(
            f"BEGIN BATCH INSERT INTO {plain(env)} (k, w) VALUES ({one}, '{'x' * 30000}'); "
            f"INSERT INTO {plain(env)} (k, w) VALUES ({two}, '{'y' * 30000}'); APPLY BATCH"))
    equal(rows(env, [one, two]), [])


@behaviour
def a_large_batch_of_one_partition_is_taken(env):
    k = keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {plain(env)} (k, w) VALUES ({k}, '{'x' * 60000}'); "
        f"UPDATE {plain(env)} SET v = 1 WHERE k = {k}; APPLY BATCH")
    equal(rows(env, [k]), [(k, 1)])


@behaviour
def an_empty_batch_does_nothing(env):
    for kind in ("", "UNLOGGED ", "COUNTER "):
        env.execute(f"BEGIN {kind}BATCH APPLY BATCH")
    env.execute(BatchStatement())


@behaviour
def of_two_writes_to_one_cell_the_larger_wins(env):
    k = keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {plain(env)} (k, v) VALUES ({k}, 9); "
        f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, 5); APPLY BATCH")
    equal(rows(env, [k]), [(k, 9)])


@behaviour
def a_deletion_in_a_batch_wins_against_its_insert(env):
    k = keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {plain(env)} (k, v) VALUES ({k}, 9); "
        f"DELETE FROM {plain(env)} WHERE k = {k}; APPLY BATCH")
    equal(rows(env, [k]), [])


@behaviour
def a_batch_may_have_one_timestamp(env):
    some = keys(env, 2)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.execute(f"BEGIN BATCH USING TIMESTAMP 1234 {inserts} APPLY BATCH")
    equal(
        env.rows(f"SELECT writetime(v) FROM {plain(env)} WHERE k = {some[0]}"), [(1234,)])


@behaviour
def statements_of_a_batch_may_have_timestamps_of_their_own(env):
    one, two = keys(env), keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {plain(env)} (k, v) VALUES ({one}, 1) USING TIMESTAMP 10; "
        f"INSERT INTO {plain(env)} (k, v) VALUES ({two}, 1) USING TIMESTAMP 20; APPLY BATCH")
    for k, stamp in ((one, 10), (two, 20)):
        equal(env.rows(f"SELECT writetime(v) FROM {plain(env)} WHERE k = {k}"), [(stamp,)])


@behaviour
def a_prepared_batch_can_be_bound(env):
    one, two = keys(env), keys(env)
    statement = env.session.prepare(
        f"BEGIN BATCH INSERT INTO {plain(env)} (k, v) VALUES (?, ?); "
        f"UPDATE {plain(env)} SET v = ? WHERE k = ?; APPLY BATCH")
    env.execute(statement, (one, 1, 2, two))
    equal(rows(env, [one, two]), [(one, 1), (two, 2)])


@behaviour
def timestamps_of_a_batch_and_of_its_statements_may_be_bound(env):
    some = keys(env, 4)
    whole = env.session.prepare(
        f"BEGIN BATCH USING TIMESTAMP ? INSERT INTO {plain(env)} (k, v) VALUES (?, 1); "
        f"UPDATE {plain(env)} SET v = 2 WHERE k = ?; APPLY BATCH")
    env.execute(whole, (50, some[0], some[1]))
    each = env.session.prepare(f"INSERT INTO {plain(env)} (k, v) VALUES (?, 1) USING TIMESTAMP ? AND TTL ?")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    batch.add(each, (some[2], 60, 1000))
    batch.add(each, (some[3], 70, 0))
    env.execute(batch)
    for k, stamp, lives in ((some[0], 50, False), (some[1], 50, False), (some[2], 60, True), (some[3], 70, False)):
        written, left = env.rows(f"SELECT writetime(v), ttl(v) FROM {plain(env)} WHERE k = {k}")[0]
        equal((written, left is not None), (stamp, lives), f"row {k}")


@behaviour
def batches_go_over_every_protocol_version(env):
    for version in (3, 4, 5):
        one, two = keys(env), keys(env)
        session = env.cluster(protocol_version=version).connect(env.keyspace)
        insert = session.prepare(f"INSERT INTO {plain(env)} (k, v) VALUES (?, ?)")
        batch = BatchStatement(batch_type=BatchType.LOGGED)
        batch.add(insert, (one, version))
        batch.add(SimpleStatement(f"INSERT INTO {plain(env)} (k, v) VALUES ({two}, {version})"))
        session.execute(batch)
        equal(rows(env, [one, two]), [(one, version), (two, version)])


@behaviour
@needs(3)
def every_consistency_is_taken_by_a_logged_batch(env):
    for level in (
            ConsistencyLevel.ANY, ConsistencyLevel.ONE, ConsistencyLevel.TWO, ConsistencyLevel.QUORUM,
            ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_QUORUM):
        some = keys(env, 2)
        inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
        env.execute(SimpleStatement(
            f"BEGIN BATCH {inserts} APPLY BATCH", consistency_level=level))
        equal(rows(env, some, ConsistencyLevel.ALL), [(k, k) for k in some])


@behaviour
def the_batch_log_is_empty_when_batches_are_through(env):
    some = keys(env, 6)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.execute(f"BEGIN BATCH {inserts} APPLY BATCH")

    def check():
        for node in env.nodes():
            equal(list(env.only(node).execute("SELECT id FROM system.batches")), [])
    eventually(check)


@behaviour
def the_batch_log_cannot_be_written_by_clients(env):
    env.refused(
        Exception, "system keyspace is not user-modifiable",
        lambda: env.execute("DELETE FROM system.batches WHERE id = now()"))


@behaviour
@needs(3)
def batches_are_whole_when_their_coordinator_is_killed(env):
    table = env.table("k int PRIMARY KEY, number int")
    session = env.only(1)
    insert = session.prepare(f"INSERT INTO {table} (k, number) VALUES (?, ?)")
    acknowledged = []
    stop = threading.Event()

    def work(offset):
        n = offset
        while not stop.is_set():
            batch = BatchStatement(batch_type=BatchType.LOGGED)
            for row in range(4):
                batch.add(insert, (n * 4 + row, n))
            try:
                session.execute(batch)
                acknowledged.append(n)
            except Exception:
                time.sleep(0.05)
            n += 8

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: true(len(acknowledged) > 50, "too slow"), every=0.05)
    env.ring.kill(1)
    stop.set()
    for thread in threads:
        thread.join()
    env.ring.heal()

    def check():
        counts = {}
        for row in env.only(2).execute(SimpleStatement(
                f"SELECT k, number FROM {table}", consistency_level=ConsistencyLevel.ALL)):
            counts[row[1]] = counts.get(row[1], 0) + 1
        equal({n: count for n, count in counts.items() if count != 4}, {}, "parts of batches")
        missing = [n for n in acknowledged if n not in counts]
        equal(missing, [], "acknowledged batches that are missing")
    eventually(check)


@behaviour
@needs(3)
def without_enough_replicas_nothing_of_a_batch_is_written(env):
    some = keys(env, 3)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.ring.kill(2)
    env.ring.kill(3)
    try:
        session = env.only(1)
        eventually(
            lambda: env.refused(
                Unavailable, "Cannot achieve consistency level QUORUM",
                lambda: session.execute(SimpleStatement(
                    f"BEGIN BATCH {inserts} APPLY BATCH",
                    consistency_level=ConsistencyLevel.QUORUM))))
    finally:
        env.ring.heal()
    eventually(lambda: equal(rows(env, some, ConsistencyLevel.ALL), []))


@behaviour
@needs(3)
def a_batch_works_with_one_node_down(env):
    some = keys(env, 3)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.ring.kill(3)
    try:
        session = env.only(1)
        eventually(lambda: session.execute(SimpleStatement(
            f"BEGIN BATCH {inserts} APPLY BATCH", consistency_level=ConsistencyLevel.QUORUM)))
    finally:
        env.ring.heal()
    eventually(
        lambda: equal(rows(env, some, ConsistencyLevel.ALL), [(k, k) for k in some]))


@behaviour
def a_serial_consistency_is_refused(env):
    some = keys(env, 2)
    inserts = "".join(f"INSERT INTO {plain(env)} (k, v) VALUES ({k}, {k}); " for k in some)
    env.refused(
        InvalidRequest, "You must use conditional updates for serializable writes",
        lambda: env.execute(SimpleStatement(
            f"BEGIN BATCH {inserts} APPLY BATCH", consistency_level=ConsistencyLevel.SERIAL)))


@behaviour
def a_select_in_a_batch_message_is_refused(env):
    batch = BatchStatement()
    batch.add(SimpleStatement(f"SELECT * FROM {plain(env)}"))
    env.refused(
        InvalidRequest, "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are "
        "allowed.", lambda: env.execute(batch))


@behaviour
def counters_in_a_logged_batch_message_are_refused(env):
    batch = BatchStatement(batch_type=BatchType.LOGGED)
    batch.add(SimpleStatement(f"UPDATE {counters(env)} SET n = n + 1 WHERE k = 1"))
    env.refused(
        InvalidRequest, "Cannot include a counter statement in a logged batch",
        lambda: env.execute(batch))


@behaviour
def plain_writes_in_a_counter_batch_message_are_refused(env):
    batch = BatchStatement(batch_type=BatchType.COUNTER)
    batch.add(SimpleStatement(f"UPDATE {plain(env)} SET v = 1 WHERE k = 1"))
    env.refused(
        InvalidRequest, "Cannot include non-counter statement in a counter batch",
        lambda: env.execute(batch))


refusals([
    ("a timestamp twice",
     "BEGIN BATCH USING TIMESTAMP 1 INSERT INTO $plain (k, v) VALUES (1, 1) USING TIMESTAMP 2; "
     "APPLY BATCH", InvalidRequest,
     "Timestamp must be set either on BATCH or individual statements"),
    ("a time to live of a batch",
     "BEGIN BATCH USING TTL 5 INSERT INTO $plain (k, v) VALUES (1, 1); APPLY BATCH",
     InvalidRequest, "Global TTL on the BATCH statement is not supported."),
    ("a select in a batch", "BEGIN BATCH SELECT * FROM $plain; APPLY BATCH", SyntaxException,
     "line 1"),
    ("a batch without its end", "BEGIN BATCH INSERT INTO $plain (k, v) VALUES (1, 1)",
     SyntaxException, "line 1"),
    ("an unknown table in a batch", "BEGIN BATCH INSERT INTO nowhere (k) VALUES (1); APPLY BATCH",
     InvalidRequest, "table nowhere does not exist"),
    ("an unknown column in a batch",
     "BEGIN BATCH INSERT INTO $plain (k, nope) VALUES (1, 1); APPLY BATCH", InvalidRequest,
     "Undefined column name nope"),
    ("counters beside plain writes",
     "BEGIN UNLOGGED BATCH UPDATE $counters SET n = n + 1 WHERE k = 1; "
     "INSERT INTO $plain (k, v) VALUES (1, 1); APPLY BATCH", InvalidRequest,
     "Counter and non-counter mutations cannot exist in the same batch"),
    ("a timestamp on a batch of counters",
     "BEGIN UNLOGGED BATCH USING TIMESTAMP 1 UPDATE $counters SET n = n + 1 WHERE k = 1; "
     "APPLY BATCH", InvalidRequest,
     "Cannot provide custom timestamp for a BATCH containing counters"),
    ("a system table in a batch",
     "BEGIN BATCH INSERT INTO system.local (key) VALUES ('x'); APPLY BATCH", Exception,
     "system keyspace is not user-modifiable"),
], lambda env: {"plain": plain(env), "counters": counters(env)})
