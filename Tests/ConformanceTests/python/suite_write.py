"""INSERT, UPDATE, DELETE and BATCH: what is written, what wins, what is refused."""

import time

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement
from cassandra.query import UNSET_VALUE

from harness import behaviour, equal, eventually, needs, refusals, true


def simple(env):
    """k PRIMARY KEY, v, w"""
    return env.shared("simple", lambda: env.table("k int PRIMARY KEY, v int, w int"))


def wide(env):
    """(k), a, b; v, w, static s"""
    return env.shared("wide", lambda: env.table(
        "k int, a int, b int, v int, w int, s int static, PRIMARY KEY (k, a, b)"))


def keys(env):
    """A partition key that no other behaviour uses."""
    env.key = getattr(env, "key", 1000) + 1
    return env.key


def fill(env, k):
    """A partition with rows a, b in 0..2 and a static value."""
    name = wide(env)
    for a in range(3):
        for b in range(3):
            env.execute(f"INSERT INTO {name} (k, a, b, v, s) VALUES ({k}, {a}, {b}, {a * 3 + b}, 7)")
    return name


def left(env, k):
    return [row[0] * 3 + row[1] for row in env.rows(
        f"SELECT a, b FROM {wide(env)} WHERE k = {k}") if row[0] is not None]


@behaviour
def an_insert_is_an_upsert(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v, w) VALUES ({k}, 1, 1)")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 2)")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(2, 1)])


@behaviour
def an_update_of_a_missing_row_makes_it(env):
    name, k = simple(env), keys(env)
    env.execute(f"UPDATE {name} SET v = 1 WHERE k = {k}")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(1, None)])


@behaviour
def a_row_made_by_insert_stays_when_its_cells_go(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1)")
    env.execute(f"UPDATE {name} SET v = null WHERE k = {k}")
    equal(env.rows(f"SELECT k, v FROM {name} WHERE k = {k}"), [(k, None)])


@behaviour
def a_row_made_by_update_goes_with_its_last_cell(env):
    name, k = simple(env), keys(env)
    env.execute(f"UPDATE {name} SET v = 1 WHERE k = {k}")
    env.execute(f"UPDATE {name} SET v = null WHERE k = {k}")
    equal(env.rows(f"SELECT k, v FROM {name} WHERE k = {k}"), [])


@behaviour
def a_row_of_the_key_alone_can_be_inserted(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k) VALUES ({k})")
    equal(env.rows(f"SELECT * FROM {name} WHERE k = {k}"), [(k, None, None)])


@behaviour
def a_bound_null_deletes_and_an_unset_value_leaves_alone(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v, w) VALUES (?, ?, ?)")
    env.execute(statement, (k, 1, 1))
    env.execute(statement, (k, UNSET_VALUE, 2))
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(1, 2)])
    env.execute(statement, (k, None, UNSET_VALUE))
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(None, 2)])


@behaviour
def a_prepared_statement_with_too_few_values_leaves_the_rest_unset(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v, w) VALUES (?, ?, ?)")
    env.execute(statement, (k, 1, 1))
    env.execute(statement, (k, 3))
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(3, 1)])


@behaviour
def an_unset_key_is_refused(env):
    statement = env.session.prepare(f"INSERT INTO {wide(env)} (k, a, b, v) VALUES (?, ?, ?, ?)")
    bound = statement.bind((1, 1, 1, 1))
    bound.values[1] = UNSET_VALUE
    env.refused(InvalidRequest, "unset value for column a", lambda: env.execute(bound))


@behaviour
def a_null_key_is_refused(env):
    name = wide(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, a, b) VALUES (?, ?, ?)")
    env.refused(
        InvalidRequest, "null value in condition for column k",
        lambda: env.execute(statement, (None, 1, 1)))
    env.refused(
        InvalidRequest, "null value in condition for column a",
        lambda: env.execute(statement, (1, None, 1)))


@behaviour
def the_later_timestamp_wins_in_whatever_order_it_arrives(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 2) USING TIMESTAMP 200")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TIMESTAMP 100")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(2,)])
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 3) USING TIMESTAMP 300")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(3,)])


@behaviour
def at_equal_timestamps_the_larger_value_wins(env):
    name, k = simple(env), keys(env)
    for v in (5, 9, 7):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, {v}) USING TIMESTAMP 100")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(9,)])


@behaviour
def at_equal_timestamps_a_deletion_wins_over_a_value(env):
    name, k = simple(env), keys(env)
    env.execute(f"DELETE v FROM {name} USING TIMESTAMP 100 WHERE k = {k}")
    env.execute(f"INSERT INTO {name} (k, v, w) VALUES ({k}, 1, 2) USING TIMESTAMP 100")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(None, 2)])
    env.execute(f"DELETE FROM {name} USING TIMESTAMP 100 WHERE k = {k}")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [])


@behaviour
def at_equal_timestamps_an_expiring_value_wins_over_a_plain_one(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TIMESTAMP 100 AND TTL 1000")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 9) USING TIMESTAMP 100")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(1,)])


@behaviour
def a_deletion_with_an_older_timestamp_deletes_nothing_newer(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TIMESTAMP 200")
    env.execute(f"DELETE FROM {name} USING TIMESTAMP 100 WHERE k = {k}")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(1,)])


@behaviour
def a_deletion_in_the_future_covers_later_writes(env):
    name, k = simple(env), keys(env)
    future = int((time.time() + 3600) * 1e6)
    env.execute(f"DELETE FROM {name} USING TIMESTAMP {future} WHERE k = {k}")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1)")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [])


@behaviour
def a_timestamp_can_be_bound_and_negative(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?) USING TIMESTAMP ?")
    env.execute(statement, (k, 1, -5))
    env.execute(statement, (k, 2, -6))
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(1,)])


@behaviour
def the_drivers_timestamp_counts_unless_the_statement_has_one(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TIMESTAMP 1")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 2)")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(2,)])


@behaviour
def a_time_to_live_runs_out(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TTL 1000")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(1,)])
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, 1) USING TTL 1")
    env.execute(f"UPDATE {name} USING TTL 1 SET v = 1 WHERE k = {k + 100000}")
    env.execute(f"INSERT INTO {name} (k, v) VALUES ({k + 200000}, 1)")
    env.execute(f"UPDATE {name} USING TTL 1 SET w = 1 WHERE k = {k + 200000}")
    eventually(lambda: equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), []))
    eventually(lambda: equal(env.rows(f"SELECT v FROM {name} WHERE k = {k + 100000}"), []))
    eventually(lambda: equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k + 200000}"), [(1, None)]))


@behaviour
def a_time_to_live_of_zero_takes_the_tables_default_away(env):
    name = env.table("k int PRIMARY KEY, v int", "WITH default_time_to_live = 2")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 1)")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (2, 2) USING TTL 0")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (3, 3) USING TTL 1000")
    eventually(lambda: equal(sorted(env.rows(f"SELECT k FROM {name}")), [(2,), (3,)]))


@behaviour
def a_bound_time_to_live_counts(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, 1) USING TTL ?")
    env.execute(statement, (k, 1))
    env.execute(statement, (k + 100000, 1000))
    eventually(lambda: equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), []))
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k + 100000}"), [(1,)])


@behaviour
def the_longest_time_to_live_is_twenty_years(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, 1) USING TTL ?")
    env.execute(statement, (k, 630_720_000))
    left = env.rows(f"SELECT ttl(v) FROM {name} WHERE k = {k}")[0][0]
    true(630_719_900 < left <= 630_720_000, f"{left} seconds are left")
    env.refused(InvalidRequest, "ttl is too large", lambda: env.execute(statement, (k, 630_720_001)))
    env.refused(InvalidRequest, "A TTL must be greater or equal to 0", lambda: env.execute(statement, (k, -1)))


@behaviour
def a_bound_time_to_live_of_zero_or_null_is_none(env):
    name = env.table("k int PRIMARY KEY, v int", "WITH default_time_to_live = 1000")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, 1) USING TTL ?")
    for k, bound in ((1, 0), (2, None), (3, 50)):
        env.execute(statement, (k, bound))
    unset = statement.bind((4, 1))
    unset.values[1] = UNSET_VALUE
    env.execute(unset)
    left = dict(env.rows(f"SELECT k, ttl(v) FROM {name}"))
    equal((left[1], left[2]), (None, None))
    true(0 < left[3] <= 50 and 900 < left[4] <= 1000, f"times to live {left}")


@behaviour
def a_cell_is_deleted(env):
    name, k = simple(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, v, w) VALUES ({k}, 1, 2)")
    env.execute(f"DELETE v FROM {name} WHERE k = {k}")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(None, 2)])


@behaviour
def a_row_is_deleted(env):
    k = keys(env)
    name = fill(env, k)
    env.execute(f"DELETE FROM {name} WHERE k = {k} AND a = 1 AND b = 1")
    equal(left(env, k), [0, 1, 2, 3, 5, 6, 7, 8])


@behaviour
def a_prefix_of_rows_is_deleted(env):
    k = keys(env)
    name = fill(env, k)
    env.execute(f"DELETE FROM {name} WHERE k = {k} AND a = 1")
    equal(left(env, k), [0, 1, 2, 6, 7, 8])


@behaviour
def ranges_of_rows_are_deleted(env):
    for condition, expected in (
        ("a > 1", [0, 1, 2, 3, 4, 5]), ("a >= 1", [0, 1, 2]), ("a < 1", [3, 4, 5, 6, 7, 8]),
        ("a <= 1", [6, 7, 8]), ("a > 0 AND a < 2", [0, 1, 2, 6, 7, 8]),
        ("a = 1 AND b >= 1", [0, 1, 2, 3, 6, 7, 8]), ("a = 1 AND b < 1", [0, 1, 2, 4, 5, 6, 7, 8]),
        ("(a, b) > (0, 1) AND (a, b) <= (2, 0)", [0, 1, 7, 8]),
        ("a IN (0, 2)", [3, 4, 5]), ("a = 0 AND b IN (0, 2)", [1, 3, 4, 5, 6, 7, 8]),
    ):
        k = keys(env)
        name = fill(env, k)
        env.execute(f"DELETE FROM {name} WHERE k = {k} AND {condition}")
        equal(left(env, k), expected, condition)


@behaviour
def a_range_deletion_covers_older_rows_and_not_newer_ones(env):
    name, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, a, b, v) VALUES ({k}, 1, 1, 1) USING TIMESTAMP 100")
    env.execute(f"INSERT INTO {name} (k, a, b, v) VALUES ({k}, 1, 2, 2) USING TIMESTAMP 300")
    env.execute(f"DELETE FROM {name} USING TIMESTAMP 200 WHERE k = {k} AND a = 1")
    env.execute(f"INSERT INTO {name} (k, a, b, v) VALUES ({k}, 1, 0, 0) USING TIMESTAMP 150")
    equal(env.rows(f"SELECT b FROM {name} WHERE k = {k}"), [(2,)])


@behaviour
def a_partition_is_deleted_with_its_static_row(env):
    k = keys(env)
    name = fill(env, k)
    env.execute(f"DELETE FROM {name} WHERE k = {k}")
    equal(env.rows(f"SELECT * FROM {name} WHERE k = {k}"), [])


@behaviour
def several_partitions_are_written_and_deleted_with_IN(env):
    name, k = simple(env), keys(env) + 500000
    env.execute(f"UPDATE {name} SET v = 1 WHERE k IN ({k}, {k + 1}, {k + 2})")
    equal(len(env.rows(f"SELECT * FROM {name} WHERE k IN ({k}, {k + 1}, {k + 2})")), 3)
    env.execute(f"DELETE FROM {name} WHERE k IN ({k}, {k + 2})")
    equal(env.rows(f"SELECT k FROM {name} WHERE k IN ({k}, {k + 1}, {k + 2})"), [(k + 1,)])


@behaviour
def a_static_column_has_one_value_in_the_partition(env):
    k = keys(env)
    name = fill(env, k)
    env.execute(f"UPDATE {name} SET s = 8 WHERE k = {k}")
    equal({row[0] for row in env.rows(f"SELECT s FROM {name} WHERE k = {k}")}, {8})


@behaviour
def a_static_value_without_rows_is_shown_with_null_clustering(env):
    name, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, s) VALUES ({k}, 5)")
    equal(
        env.rows(f"SELECT k, a, b, v, s FROM {name} WHERE k = {k}"), [(k, None, None, None, 5)])


@behaviour
def a_static_cell_is_deleted_alone(env):
    k = keys(env)
    name = fill(env, k)
    env.execute(f"DELETE s FROM {name} WHERE k = {k}")
    equal({row[0] for row in env.rows(f"SELECT s FROM {name} WHERE k = {k}")}, {None})
    equal(len(left(env, k)), 9)


@behaviour
def a_row_deletion_leaves_the_static_row(env):
    name, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, a, b, s) VALUES ({k}, 1, 1, 5)")
    env.execute(f"DELETE FROM {name} WHERE k = {k} AND a = 1 AND b = 1")
    equal(env.rows(f"SELECT a, s FROM {name} WHERE k = {k}"), [(None, 5)])


@behaviour
def names_are_bound_in_text_and_in_prepared_statements(env):
    name, k = simple(env), keys(env)
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (:the_key, :the_value)")
    env.execute(statement, {"the_key": k, "the_value": 4})
    equal(
        env.rows(SimpleStatement(f"SELECT v FROM {name} WHERE k = %(k)s"), {"k": k}), [(4,)])


@behaviour
def a_large_value_is_written_and_read(env):
    name = env.table("k int PRIMARY KEY, v blob")
    value = bytes(range(256)) * 4096
    env.execute(env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (1, ?)"), (value,))
    equal(env.rows(f"SELECT v FROM {name} WHERE k = 1")[0][0] == value, True, "one mebibyte")


@behaviour
def a_wide_row_of_many_columns_is_written_and_read(env):
    names = [f"c{i}" for i in range(200)]
    name = env.table("k int PRIMARY KEY, " + ", ".join(f"{c} int" for c in names))
    statement = env.session.prepare(
        f"INSERT INTO {name} (k, {', '.join(names)}) VALUES (1{', ?' * 200})")
    env.execute(statement, list(range(200)))
    equal(env.rows(f"SELECT {', '.join(names)} FROM {name}"), [tuple(range(200))])


# Batches

def batch(env, kind, statements, **options):
    group = BatchStatement(batch_type=kind, **options)
    for statement, values in statements:
        group.add(statement, values)
    return env.session.execute(group)


@behaviour
def a_logged_batch_of_text_and_prepared_statements_writes_all(env):
    name, k = simple(env), keys(env) + 600000
    insert = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    batch(env, BatchType.LOGGED, [
        (insert, (k, 1)), (insert, (k + 1, 2)),
        (SimpleStatement(f"UPDATE {name} SET v = 3 WHERE k = {k + 2}"), None),
        (SimpleStatement(f"INSERT INTO {name} (k, v) VALUES (%s, %s)"), (k + 3, 4))])
    equal(
        env.rows(f"SELECT v FROM {name} WHERE k IN ({k}, {k + 1}, {k + 2}, {k + 3})"),
        [(1,), (2,), (3,), (4,)])


@behaviour
def an_unlogged_batch_writes_all(env):
    name, k = wide(env), keys(env)
    insert = env.session.prepare(f"INSERT INTO {name} (k, a, b, v) VALUES (?, ?, ?, ?)")
    batch(env, BatchType.UNLOGGED, [(insert, (k, 1, i, i)) for i in range(50)])
    equal(len(env.rows(f"SELECT v FROM {name} WHERE k = {k}")), 50)


@behaviour
def a_batch_in_text_writes_all(env):
    name, k = simple(env), keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {name} (k, v) VALUES ({k}, 1); "
        f"UPDATE {name} SET w = 2 WHERE k = {k}; APPLY BATCH")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(1, 2)])
    env.execute(
        f"BEGIN UNLOGGED BATCH USING TIMESTAMP 5 DELETE w FROM {name} WHERE k = {k} APPLY BATCH")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(1, 2)])


@behaviour
def a_batchs_timestamp_counts_for_all_its_statements(env):
    name, k = simple(env), keys(env)
    env.execute(
        f"BEGIN BATCH USING TIMESTAMP 100 INSERT INTO {name} (k, v) VALUES ({k}, 1) APPLY BATCH")
    env.execute(
        f"BEGIN BATCH INSERT INTO {name} (k, v) VALUES ({k}, 2) USING TIMESTAMP 50; "
        f"INSERT INTO {name} (k, w) VALUES ({k}, 3) USING TIMESTAMP 150; APPLY BATCH")
    equal(env.rows(f"SELECT v, w FROM {name} WHERE k = {k}"), [(1, 3)])


@behaviour
def the_statements_of_a_batch_share_one_timestamp(env):
    name, k = simple(env), keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {name} (k, v) VALUES ({k}, 9); "
        f"INSERT INTO {name} (k, v) VALUES ({k}, 5); APPLY BATCH")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(9,)], "the larger value at a tie")


@behaviour
def an_empty_batch_is_accepted(env):
    env.session.execute(BatchStatement())
    env.execute("BEGIN BATCH APPLY BATCH")


@behaviour
def a_batch_with_a_refused_statement_writes_nothing(env):
    name, k = simple(env), keys(env)
    env.refused(InvalidRequest, "nothing", lambda: env.execute(
        f"BEGIN BATCH INSERT INTO {name} (k, v) VALUES ({k}, 1); "
        f"INSERT INTO {name} (k, nothing) VALUES ({k}, 1); APPLY BATCH"))
    equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [])


@behaviour
def a_batch_over_several_tables_writes_all(env):
    one, two, k = simple(env), wide(env), keys(env)
    env.execute(
        f"BEGIN BATCH INSERT INTO {one} (k, v) VALUES ({k}, 1); "
        f"INSERT INTO {env.keyspace}.{two} (k, a, b) VALUES ({k}, 1, 1); APPLY BATCH")
    equal(len(env.rows(f"SELECT * FROM {one} WHERE k = {k}")), 1)
    equal(len(env.rows(f"SELECT * FROM {two} WHERE k = {k}")), 1)


@behaviour
@needs(3)
def writes_at_every_level_are_acknowledged_when_all_nodes_are_up(env):
    name, k = simple(env), keys(env)
    for level in ("ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM",
                  "EACH_QUORUM"):
        env.execute(SimpleStatement(
            f"INSERT INTO {name} (k, v) VALUES ({k}, 1)",
            consistency_level=ConsistencyLevel.name_to_value[level]))


refusals([
    ("an unknown table", "INSERT INTO nowhere (k) VALUES (1)",
     InvalidRequest, "nowhere"),
    ("an unknown keyspace", "INSERT INTO nowhere.t (k) VALUES (1)",
     InvalidRequest, "keyspace nowhere does not exist"),
    ("an unknown column", "INSERT INTO $simple (k, nothing) VALUES (1, 1)",
     InvalidRequest, "Undefined column name nothing"),
    ("more columns than values", "INSERT INTO $simple (k, v) VALUES (1)",
     InvalidRequest, "Unmatched column names/values"),
    ("a column twice", "INSERT INTO $simple (k, k) VALUES (1, 1)",
     InvalidRequest, "duplicates"),
    ("a missing partition key", "INSERT INTO $simple (v) VALUES (1)",
     InvalidRequest, "Some partition key parts are missing: k"),
    ("a missing clustering column", "INSERT INTO $wide (k, a, v) VALUES (1, 1, 1)",
     InvalidRequest, "Some clustering keys are missing: b"),
    ("a null key in text", "INSERT INTO $simple (k, v) VALUES (null, 1)",
     InvalidRequest, "null value in condition for column k"),
    ("an update without key", "UPDATE $wide SET v = 1 WHERE a = 1 AND b = 1",
     InvalidRequest, "Some partition key parts are missing: k"),
    ("an update without all clustering columns", "UPDATE $wide SET v = 1 WHERE k = 1 AND a = 1",
     InvalidRequest, "Some clustering keys are missing: b"),
    ("an update of a slice", "UPDATE $wide SET v = 1 WHERE k = 1 AND a = 1 AND b > 1",
     InvalidRequest, "Slice restrictions are not supported on the clustering columns in UPDATE"),
    ("an update of a key column", "UPDATE $simple SET k = 2 WHERE k = 1",
     InvalidRequest, "PRIMARY KEY part k found in SET part"),
    ("an update by another column", "UPDATE $simple SET v = 2 WHERE w = 1",
     InvalidRequest, "Some partition key parts are missing: k"),
    ("an update by key and another column", "UPDATE $simple SET v = 2 WHERE k = 1 AND w = 1",
     InvalidRequest, "Non PRIMARY KEY columns found in where clause: w"),
    ("an update without WHERE", "UPDATE $simple SET v = 2",
     SyntaxException, "line 1:"),
    ("the same column twice in SET", "UPDATE $simple SET v = 2, v = 3 WHERE k = 1",
     SyntaxException, "Multiple incompatible setting of column v"),
    ("an addition to a plain column", "UPDATE $simple SET v = v + 1 WHERE k = 1",
     InvalidRequest, "v"),
    ("static and regular columns for a partition", "UPDATE $wide SET s = 1, v = 1 WHERE k = 1",
     InvalidRequest, "Some clustering keys are missing: a, b"),
    ("a deletion without WHERE", "DELETE FROM $simple",
     SyntaxException, "line 1:"),
    ("a deletion of a key column", "DELETE k FROM $simple WHERE k = 1",
     InvalidRequest, "Invalid identifier k for deletion"),
    ("a deletion of cells in a range", "DELETE v FROM $wide WHERE k = 1 AND a > 1",
     InvalidRequest, "Range deletions are not supported for specific columns"),
    ("a deletion by another column", "DELETE FROM $simple WHERE k = 1 AND v = 1",
     InvalidRequest, "Non PRIMARY KEY columns found in where clause: v"),
    ("a deletion that skips a clustering column", "DELETE FROM $wide WHERE k = 1 AND b = 1",
     InvalidRequest, "PRIMARY KEY column \"b\" cannot be restricted"),
    ("a deletion by token", "DELETE FROM $simple WHERE token(k) = 1",
     InvalidRequest, "token"),
    ("a deletion of a range of partitions", "DELETE FROM $simple WHERE k > 1",
     InvalidRequest, "Only EQ and IN relation are supported on the partition key"),
    ("a deletion with a time to live", "DELETE FROM $simple USING TTL 1 WHERE k = 1",
     SyntaxException, "line 1:"),
    ("a negative time to live", "INSERT INTO $simple (k) VALUES (1) USING TTL -1",
     InvalidRequest, "A TTL must be greater or equal to 0"),
    ("a time to live over twenty years", "INSERT INTO $simple (k) VALUES (1) USING TTL 630720001",
     InvalidRequest, "ttl is too large"),
    ("a timestamp in a batch and in its statement",
     "BEGIN BATCH USING TIMESTAMP 1 INSERT INTO $simple (k) VALUES (1) USING TIMESTAMP 2 APPLY BATCH",
     InvalidRequest, "Timestamp must be set either on BATCH or individual statements"),
    ("a select in a batch", "BEGIN BATCH SELECT * FROM $simple APPLY BATCH",
     SyntaxException, "line 1:"),
    ("a time to live of a batch",
     "BEGIN BATCH USING TTL 5 INSERT INTO $simple (k) VALUES (1) APPLY BATCH",
     InvalidRequest, "Global TTL on the BATCH statement is not supported"),
    ("writing a system table", "INSERT INTO system.local (key) VALUES ('mine')",
     Exception, "system"),
], lambda env: {"simple": simple(env), "wide": wide(env)})


@behaviour
def a_key_of_64_KiB_is_refused(env):
    name = env.table("k text PRIMARY KEY")
    statement = env.session.prepare(f"INSERT INTO {name} (k) VALUES (?)")
    env.refused(
        InvalidRequest, "Key length of 65536 is longer than maximum of 65535",
        lambda: env.execute(statement, ("x" * 65536,)))
    env.execute(statement, ("x" * 65535,))
    equal(len(env.rows(f"SELECT k FROM {name}")[0][0]), 65535)


@behaviour
def a_select_in_a_protocol_batch_is_refused(env):
    group = BatchStatement()
    group.add(SimpleStatement(f"SELECT * FROM {simple(env)}"))
    env.refused(
        InvalidRequest, "Only UPDATE, INSERT and DELETE statements are allowed",
        lambda: env.session.execute(group))


@behaviour
def a_batch_over_fifty_kibibytes_is_refused_with_its_size(env):
    name = env.table("k int PRIMARY KEY, v blob")
    insert = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    env.refused(
        InvalidRequest, "Batch too large",
        lambda: batch(env, BatchType.LOGGED, [(insert, (i, b"x" * 10_000)) for i in range(10)]))
    true(env.rows(f"SELECT * FROM {name}") == [], "nothing was written")


@behaviour
def serial_levels_are_refused_for_plain_writes(env):
    for level in ("SERIAL", "LOCAL_SERIAL"):
        env.refused(InvalidRequest, "serializable writes", lambda level=level: env.execute(SimpleStatement(
            f"INSERT INTO {simple(env)} (k) VALUES (1)",
            consistency_level=ConsistencyLevel.name_to_value[level])))


def collections(env):
    """k PRIMARY KEY, s set<int>, m map<text, int>, l list<int>"""
    return env.shared("collections", lambda: env.table(
        "k int PRIMARY KEY, s set<int>, m map<text, int>, l list<int>"))


@behaviour
def collections_are_written_whole_and_added_to(env):
    name, k = collections(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, s, m, l) VALUES ({k}, {{3, 1}}, {{'a': 1}}, [2, 1])")
    env.execute(f"UPDATE {name} SET s = s + {{2}}, m = m + {{'b': 2}}, l = l + [3] WHERE k = {k}")
    env.execute(f"UPDATE {name} SET l = [9] + l, m['c'] = 3 WHERE k = {k}")
    row = env.rows(f"SELECT s, m, l FROM {name} WHERE k = {k}")[0]
    equal((set(row[0]), dict(row[1]), list(row[2])), ({1, 2, 3}, {"a": 1, "b": 2, "c": 3}, [9, 2, 1, 3]))


@behaviour
def elements_are_taken_out_and_a_whole_overwrite_forgets_the_rest(env):
    name, k = collections(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, s, m) VALUES ({k}, {{1, 2}}, {{'a': 1, 'b': 2}})")
    env.execute(f"UPDATE {name} SET s = s - {{1}} WHERE k = {k}")
    env.execute(f"DELETE m['a'] FROM {name} WHERE k = {k}")
    row = env.rows(f"SELECT s, m FROM {name} WHERE k = {k}")[0]
    equal((set(row[0]), dict(row[1])), ({2}, {"b": 2}))
    env.execute(f"UPDATE {name} SET m = {{'z': 26}} WHERE k = {k}")
    equal(dict(env.rows(f"SELECT m FROM {name} WHERE k = {k}")[0][0]), {"z": 26})


@behaviour
def entries_go_by_their_keys_and_a_whole_collection_deletes_what_was_there_before(env):
    name, k = collections(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, m, s) VALUES ({k}, {{'a': 1, 'b': 2, 'c': 3}}, {{1, 2, 3}}) USING TIMESTAMP 10")
    remove = env.session.prepare(f"UPDATE {name} SET m = m - ?, s = s - ? WHERE k = ?")
    env.execute(remove, ({"a", "zz"}, {3, 9}, k))
    env.execute(f"UPDATE {name} SET m -= {{'b'}}, s += {{7}} WHERE k = {k}")
    row = env.rows(f"SELECT m, s FROM {name} WHERE k = {k}")[0]
    equal((dict(row[0]), set(row[1])), ({"c": 3}, {1, 2, 7}))
    # At 20 the whole is written: it takes away what is older than that, and what comes at 19 stays away.
    j = keys(env)
    env.execute(f"INSERT INTO {name} (k, m) VALUES ({j}, {{'a': 1}}) USING TIMESTAMP 20")
    env.execute(f"UPDATE {name} USING TIMESTAMP 19 SET m['b'] = 2 WHERE k = {j}")
    env.execute(f"UPDATE {name} USING TIMESTAMP 20 SET m['c'] = 3 WHERE k = {j}")
    equal(dict(env.rows(f"SELECT m FROM {name} WHERE k = {j}")[0][0]), {"a": 1, "c": 3})


@behaviour
def fields_of_a_type_are_written_alone_and_a_frozen_one_as_a_whole(env):
    env.execute("CREATE TYPE part (a int, b text, l frozen<list<int>>)")
    name = env.table("k int PRIMARY KEY, u part, f frozen<part>, n frozen<map<text, frozen<part>>>")
    env.execute(f"INSERT INTO {name} (k, u, f, n) VALUES (1, {{a: 1, b: 'x'}}, {{a: 1, b: 'x', l: [1]}}, "
                "{'p': {a: 2, l: [3, 4]}})")
    env.execute(f"UPDATE {name} SET u.a = 2, u.l = [5] WHERE k = 1")
    bound = env.session.prepare(f"UPDATE {name} SET u.b = ? WHERE k = ?")
    env.execute(bound, ("y", 1))
    equal(env.rows(f"SELECT u.a, u.b, u.l, f.a, f.l FROM {name}"), [(2, "y", [5], 1, [1])])
    env.execute(f"DELETE u.a FROM {name} WHERE k = 1")
    env.execute(f"UPDATE {name} SET u.b = null WHERE k = 1")
    equal(env.rows(f"SELECT u.a, u.b, u.l FROM {name}"), [(None, None, [5])])
    inner = env.rows(f"SELECT n FROM {name}")[0][0]["p"]
    equal((inner.a, inner.b, list(inner.l)), (2, None, [3, 4]))
    env.execute(f"UPDATE {name} SET u = {{b: 'z'}}, f = {{a: 9}} WHERE k = 1")
    equal(env.rows(f"SELECT u.a, u.b, u.l, f.a, f.b, f.l FROM {name}"), [(None, "z", None, 9, None, None)])
    env.refused(InvalidRequest, "Invalid operation (f.a = 1) for frozen UDT column f",
                lambda: env.execute(f"UPDATE {name} SET f.a = 1 WHERE k = 1"))


@behaviour
def an_empty_collection_is_null(env):
    name, k = collections(env), keys(env)
    env.execute(f"INSERT INTO {name} (k, s) VALUES ({k}, {{}})")
    equal(env.rows(f"SELECT s FROM {name} WHERE k = {k}")[0][0], None)


@behaviour
def an_element_that_one_statement_writes_twice_is_as_if_two_had_written_it(env):
    name, k = env.table("k int PRIMARY KEY, m map<int, int>, s set<int>"), 1
    env.execute(f"INSERT INTO {name} (k, m, s) VALUES ({k}, {{1: 1}}, {{1}})")
    for change, entries, elements in (
            ("m[1] = 9, m[1] = 6", {1: 9}, {1}),
            ("m = m + {2: 5}, m[2] = 7", {1: 9, 2: 7}, {1}),
            ("m = m - {2}, m[2] = 9", {1: 9}, {1}),
            ("s = s + {3, 4}, s = s - {3}", {1: 9}, {1, 4}),
            ("s = s - {5}, s = s + {5, 6}", {1: 9}, {1, 4, 6})):
        env.execute(f"UPDATE {name} SET {change} WHERE k = {k}")
        row = env.rows(f"SELECT m, s FROM {name} WHERE k = {k}")[0]
        equal((dict(row[0]), set(row[1])), (entries, elements), change)
