"""Counters: what they add up to, how they are deleted, what is refused."""

import threading

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable
from cassandra.query import BatchStatement, BatchType, SimpleStatement, UNSET_VALUE

from harness import behaviour, equal, eventually, needs, refusals, true


def counters(env):
    """k PRIMARY KEY, n, m"""
    return env.shared("counters", lambda: env.table("k int PRIMARY KEY, n counter, m counter"))


def wide(env):
    """(k), c; n"""
    return env.shared("wide", lambda: env.table("k int, c text, n counter, PRIMARY KEY (k, c)"))


def plain(env):
    return env.shared("plain", lambda: env.table("k int PRIMARY KEY, v int"))


def keys(env):
    env.key = getattr(env, "key", 1000) + 1
    return env.key


def value(env, k, column="n"):
    rows = env.rows(f"SELECT {column} FROM {counters(env)} WHERE k = {k}")
    return rows[0][0] if rows else None


def add(env, k, what, column="n"):
    env.execute(f"UPDATE {counters(env)} SET {column} = {column} {what} WHERE k = {k}")


@behaviour
def a_counter_begins_at_nothing_and_adds_up(env):
    k = keys(env)
    equal(value(env, k), None)
    for _ in range(5):
        add(env, k, "+ 1")
    equal(value(env, k), 5)


@behaviour
def a_counter_goes_down_and_below_nothing(env):
    k = keys(env)
    add(env, k, "+ 3")
    add(env, k, "- 5")
    equal(value(env, k), -2)


@behaviour
def the_short_forms_count_too(env):
    k = keys(env)
    env.execute(f"UPDATE {counters(env)} SET n += 7 WHERE k = {k}")
    env.execute(f"UPDATE {counters(env)} SET n -= 2 WHERE k = {k}")
    equal(value(env, k), 5)


@behaviour
def a_negative_number_subtracts(env):
    k = keys(env)
    add(env, k, "+ -4")
    equal(value(env, k), -4)


@behaviour
def two_counters_of_a_row_count_apart(env):
    k = keys(env)
    env.execute(f"UPDATE {counters(env)} SET n = n + 1, m = m - 2 WHERE k = {k}")
    env.execute(f"UPDATE {counters(env)} SET m = m + 10 WHERE k = {k}")
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(1, 8)])


@behaviour
def a_counter_that_was_never_counted_is_null(env):
    k = keys(env)
    add(env, k, "+ 1")
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(1, None)])


@behaviour
def adding_nothing_makes_a_counter_of_zero(env):
    k = keys(env)
    add(env, k, "+ 0")
    equal(value(env, k), 0)


@behaviour
def an_increment_can_be_bound(env):
    k = keys(env)
    statement = env.session.prepare(f"UPDATE {counters(env)} SET n = n + ? WHERE k = ?")
    for delta in (1, 2**40, -3):
        env.execute(statement, (delta, k))
    equal(value(env, k), 2**40 - 2)
    down = env.session.prepare(f"UPDATE {counters(env)} SET n = n - ? WHERE k = ?")
    env.execute(down, (2**40, k))
    equal(value(env, k), -2)


@behaviour
def an_unset_increment_counts_nothing(env):
    k = keys(env)
    add(env, k, "+ 2")
    statement = env.session.prepare(f"UPDATE {counters(env)} SET n = n + ?, m = m + ? WHERE k = ?")
    env.execute(statement, (UNSET_VALUE, 5, k))
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(2, 5)])


@behaviour
def a_null_increment_is_refused(env):
    statement = env.session.prepare(f"UPDATE {counters(env)} SET n = n + ? WHERE k = 1")
    env.refused(
        InvalidRequest, "Invalid null value for counter increment",
        lambda: env.execute(statement, (None,)))


@behaviour
def the_negation_of_the_smallest_number_is_refused(env):
    statement = env.session.prepare(f"UPDATE {counters(env)} SET n = n - ? WHERE k = 1")
    env.refused(
        InvalidRequest, "The negation of -9223372036854775808 overflows",
        lambda: env.execute(statement, (-2**63,)))


@behaviour
def a_counter_wraps_around(env):
    k = keys(env)
    add(env, k, f"+ {2**63 - 1}")
    add(env, k, "+ 1")
    equal(value(env, k), -2**63)


@behaviour
def clustering_rows_count_apart(env):
    t, k = wide(env), keys(env)
    for c, times in (("a", 1), ("b", 2), ("c", 3)):
        for _ in range(times):
            env.execute(f"UPDATE {t} SET n = n + 1 WHERE k = {k} AND c = '{c}'")
    equal(env.rows(f"SELECT c, n FROM {t} WHERE k = {k}"), [("a", 1), ("b", 2), ("c", 3)])
    equal(env.rows(f"SELECT sum(n) FROM {t} WHERE k = {k}"), [(6,)])


@behaviour
def several_rows_can_be_counted_by_one_statement(env):
    t, k = wide(env), keys(env)
    env.execute(f"UPDATE {t} SET n = n + 5 WHERE k = {k} AND c IN ('x', 'y')")
    env.execute(f"UPDATE {t} SET n = n + 1 WHERE k IN ({k}, {k + 500}) AND c = 'x'")
    equal(env.rows(f"SELECT c, n FROM {t} WHERE k = {k}"), [("x", 6), ("y", 5)])
    equal(env.rows(f"SELECT c, n FROM {t} WHERE k = {k + 500}"), [("x", 1)])


@behaviour
def a_static_counter_belongs_to_its_partition(env):
    t = env.table("k int, c int, total counter static, n counter, PRIMARY KEY (k, c)")
    env.execute(f"UPDATE {t} SET total = total + 2 WHERE k = 1")
    env.execute(f"UPDATE {t} SET n = n + 1 WHERE k = 1 AND c = 1")
    env.execute(f"UPDATE {t} SET total = total + 1, n = n + 1 WHERE k = 1 AND c = 1")
    equal(env.rows(f"SELECT c, total, n FROM {t} WHERE k = 1"), [(1, 3, 2)])


@behaviour
@needs(3)
def every_node_counts_and_all_agree(env):
    k = keys(env)
    for node in (1, 2, 3):
        session = env.only(node)
        for _ in range(4):
            session.execute(f"UPDATE {counters(env)} SET n = n + {node} WHERE k = {k}")
    for node in (1, 2, 3):
        equal(
            [tuple(row) for row in env.only(node).execute(SimpleStatement(
                f"SELECT n FROM {counters(env)} WHERE k = {k}",
                consistency_level=ConsistencyLevel.ALL))], [(24,)])
    for node in (1, 2, 3):
        equal(
            [tuple(row) for row in env.only(node).execute(SimpleStatement(
                f"SELECT n FROM {counters(env)} WHERE k = {k}",
                consistency_level=ConsistencyLevel.ONE))], [(24,)])


@behaviour
def increments_at_once_are_all_counted(env):
    k = keys(env)
    sessions = [env.only(node) for node in env.several()]
    failures = []

    def work(session):
        for _ in range(25):
            try:
                session.execute(f"UPDATE {counters(env)} SET n = n + 1 WHERE k = {k}")
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = value(env, k)
    true(150 - len(failures) <= found <= 150, f"{found} after {len(failures)} failures")


@behaviour
@needs(3)
def every_consistency_counts(env):
    k = keys(env)
    for level in (
            ConsistencyLevel.ONE, ConsistencyLevel.TWO, ConsistencyLevel.THREE,
            ConsistencyLevel.QUORUM, ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_ONE,
            ConsistencyLevel.LOCAL_QUORUM):
        env.execute(SimpleStatement(
            f"UPDATE {counters(env)} SET n = n + 1 WHERE k = {k}", consistency_level=level))
    equal([tuple(row) for row in env.execute(SimpleStatement(
        f"SELECT n FROM {counters(env)} WHERE k = {k}",
        consistency_level=ConsistencyLevel.ALL))], [(7,)])


@behaviour
def counters_are_counted_over_every_protocol_version(env):
    k = keys(env)
    for version in (3, 4, 5):
        session = env.cluster(protocol_version=version).connect(env.keyspace)
        statement = session.prepare(f"UPDATE {counters(env)} SET n = n + ? WHERE k = ?")
        session.execute(statement, (10, k))
    equal(value(env, k), 30)


@behaviour
def a_counter_batch_counts_each_of_its_statements(env):
    k = keys(env)
    t = counters(env)
    env.execute(
        f"BEGIN COUNTER BATCH UPDATE {t} SET n = n + 1 WHERE k = {k}; "
        f"UPDATE {t} SET n = n + 2 WHERE k = {k}; UPDATE {t} SET m = m + 5 WHERE k = {k + 500}; "
        "APPLY BATCH")
    equal(value(env, k), 3)
    equal(value(env, k + 500, "m"), 5)


@behaviour
def a_counter_batch_message_counts(env):
    k = keys(env)
    statement = env.session.prepare(f"UPDATE {counters(env)} SET n = n + ? WHERE k = ?")
    batch = BatchStatement(batch_type=BatchType.COUNTER)
    for delta in (1, 10, 100):
        batch.add(statement, (delta, k))
    batch.add(SimpleStatement(f"UPDATE {counters(env)} SET m = m - 1 WHERE k = {k}"))
    env.execute(batch)
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(111, -1)])


@behaviour
def an_unlogged_batch_may_count(env):
    k = keys(env)
    t = counters(env)
    env.execute(
        f"BEGIN UNLOGGED BATCH UPDATE {t} SET n = n + 1 WHERE k = {k}; "
        f"UPDATE {t} SET n = n + 1 WHERE k = {k}; APPLY BATCH")
    equal(value(env, k), 2)


@behaviour
def a_counter_batch_may_span_tables(env):
    k = keys(env)
    env.execute(
        f"BEGIN COUNTER BATCH UPDATE {counters(env)} SET n = n + 1 WHERE k = {k}; "
        f"UPDATE {wide(env)} SET n = n + 2 WHERE k = {k} AND c = 'b'; APPLY BATCH")
    equal(value(env, k), 1)
    equal(env.rows(f"SELECT n FROM {wide(env)} WHERE k = {k}"), [(2,)])


@behaviour
def a_deleted_counter_is_gone(env):
    k = keys(env)
    add(env, k, "+ 3")
    add(env, k, "+ 4", "m")
    env.execute(f"DELETE n FROM {counters(env)} WHERE k = {k}")
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(None, 4)])


@behaviour
def the_deletion_of_a_counter_is_final(env):
    k = keys(env)
    add(env, k, "+ 3")
    add(env, k, "+ 1", "m")
    env.execute(f"DELETE n FROM {counters(env)} WHERE k = {k}")
    add(env, k, "+ 5")
    equal(env.rows(f"SELECT n, m FROM {counters(env)} WHERE k = {k}"), [(None, 1)])


@behaviour
def a_row_of_counters_can_be_deleted(env):
    k = keys(env)
    add(env, k, "+ 3")
    env.execute(f"DELETE FROM {counters(env)} WHERE k = {k}")
    equal(env.rows(f"SELECT * FROM {counters(env)} WHERE k = {k}"), [])


@behaviour
def a_range_of_counters_can_be_deleted(env):
    t, k = wide(env), keys(env)
    for c in "abcd":
        env.execute(f"UPDATE {t} SET n = n + 1 WHERE k = {k} AND c = '{c}'")
    env.execute(f"DELETE FROM {t} WHERE k = {k} AND c > 'a' AND c < 'd'")
    equal(env.rows(f"SELECT c, n FROM {t} WHERE k = {k}"), [("a", 1), ("d", 1)])


@behaviour
def a_table_of_counters_can_be_truncated_and_counts_anew(env):
    t = env.table("k int PRIMARY KEY, n counter")
    env.execute(SimpleStatement(
        f"UPDATE {t} SET n = n + 5 WHERE k = 1", consistency_level=ConsistencyLevel.ALL))
    env.execute(f"TRUNCATE {t}")
    equal(env.rows(f"SELECT * FROM {t}"), [])
    env.execute(f"UPDATE {t} SET n = n + 2 WHERE k = 1")
    equal(env.rows(f"SELECT n FROM {t}"), [(2,)])


@behaviour
def counters_are_selected_like_numbers(env):
    t, k = wide(env), keys(env)
    for c, n in (("a", 5), ("b", 15)):
        env.execute(f"UPDATE {t} SET n = n + {n} WHERE k = {k} AND c = '{c}'")
    equal(env.rows(f"SELECT max(n), min(n), count(n) FROM {t} WHERE k = {k}"), [(15, 5, 2)])
    equal(env.rows(f"SELECT c FROM {t} WHERE k = {k} AND n > 10 ALLOW FILTERING"), [("b",)])


@behaviour
def a_counter_column_can_be_added(env):
    t = env.table("k int PRIMARY KEY, n counter")
    env.execute(f"ALTER TABLE {t} ADD o counter")
    env.execute(f"UPDATE {t} SET o = o + 4, n = n + 1 WHERE k = 1")
    equal(env.rows(f"SELECT n, o FROM {t}"), [(1, 4)])


@behaviour
def the_drivers_metadata_know_counters(env):
    t = counters(env)
    rows = env.rows(
        "SELECT type FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s "
        "AND column_name = 'n'", (env.keyspace, t))
    equal(rows, [("counter",)])
    flags = env.rows(
        "SELECT flags FROM system_schema.tables WHERE keyspace_name = %s AND table_name = %s",
        (env.keyspace, t))
    true("counter" in flags[0][0], f"flags {flags}")


@behaviour
@needs(3)
def what_a_dead_node_missed_reaches_it(env):
    k = keys(env)
    env.ring.kill(3)
    try:
        for _ in range(10):
            env.only(1).execute(f"UPDATE {counters(env)} SET n = n + 1 WHERE k = {k}")
    finally:
        env.ring.heal()

    def check():
        equal([tuple(row) for row in env.only(3).execute(SimpleStatement(
            f"SELECT n FROM {counters(env)} WHERE k = {k}",
            consistency_level=ConsistencyLevel.ONE))], [(10,)])
    eventually(check)


@behaviour
@needs(3)
def counts_survive_a_kill_of_every_node(env):
    k = keys(env)
    for node in (1, 2, 3):
        env.only(node).execute(f"UPDATE {counters(env)} SET n = n + {node} WHERE k = {k}")
    for node in (1, 2, 3):
        env.ring.kill(node)
        env.ring.heal()
    eventually(lambda: equal(value(env, k), 6))
    add(env, k, "+ 4")
    equal(value(env, k), 10)


@behaviour
@needs(3)
def without_enough_replicas_nothing_is_counted(env):
    k = keys(env)
    env.ring.kill(2)
    env.ring.kill(3)
    try:
        session = env.only(1)
        statement = SimpleStatement(
            f"UPDATE {counters(env)} SET n = n + 1 WHERE k = {k}",
            consistency_level=ConsistencyLevel.QUORUM)
        eventually(
            lambda: env.refused(
                Unavailable, "Cannot achieve consistency level QUORUM",
                lambda: session.execute(statement)))
    finally:
        env.ring.heal()


@behaviour
def the_consistency_any_is_refused(env):
    env.refused(
        InvalidRequest, "Consistency level ANY is not yet supported for counter table",
        lambda: env.execute(SimpleStatement(
            f"UPDATE {counters(env)} SET n = n + 1 WHERE k = 1",
            consistency_level=ConsistencyLevel.ANY)))


@behaviour
def a_serial_consistency_is_refused(env):
    env.refused(
        InvalidRequest, "Counter operations are inherently non-serializable",
        lambda: env.execute(SimpleStatement(
            f"UPDATE {counters(env)} SET n = n + 1 WHERE k = 1",
            consistency_level=ConsistencyLevel.SERIAL)))


refusals([
    ("an insert into a counter table", "INSERT INTO $counters (k, n) VALUES (1, 1)",
     InvalidRequest, "INSERT statements are not allowed on counter tables, use UPDATE instead"),
    ("null that a counter is compared with", "SELECT * FROM $counters WHERE n = null ALLOW FILTERING", InvalidRequest,
     "Invalid null value for counter increment/decrement"),
    ("an increment by null", "UPDATE $counters SET n = n + null WHERE k = 1", InvalidRequest,
     "Invalid null value for counter increment/decrement"),
    ("setting a counter", "UPDATE $counters SET n = 5 WHERE k = 1", InvalidRequest,
     "Cannot set the value of counter column n (counters can only be incremented/decremented, not "
     "set)"),
    ("counting a plain column", "UPDATE $plain SET v = v + 1 WHERE k = 1", InvalidRequest,
     "for non counter column v"),
    ("subtracting from a plain column", "UPDATE $plain SET v = v - 1 WHERE k = 1", InvalidRequest,
     "for non counter column v"),
    ("a timestamp", "UPDATE $counters USING TIMESTAMP 1 SET n = n + 1 WHERE k = 1",
     InvalidRequest, "Cannot provide custom timestamp for counter updates"),
    ("a timestamp of a deletion", "DELETE n FROM $counters USING TIMESTAMP 1 WHERE k = 1",
     InvalidRequest, "Cannot provide custom timestamp for counter updates"),
    ("a time to live", "UPDATE $counters USING TTL 10 SET n = n + 1 WHERE k = 1", InvalidRequest,
     "Cannot provide custom TTL for counter updates"),
    ("an increment that is no number", "UPDATE $counters SET n = n + 'x' WHERE k = 1",
     InvalidRequest, "Invalid STRING constant (x) for \"n\" of type counter"),
    ("counters in a logged batch",
     "BEGIN BATCH UPDATE $counters SET n = n + 1 WHERE k = 1; APPLY BATCH", InvalidRequest,
     "Cannot include a counter statement in a logged batch"),
    ("a plain write in a counter batch",
     "BEGIN COUNTER BATCH UPDATE $plain SET v = 1 WHERE k = 1; APPLY BATCH", InvalidRequest,
     "Cannot include non-counter statement in a counter batch"),
    ("counters and plain writes in one batch",
     "BEGIN UNLOGGED BATCH UPDATE $plain SET v = 1 WHERE k = 1; "
     "UPDATE $counters SET n = n + 1 WHERE k = 1; APPLY BATCH", InvalidRequest,
     "Counter and non-counter mutations cannot exist in the same batch"),
    ("a timestamp on a counter batch",
     "BEGIN COUNTER BATCH USING TIMESTAMP 1 UPDATE $counters SET n = n + 1 WHERE k = 1 APPLY BATCH",
     InvalidRequest, "Cannot provide custom timestamp for counter BATCH"),
    ("a mixed table", "CREATE TABLE mixed (k int PRIMARY KEY, n counter, v int)", InvalidRequest,
     "Cannot mix counter and non counter columns in the same table"),
    ("a counter in the key", "CREATE TABLE keyed (k counter PRIMARY KEY, n counter)",
     InvalidRequest, "counter type is not supported for PRIMARY KEY column 'k'"),
    ("a counter as a clustering key",
     "CREATE TABLE keyed (k int, c counter, n counter, PRIMARY KEY (k, c))", InvalidRequest,
     "counter type is not supported for PRIMARY KEY column 'c'"),
    ("counters in a list", "CREATE TABLE listed (k int PRIMARY KEY, l list<counter>)",
     InvalidRequest, "Counters are not allowed inside collections"),
    ("a default time to live",
     "CREATE TABLE expiring (k int PRIMARY KEY, n counter) WITH default_time_to_live = 10",
     InvalidRequest, "Cannot set default_time_to_live on a table with counters"),
    ("a plain column for a counter table", "ALTER TABLE $counters ADD v int", InvalidRequest,
     "counter"),
    ("a counter for a plain table", "ALTER TABLE $plain ADD n counter", InvalidRequest, "counter"),
], lambda env: {"counters": counters(env), "plain": plain(env)})
