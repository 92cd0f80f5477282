"""SELECT: which rows, in which order, how many, page by page; and what is refused."""


from cassandra import ConsistencyLevel, InvalidRequest, ReadTimeout, WriteTimeout
from cassandra.protocol import SyntaxException
from cassandra.query import UNSET_VALUE, SimpleStatement

from harness import behaviour, equal, eventually, needs, refusals, true


def wide(env):
    """Partition (p, q), clustering a ASC, b DESC; v; with rows p 0..2, q 0, a 0..3, b 0..3."""
    def make():
        name = env.table(
            "p int, q int, a int, b int, v int, PRIMARY KEY ((p, q), a, b)",
            "WITH CLUSTERING ORDER BY (a ASC, b DESC)")
        statement = env.session.prepare(
            f"INSERT INTO {name} (p, q, a, b, v) VALUES (?, 0, ?, ?, ?)")
        for p in range(3):
            for a in range(4):
                for b in range(4):
                    env.execute(statement, (p, a, b, a * 10 + b))
        return name
    return env.shared("wide", make)


def many(env):
    """k PRIMARY KEY, v = k * k; 0..199."""
    def make():
        name = env.table("k int PRIMARY KEY, v int")
        statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
        for k in range(200):
            env.execute(statement, (k, k * k))
        return name
    return env.shared("many", make)


def mixed(env):
    """Partitions of all shapes: 0..39; k % 4 = 0: static only, 1: static and 5 rows, 2: 5 rows,
    3: rows that were deleted again."""
    def make():
        name = env.table("k int, c int, v int, s int static, PRIMARY KEY (k, c)")
        for k in range(40):
            if k % 4 in (0, 1):
                env.execute(f"INSERT INTO {name} (k, s) VALUES ({k}, {k})")
            if k % 4 in (1, 2, 3):
                for c in range(5):
                    env.execute(f"INSERT INTO {name} (k, c, v) VALUES ({k}, {c}, {k})")
            if k % 4 == 3:
                env.execute(f"DELETE FROM {name} WHERE k = {k} AND c >= 0")
        return name
    return env.shared("mixed", make)


MIXED = sorted(
    [(k, None, k) for k in range(0, 40, 4)]
    + [(k, c, k) for k in range(1, 40, 4) for c in range(5)]
    + [(k, c, None) for k in range(2, 40, 4) for c in range(5)], key=str)


def values(env, condition, order=""):
    return [row[0] for row in env.rows(
        f"SELECT v FROM {wide(env)} WHERE p = 1 AND q = 0 {condition} {order}")]


def ordered():
    return [a * 10 + b for a in range(4) for b in reversed(range(4))]


@behaviour
def a_partition_is_read_in_clustering_order(env):
    equal(values(env, ""), ordered())


@behaviour
def a_partition_is_read_against_clustering_order(env):
    equal(values(env, "", "ORDER BY a DESC, b ASC"), ordered()[::-1])
    equal(values(env, "", "ORDER BY a DESC"), ordered()[::-1])
    equal(values(env, "", "ORDER BY a ASC, b DESC"), ordered())


CONDITIONS = {
    "AND a = 1": lambda a, b: a == 1,
    "AND a = 1 AND b = 2": lambda a, b: (a, b) == (1, 2),
    "AND a = 9": lambda a, b: False,
    "AND a > 1": lambda a, b: a > 1,
    "AND a >= 1": lambda a, b: a >= 1,
    "AND a < 1": lambda a, b: a < 1,
    "AND a <= 1": lambda a, b: a <= 1,
    "AND a > 0 AND a < 3": lambda a, b: 0 < a < 3,
    "AND a > 3 AND a < 0": lambda a, b: False,
    "AND a = 1 AND b > 1": lambda a, b: a == 1 and b > 1,
    "AND a = 1 AND b >= 1 AND b < 3": lambda a, b: a == 1 and 1 <= b < 3,
    "AND a IN (2, 0)": lambda a, b: a in (0, 2),
    "AND a IN ()": lambda a, b: False,
    "AND a IN (1, 1)": lambda a, b: a == 1,
    "AND a = 1 AND b IN (3, 0)": lambda a, b: a == 1 and b in (0, 3),
    "AND a IN (0, 3) AND b IN (1, 2)": lambda a, b: a in (0, 3) and b in (1, 2),
    "AND a IN (0, 3) AND b > 1": lambda a, b: a in (0, 3) and b > 1,
    "AND (a, b) = (1, 2)": lambda a, b: (a, b) == (1, 2),
    "AND (a, b) > (1, 2)": lambda a, b: (a, b) > (1, 2),
    "AND (a, b) >= (1, 2)": lambda a, b: (a, b) >= (1, 2),
    "AND (a, b) < (1, 2)": lambda a, b: (a, b) < (1, 2),
    "AND (a, b) > (0, 2) AND (a, b) <= (2, 1)": lambda a, b: (0, 2) < (a, b) <= (2, 1),
    "AND (a) > (1)": lambda a, b: a > 1,
    "AND (a) > (1) AND a < 3": lambda a, b: a == 2,
    "AND (a, b) > (0, 2) AND a < 3": lambda a, b: (0, 2) < (a, b) and a < 3,
    "AND a > 0 AND (a, b) < (2, 1)": lambda a, b: a > 0 and (a, b) < (2, 1),
    "AND (a, b) >= (2, 2) AND (a) <= (3)": lambda a, b: (a, b) >= (2, 2),
    "AND (a, b) IN ((0, 1), (3, 3), (9, 9))": lambda a, b: (a, b) in ((0, 1), (3, 3)),
    "AND a BETWEEN 1 AND 2": lambda a, b: 1 <= a <= 2,
    "AND a BETWEEN 2 AND 1": lambda a, b: False,
    "AND a = 1 AND b BETWEEN 1 AND 2": lambda a, b: a == 1 and 1 <= b <= 2,
    "AND (a, b) BETWEEN (0, 2) AND (2, 1)": lambda a, b: (0, 2) <= (a, b) <= (2, 1),
}


def condition_check(condition, predicate):
    def check(env):
        expected = [v for v in ordered() if predicate(v // 10, v % 10)]
        equal(values(env, condition), expected)
        equal(values(env, condition, "ORDER BY a DESC"), expected[::-1], "reversed")
        equal(values(env, condition, "LIMIT 2"), expected[:2], "limited")
    check.__name__ = "where p = 1 and q = 0 " + condition
    return behaviour(check)


for _condition, _predicate in CONDITIONS.items():
    condition_check(_condition, _predicate)


@behaviour
def a_token_beside_the_key_keeps_the_keys_in_its_range(env):
    name = many(env)
    tokens = dict(env.rows(f"SELECT k, token(k) FROM {name} WHERE k IN (1, 2, 3, 4)"))
    for operator, holds in ((">", lambda a, b: a > b), ("<=", lambda a, b: a <= b), ("=", lambda a, b: a == b)):
        rows = env.rows(f"SELECT k FROM {name} WHERE token(k) {operator} token(2) AND k IN (1, 2, 3, 4)")
        equal(sorted(k for k, in rows), sorted(k for k in tokens if holds(tokens[k], tokens[2])), operator)
    equal(env.rows(f"SELECT k FROM {name} WHERE k = 2 AND token(k) = token(2)"), [(2,)])
    equal(env.rows(f"SELECT k FROM {name} WHERE k = 2 AND token(k) > token(2)"), [])


@behaviour
def conditions_can_be_bound(env):
    name = wide(env)
    for condition, bound, expected in (
        ("a = ? AND b > ?", (1, 1), [13, 12]),
        ("a IN ?", ([0, 9],), [3, 2, 1, 0]),
        ("a IN (?, ?) AND b = ?", (0, 3, 1), [1, 31]),
        ("(a, b) > (?, ?)", (3, 1), [33, 32]),
        ("(a, b) IN ?", ([(0, 1), (1, 0)],), [1, 10]),
        ("a = 1 LIMIT ?", (2,), [13, 12]),
    ):
        statement = env.session.prepare(
            f"SELECT v FROM {name} WHERE p = ? AND q = ? AND {condition}")
        equal([row[0] for row in env.rows(statement, (1, 0) + bound)], expected, condition)


@behaviour
def several_partitions_are_read_with_IN(env):
    name = many(env)
    equal(sorted(env.rows(f"SELECT k, v FROM {name} WHERE k IN (7, 3, 999, 3)")), [(3, 9), (7, 49)])
    rows = env.rows(f"SELECT p, a FROM {wide(env)} WHERE p IN (0, 2) AND q IN (0, 1) AND a = 3")
    equal(sorted(set(rows)), [(0, 3), (2, 3)])
    statement = env.session.prepare(f"SELECT k FROM {name} WHERE k IN ?")
    equal(len(env.rows(statement, (list(range(100)),))), 100)


@behaviour
def an_IN_over_keys_with_an_order_is_merged_without_paging(env):
    rows = env.rows(SimpleStatement(
        f"SELECT a, b FROM {wide(env)} WHERE p IN (0, 1) AND q = 0 AND a IN (0, 1) ORDER BY a DESC",
        fetch_size=None))
    equal(rows, sorted(rows, key=lambda row: (-row[0], row[1])))
    equal(len(rows), 16)


@behaviour
def all_rows_are_read_in_token_order(env):
    name = many(env)
    rows = env.rows(f"SELECT k, token(k) FROM {name}")
    equal(sorted(row[0] for row in rows), list(range(200)))
    equal([row[1] for row in rows], sorted(row[1] for row in rows))


@behaviour
def token_ranges_cut_the_table_into_pieces(env):
    name = many(env)
    bounds = [-2**63, -6 * 10**18, -10**18, 0, 5 * 10**17, 4 * 10**18, 2**63 - 1]
    seen = []
    for low, high in zip(bounds, bounds[1:]):
        seen += [row[0] for row in env.rows(
            f"SELECT k FROM {name} WHERE token(k) > {low} AND token(k) <= {high}")]
    equal(sorted(seen), list(range(200)))


@behaviour
def a_range_of_tokens_may_end_at_the_smallest_which_is_the_end_of_the_ring(env):
    name = many(env)
    smallest, tokens = -2**63, dict(env.rows(f"SELECT k, token(k) FROM {name}"))
    for condition, bound, holds in (
            ("token(k) > ?", (smallest,), lambda t: True), ("token(k) >= ?", (smallest,), lambda t: True),
            ("token(k) > ? AND token(k) <= ?", (smallest, smallest), lambda t: True),
            ("token(k) > ? AND token(k) <= ?", (tokens[5], smallest), lambda t: t > tokens[5]),
            ("token(k) >= ? AND token(k) <= ?", (tokens[5], 2**63 - 1), lambda t: t >= tokens[5]),
            ("token(k) > ? AND token(k) <= ?", (tokens[5], tokens[5]), lambda t: False),
            ("token(k) >= ? AND token(k) <= ?", (tokens[5], tokens[5]), lambda t: t == tokens[5]),
            ("token(k) > ? AND token(k) < ?", (max(tokens.values()), min(tokens.values())), lambda t: False)):
        statement = env.session.prepare(f"SELECT k FROM {name} WHERE {condition}")
        equal(sorted(row[0] for row in env.rows(statement, bound)), [k for k in range(200) if holds(tokens[k])],
              f"{condition} {bound}")


@behaviour
def bound_limits_hold_over_pages(env):
    each = env.session.prepare(f"SELECT p FROM {wide(env)} PER PARTITION LIMIT ? LIMIT ?")
    for size in (1, 2, 3, 100):
        each.fetch_size = size
        for partition, whole, expected in ((2, 100, 6), (16, 20, 20), (20, 100, 48), (3, 4, 4)):
            equal(len(env.rows(each, (partition, whole))), expected, f"pages of {size}: {partition}, {whole}")


@behaviour
def a_token_can_be_bound_or_computed(env):
    name = many(env)
    tokens = dict(env.rows(f"SELECT k, token(k) FROM {name}"))
    for text, bound in (("token(k) = ?", (tokens[5],)), ("token(k) = token(5)", None)):
        statement = env.session.prepare(f"SELECT k FROM {name} WHERE {text}")
        equal(env.rows(statement, bound), [(5,)], text)
    statement = env.session.prepare(f"SELECT k FROM {name} WHERE token(k) > ?")
    equal(
        {row[0] for row in env.rows(statement, (tokens[5],))},
        {k for k in tokens if tokens[k] > tokens[5]})
    both = env.session.prepare(f"SELECT a FROM {wide(env)} WHERE token(p, q) = token(1, 0)")
    equal(len(env.rows(both)), 16)


@behaviour
def limit_and_per_partition_limit(env):
    name = wide(env)
    equal(len(env.rows(f"SELECT * FROM {name} LIMIT 7")), 7)
    rows = env.rows(f"SELECT p, a, b FROM {name} PER PARTITION LIMIT 2")
    equal(sorted(rows), [(p, 0, b) for p in range(3) for b in (2, 3)])
    equal(len(env.rows(f"SELECT p FROM {name} PER PARTITION LIMIT 2 LIMIT 5")), 5)
    statement = env.session.prepare(f"SELECT p FROM {name} PER PARTITION LIMIT ? LIMIT ?")
    equal(len(env.rows(statement, (1, 100))), 3)


@behaviour
def count_counts_rows(env):
    equal(env.rows(f"SELECT count(*) FROM {many(env)}"), [(200,)])
    equal(env.rows(f"SELECT COUNT(1) FROM {many(env)}"), [(200,)])
    equal(env.rows(f"SELECT count(*) FROM {wide(env)} WHERE p = 1 AND q = 0 AND a > 1"), [(8,)])
    equal(env.rows(f"SELECT count(*) FROM {many(env)} WHERE k = 1000"), [(0,)])
    result = env.execute(f"SELECT count(*) FROM {many(env)}")
    equal(result.column_names, ["count"])
    equal(env.execute(f"SELECT count(*) AS total FROM {many(env)}").column_names, ["total"])


@behaviour
def count_is_not_cut_by_the_page_size(env):
    for size in (1, 7, 100):
        statement = SimpleStatement(f"SELECT count(*) FROM {many(env)}", fetch_size=size)
        equal(env.rows(statement), [(200,)], f"page size {size}")


@behaviour
def distinct_gives_each_partition_once(env):
    equal(sorted(env.rows(f"SELECT DISTINCT p, q FROM {wide(env)}")), [(0, 0), (1, 0), (2, 0)])
    rows = env.rows(f"SELECT DISTINCT k, s FROM {mixed(env)}")
    equal(sorted(rows, key=str), sorted(
        [(k, k) for k in range(40) if k % 4 in (0, 1)]
        + [(k, None) for k in range(2, 40, 4)], key=str))


@behaviour
def aggregates_over_numbers(env):
    name = many(env)
    equal(
        env.rows(f"SELECT min(v), max(v), sum(k), avg(k), count(v) FROM {name}"),
        [(0, 199 * 199, 19900, 99, 200)])
    equal(
        env.rows(f"SELECT min(v), max(v), sum(k), avg(k), count(v) FROM {name} WHERE k = 1000"),
        [(None, None, 0, 0, 0)])
    equal(
        env.execute(f"SELECT max(v) FROM {name}").column_names, ["system.max(v)"])


@behaviour
def writetime_and_ttl_tell_of_a_cell(env):
    name = env.table("k int PRIMARY KEY, v int, w int")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 1) USING TIMESTAMP 123 AND TTL 1000")
    written, left, none, forever = env.rows(
        f"SELECT writetime(v), ttl(v), writetime(w), ttl(w) FROM {name}")[0]
    equal((written, none, forever), (123, None, None))
    true(900 < left <= 1000, f"{left} s are left")
    env.refused(
        InvalidRequest, "PRIMARY KEY part k",
        lambda: env.execute(f"SELECT writetime(k) FROM {name}"))


@behaviour
def casts_convert_numbers_and_text(env):
    equal(
        env.rows(
            f"SELECT CAST(v AS text), CAST(v AS double), CAST(v AS bigint) FROM {many(env)} "
            "WHERE k = 12"), [("144", 144.0, 144)])


@behaviour
def columns_have_names_and_aliases(env):
    result = env.execute(f"SELECT k AS \"The Key\", v, token(k) FROM {many(env)} WHERE k = 3")
    equal(result.column_names, ["The Key", "v", "system.token(k)"])


@behaviour
def star_gives_columns_in_cassandras_order(env):
    name = env.table(
        "z int, y int static, x int, c int, \"B\" int, a int, PRIMARY KEY (z, x)")
    equal(env.execute(f"SELECT * FROM {name}").column_names, ["z", "x", "y", "B", "a", "c"])


@behaviour
def paging_gives_every_row_once_at_any_page_size(env):
    name = many(env)
    for size in (1, 2, 3, 10, 199, 200, 201, 5000):
        rows = env.rows(SimpleStatement(f"SELECT k FROM {name}", fetch_size=size))
        equal(sorted(row[0] for row in rows), list(range(200)), f"page size {size}")


@behaviour
def pages_have_the_size_that_was_asked_for(env):
    result = env.execute(SimpleStatement(f"SELECT k FROM {many(env)}", fetch_size=30))
    equal(len(result.current_rows), 30)
    true(result.has_more_pages, "there is more")


@behaviour
def paging_inside_a_partition_gives_every_row_once_in_order(env):
    name = wide(env)
    for size in (1, 3, 5, 16, 17):
        for order, expected in (("", ordered()), ("ORDER BY a DESC", ordered()[::-1])):
            rows = env.rows(SimpleStatement(
                f"SELECT v FROM {name} WHERE p = 1 AND q = 0 {order}", fetch_size=size))
            equal([row[0] for row in rows], expected, f"page size {size} {order}")


@behaviour
def paging_over_static_rows_and_empty_partitions_gives_every_row_once(env):
    name = mixed(env)
    for size in (1, 2, 3, 4, 7, 100):
        rows = env.rows(SimpleStatement(f"SELECT k, c, s FROM {name}", fetch_size=size))
        equal(sorted(rows, key=str), MIXED, f"page size {size}")


@behaviour
def paging_keeps_limits(env):
    for size in (1, 2, 3, 7):
        rows = env.rows(SimpleStatement(f"SELECT k FROM {many(env)} LIMIT 20", fetch_size=size))
        equal(len(rows), 20, f"LIMIT, page size {size}")
        rows = env.rows(SimpleStatement(
            f"SELECT k, c, s FROM {mixed(env)} PER PARTITION LIMIT 2", fetch_size=size))
        equal(
            sorted(rows, key=str), [row for row in MIXED if row[1] is None or row[1] < 2],
            f"PER PARTITION LIMIT, page size {size}")


@behaviour
def paging_over_IN_and_slices_gives_every_row_once(env):
    name = wide(env)
    for size in (1, 2, 5):
        rows = env.rows(SimpleStatement(
            f"SELECT p, v FROM {name} WHERE p IN (0, 1, 2) AND q = 0 AND a IN (0, 2) AND b >= 2",
            fetch_size=size))
        equal(
            sorted(rows), sorted((p, v) for p in range(3) for v in (2, 3, 22, 23)),
            f"page size {size}")


@behaviour
def distinct_is_paged(env):
    for size in (1, 2, 3):
        rows = env.rows(SimpleStatement(f"SELECT DISTINCT k FROM {mixed(env)}", fetch_size=size))
        equal(
            sorted(row[0] for row in rows), [k for k in range(40) if k % 4 != 3],
            f"page size {size}")


@behaviour
def a_page_is_continued_on_another_node(env):
    result = env.execute(SimpleStatement(f"SELECT k FROM {many(env)}", fetch_size=60))
    seen = [row[0] for row in result.current_rows]
    state, node = result.paging_state, 0
    while state:
        node = node % len(env.ring.addresses) + 1
        session = env.shared(f"node {node}", lambda: env.only(node))
        result = session.execute(
            SimpleStatement(f"SELECT k FROM {many(env)}", fetch_size=60), paging_state=state)
        seen += [row[0] for row in result.current_rows]
        state = result.paging_state
    equal(sorted(seen), list(range(200)))


@behaviour
def a_page_is_continued_after_the_row_where_it_stopped_is_gone(env):
    name = env.table("k int, c int, PRIMARY KEY (k, c)")
    for c in range(10):
        env.execute(f"INSERT INTO {name} (k, c) VALUES (1, {c})")
    statement = SimpleStatement(f"SELECT c FROM {name} WHERE k = 1", fetch_size=4)
    result = env.execute(statement)
    equal([row[0] for row in result.current_rows], [0, 1, 2, 3])
    env.execute(f"DELETE FROM {name} WHERE k = 1 AND c = 3")
    env.execute(f"INSERT INTO {name} (k, c) VALUES (1, -1)")
    rest = env.session.execute(statement, paging_state=result.paging_state)
    equal([row[0] for row in rest], [4, 5, 6, 7, 8, 9])


@behaviour
def a_broken_paging_state_is_a_protocol_error(env):
    for state in (b"x", b"\xff" * 40, b"\x00" * 8):
        try:
            env.session.execute(
                SimpleStatement(f"SELECT k FROM {many(env)}", fetch_size=3), paging_state=state)
        except Exception as error:
            true("paging" in str(error).lower(), f"{state!r}: {error}")
        else:
            true(False, f"the paging state {state!r} was accepted")


@behaviour
def filtering_reads_what_was_asked_for(env):
    name = wide(env)
    equal(
        sorted(env.rows(f"SELECT p, v FROM {name} WHERE v = 12 ALLOW FILTERING")),
        [(0, 12), (1, 12), (2, 12)])
    equal(
        sorted(env.rows(f"SELECT k FROM {many(env)} WHERE v > 100 AND v < 200 ALLOW FILTERING")),
        [(11,), (12,), (13,), (14,)])
    equal(
        env.rows(f"SELECT v FROM {name} WHERE p = 1 AND q = 0 AND b = 2 ALLOW FILTERING"),
        [(2,), (12,), (22,), (32,)])
    equal(
        env.rows(f"SELECT count(*) FROM {many(env)} WHERE v < 10 ALLOW FILTERING"), [(4,)])


@behaviour
def filtering_is_paged_and_limited(env):
    for size in (1, 2, 10):
        statement = SimpleStatement(
            f"SELECT k FROM {many(env)} WHERE v >= 10000 ALLOW FILTERING", fetch_size=size)
        equal(sorted(row[0] for row in env.rows(statement)), list(range(100, 200)))
    equal(len(env.rows(f"SELECT k FROM {many(env)} WHERE v >= 10000 LIMIT 5 ALLOW FILTERING")), 5)


@behaviour
def filtering_finds_elements_of_frozen_collections(env):
    name = env.table("k int PRIMARY KEY, l frozen<list<int>>, m frozen<map<text, int>>")
    env.execute(f"INSERT INTO {name} (k, l, m) VALUES (1, [1, 2], {{'a': 1}})")
    env.execute(f"INSERT INTO {name} (k, l, m) VALUES (2, [3], {{'b': 1}})")
    equal(env.rows(f"SELECT k FROM {name} WHERE l CONTAINS 2 ALLOW FILTERING"), [(1,)])
    equal(env.rows(f"SELECT k FROM {name} WHERE m CONTAINS KEY 'b' ALLOW FILTERING"), [(2,)])
    equal(len(env.rows(f"SELECT k FROM {name} WHERE m CONTAINS 1 ALLOW FILTERING")), 2)


@behaviour
@needs(3)
def reads_at_every_level_answer_when_all_nodes_are_up(env):
    name = many(env)
    for level in ("ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM"):
        statement = SimpleStatement(
            f"SELECT v FROM {name} WHERE k = 12",
            consistency_level=ConsistencyLevel.name_to_value[level])
        equal(env.rows(statement), [(144,)], level)


@behaviour
@needs(3)
def a_read_through_each_node_sees_what_was_written_at_quorum(env):
    name = env.table("k int PRIMARY KEY, v int")
    for k in range(30):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, {k})")
    for node in range(1, len(env.ring.addresses) + 1):
        session = env.shared(f"node {node}", lambda: env.only(node))
        equal(sorted(session.execute(f"SELECT k FROM {name}")), [(k,) for k in range(30)])


@behaviour
def a_trace_tells_who_answered(env):
    statement = SimpleStatement(
        f"SELECT v FROM {many(env)} WHERE k = 12", consistency_level=ConsistencyLevel.ONE)
    result = env.session.execute(statement, trace=True)
    trace = result.get_query_trace(max_wait_sec=10)
    true(trace.coordinator in env.ring.addresses, f"coordinator {trace.coordinator}")
    equal(trace.request_type, "Execute CQL3 query")
    equal(trace.parameters["query"], statement.query_string)
    equal(trace.parameters["consistency_level"], "ONE")
    true(trace.duration is not None, "the duration is known")
    true(any(event.description == f"Parsing {statement.query_string}" for event in trace.events),
         f"{[event.description for event in trace.events]}")


@behaviour
def a_trace_of_a_prepared_statement_has_its_bound_values(env):
    prepared = env.session.prepare(f"SELECT v FROM {many(env)} WHERE k = ?")
    trace = env.session.execute(prepared, (12,), trace=True).get_query_trace(max_wait_sec=10)
    equal(trace.request_type, "Execute CQL3 prepared query")
    equal(trace.parameters["bound_var_0_k"], "12")


@behaviour
def a_trace_names_the_keys_that_were_bound_and_what_was_unset(env):
    name = env.table("k int PRIMARY KEY, m map<int, text>")
    for statement, values, names in (
            (f"SELECT k FROM {name} WHERE m CONTAINS KEY ? ALLOW FILTERING", (7,), {"bound_var_0_key(m)": "7"}),
            (f"SELECT k FROM {name} WHERE m CONTAINS ? ALLOW FILTERING", ("x",), {"bound_var_0_value(m)": "'x'"}),
            (f"INSERT INTO {name} (k, m) VALUES (?, ?)", (1, UNSET_VALUE),
             {"bound_var_0_k": "1", "bound_var_1_m": "<unset>"})):
        trace = env.session.execute(
            env.session.prepare(statement), values, trace=True).get_query_trace(max_wait_sec=10)
        equal({key: value for key, value in trace.parameters.items() if key.startswith("bound_")}, names)


CASES = [
    ("an unknown table", "SELECT * FROM nowhere", InvalidRequest, "table nowhere does not exist"),
    ("an unknown keyspace", "SELECT * FROM nowhere.t", InvalidRequest,
     "keyspace nowhere does not exist"),
    ("an unknown column", "SELECT nothing FROM $many", InvalidRequest,
     "Undefined column name nothing in table"),
    ("an unknown column in WHERE", "SELECT * FROM $many WHERE nothing = 1", InvalidRequest,
     "Undefined column name nothing in table"),
    ("an unknown column in ORDER BY", "SELECT * FROM $wide WHERE p = 1 AND q = 0 ORDER BY nothing",
     InvalidRequest, "nothing"),
    ("an unknown function", "SELECT nothing(k) FROM $many", InvalidRequest, "Unknown function"),
    ("a filter without ALLOW FILTERING", "SELECT * FROM $many WHERE v = 1", InvalidRequest,
     "use ALLOW FILTERING"),
    ("half a partition key", "SELECT * FROM $wide WHERE p = 1", InvalidRequest,
     "use ALLOW FILTERING"),
    ("a clustering column without the one before",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND b = 1", InvalidRequest,
     "PRIMARY KEY column \"b\" cannot be restricted as preceding column \"a\" is not restricted"),
    ("a clustering column after a slice",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND a > 1 AND b = 1", InvalidRequest,
     "Clustering column \"b\" cannot be restricted (preceding column \"a\" is restricted by a "
     "non-EQ relation)"),
    ("a range of partition keys", "SELECT * FROM $many WHERE k > 1", InvalidRequest,
     "use ALLOW FILTERING"),
    ("two values of one column", "SELECT * FROM $many WHERE k = 1 AND k = 2", InvalidRequest,
     "k cannot be restricted by more than one relation if it includes an Equal"),
    ("two lower bounds", "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND a > 1 AND a > 2",
     InvalidRequest, "More than one restriction was found for the start bound on a"),
    ("null as a key", "SELECT * FROM $many WHERE k = null", InvalidRequest,
     "null value"),
    ("a value of another type", "SELECT * FROM $many WHERE k = 'x'", InvalidRequest,
     "Invalid STRING constant (x)"),
    ("an order by a column that does not cluster",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 ORDER BY v", InvalidRequest, "order by"),
    ("an order that skips a column", "SELECT * FROM $wide WHERE p = 1 AND q = 0 ORDER BY b",
     InvalidRequest, "order"),
    ("an order that is neither with nor against the table's",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 ORDER BY a ASC, b ASC", InvalidRequest,
     "Unsupported order by relation"),
    ("an order without a partition", "SELECT * FROM $wide ORDER BY a", InvalidRequest,
     "ORDER BY is only supported when the partition key is restricted by an EQ or an IN"),
    ("a limit of zero", "SELECT * FROM $many LIMIT 0", InvalidRequest,
     "LIMIT must be strictly positive"),
    ("a negative limit", "SELECT * FROM $many LIMIT -1", (InvalidRequest, SyntaxException), ""),
    ("a per partition limit of zero", "SELECT * FROM $many PER PARTITION LIMIT 0", InvalidRequest,
     "LIMIT must be strictly positive"),
    ("a per partition limit of distinct", "SELECT DISTINCT k FROM $many PER PARTITION LIMIT 1",
     InvalidRequest, "PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries"),
    ("distinct of a regular column", "SELECT DISTINCT v FROM $many", InvalidRequest,
     "SELECT DISTINCT queries must only request partition key columns and/or static columns"),
    ("distinct of half a key", "SELECT DISTINCT p FROM $wide", InvalidRequest,
     "SELECT DISTINCT queries must request all the partition key columns (missing q)"),
    ("token of half a key", "SELECT * FROM $wide WHERE token(p) > 1", InvalidRequest, "token"),
    ("token of the key in another order", "SELECT * FROM $wide WHERE token(q, p) > 1",
     InvalidRequest, "The token function arguments must be in the partition key order: p, q"),
    ("a multi-column relation over a regular column",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, v) > (1, 1)", InvalidRequest,
     "Multi-column relations can only be applied to clustering columns"),
    ("a multi-column relation that skips a column",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (b) > (1)", InvalidRequest,
     "PRIMARY KEY column \"b\" cannot be restricted"),
    ("a multi-column relation in another order",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (b, a) > (1, 1)", InvalidRequest,
     "Clustering columns must appear in the PRIMARY KEY order in multi-column relations"),
    ("CONTAINS on a column that is no collection",
     "SELECT * FROM $many WHERE v CONTAINS 1 ALLOW FILTERING", InvalidRequest,
     "Cannot use CONTAINS on non-collection column"),
    ("LIKE without an index", "SELECT * FROM $many WHERE v LIKE 'x' ALLOW FILTERING",
     InvalidRequest, "LIKE restriction is only supported on properly indexed columns"),
    ("no table", "SELECT *", SyntaxException, "line 1:8"),
    ("no columns", "SELECT FROM $many", SyntaxException, "line 1:7"),
    ("an unfinished string", "SELECT * FROM $many WHERE k = 'x", SyntaxException, "line 1:"),
    ("two statements", "SELECT * FROM $many; SELECT * FROM $many", SyntaxException, "line 1:"),
    ("an empty statement", "", SyntaxException, "line "),
    ("a word that begins no statement", "FETCH * FROM $many", SyntaxException,
     "line 1:0 no viable alternative at input 'FETCH'"),
    ("an error on a later line", "SELECT *\nFROM $many\nWHERE k == 1", SyntaxException, "line 3:9"),
]
refusals(CASES, lambda env: {"many": many(env), "wide": wide(env)})


@behaviour
def any_is_refused_for_reads_and_each_quorum_is_not(env):
    scan = f"SELECT * FROM {many(env)}"
    env.refused(
        InvalidRequest, "ANY ConsistencyLevel is only supported for writes",
        lambda: env.execute(SimpleStatement(scan, consistency_level=ConsistencyLevel.ANY)))
    each = env.rows(SimpleStatement(scan, consistency_level=ConsistencyLevel.EACH_QUORUM))
    equal(sorted(each, key=repr), sorted(env.rows(scan), key=repr))


@behaviour
def an_unbound_marker_in_text_is_refused(env):
    env.refused(
        InvalidRequest, "bind variables",
        lambda: env.session.execute(f"SELECT * FROM {many(env)} WHERE k = ?"))


@behaviour
def comments_are_skipped(env):
    equal(env.rows(
        f"SELECT /* all */ k -- the key\nFROM {many(env)} // the table\nWHERE k = 3;"), [(3,)])


FILTERS = [
    ("v NOT IN (1, 2)", [0, 3]), ("v NOT IN ()", [0, 1, 2, 3]), ("k NOT IN (0, 1)", [2, 3]),
    ("l NOT CONTAINS 1", [0, 2, 3]), ("l CONTAINS 1", [1]), ("m CONTAINS KEY 'k1'", [1]),
    ("m NOT CONTAINS KEY 'k1'", [0, 2, 3]), ("m NOT CONTAINS 2", [0, 1, 3]), ("m['k2'] = 2", [2]),
    ("m['k2'] = 3", []), ("m['zz'] = 1", []), ("v BETWEEN 1 AND 2", [1, 2]), ("v > 0 AND v < 3", [1, 2]),
    ("v IN (0, 3)", [0, 3]), ("t >= 't2'", [2, 3]), ("f = {1, 2}", [1]), ("f CONTAINS 9", []),
    ("u = {a: 2}", [2]), ("v NOT IN (0) AND t < 't3'", [1, 2]), ("s NOT CONTAINS 'a0' AND v > 1", [2, 3]),
]


def filtered(env):
    def make():
        env.execute("CREATE TYPE filter_type (a int)")
        name = env.table(
            "k int PRIMARY KEY, v int, l list<int>, m map<text, int>, t text, f frozen<set<int>>, "
            "u frozen<filter_type>, s set<text>")
        for k in range(4):
            env.execute(
                f"INSERT INTO {name} (k, v, l, m, t, f, u, s) VALUES ({k}, {k}, [{k}], {{'k{k}': {k}}}, 't{k}', "
                f"{{{k}, {k + 1}}}, {{a: {k}}}, {{'a{k}'}})")
        return name
    return env.shared("filtered", make)


@behaviour
def a_list_of_one_value_is_an_equality(env):
    table = env.table("k int, c int, d int, v int, PRIMARY KEY (k, c, d)")
    for c, d in ((1, 1), (1, 2), (2, 1)):
        env.execute(f"INSERT INTO {table} (k, c, d, v) VALUES (1, {c}, {d}, {10 * c + d})")
    read = f"SELECT v FROM {table} WHERE k IN (1)"
    equal(env.rows(f"{read} ORDER BY c DESC LIMIT 1"), [(21,)], "in pages and in order")
    equal(env.rows(f"{read} AND c IN (1) ORDER BY d DESC"), [(12,), (11,)], "an order that skips a column")
    equal(env.rows(f"{read} AND (c, d) IN ((1, 2)) ORDER BY d DESC"), [(12,)], "a tuple")
    equal(env.rows(f"SELECT d, max(v) FROM {table} WHERE k IN (1) AND c IN (1) GROUP BY d"), [(1, 11), (2, 12)])
    equal(env.rows(f"SELECT v FROM {table} WHERE (c, d) IN ((2, 1)) ALLOW FILTERING"), [(21,)], "a filter")
    equal(env.rows(f"UPDATE {table} SET v = 0 WHERE k IN (1) AND c IN (1) AND d IN (1) IF v = 11"), [(True,)])


@behaviour
def a_list_of_tuples_of_one_column_may_be_a_filter(env):
    rows = env.rows(f"SELECT a, b FROM {wide(env)} WHERE p = 1 AND q = 0 AND (b) IN ((1), (3)) ALLOW FILTERING")
    true({b for _, b in rows} == {1, 3} and len({a for a, _ in rows}) > 1, f"rows of several a: {rows}")


def filter_case(condition, expected):
    def check(env):
        rows = env.rows(f"SELECT k FROM {filtered(env)} WHERE {condition} ALLOW FILTERING")
        equal(sorted(row[0] for row in rows), expected)
        if "k NOT IN" not in condition:
            env.refused(
                InvalidRequest, "ALLOW FILTERING",
                lambda: env.session.execute(f"SELECT k FROM {filtered(env)} WHERE {condition}"))
    check.__name__ = "filter by " + condition
    behaviour(check)


for _filter in FILTERS:
    filter_case(*_filter)


def timeout_case(statement):
    def check(env):
        env.execute(statement.replace("$t", filtered(env)))
    check.__name__ = "a timeout of its own: " + statement
    behaviour(check)


for _statement in (
        "SELECT * FROM $t USING TIMEOUT 50s", "SELECT * FROM $t WHERE k = 1 USING TIMEOUT 50000ms",
        "INSERT INTO $t (k) VALUES (0) USING TIMEOUT 50s AND TTL 500",
        "UPDATE $t USING TIMEOUT 50s SET v = 0 WHERE k = 0", "DELETE t FROM $t USING TIMEOUT 50s WHERE k = 99",
        "BEGIN BATCH USING TIMEOUT 50s INSERT INTO $t (k) VALUES (0); APPLY BATCH"):
    timeout_case(_statement)


@behaviour
@needs(3)
def a_timeout_ends_the_wait_for_replicas(env):
    name = filtered(env)
    session = env.only(1)

    def waits(text):
        try:
            session.execute(SimpleStatement(text, consistency_level=ConsistencyLevel.ALL))
        except (ReadTimeout, WriteTimeout) as error:
            equal((error.required_responses, error.received_responses), (3, 2), text)
        else:
            true(False, f"answered: {text}")

    def change(text, setting):
        session.execute("UPDATE system_views.settings SET value = %s WHERE name = %s", (text, setting))

    # Longer than the driver waits: so its answer comes by the statement's own timeout.
    for setting in ("read_request_timeout", "write_request_timeout"):
        change("600s", setting)
    env.ring.pause(3)
    try:
        # The other two may take longer at times.
        eventually(lambda: waits(f"SELECT * FROM {name} WHERE k = 1 USING TIMEOUT 100ms"))
        eventually(lambda: waits(f"UPDATE {name} USING TIMEOUT 100ms SET v = 1 WHERE k = 1"))
    finally:
        env.ring.resume(3)
        change("5s", "read_request_timeout")
        change("2s", "write_request_timeout")
    everyone = SimpleStatement(f"SELECT k FROM {name} WHERE k = 1", consistency_level=ConsistencyLevel.ALL)
    eventually(lambda: env.execute(everyone))


@behaviour
def a_timeout_may_be_bound(env):
    from cassandra.util import Duration
    statement = env.session.prepare(f"SELECT k FROM {filtered(env)} WHERE k = ? USING TIMEOUT ?")
    equal(env.rows(statement, (1, Duration(0, 0, 50 * 10**9))), [(1,)])


refusals([
    ("not equal", "SELECT * FROM $many WHERE v != 1 ALLOW FILTERING", InvalidRequest,
     "Unsupported \"!=\" relation: v != 1"),
    ("an entry of a map by more than a value", "SELECT * FROM $f WHERE m['k1'] > 1 ALLOW FILTERING", InvalidRequest,
     "Only EQ relations are supported on map entries"),
    ("an entry of a list", "SELECT * FROM $f WHERE l[0] = 1 ALLOW FILTERING", InvalidRequest,
     "Indexes on list entries (l[index] = value) are not currently supported."),
    ("NOT CONTAINS on a number", "SELECT * FROM $f WHERE v NOT CONTAINS 1 ALLOW FILTERING", InvalidRequest,
     "Cannot use NOT CONTAINS on non-collection column"),
    ("CONTAINS KEY on a list", "SELECT * FROM $f WHERE l CONTAINS KEY 1 ALLOW FILTERING", InvalidRequest,
     "Cannot use CONTAINS KEY on non-map column"),
    ("a whole list by a value", "SELECT * FROM $f WHERE l = [1] ALLOW FILTERING", InvalidRequest,
     "Collection column 'l' (list<int>) cannot be restricted by a '=' relation"),
    ("IS NOT NULL", "SELECT * FROM $f WHERE v IS NOT NULL ALLOW FILTERING", InvalidRequest,
     "Unsupported restriction: v IS NOT NULL"),
    ("NOT IN in an update", "UPDATE $f SET v = 1 WHERE k NOT IN (1)", InvalidRequest, ""),
    ("a tuple of another length", "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) = (1)", InvalidRequest,
     "Expected 2 elements in value tuple, but got 1: (1)"),
    ("two lower bounds of columns and of one",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) > (1, 1) AND a > 3", InvalidRequest,
     "More than one restriction was found for the start bound on a"),
    ("an interval over columns and a value of one",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) > (1, 1) AND a = 3", InvalidRequest,
     'Column "a" cannot be restricted by both an equality and an inequality relation'),
    ("a value of columns and an interval over one",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) = (1, 1) AND b > 3", InvalidRequest,
     "b cannot be restricted by more than one relation if it includes an Equal"),
    ("a list of columns and an interval over one",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) IN ((1, 1), (2, 2)) AND a > 3", InvalidRequest,
     "a cannot be restricted by more than one relation if it includes a IN"),
    ("intervals that begin with different columns",
     "SELECT * FROM $wide WHERE p = 1 AND q = 0 AND (a, b) > (1, 1) AND b < 3", InvalidRequest,
     'Column "b" cannot be restricted by two inequalities not starting with the same column'),
    ("a token beside half a key", "SELECT * FROM $wide WHERE token(p, q) > 1 AND p = 1", InvalidRequest,
     "might involve data filtering"),
    ("a token in an update", "UPDATE $many SET v = 1 WHERE token(k) = 1", InvalidRequest,
     "The token function cannot be used in WHERE clauses for UPDATE statements"),
    ("a timeout of days", "SELECT * FROM $f USING TIMEOUT 2d", InvalidRequest,
     "Timeout values cannot be expressed in days/months"),
    ("a negative timeout", "SELECT * FROM $f USING TIMEOUT -1s", InvalidRequest, "Timeout values must be non-negative"),
    ("a timeout of nanoseconds", "SELECT * FROM $f USING TIMEOUT 5ns", InvalidRequest,
     "Timeout values cannot have granularity finer than milliseconds"),
    ("a timeout that is no duration", "SELECT * FROM $f USING TIMEOUT 'x'", SyntaxException, ""),
    ("a timeout inside of a batch",
     "BEGIN BATCH INSERT INTO $f (k) VALUES (1) USING TIMEOUT 1s; APPLY BATCH", InvalidRequest,
     "USING TIMEOUT is not allowed for a statement inside of a batch"),
], lambda env: {"many": many(env), "wide": wide(env), "f": filtered(env)})
