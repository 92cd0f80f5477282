"""Lists that are not frozen: elements by index and by value, which are read before they are written."""

import threading

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra.query import BatchStatement, BatchType, SimpleStatement, UNSET_VALUE

from harness import behaviour, equal, needs, refusals, true


def lists(env):
    """k PRIMARY KEY, l, t, v, frozen f"""
    return env.shared("lists", lambda: env.table(
        "k int PRIMARY KEY, l list<int>, t list<text>, v int, f frozen<list<int>>, s set<int>, "
        "m map<int, int>"))


def wide(env):
    return env.shared("wide", lambda: env.table(
        "k int, c int, l list<int>, s list<int> static, PRIMARY KEY (k, c)"))


def keys(env):
    env.key = getattr(env, "key", 1000) + 1
    return env.key


def filled(env, elements):
    k = keys(env)
    env.execute(f"INSERT INTO {lists(env)} (k, l) VALUES ({k}, {elements})")
    return k


def the_list(env, k):
    rows = env.rows(f"SELECT l FROM {lists(env)} WHERE k = {k}")
    return rows[0][0] if rows else None


def update(env, k, what):
    env.execute(f"UPDATE {lists(env)} SET {what} WHERE k = {k}")


@behaviour
def an_element_is_set_by_its_index(env):
    k = filled(env, [1, 2, 3])
    update(env, k, "l[1] = 9")
    equal(the_list(env, k), [1, 9, 3])


@behaviour
def the_first_and_the_last_element_can_be_set(env):
    k = filled(env, [1, 2, 3])
    update(env, k, "l[0] = 7")
    update(env, k, "l[2] = 8")
    equal(the_list(env, k), [7, 2, 8])


@behaviour
def several_elements_can_be_set_at_once(env):
    k = filled(env, [1, 2, 3])
    update(env, k, "l[0] = 7, l[2] = 8, v = 5")
    equal(the_list(env, k), [7, 2, 8])


@behaviour
def setting_an_element_to_null_removes_it(env):
    k = filled(env, [1, 2, 3])
    update(env, k, "l[1] = null")
    equal(the_list(env, k), [1, 3])


@behaviour
def an_index_and_a_value_can_be_bound(env):
    k = filled(env, [1, 2, 3])
    statement = env.session.prepare(f"UPDATE {lists(env)} SET l[?] = ? WHERE k = ?")
    env.execute(statement, (2, 30, k))
    equal(the_list(env, k), [1, 2, 30])


@behaviour
def an_unset_value_leaves_the_element_alone(env):
    k = filled(env, [1, 2, 3])
    statement = env.session.prepare(f"UPDATE {lists(env)} SET l[?] = ?, v = 1 WHERE k = ?")
    env.execute(statement, (1, UNSET_VALUE, k))
    equal(the_list(env, k), [1, 2, 3])


@behaviour
def an_element_is_deleted_by_its_index(env):
    k = filled(env, [1, 2, 3])
    env.execute(f"DELETE l[1] FROM {lists(env)} WHERE k = {k}")
    equal(the_list(env, k), [1, 3])
    env.execute(f"DELETE l[0] FROM {lists(env)} WHERE k = {k}")
    equal(the_list(env, k), [3])


@behaviour
def several_elements_can_be_deleted_at_once(env):
    k = filled(env, [1, 2, 3, 4])
    env.execute(f"DELETE l[0], l[2] FROM {lists(env)} WHERE k = {k}")
    # The second index is counted in what the first deletion leaves.
    equal(the_list(env, k), [2, 3])


@behaviour
def a_deleted_index_can_be_bound(env):
    k = filled(env, [1, 2, 3])
    statement = env.session.prepare(f"DELETE l[?] FROM {lists(env)} WHERE k = ?")
    env.execute(statement, (2, k))
    equal(the_list(env, k), [1, 2])


@behaviour
def the_last_deleted_element_leaves_null(env):
    k = filled(env, [1])
    env.execute(f"DELETE l[0] FROM {lists(env)} WHERE k = {k}")
    equal(the_list(env, k), None)


@behaviour
def values_are_removed_wherever_they_stand(env):
    k = filled(env, [1, 2, 1, 3, 1])
    update(env, k, "l = l - [1]")
    equal(the_list(env, k), [2, 3])


@behaviour
def several_values_are_removed_at_once(env):
    k = filled(env, [1, 2, 3, 4])
    update(env, k, "l = l - [4, 2, 9]")
    equal(the_list(env, k), [1, 3])


@behaviour
def the_short_form_removes_too(env):
    k = filled(env, [1, 2, 3])
    update(env, k, "l -= [2]")
    equal(the_list(env, k), [1, 3])


@behaviour
def values_to_remove_can_be_bound(env):
    k = filled(env, [1, 2, 3])
    statement = env.session.prepare(f"UPDATE {lists(env)} SET l = l - ? WHERE k = ?")
    env.execute(statement, ([1, 3], k))
    equal(the_list(env, k), [2])
    env.execute(statement, (None, k))
    equal(the_list(env, k), [2])


@behaviour
def removing_what_is_not_there_changes_nothing(env):
    k = filled(env, [1, 2])
    update(env, k, "l = l - [7]")
    equal(the_list(env, k), [1, 2])


@behaviour
def removing_from_a_list_that_is_null_changes_nothing(env):
    k = keys(env)
    update(env, k, "l = l - [7]")
    equal(the_list(env, k), None)


@behaviour
def removing_everything_leaves_null(env):
    k = filled(env, [1, 1, 1])
    update(env, k, "l = l - [1]")
    equal(the_list(env, k), None)


@behaviour
def texts_are_removed_by_value(env):
    k = keys(env)
    env.execute(f"INSERT INTO {lists(env)} (k, t) VALUES ({k}, ['a', 'b', 'a', 'ab'])")
    update(env, k, "t = t - ['a']")
    equal(env.rows(f"SELECT t FROM {lists(env)} WHERE k = {k}"), [(["b", "ab"],)])


@behaviour
def appended_and_prepended_elements_have_indexes_too(env):
    k = filled(env, [5])
    update(env, k, "l = l + [6, 7]")
    update(env, k, "l = [3, 4] + l")
    equal(the_list(env, k), [3, 4, 5, 6, 7])
    update(env, k, "l[0] = 30")
    update(env, k, "l[4] = 70")
    equal(the_list(env, k), [30, 4, 5, 6, 70])


@behaviour
def an_append_after_a_deletion_goes_to_the_end(env):
    k = filled(env, [1, 2, 3])
    env.execute(f"DELETE l[2] FROM {lists(env)} WHERE k = {k}")
    update(env, k, "l = l + [4]")
    equal(the_list(env, k), [1, 2, 4])


@behaviour
def a_set_element_may_expire(env):
    k = filled(env, [1, 2])
    env.execute(f"UPDATE {lists(env)} USING TTL 1000 SET l[0] = 5 WHERE k = {k}")
    equal(the_list(env, k), [5, 2])


@behaviour
def an_older_timestamp_does_not_replace_an_element(env):
    k = filled(env, [1, 2])
    env.execute(f"UPDATE {lists(env)} USING TIMESTAMP 1 SET l[0] = 5 WHERE k = {k}")
    equal(the_list(env, k), [1, 2])


@behaviour
def lists_of_clustering_rows_are_told_apart(env):
    t, k = wide(env), keys(env)
    for c in (1, 2):
        env.execute(f"INSERT INTO {t} (k, c, l) VALUES ({k}, {c}, [1, 2])")
    env.execute(f"UPDATE {t} SET l[0] = 9 WHERE k = {k} AND c = 2")
    equal(env.rows(f"SELECT c, l FROM {t} WHERE k = {k}"), [(1, [1, 2]), (2, [9, 2])])


@behaviour
def several_rows_are_changed_each_by_its_own_list(env):
    t, k = wide(env), keys(env)
    env.execute(f"INSERT INTO {t} (k, c, l) VALUES ({k}, 1, [1, 2])")
    env.execute(f"INSERT INTO {t} (k, c, l) VALUES ({k}, 2, [2, 3])")
    env.execute(f"UPDATE {t} SET l = l - [2] WHERE k = {k} AND c IN (1, 2)")
    equal(env.rows(f"SELECT c, l FROM {t} WHERE k = {k}"), [(1, [1]), (2, [3])])


@behaviour
def several_partitions_are_changed_each_by_its_own_list(env):
    one, two = filled(env, [1, 2]), filled(env, [5, 6])
    env.execute(f"UPDATE {lists(env)} SET l[1] = 0 WHERE k IN ({one}, {two})")
    equal((the_list(env, one), the_list(env, two)), ([1, 0], [5, 0]))


@behaviour
def a_static_list_is_changed_by_index(env):
    t, k = wide(env), keys(env)
    env.execute(f"UPDATE {t} SET s = [1, 2, 3] WHERE k = {k}")
    env.execute(f"UPDATE {t} SET s[1] = 9 WHERE k = {k}")
    env.execute(f"DELETE s[0] FROM {t} WHERE k = {k}")
    equal(env.rows(f"SELECT s FROM {t} WHERE k = {k}"), [([9, 3],)])


@behaviour
def a_batch_changes_lists_by_index(env):
    one, two = filled(env, [1, 2]), filled(env, [5, 6])
    t = lists(env)
    env.execute(
        f"BEGIN BATCH UPDATE {t} SET l[0] = 9 WHERE k = {one}; UPDATE {t} SET l = l - [5] "
        f"WHERE k = {two}; UPDATE {t} SET v = 1 WHERE k = {two}; APPLY BATCH")
    equal((the_list(env, one), the_list(env, two)), ([9, 2], [6]))


@behaviour
def a_batch_message_changes_lists_by_index(env):
    k = filled(env, [1, 2, 3])
    statement = env.session.prepare(f"UPDATE {lists(env)} SET l[?] = ? WHERE k = ?")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    batch.add(statement, (0, 10, k))
    batch.add(statement, (2, 30, k))
    env.execute(batch)
    equal(the_list(env, k), [10, 2, 30])


@behaviour
def changes_at_once_through_one_node_leave_a_list_of_the_same_length(env):
    k = filled(env, [0] * 8)
    session = env.only(1)
    statement = session.prepare(f"UPDATE {lists(env)} SET l[?] = ? WHERE k = ?")

    def work(place):
        for value in range(10):
            session.execute(statement, (place, value, k))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(the_list(env, k), [9] * 8)


@behaviour
@needs(3)
def every_consistency_of_reads_is_taken(env):
    for level in (
            ConsistencyLevel.ONE, ConsistencyLevel.TWO, ConsistencyLevel.QUORUM,
            ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_QUORUM):
        k = keys(env)
        env.execute(SimpleStatement(
            f"INSERT INTO {lists(env)} (k, l) VALUES ({k}, [1, 2])",
            consistency_level=ConsistencyLevel.ALL))
        env.execute(SimpleStatement(
            f"UPDATE {lists(env)} SET l[1] = 5 WHERE k = {k}", consistency_level=level))
        equal([tuple(row) for row in env.execute(SimpleStatement(
            f"SELECT l FROM {lists(env)} WHERE k = {k}",
            consistency_level=ConsistencyLevel.ALL))], [([1, 5],)])


@behaviour
def a_consistency_that_cannot_read_is_refused(env):
    k = filled(env, [1])
    change = f"UPDATE {lists(env)} SET l[0] = 5 WHERE k = {k}"
    env.refused(
        InvalidRequest, "Write operation require a read but consistency ANY is not supported on reads",
        lambda: env.execute(SimpleStatement(change, consistency_level=ConsistencyLevel.ANY)))
    # This one can, since 3.0.
    env.execute(SimpleStatement(change, consistency_level=ConsistencyLevel.EACH_QUORUM))
    equal(env.rows(f"SELECT l FROM {lists(env)} WHERE k = {k}"), [([5],)])


@behaviour
def a_batch_prepends_each_time_before_what_it_has_prepended(env):
    t = lists(env)
    for end in ("", " IF EXISTS"):
        k = filled(env, [0])
        env.execute("BEGIN BATCH " + "".join(
            f"UPDATE {t} SET l = {more} + l WHERE k = {k}{end}; " for more in ([1], [2, 3], [4])
        ) + "APPLY BATCH")
        equal(the_list(env, k), [4, 2, 3, 1, 0])
    k = keys(env)
    prepend = env.session.prepare(f"UPDATE {t} SET l = ? + l WHERE k = ?")
    batch = BatchStatement(batch_type=BatchType.UNLOGGED)
    for more in ([1, 2], [3, 4]):
        batch.add(prepend, (more, k))
    env.execute(batch)
    equal(the_list(env, k), [3, 4, 1, 2])


@behaviour
def a_batch_appends_in_the_order_of_its_statements(env):
    t, k = lists(env), filled(env, [0])
    env.execute("BEGIN BATCH " + "".join(
        f"UPDATE {t} SET l = l + {more} WHERE k = {k}; " for more in ([1], [2, 3], [4])
    ) + "APPLY BATCH")
    equal(the_list(env, k), [0, 1, 2, 3, 4])


@behaviour
def elements_lie_in_the_order_in_which_they_came_whatever_their_timestamps(env):
    t = lists(env)
    stamps = iter(range(1_000_000, 0, -1))
    session = env.cluster(
        env.profile(load_balancing_policy=WhiteListRoundRobinPolicy([env.ring.addresses[0]])),
        timestamp_generator=lambda: next(stamps)).connect(env.keyspace)
    stated, sent = keys(env), keys(env)
    for place in range(5):
        for change in (f"l = l + [{place}]", f"t = ['{place}'] + t"):
            session.execute(
                f"UPDATE {t} USING TIMESTAMP {next(stamps)} SET {change} WHERE k = {stated}")
            session.execute(f"UPDATE {t} SET {change} WHERE k = {sent}")
    for k in (stated, sent):
        equal(env.rows(f"SELECT l, t FROM {t} WHERE k = {k}"), [([0, 1, 2, 3, 4], list("43210"))])
    true(
        env.rows(f"SELECT writetime(l) FROM {t} WHERE k = {sent}")[0][0][4] < 1_000_000,
        "the cells have the client's timestamps")


@behaviour
def an_index_out_of_bounds_is_refused_with_the_size(env):
    k = filled(env, [1, 2, 3])
    for index in (3, 100, -1):
        env.refused(
            InvalidRequest, f"List index {index} out of bound, list has size 3",
            lambda: update(env, k, f"l[{index}] = 1"))
        env.refused(
            InvalidRequest, f"List index {index} out of bound, list has size 3",
            lambda: env.execute(f"DELETE l[{index}] FROM {lists(env)} WHERE k = {k}"))
    equal(the_list(env, k), [1, 2, 3])


@behaviour
def an_element_of_a_list_that_is_null_is_refused(env):
    k = keys(env)
    env.refused(
        InvalidRequest, "Attempted to set an element on a list which is null",
        lambda: update(env, k, "l[0] = 1"))
    env.refused(
        InvalidRequest, "Attempted to delete an element from a list which is null",
        lambda: env.execute(f"DELETE l[0] FROM {lists(env)} WHERE k = {k}"))


@behaviour
def a_null_or_unset_index_is_refused(env):
    k = filled(env, [1])
    statement = env.session.prepare(f"UPDATE {lists(env)} SET l[?] = ? WHERE k = ?")
    env.refused(
        InvalidRequest, "Invalid null value for list index",
        lambda: env.execute(statement, (None, 1, k)))
    env.refused(
        InvalidRequest, "Invalid unset value for list index",
        lambda: env.execute(statement, (UNSET_VALUE, 1, k)))
    env.execute(env.session.prepare(f"DELETE l[?] FROM {lists(env)} WHERE k = ?"), (UNSET_VALUE, k))
    equal(the_list(env, k), [1])


refusals([
    ("an index that is no number", "UPDATE $lists SET l['x'] = 1 WHERE k = 1", InvalidRequest,
     "Invalid STRING constant (x) for \"idx(l)\" of type int"),
    ("an element of another type", "UPDATE $lists SET l[0] = 'x' WHERE k = 1", InvalidRequest,
     "Invalid STRING constant (x) for \"value(l)\" of type int"),
    ("removing what is no list", "UPDATE $lists SET l = l - {1} WHERE k = 1", InvalidRequest,
     "Invalid set literal for l of type list<int>"),
    ("an element of a frozen list", "UPDATE $lists SET f[0] = 1 WHERE k = 1", InvalidRequest,
     "for frozen collection column f"),
    ("removing from a frozen list", "UPDATE $lists SET f = f - [1] WHERE k = 1", InvalidRequest,
     "for frozen collection column f"),
    ("appending to a frozen list", "UPDATE $lists SET f = f + [1] WHERE k = 1", InvalidRequest,
     "for frozen collection column f"),
    ("an element of a column without", "UPDATE $lists SET v[0] = 1 WHERE k = 1", InvalidRequest,
     "for non collection column v"),
    ("deleting an element of a column without", "DELETE v[0] FROM $lists WHERE k = 1",
     InvalidRequest, "Invalid deletion operation for non collection column v"),
    ("an element of a set", "UPDATE $lists SET s[0] = 1 WHERE k = 1", InvalidRequest,
     "Invalid operation"),
    ("prepending to a set", "UPDATE $lists SET s = {1} + s WHERE k = 1", InvalidRequest,
     "Invalid operation"),
], lambda env: {"lists": lists(env)})


@behaviour
def a_deletion_at_an_unset_index_deletes_nothing(env):
    k = filled(env, [1, 2])
    env.execute(env.session.prepare(f"DELETE l[?] FROM {lists(env)} WHERE k = ?"), (UNSET_VALUE, k))
    equal(env.rows(f"SELECT l FROM {lists(env)} WHERE k = {k}"), [([1, 2],)])


@behaviour
def null_and_unset_keys_of_maps_and_elements_of_sets_are_refused(env):
    name = env.table("k int PRIMARY KEY, m map<int, int>, s set<int>")
    env.execute(f"INSERT INTO {name} (k, m, s) VALUES (1, {{1: 1}}, {{1}})")
    for statement, null, unset in (
            ("UPDATE {} SET m[?] = 1 WHERE k = 1", "Invalid null map key", "Invalid unset map key"),
            ("DELETE m[?] FROM {} WHERE k = 1", "Invalid null map key", "Invalid unset map key"),
            ("DELETE s[?] FROM {} WHERE k = 1", "Invalid null set element", "Invalid unset set element"),
            ("SELECT m[?] FROM {} WHERE k = 1", "Invalid null value for element selection on m",
             "Invalid unset value for element selection on m")):
        prepared = env.session.prepare(statement.format(name))
        env.refused(InvalidRequest, null, lambda: env.execute(prepared, (None,)))
        env.refused(InvalidRequest, unset, lambda: env.execute(prepared, (UNSET_VALUE,)))


@behaviour
def an_operation_sees_what_those_before_it_in_its_statement_made(env):
    k = filled(env, [1, 2, 3, 4])
    for statement, left in (
            ("UPDATE $ SET l[2] = 9, l[2] = 6 WHERE k = %d", [1, 2, 9, 4]),
            ("DELETE l[2], l[2] FROM $ WHERE k = %d", [1, 2]),
            ("UPDATE $ SET l = l + [3, 4], l[3] = 7 WHERE k = %d", [1, 2, 3, 7]),
            ("UPDATE $ SET l[2] = 8, l = l - [8] WHERE k = %d", [1, 2, 7]),
            ("UPDATE $ SET l = l - [1], l[0] = 5 WHERE k = %d", [5, 7]),
            ("UPDATE $ SET l = [0] + l, l[1] = 6 WHERE k = %d", [0, 6, 7])):
        env.execute(statement.replace("$", lists(env)) % k)
        equal(env.rows(f"SELECT l FROM {lists(env)} WHERE k = {k}"), [(left,)], statement)
    env.refused(InvalidRequest, "List index 2 out of bound, list has size 2", lambda: env.execute(
        f"UPDATE {lists(env)} SET l = l - [7], l[2] = 1 WHERE k = {k}"))
    env.refused(InvalidRequest, "List index 3 out of bound, list has size 3", lambda: env.execute(
        f"UPDATE {lists(env)} SET l[3] = 1, l = l + [1] WHERE k = {k}"))


@behaviour
def an_operation_under_an_old_timestamp_leaves_what_is_newer(env):
    k = filled(env, [1, 2])
    env.execute(f"UPDATE {lists(env)} USING TIMESTAMP 5 SET l[0] = 9, l = l - [1] WHERE k = {k}")
    equal(env.rows(f"SELECT l FROM {lists(env)} WHERE k = {k}"), [([1, 2],)])
