"""Conditional writes (lightweight transactions): IF, what is answered, who wins, what is refused."""

import threading

from cassandra import ConsistencyLevel, InvalidRequest, Unavailable, WriteTimeout
from cassandra.cluster import EXEC_PROFILE_DEFAULT
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement, BatchType, SimpleStatement, UNSET_VALUE

from harness import behaviour, equal, eventually, needs, refusals, true


def plain(env):
    """k PRIMARY KEY, v, w"""
    return env.shared("plain", lambda: env.table("k int PRIMARY KEY, v int, w text"))


def wide(env):
    """(k), c; v, w, static s"""
    return env.shared("wide", lambda: env.table(
        "k int, c int, v int, w int, s int static, PRIMARY KEY (k, c)"))


def rich(env):
    """Collections and a type, frozen and not."""
    def make():
        env.execute("CREATE TYPE IF NOT EXISTS pair (a int, b text)")
        return env.table(
            "k int PRIMARY KEY, l list<int>, s set<text>, m map<text, int>, fl frozen<list<int>>, "
            "fs frozen<set<int>>, fm frozen<map<text, int>>, u pair, fu frozen<pair>, d duration, "
            "t tuple<int, text>, b blob, dd double, ts timestamp, id uuid, dec decimal")
    return env.shared("rich", make)


def counters(env):
    return env.shared("counters", lambda: env.table("k int PRIMARY KEY, n counter"))


def keys(env):
    env.key = getattr(env, "key", 1000) + 1
    return env.key


def answer(env, statement, parameters=None):
    """Column names and rows of an answer."""
    result = env.execute(statement, parameters)
    return list(result.column_names), [tuple(row) for row in result]


def applied(env, statement, parameters=None):
    names, rows = answer(env, statement, parameters)
    equal(names, ["[applied]"])
    equal(rows, [(True,)])


def not_applied(env, statement, names, rows, parameters=None):
    got_names, got_rows = answer(env, statement, parameters)
    equal(got_names, ["[applied]"] + names)
    equal(got_rows, [(False,) + tuple(row) for row in rows])


# IF NOT EXISTS

@behaviour
def an_insert_if_not_exists_of_a_new_row_is_applied(env):
    t, k = plain(env), keys(env)
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS")
    equal(env.rows(f"SELECT v, w FROM {t} WHERE k = {k}"), [(1, None)])


@behaviour
def an_insert_if_not_exists_of_an_existing_row_shows_the_whole_row(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    not_applied(
        env, f"INSERT INTO {t} (k, v) VALUES ({k}, 2) IF NOT EXISTS", ["k", "v", "w"], [(k, 1, "x")])
    equal(env.rows(f"SELECT v, w FROM {t} WHERE k = {k}"), [(1, "x")])


@behaviour
def an_insert_if_not_exists_after_a_deletion_is_applied(env):
    t, k = plain(env), keys(env)
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS")
    applied(env, f"DELETE FROM {t} WHERE k = {k} IF EXISTS")
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 2) IF NOT EXISTS")
    equal(env.rows(f"SELECT v FROM {t} WHERE k = {k}"), [(2,)])


@behaviour
def a_row_without_values_exists_too(env):
    t, k = plain(env), keys(env)
    applied(env, f"INSERT INTO {t} (k) VALUES ({k}) IF NOT EXISTS")
    not_applied(
        env, f"INSERT INTO {t} (k, v) VALUES ({k}, 2) IF NOT EXISTS", ["k", "v", "w"],
        [(k, None, None)])


@behaviour
def each_clustering_key_is_a_row_of_its_own(env):
    t, k = wide(env), keys(env)
    applied(env, f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 1) IF NOT EXISTS")
    applied(env, f"INSERT INTO {t} (k, c, v) VALUES ({k}, 2, 2) IF NOT EXISTS")
    not_applied(
        env, f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 9) IF NOT EXISTS",
        ["k", "c", "s", "v", "w"], [(k, 1, None, 1, None)])


@behaviour
def an_insert_if_not_exists_does_not_show_static_columns_it_does_not_write(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, v, s) VALUES ({k}, 1, 1, 7)")
    not_applied(
        env, f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 9) IF NOT EXISTS",
        ["k", "c", "s", "v", "w"], [(k, 1, None, 1, None)])


@behaviour
def a_static_row_can_be_inserted_if_it_does_not_exist(env):
    t, k = wide(env), keys(env)
    applied(env, f"INSERT INTO {t} (k, s) VALUES ({k}, 7) IF NOT EXISTS")
    not_applied(
        env, f"INSERT INTO {t} (k, s) VALUES ({k}, 8) IF NOT EXISTS", ["k", "c", "s", "v", "w"],
        [(k, None, 7, None, None)])


@behaviour
def a_conditional_insert_may_have_a_time_to_live(env):
    t, k = plain(env), keys(env)
    # It lives long enough to be found, and then shortly enough to be waited for.
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS USING TTL 1000")
    not_applied(
        env, f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS", ["k", "v", "w"], [(k, 1, None)])
    k = keys(env)
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS USING TTL 1")
    eventually(lambda: equal(env.rows(f"SELECT k FROM {t} WHERE k = {k}"), []))
    applied(env, f"INSERT INTO {t} (k, v) VALUES ({k}, 2) IF NOT EXISTS")


@behaviour
def insert_json_may_be_conditional(env):
    t, k = plain(env), keys(env)
    applied(env, f"INSERT INTO {t} JSON '{{\"k\": {k}, \"v\": 3}}' IF NOT EXISTS")
    not_applied(
        env, f"INSERT INTO {t} JSON '{{\"k\": {k}, \"v\": 4}}' IF NOT EXISTS", ["k", "v", "w"],
        [(k, 3, None)])


# IF EXISTS

@behaviour
def an_update_if_exists_of_a_missing_row_is_not_applied(env):
    t, k = plain(env), keys(env)
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF EXISTS", [], [()])
    equal(env.rows(f"SELECT * FROM {t} WHERE k = {k}"), [])


@behaviour
def an_update_if_exists_of_an_existing_row_is_applied(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 1)")
    applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF EXISTS")
    equal(env.rows(f"SELECT v FROM {t} WHERE k = {k}"), [(2,)])


@behaviour
def a_deletion_if_exists_of_a_missing_row_is_not_applied(env):
    not_applied(env, f"DELETE FROM {plain(env)} WHERE k = {keys(env)} IF EXISTS", [], [()])


@behaviour
def a_deletion_of_a_column_if_exists_keeps_the_row(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    applied(env, f"DELETE v FROM {t} WHERE k = {k} IF EXISTS")
    equal(env.rows(f"SELECT v, w FROM {t} WHERE k = {k}"), [(None, "x")])


@behaviour
def a_static_row_exists_without_rows(env):
    t, k = wide(env), keys(env)
    not_applied(env, f"UPDATE {t} SET s = 1 WHERE k = {k} IF EXISTS", [], [()])
    env.execute(f"UPDATE {t} SET s = 1 WHERE k = {k}")
    applied(env, f"UPDATE {t} SET s = 2 WHERE k = {k} IF EXISTS")
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} AND c = 1 IF EXISTS", [], [()])


# IF column op value

@behaviour
def an_equal_value_lets_the_update_through(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 1)")
    applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v = 1")
    not_applied(env, f"UPDATE {t} SET v = 3 WHERE k = {k} IF v = 1", ["v"], [(2,)])


@behaviour
def a_refused_update_shows_the_columns_of_its_conditions_in_their_order(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    not_applied(
        env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF w = 'y' AND v = 1", ["w", "v"], [("x", 1)])


@behaviour
def a_column_with_two_conditions_is_shown_once(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 5)")
    not_applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v > 1 AND v < 4", ["v"], [(5,)])


@behaviour
def all_conditions_must_hold(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v = 1 AND w = 'x'")
    not_applied(
        env, f"UPDATE {t} SET v = 3 WHERE k = {k} IF v = 2 AND w = 'z'", ["v", "w"], [(2, "x")])


@behaviour
def every_comparison_compares(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 5)")
    holds = ["v = 5", "v != 4", "v < 6", "v <= 5", "v > 4", "v >= 5", "v IN (4, 5)", "v IN (5)"]
    fails = ["v = 4", "v != 5", "v < 5", "v <= 4", "v > 5", "v >= 6", "v IN (4, 6)", "v IN ()"]
    for condition in holds:
        equal(
            answer(env, f"UPDATE {t} SET w = 'x' WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    for condition in fails:
        equal(
            answer(env, f"UPDATE {t} SET w = 'y' WHERE k = {k} IF {condition}")[1], [(False, 5)],
            condition)


@behaviour
def a_condition_on_a_missing_row_sees_nulls(env):
    t, k = plain(env), keys(env)
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v = 1", [], [()])
    applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v = null")
    equal(env.rows(f"SELECT v FROM {t} WHERE k = {k}"), [(1,)])


@behaviour
def null_compares_equal_to_null_alone(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, w) VALUES ({k}, 'x')")
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v != null", ["v"], [(None,)])
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v > 0", ["v"], [(None,)])
    applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v != 7")
    not_applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v = null", ["v"], [(1,)])
    applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v != null")


@behaviour
def null_may_stand_in_a_list_of_in(env):
    t, k = plain(env), keys(env)
    applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} IF v IN (7, null)")
    not_applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} IF v IN (7, null)", ["v"], [(1,)])


@behaviour
def values_of_conditions_can_be_bound(env):
    t, k = plain(env), keys(env)
    statement = env.session.prepare(f"UPDATE {t} SET v = ? WHERE k = ? IF v = ?")
    equal([column.name for column in statement.column_metadata], ["v", "k", "v"])
    applied(env, statement, (1, k, None))
    applied(env, statement, (2, k, 1))
    not_applied(env, statement, ["v"], [(2,)], (3, k, 1))


@behaviour
def a_list_of_in_can_be_bound(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 5)")
    statement = env.session.prepare(f"UPDATE {t} SET v = ? WHERE k = ? IF v IN ?")
    not_applied(env, statement, ["v"], [(5,)], (6, k, [1, 2]))
    applied(env, statement, (6, k, [1, 5]))
    each = env.session.prepare(f"UPDATE {t} SET v = ? WHERE k = ? IF v IN (?, ?)")
    applied(env, each, (7, k, 6, 9))


@behaviour
def unset_values_among_those_of_in_are_left_out(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 5)")
    each = env.session.prepare(f"UPDATE {t} SET v = ? WHERE k = ? IF v IN (?, ?)")
    applied(env, each, (7, k, UNSET_VALUE, 5))


@behaviour
def an_unset_value_in_a_condition_is_refused(env):
    t = plain(env)
    statement = env.session.prepare(f"UPDATE {t} SET v = 1 WHERE k = 1 IF v = ?")
    bound = statement.bind((UNSET_VALUE,))
    env.refused(InvalidRequest, "Invalid 'unset' value in condition", lambda: env.execute(bound))


@behaviour
def a_bound_null_with_a_slice_is_refused(env):
    t = plain(env)
    statement = env.session.prepare(f"UPDATE {t} SET v = 1 WHERE k = 1 IF v < ?")
    env.refused(
        InvalidRequest, 'Invalid comparison with null for operator "<"',
        lambda: env.execute(statement, (None,)))


@behaviour
def a_null_list_of_in_is_refused(env):
    t = plain(env)
    statement = env.session.prepare(f"UPDATE {t} SET v = 1 WHERE k = 1 IF v IN ?")
    env.refused(
        InvalidRequest, "Invalid null list in IN condition",
        lambda: env.execute(statement, (None,)))


@behaviour
def an_unset_value_that_is_written_leaves_its_column_alone(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    statement = env.session.prepare(f"UPDATE {t} SET w = ? WHERE k = ? IF v = 1")
    applied(env, statement, (UNSET_VALUE, k))
    equal(env.rows(f"SELECT w FROM {t} WHERE k = {k}"), [("x",)])


@behaviour
def a_condition_on_a_static_column_guards_a_row(env):
    t, k = wide(env), keys(env)
    env.execute(f"UPDATE {t} SET s = 1 WHERE k = {k}")
    applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} AND c = 1 IF s = 1")
    not_applied(env, f"UPDATE {t} SET v = 2 WHERE k = {k} AND c = 1 IF s = 2", ["s"], [(1,)])


@behaviour
def a_static_column_is_compared_and_set_without_rows(env):
    t, k = wide(env), keys(env)
    applied(env, f"UPDATE {t} SET s = 1 WHERE k = {k} IF s = null")
    applied(env, f"UPDATE {t} SET s = 2 WHERE k = {k} IF s = 1")
    not_applied(env, f"UPDATE {t} SET s = 3 WHERE k = {k} IF s = 1", ["s"], [(2,)])


@behaviour
def a_static_condition_that_fails_shows_null_if_the_partition_has_rows(env):
    t, k = wide(env), keys(env)
    not_applied(env, f"UPDATE {t} SET s = 50 WHERE k = {k} IF s = 3", [], [()])
    env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 2)")
    env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, 2, 3)")
    for condition in ("s = 3", "s IN (3, 4)", "s < 3", "s > 3"):
        not_applied(env, f"UPDATE {t} SET s = 50 WHERE k = {k} IF {condition}", ["s"], [(None,)])
    not_applied(env, f"DELETE s FROM {t} WHERE k = {k} IF s = 3", ["s"], [(None,)])
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} AND c = 9 IF s = 3", ["s"], [(None,)])
    applied(env, f"UPDATE {t} SET s = 50 WHERE k = {k} IF s = null")


@behaviour
def a_static_row_that_does_not_exist_shows_the_first_row_of_the_partition(env):
    t, k = wide(env), keys(env)
    not_applied(env, f"UPDATE {t} SET s = 1 WHERE k = {k} IF EXISTS", [], [()])
    for c in (3, 1, 2):
        env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, {c}, 5)")
    env.execute(f"DELETE FROM {t} WHERE k = {k} AND c = 1")
    not_applied(
        env, f"UPDATE {t} SET s = 1 WHERE k = {k} IF EXISTS", ["k", "c", "s", "v", "w"],
        [(k, 2, None, None, None)])
    env.execute(f"UPDATE {t} SET s = 7 WHERE k = {k}")
    not_applied(
        env, f"INSERT INTO {t} (k, s) VALUES ({k}, 8) IF NOT EXISTS", ["k", "c", "s", "v", "w"],
        [(k, 2, 7, None, None)])
    not_applied(
        env, f"BEGIN BATCH UPDATE {t} SET s = 1 WHERE k = {k} IF s = 5; APPLY BATCH",
        ["k", "c", "s"], [(k, 2, 7)])


@behaviour
def a_static_column_that_is_written_shows_that_the_partition_exists(env):
    t, k = wide(env), keys(env)
    env.execute(f"UPDATE {t} SET s = 7 WHERE k = {k}")
    not_applied(
        env, f"UPDATE {t} SET s = 8, v = 1 WHERE k = {k} AND c = 1 IF v = 2", ["v"], [(None,)])
    not_applied(env, f"UPDATE {t} SET v = 1 WHERE k = {k} AND c = 1 IF v = 2", [], [()])


@behaviour
def a_collection_does_not_contain_what_is_unset(env):
    t, k = rich(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, l, m) VALUES ({k}, [1], {{'a': 1}})")
    for column, what in (("l", "CONTAINS"), ("m", "CONTAINS"), ("m", "CONTAINS KEY")):
        bound = env.session.prepare(f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {column} {what} ?")
        equal([row[0] for row in env.execute(bound, (UNSET_VALUE,))], [False])


@behaviour
def a_condition_on_a_row_guards_a_static_column(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 5)")
    applied(env, f"UPDATE {t} SET s = 1 WHERE k = {k} AND c = 1 IF v = 5")
    not_applied(env, f"UPDATE {t} SET s = 2 WHERE k = {k} AND c = 1 IF v = 6", ["v"], [(5,)])
    equal(env.rows(f"SELECT s FROM {t} WHERE k = {k}"), [(1,)])


@behaviour
def conditions_on_static_and_regular_columns_go_together(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, v, s) VALUES ({k}, 1, 5, 7)")
    not_applied(
        env, f"UPDATE {t} SET v = 6 WHERE k = {k} AND c = 1 IF v = 5 AND s = 8", ["v", "s"], [(5, 7)])
    applied(env, f"UPDATE {t} SET v = 6 WHERE k = {k} AND c = 1 IF v = 5 AND s = 7")
    not_applied(
        env, f"UPDATE {t} SET v = 1 WHERE k = {k} AND c = 2 IF v = 5 AND s = 7", ["v", "s"],
        [(None, 7)])


@behaviour
def a_deletion_can_have_conditions(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v, w) VALUES ({k}, 1, 'x')")
    not_applied(env, f"DELETE FROM {t} WHERE k = {k} IF v = 2", ["v"], [(1,)])
    applied(env, f"DELETE w FROM {t} WHERE k = {k} IF v = 1")
    applied(env, f"DELETE FROM {t} WHERE k = {k} IF v = 1 AND w = null")
    equal(env.rows(f"SELECT * FROM {t} WHERE k = {k}"), [])


@behaviour
def a_static_column_can_be_deleted_on_a_condition(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, s) VALUES ({k}, 1, 7)")
    not_applied(env, f"DELETE s FROM {t} WHERE k = {k} IF s = 8", ["s"], [(7,)])
    applied(env, f"DELETE s FROM {t} WHERE k = {k} IF s = 7")
    equal(env.rows(f"SELECT c, s FROM {t} WHERE k = {k}"), [(1, None)])


# Collections and types

@behaviour
def whole_collections_are_compared(env):
    t, k = rich(env), keys(env)
    env.execute(
        f"INSERT INTO {t} (k, l, s, m, fl, fs, fm) VALUES ({k}, [1, 2], {{'a', 'b'}}, {{'x': 1}}, "
        "[1, 2], {1, 2}, {'x': 1})")
    for condition in (
            "l = [1, 2]", "l != [1]", "l > [1]", "l < [2]", "l IN ([1, 2], [3])", "s = {'b', 'a'}",
            "s < {'b'}", "m = {'x': 1}", "m != {'x': 2}", "m < {'x': 2}", "m >= {'x': 1}",
            "fl = [1, 2]", "fl <= [1, 2]", "fs = {2, 1}", "fm = {'x': 1}", "fm != {'y': 1}"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    for condition in ("l = [2, 1]", "l < [1, 2]", "s = {'a'}", "m > {'x': 1}", "fl = [1]", "fs > {5}"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1][0][0], False,
            condition)


@behaviour
def a_collection_without_elements_is_null_and_empty(env):
    t, k = rich(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, dd) VALUES ({k}, 1)")
    for condition in ("l = null", "l = []", "s = {}", "m = {}", "l != [1]", "l < [1]", "fl = null"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    for condition in ("l != null", "l > [1]", "fl = []"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1][0][0], False,
            condition)


@behaviour
def elements_of_collections_are_compared(env):
    t, k = rich(env), keys(env)
    env.execute(
        f"INSERT INTO {t} (k, l, m, fl, fm) VALUES ({k}, [10, 20], {{'x': 1}}, [10, 20], {{'x': 1}})")
    for condition in (
            "l[0] = 10", "l[1] > 15", "l[1] IN (20, 30)", "l[2] = null", "m['x'] = 1", "m['x'] < 2",
            "m['y'] = null", "m['y'] != 1", "fl[1] = 20", "fm['x'] >= 1", "m['x'] IN (1, 2)"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    not_applied(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF l[0] = 11", ["l"], [([10, 20],)])
    not_applied(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF m['z'] = 1", ["m"], [({"x": 1},)])


@behaviour
def keys_and_indexes_can_be_bound(env):
    t, k = rich(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, l, m) VALUES ({k}, [10, 20], {{'x': 1}})")
    statement = env.session.prepare(f"UPDATE {t} SET dd = 1 WHERE k = ? IF l[?] = ? AND m[?] = ?")
    applied(env, statement, (k, 1, 20, "x", 1))
    env.refused(
        InvalidRequest, "Invalid null value for list element access",
        lambda: env.execute(statement, (k, None, 20, "x", 1)))
    env.refused(
        InvalidRequest, "Invalid null value for map element access",
        lambda: env.execute(statement, (k, 1, 20, None, 1)))
    env.refused(
        InvalidRequest, "Invalid negative list index -1",
        lambda: env.execute(statement, (k, -1, 20, "x", 1)))


@behaviour
def contains_looks_into_collections(env):
    t, k = rich(env), keys(env)
    env.execute(
        f"INSERT INTO {t} (k, l, s, m, fl) VALUES ({k}, [1, 2], {{'a'}}, {{'x': 7}}, [5])")
    for condition in (
            "l CONTAINS 2", "s CONTAINS 'a'", "m CONTAINS 7", "m CONTAINS KEY 'x'", "fl CONTAINS 5"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    for condition in ("l CONTAINS 3", "s CONTAINS 'b'", "m CONTAINS 1", "m CONTAINS KEY 'y'"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1][0][0], False,
            condition)


@behaviour
def fields_of_a_type_are_compared(env):
    t, k = rich(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, u, fu) VALUES ({k}, {{a: 1, b: 'x'}}, {{a: 2}})")
    for condition in (
            "u.a = 1", "u.b > 'w'", "u.a IN (1, 5)", "fu.a = 2", "fu.b = null", "u = {a: 1, b: 'x'}",
            "fu = {a: 2, b: null}", "u != {a: 2, b: 'x'}"):
        equal(
            answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)
    equal(answer(env, f"UPDATE {t} SET dd = 1 WHERE k = {k} IF u.a = 3")[1][0][0], False)


@behaviour
def values_of_many_types_are_compared(env):
    t, k = rich(env), keys(env)
    env.execute(
        f"INSERT INTO {t} (k, t, b, dd, ts, id, dec, d) VALUES ({k}, (1, 'x'), 0xCAFE, 1.5, "
        "'2024-01-01T00:00:00Z', 123e4567-e89b-12d3-a456-426614174000, 1.50, 1h)")
    for condition in (
            "t = (1, 'x')", "t < (1, 'y')", "b = 0xcafe", "b > 0xca", "dd >= 1.5",
            "ts < '2024-01-02T00:00:00Z'", "id = 123e4567-e89b-12d3-a456-426614174000",
            "dec = 1.5", "d = 1h", "d != 2h"):
        equal(
            answer(env, f"UPDATE {t} SET fl = [1] WHERE k = {k} IF {condition}")[1], [(True,)],
            condition)


@behaviour
def a_list_is_changed_by_index_on_a_condition(env):
    t, k = rich(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, l) VALUES ({k}, [1, 2, 3])")
    applied(env, f"UPDATE {t} SET l[1] = 9 WHERE k = {k} IF l[0] = 1")
    applied(env, f"DELETE l[0] FROM {t} WHERE k = {k} IF EXISTS")
    applied(env, f"UPDATE {t} SET l = l - [3] WHERE k = {k} IF l = [9, 3]")
    equal(env.rows(f"SELECT l FROM {t} WHERE k = {k}"), [([9],)])
    env.refused(
        InvalidRequest, "List index 5 out of bound, list has size 1",
        lambda: env.execute(f"UPDATE {t} SET l[5] = 1 WHERE k = {k} IF EXISTS"))


# Batches

@behaviour
def a_conditional_batch_is_applied_as_a_whole(env):
    t, k = wide(env), keys(env)
    applied(
        env, f"BEGIN BATCH INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 1) IF NOT EXISTS; "
        f"INSERT INTO {t} (k, c, v) VALUES ({k}, 2, 2); APPLY BATCH")
    equal(env.rows(f"SELECT c, v FROM {t} WHERE k = {k}"), [(1, 1), (2, 2)])


@behaviour
def a_conditional_batch_is_refused_as_a_whole(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 1)")
    not_applied(
        env, f"BEGIN BATCH INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 9) IF NOT EXISTS; "
        f"INSERT INTO {t} (k, c, v) VALUES ({k}, 2, 2); APPLY BATCH", ["k", "c", "s", "v", "w"],
        [(k, 1, None, 1, None)])
    equal(env.rows(f"SELECT c, v FROM {t} WHERE k = {k}"), [(1, 1)])


@behaviour
def a_refused_batch_shows_the_key_and_the_columns_of_all_conditions(env):
    t, k = wide(env), keys(env)
    for c in (1, 2):
        env.execute(f"INSERT INTO {t} (k, c, v, w) VALUES ({k}, {c}, {c}, {c})")
    not_applied(
        env, f"BEGIN BATCH UPDATE {t} SET v = 5 WHERE k = {k} AND c = 1 IF v = 1; "
        f"UPDATE {t} SET v = 6 WHERE k = {k} AND c = 2 IF v = 9 APPLY BATCH", ["k", "c", "v"],
        [(k, 1, 1), (k, 2, 2)])


@behaviour
def a_static_condition_guards_a_batch_of_rows(env):
    t, k = wide(env), keys(env)
    env.execute(f"UPDATE {t} SET s = 1 WHERE k = {k}")
    applied(
        env, f"BEGIN BATCH UPDATE {t} SET s = 2 WHERE k = {k} IF s = 1; "
        f"INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 1); INSERT INTO {t} (k, c, v) VALUES ({k}, 2, 2); "
        "APPLY BATCH")
    equal(env.rows(f"SELECT c, s, v FROM {t} WHERE k = {k}"), [(1, 2, 1), (2, 2, 2)])
    not_applied(
        env, f"BEGIN BATCH UPDATE {t} SET s = 3 WHERE k = {k} IF s = 1; "
        f"DELETE FROM {t} WHERE k = {k} AND c = 1; APPLY BATCH", ["k", "c", "s"], [(k, 1, 2)])


@behaviour
def a_batch_message_may_be_conditional(env):
    t, k = wide(env), keys(env)
    insert = env.session.prepare(f"INSERT INTO {t} (k, c, v) VALUES (?, ?, ?) IF NOT EXISTS")
    batch = BatchStatement(batch_type=BatchType.LOGGED)
    batch.add(insert, (k, 1, 1))
    batch.add(SimpleStatement(f"UPDATE {t} SET s = 4 WHERE k = {k}"))
    applied(env, batch)
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    batch.add(insert, (k, 1, 1))
    batch.add(insert, (k, 2, 2))
    not_applied(env, batch, ["k", "c", "s", "v", "w"], [(k, 1, None, 1, None)])


@behaviour
def a_batch_may_delete_a_range_beside_a_condition(env):
    t, k = wide(env), keys(env)
    for c in range(5):
        env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, {c}, {c})")
    applied(
        env, f"BEGIN BATCH UPDATE {t} SET v = 9 WHERE k = {k} AND c = 0 IF v = 0; "
        f"DELETE FROM {t} WHERE k = {k} AND c > 2; APPLY BATCH")
    equal(env.rows(f"SELECT c, v FROM {t} WHERE k = {k}"), [(0, 9), (1, 1), (2, 2)])


@behaviour
def the_same_condition_may_stand_twice_for_a_row(env):
    t, k = wide(env), keys(env)
    applied(
        env, f"BEGIN BATCH INSERT INTO {t} (k, c, v) VALUES ({k}, 1, 1) IF NOT EXISTS; "
        f"INSERT INTO {t} (k, c, w) VALUES ({k}, 1, 1) IF NOT EXISTS APPLY BATCH")
    applied(
        env, f"BEGIN BATCH UPDATE {t} SET v = 2 WHERE k = {k} AND c = 1 IF v = 1; "
        f"UPDATE {t} SET w = 2 WHERE k = {k} AND c = 1 IF w = 1 APPLY BATCH")


# Consistency, contention, protocol

@behaviour
@needs(3)
def a_serial_read_sees_what_was_applied_through_another_node(env):
    t, k = plain(env), keys(env)
    sessions = [env.only(node) for node in (1, 2, 3)]
    for turn, session in enumerate(sessions * 3):
        expected = turn if turn else "null"
        result = session.execute(
            f"UPDATE {t} SET v = {turn + 1} WHERE k = {k} IF v = {expected}")
        equal(list(result)[0][0], True)
        reader = sessions[(turn + 1) % 3]
        for level in (ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL):
            rows = list(reader.execute(SimpleStatement(
                f"SELECT v FROM {t} WHERE k = {k}", consistency_level=level)))
            equal([tuple(row) for row in rows], [(turn + 1,)])


@behaviour
@needs(3)
def a_serial_read_settles_what_a_dead_coordinator_has_left(env):
    name = env.table("k int PRIMARY KEY, v int")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 0)")
    second, third = env.only(2), env.only(3)
    serial = SimpleStatement(f"SELECT v FROM {name} WHERE k = 1", consistency_level=ConsistencyLevel.SERIAL)
    plain = SimpleStatement(f"SELECT v FROM {name} WHERE k = 1", consistency_level=ConsistencyLevel.QUORUM)
    for _ in range(3):
        first, dies, stop = env.only(1), threading.Event(), threading.Event()
        update = first.prepare(f"UPDATE {name} SET v = ? WHERE k = 1 IF v = ?")
        acknowledged = [third.execute(serial).one()[0]]

        def count():
            while not stop.is_set():
                value = acknowledged[-1]
                try:
                    if first.execute(update, (value + 1, value)).one()[0]:
                        acknowledged.append(value + 1)
                except Exception:
                    if dies.is_set():
                        return
                    # It took too long: what became of it is asked for.
                    acknowledged.append(eventually(lambda: third.execute(serial).one()[0]))

        worker = threading.Thread(target=count)
        worker.start()
        eventually(lambda: true(len(acknowledged) > 20, "too slow"), every=0.02)
        dies.set()
        env.ring.kill(1)
        stop.set()
        worker.join()
        settled = eventually(lambda: second.execute(serial).one()[0])
        # One more may have been proposed when the node died: it is there for everybody, or for nobody.
        true(settled - acknowledged[-1] in (0, 1), f"{settled} after {acknowledged[-1]}")
        for session in (third, second):
            equal(session.execute(serial).one()[0], settled, "a later serial read")
            equal(session.execute(plain).one()[0], settled, "a plain read")
        env.ring.start(1)


@behaviour
def a_serial_read_of_a_missing_row_is_empty(env):
    equal(list(env.session.execute(SimpleStatement(
        f"SELECT v FROM {plain(env)} WHERE k = {keys(env)}",
        consistency_level=ConsistencyLevel.SERIAL))), [])


@behaviour
def a_serial_read_pages_through_a_partition(env):
    t, k = wide(env), keys(env)
    for c in range(20):
        env.execute(f"INSERT INTO {t} (k, c, v) VALUES ({k}, {c}, {c})")
    statement = SimpleStatement(
        f"SELECT c FROM {t} WHERE k = {k}", consistency_level=ConsistencyLevel.SERIAL, fetch_size=3)
    equal([row[0] for row in env.session.execute(statement)], list(range(20)))
    statement = SimpleStatement(
        f"SELECT c FROM {t} WHERE k = {k} ORDER BY c DESC LIMIT 5",
        consistency_level=ConsistencyLevel.LOCAL_SERIAL)
    equal([row[0] for row in env.session.execute(statement)], [19, 18, 17, 16, 15])


@behaviour
def local_serial_works_for_writes(env):
    t, k = plain(env), keys(env)
    statement = SimpleStatement(
        f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS",
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL)
    applied(env, statement)


@behaviour
@needs(3)
def every_commit_consistency_is_taken(env):
    t = plain(env)
    for level in (
            ConsistencyLevel.ANY, ConsistencyLevel.ONE, ConsistencyLevel.TWO, ConsistencyLevel.QUORUM,
            ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_ONE):
        k = keys(env)
        applied(env, SimpleStatement(
            f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS", consistency_level=level))
        equal(list(env.session.execute(SimpleStatement(
            f"SELECT v FROM {t} WHERE k = {k}", consistency_level=ConsistencyLevel.SERIAL))), [(1,)])


@behaviour
@needs(3)
def of_many_that_insert_at_once_exactly_one_wins(env):
    sessions = [env.only(node) for node in (1, 2, 3)]
    # On a slow machine the contention may outlast what all of them wait.
    true(any(one_of_many_wins(env, sessions) for _ in range(20)), "nobody was answered")


def one_of_many_wins(env, sessions):
    """Whether somebody was told that it won; fails if more than one did, or it is not what is there."""
    t, k = plain(env), keys(env)
    results = []

    def insert(session, value):
        try:
            row = list(session.execute(
                f"INSERT INTO {t} (k, v) VALUES ({k}, {value}) IF NOT EXISTS"))[0]
            results.append((row[0], value))
        except Exception as error:
            # Unknown: the contention took too long, or another proposal overtook it.
            true(isinstance(error, WriteTimeout) or "code=1700" in str(error), error)
            results.append((None, value))

    threads = [
        threading.Thread(target=insert, args=(sessions[n % 3], n)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(len(results), 12, "answers")
    winners = [value for won, value in results if won]
    there = [row[0] for row in env.session.execute(SimpleStatement(
        f"SELECT v FROM {t} WHERE k = {k}", consistency_level=ConsistencyLevel.SERIAL))]
    true(len(winners) <= 1, f"several won: {winners}")
    true(not winners or winners == there, f"{winners} won, and {there} is there")
    return bool(winners)


@behaviour
def increments_by_compare_and_set_lose_nothing(env):
    t, k = plain(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, v) VALUES ({k}, 0) IF NOT EXISTS")
    sessions = [env.only(node) for node in env.several()]
    done = [0, 0, 0]
    unknown = [0, 0, 0]

    def work(n):
        seen = 0
        while done[n] + unknown[n] < 10:
            try:
                row = list(sessions[n].execute(
                    f"UPDATE {t} SET v = {seen + 1} WHERE k = {k} IF v = {seen}"))[0]
            except Exception:
                unknown[n] += 1
                continue
            if row[0]:
                done[n] += 1
                seen += 1
            else:
                seen = row[1]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    value = list(env.session.execute(SimpleStatement(
        f"SELECT v FROM {t} WHERE k = {k}", consistency_level=ConsistencyLevel.SERIAL)))[0][0]
    true(
        sum(done) <= value <= sum(done) + sum(unknown),
        f"{sum(done)} were applied, {sum(unknown)} unknown, and it is {value}")


@behaviour
def conditional_writes_work_over_every_protocol_version(env):
    t = plain(env)
    for version in (3, 4, 5):
        k = keys(env)
        session = env.cluster(protocol_version=version).connect(env.keyspace)
        insert = session.prepare(f"INSERT INTO {t} (k, v) VALUES (?, ?) IF NOT EXISTS")
        equal([tuple(row) for row in session.execute(insert, (k, 1))], [(True,)])
        equal([tuple(row) for row in session.execute(insert, (k, 2))], [(False, k, 1, None)])
        update = session.prepare(f"UPDATE {t} SET v = ? WHERE k = ? IF v = ?")
        equal([tuple(row) for row in session.execute(update, (3, k, 9))], [(False, 1)])
        equal([tuple(row) for row in session.execute(update, (3, k, 1))], [(True,)])


@behaviour
def the_driver_finds_out_whether_it_was_applied(env):
    t, k = plain(env), keys(env)
    statement = f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS"
    true(env.execute(statement).was_applied, "it was not applied")
    true(not env.execute(statement).was_applied, "it was applied twice")


@behaviour
def paxos_state_can_be_looked_at(env):
    t, k = plain(env), keys(env)
    env.execute(SimpleStatement(
        f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS",
        consistency_level=ConsistencyLevel.ALL))
    session = env.only(1)
    rows = list(session.execute(SimpleStatement(
        "SELECT row_key, cf_id, in_progress_ballot, most_recent_commit_at FROM system.paxos",
        consistency_level=ConsistencyLevel.ONE)))
    true(
        any(row[0] == k.to_bytes(4, "big") and row[2] is not None for row in rows),
        "the partition is not in system.paxos")


@behaviour
def a_table_that_mixes_conditional_and_plain_writes_warns(env):
    name = env.table("k int PRIMARY KEY, v int")
    session = env.only(1)
    session.execute(f"INSERT INTO {name} (k, v) VALUES (1, 1) IF NOT EXISTS")
    future = session.execute_async(f"UPDATE {name} SET v = 2 WHERE k = 1")
    future.result()
    true(
        any("both with and without IF" in warning for warning in future.warnings or []),
        f"no warning: {future.warnings}")


@behaviour
def a_serial_consistency_for_the_commit_is_refused(env):
    t = plain(env)
    for level in (ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL):
        env.refused(
            InvalidRequest, "is not supported as conditional update commit consistency",
            lambda: env.execute(SimpleStatement(
                f"INSERT INTO {t} (k, v) VALUES (1, 1) IF NOT EXISTS", consistency_level=level)))


@behaviour
def a_serial_consistency_for_a_plain_write_is_refused(env):
    env.refused(
        InvalidRequest, "You must use conditional updates for serializable writes",
        lambda: env.execute(SimpleStatement(
            f"INSERT INTO {plain(env)} (k, v) VALUES (1, 1)",
            consistency_level=ConsistencyLevel.SERIAL)))


@behaviour
def a_serial_read_of_several_partitions_is_refused(env):
    env.refused(
        InvalidRequest, "consistency may only be requested for one partition at a time",
        lambda: list(env.session.execute(SimpleStatement(
            f"SELECT v FROM {plain(env)} WHERE k IN (1, 2)", consistency_level=ConsistencyLevel.SERIAL))))


@behaviour
def a_serial_read_of_a_range_is_a_read_at_a_quorum(env):
    name = env.table("k int PRIMARY KEY, v int")
    for k in range(3):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, {k}) IF NOT EXISTS")
    for level in (ConsistencyLevel.SERIAL, ConsistencyLevel.LOCAL_SERIAL):
        for where in ("", f" WHERE token(k) >= {-2**63 + 1}"):
            rows = env.session.execute(SimpleStatement(f"SELECT v FROM {name}{where}", consistency_level=level))
            equal(sorted(row[0] for row in rows), [0, 1, 2])


def tables(env):
    return {
        "plain": plain(env), "wide": wide(env), "rich": rich(env), "counters": counters(env)}


refusals([
    ("an element that contains something", "UPDATE $rich SET dd = 1 WHERE k = 1 IF l[1] CONTAINS 1",
     SyntaxException, "CONTAINS"),
    ("a field that contains something", "UPDATE $rich SET dd = 1 WHERE k = 1 IF u.a CONTAINS 1",
     SyntaxException, "CONTAINS"),
    ("a pattern as a condition", "UPDATE $rich SET dd = 1 WHERE k = 1 IF b LIKE 'x'", SyntaxException,
     "LIKE"),
    ("a timestamp on a conditional insert",
     "INSERT INTO $plain (k, v) VALUES (1, 1) IF NOT EXISTS USING TIMESTAMP 1", InvalidRequest,
     "Cannot provide custom timestamp for conditional updates"),
    ("a timestamp on a conditional update",
     "UPDATE $plain USING TIMESTAMP 1 SET v = 1 WHERE k = 1 IF v = 1", InvalidRequest,
     "Cannot provide custom timestamp for conditional updates"),
    ("a timestamp on a conditional deletion",
     "DELETE FROM $plain USING TIMESTAMP 1 WHERE k = 1 IF EXISTS", InvalidRequest,
     "Cannot provide custom timestamp for conditional updates"),
    ("a condition on a partition key", "UPDATE $plain SET v = 1 WHERE k = 1 IF k = 1",
     InvalidRequest, "PRIMARY KEY column 'k' cannot have IF conditions"),
    ("a condition on a clustering key", "UPDATE $wide SET v = 1 WHERE k = 1 AND c = 1 IF c = 1",
     InvalidRequest, "PRIMARY KEY column 'c' cannot have IF conditions"),
    ("a condition on an unknown column", "UPDATE $plain SET v = 1 WHERE k = 1 IF nope = 1",
     InvalidRequest, "Undefined column name nope in table"),
    ("a condition on a counter", "UPDATE $counters SET n = n + 1 WHERE k = 1 IF n = 1",
     InvalidRequest, "Conditional updates are not supported on counter tables"),
    ("a conditional update of a counter", "UPDATE $counters SET n = n + 1 WHERE k = 1 IF EXISTS",
     InvalidRequest, "Conditional updates are not supported on counter tables"),
    ("null with a slice", "UPDATE $plain SET v = 1 WHERE k = 1 IF v > null", InvalidRequest,
     'Invalid comparison with null for operator ">"'),
    ("a value of another type", "UPDATE $plain SET v = 1 WHERE k = 1 IF v = 'x'", InvalidRequest,
     "Invalid STRING constant (x) for \"v\" of type int"),
    ("an element of a column without", "UPDATE $plain SET v = 1 WHERE k = 1 IF v[0] = 1",
     InvalidRequest, "Invalid element access syntax for non-collection column v"),
    ("an element of a set", "UPDATE $rich SET dd = 1 WHERE k = 1 IF s['a'] = 'a'", InvalidRequest,
     "Invalid element access syntax for set column s"),
    ("a field that does not exist", "UPDATE $rich SET dd = 1 WHERE k = 1 IF u.z = 1",
     InvalidRequest, "Unknown field z for column u"),
    ("a field of a column without", "UPDATE $plain SET v = 1 WHERE k = 1 IF v.a = 1",
     InvalidRequest, "non-UDT column v"),
    ("a negative index", "UPDATE $rich SET dd = 1 WHERE k = 1 IF l[-1] = 1", InvalidRequest,
     "Invalid negative list index -1"),
    ("CONTAINS on a column without", "UPDATE $plain SET v = 1 WHERE k = 1 IF v CONTAINS 1",
     InvalidRequest, "Cannot use CONTAINS on non-collection column v"),
    ("CONTAINS KEY on a list", "UPDATE $rich SET dd = 1 WHERE k = 1 IF l CONTAINS KEY 1",
     InvalidRequest, "Cannot use CONTAINS KEY on non-map column l"),
    ("a slice of durations", "UPDATE $rich SET dd = 1 WHERE k = 1 IF d > 1h", InvalidRequest,
     "Slice conditions ( > ) are not supported on durations"),
    ("IN on the partition key", "UPDATE $plain SET v = 1 WHERE k IN (1, 2) IF v = 1",
     InvalidRequest, "IN on the partition key is not supported with conditional updates"),
    ("IN on the partition key of a deletion", "DELETE FROM $plain WHERE k IN (1, 2) IF EXISTS",
     InvalidRequest, "IN on the partition key is not supported with conditional deletions"),
    ("IN on the clustering key", "UPDATE $wide SET v = 1 WHERE k = 1 AND c IN (1, 2) IF v = 1",
     InvalidRequest, "IN on the clustering key columns is not supported with conditional updates"),
    ("a conditional deletion of a partition", "DELETE FROM $wide WHERE k = 1 IF EXISTS",
     InvalidRequest, "DELETE statements must restrict all PRIMARY KEY columns with equality "
     "relations in order to delete non static columns"),
    ("a conditional deletion of a range", "DELETE FROM $wide WHERE k = 1 AND c > 1 IF v = 1",
     InvalidRequest, "DELETE statements must restrict all PRIMARY KEY columns with equality"),
    ("a conditional deletion of a column of all rows", "DELETE v FROM $wide WHERE k = 1 IF s = 1",
     InvalidRequest, "DELETE statements must restrict all PRIMARY KEY columns with equality "
     "relations in order to delete non static columns"),
    ("a static deletion with a condition on a row", "DELETE s FROM $wide WHERE k = 1 IF v = 1",
     InvalidRequest, "in order to use IF condition on non static columns"),
    ("a conditional update without its clustering key", "UPDATE $wide SET v = 1 WHERE k = 1 IF v = 1",
     InvalidRequest, "Some clustering keys are missing: c"),
    ("a static update with a condition on a row without its key",
     "UPDATE $wide SET s = 1 WHERE k = 1 IF v = 1", InvalidRequest,
     "Some clustering keys are missing: c"),
    ("a conditional batch of two partitions",
     "BEGIN BATCH UPDATE $plain SET v = 1 WHERE k = 1 IF v = 1; "
     "UPDATE $plain SET v = 1 WHERE k = 2 APPLY BATCH", InvalidRequest,
     "Batch with conditions cannot span multiple partitions"),
    ("a conditional batch of two tables",
     "BEGIN BATCH UPDATE $plain SET v = 1 WHERE k = 1 IF v = 1; "
     "UPDATE $wide SET v = 1 WHERE k = 1 AND c = 1 APPLY BATCH", InvalidRequest,
     "Batch with conditions cannot span multiple tables"),
    ("a timestamp on a conditional batch",
     "BEGIN BATCH USING TIMESTAMP 1 UPDATE $plain SET v = 1 WHERE k = 1 IF v = 1 APPLY BATCH",
     InvalidRequest, "Cannot provide custom timestamp for conditional BATCH"),
    ("IF EXISTS and IF NOT EXISTS for one row",
     "BEGIN BATCH INSERT INTO $plain (k, v) VALUES (1, 1) IF NOT EXISTS; "
     "UPDATE $plain SET v = 1 WHERE k = 1 IF EXISTS APPLY BATCH", InvalidRequest,
     "Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row"),
    ("IF NOT EXISTS and a condition for one row",
     "BEGIN BATCH INSERT INTO $plain (k, v) VALUES (1, 1) IF NOT EXISTS; "
     "UPDATE $plain SET v = 1 WHERE k = 1 IF v = 1 APPLY BATCH", InvalidRequest,
     "Cannot mix IF conditions and IF NOT EXISTS for the same row"),
], tables)


@behaviour
@needs(3)
def without_a_majority_nothing_is_tried(env):
    t, k = plain(env), keys(env)
    env.ring.kill(2)
    env.ring.kill(3)
    try:
        session = env.only(1)

        def refused():
            error = env.refused(
                Unavailable, "Cannot achieve consistency level SERIAL",
                lambda: session.execute(SimpleStatement(
                    f"INSERT INTO {t} (k, v) VALUES ({k}, 1) IF NOT EXISTS",
                    consistency_level=ConsistencyLevel.ONE)))
            equal((error.required_replicas, error.alive_replicas), (2, 1))
        eventually(refused)
        env.refused(
            Unavailable, "Cannot achieve consistency level SERIAL",
            lambda: session.execute(SimpleStatement(
                f"SELECT v FROM {t} WHERE k = {k}", consistency_level=ConsistencyLevel.SERIAL)))
    finally:
        env.ring.heal()
    # A key for each attempt: one that seems to fail may be applied.
    eventually(lambda: applied(env, f"INSERT INTO {t} (k, v) VALUES ({keys(env)}, 1) IF NOT EXISTS"))
