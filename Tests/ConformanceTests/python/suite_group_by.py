"""GROUP BY: groups, aggregates over them, limits, pages; and what is refused."""

from cassandra import InvalidRequest
from cassandra.query import SimpleStatement

from harness import behaviour, equal, refusals

ROWS = [
    (1, 2, 1, 3, 6), (1, 2, 2, 6, 12), (1, 3, 2, 12, 24), (1, 4, 2, 12, 24), (1, 4, 2, 6, 12),
    (2, 2, 3, 3, 6), (2, 4, 3, 6, 12), (4, 8, 2, 12, 24)]


def table(env):
    """(a, b, c, d) -> e"""
    def make():
        name = env.table("a int, b int, c int, d int, e int, PRIMARY KEY (a, b, c, d)")
        for row in ROWS:
            env.execute(f"INSERT INTO {name} (a, b, c, d, e) VALUES {row}")
        return name
    return env.shared("table", make)


def composite(env):
    def make():
        name = env.table("a int, b int, c int, s int static, v int, PRIMARY KEY ((a, b), c)")
        for a in range(2):
            for b in range(2):
                env.execute(f"INSERT INTO {name} (a, b, s) VALUES ({a}, {b}, {a * 10 + b})")
                for c in range(3):
                    env.execute(f"INSERT INTO {name} (a, b, c, v) VALUES ({a}, {b}, {c}, {c})")
        return name
    return env.shared("composite", make)


def series(env):
    """Points each minute from 16:10 on, v = 0..9."""
    def make():
        name = env.table("k int, at timestamp, v int, PRIMARY KEY (k, at)")
        for minute in range(10):
            env.execute(
                f"INSERT INTO {name} (k, at, v) VALUES (1, '2016-09-27 16:1{minute}:00Z', {minute})")
        return name
    return env.shared("series", make)


def names(env):
    return {"t": table(env), "two": composite(env), "series": series(env)}


# Token order of the partitions: 1, 2, 4.
CASES = [
    ("by partition", "SELECT a, b, e, count(b), max(e) FROM $t GROUP BY a",
     [(1, 2, 6, 5, 24), (2, 2, 6, 2, 12), (4, 8, 24, 1, 24)]),
    ("by the first clustering column", "SELECT a, b, count(*), max(e) FROM $t GROUP BY a, b",
     [(1, 2, 2, 12), (1, 3, 1, 24), (1, 4, 2, 24), (2, 2, 1, 6), (2, 4, 1, 12), (4, 8, 1, 24)]),
    ("by two clustering columns", "SELECT a, b, c, sum(e) FROM $t GROUP BY a, b, c",
     [(1, 2, 1, 6), (1, 2, 2, 12), (1, 3, 2, 24), (1, 4, 2, 36), (2, 2, 3, 6), (2, 4, 3, 12),
      (4, 8, 2, 24)]),
    ("by the whole key", "SELECT a, count(*) FROM $t GROUP BY a, b, c, d",
     [(row[0], 1) for row in ROWS]),
    ("without aggregates the first row stands for the group",
     "SELECT a, b, c, d FROM $t GROUP BY a, b, c",
     [(1, 2, 1, 3), (1, 2, 2, 6), (1, 3, 2, 12), (1, 4, 2, 6), (2, 2, 3, 3), (2, 4, 3, 6),
      (4, 8, 2, 12)]),
    ("of all columns", "SELECT * FROM $t GROUP BY a",
     [(1, 2, 1, 3, 6), (2, 2, 3, 3, 6), (4, 8, 2, 12, 24)]),
    ("in one partition", "SELECT b, max(e) FROM $t WHERE a = 1 GROUP BY a, b",
     [(2, 12), (3, 24), (4, 24)]),
    ("the partition key need not be named twice", "SELECT b, max(e) FROM $t WHERE a = 1 GROUP BY b",
     [(2, 12), (3, 24), (4, 24)]),
    ("in reverse", "SELECT b, max(e) FROM $t WHERE a = 1 GROUP BY a, b ORDER BY b DESC, c DESC",
     [(4, 24), (3, 24), (2, 12)]),
    ("a column fixed by an equality may be left out",
     "SELECT c, sum(e) FROM $t WHERE a = 1 AND b = 2 GROUP BY a, c", [(1, 6), (2, 12)]),
    ("in a slice", "SELECT b, sum(e) FROM $t WHERE a = 1 AND b > 2 GROUP BY a, b",
     [(3, 24), (4, 36)]),
    ("in several named partitions", "SELECT a, sum(e) FROM $t WHERE a IN (2, 4) GROUP BY a",
     [(2, 18), (4, 24)]),
    ("in several named partitions, in order",
     "SELECT a, b, sum(e) FROM $t WHERE a IN (1, 2, 4) GROUP BY a, b ORDER BY b DESC, c DESC",
     [(4, 8, 24), (2, 4, 12), (1, 4, 36), (1, 3, 24), (2, 2, 6), (1, 2, 18)]),
    ("filtered", "SELECT a, count(*) FROM $t WHERE e = 24 GROUP BY a ALLOW FILTERING",
     [(1, 2), (4, 1)]),
    ("over nothing gives no row", "SELECT a, count(*) FROM $t WHERE a = 99 GROUP BY a", []),
    ("aggregates may be computed with", "SELECT a, max(e) - min(e), count(*) * 2 FROM $t GROUP BY a",
     [(1, 18, 10), (2, 6, 4), (4, 0, 2)]),
    ("avg", "SELECT avg(e) FROM $t GROUP BY a", [(15,), (9,), (24,)]),
    ("distinct", "SELECT DISTINCT a, count(a) FROM $t GROUP BY a", [(1, 1), (2, 1), (4, 1)]),
    ("LIMIT counts groups", "SELECT a, b, sum(e) FROM $t GROUP BY a, b LIMIT 3",
     [(1, 2, 18), (1, 3, 24), (1, 4, 36)]),
    ("PER PARTITION LIMIT counts groups", "SELECT a, b, sum(e) FROM $t GROUP BY a, b PER PARTITION LIMIT 1",
     [(1, 2, 18), (2, 2, 6), (4, 8, 24)]),
    ("both limits", "SELECT a, b, sum(e) FROM $t GROUP BY a, b PER PARTITION LIMIT 2 LIMIT 3",
     [(1, 2, 18), (1, 3, 24), (2, 2, 6)]),
    ("as JSON", "SELECT JSON a, count(*) FROM $t WHERE a = 2 GROUP BY a", [('{"a": 2, "count": 2}',)]),
    ("by a composite partition key", "SELECT a, b, sum(v) FROM $two WHERE a = 1 AND b = 1 GROUP BY a, b",
     [(1, 1, 3)]),
    ("static columns", "SELECT s, count(*) FROM $two WHERE a = 1 AND b = 0 GROUP BY a, b", [(10, 3)]),
    ("by intervals of time", "SELECT min(v), max(v), count(v) FROM $series GROUP BY k, floor(at, 4m)",
     [(0, 1, 2), (2, 5, 4), (6, 9, 4)]),
    ("by intervals of time from a start on",
     "SELECT min(v), count(v) FROM $series GROUP BY k, floor(at, 4m, '2016-09-27 16:09:00Z')",
     [(0, 3), (3, 4), (7, 3)]),
    ("by intervals in one partition",
     "SELECT sum(v) FROM $series WHERE k = 1 GROUP BY floor(at, 5m)", [(10,), (35,)]),
]


def case(name, statement, expected):
    def check(env):
        from harness import fill
        text = fill(statement, names(env))
        # An order over several named partitions does not go with pages.
        equal(env.rows(SimpleStatement(text, fetch_size=None)), expected)
    check.__name__ = "grouped " + name
    behaviour(check)


for _case in CASES:
    case(*_case)


def paged(size):
    def check(env):
        for statement in (
                f"SELECT a, b, sum(e) FROM {table(env)} GROUP BY a, b",
                f"SELECT a, count(*) FROM {table(env)} GROUP BY a",
                f"SELECT a, b, c, max(e) FROM {table(env)} GROUP BY a, b, c PER PARTITION LIMIT 2"):
            expected = env.rows(SimpleStatement(statement, fetch_size=None))
            equal(env.rows(SimpleStatement(statement, fetch_size=size)), expected, statement)
    check.__name__ = f"groups are whole on pages of {size}"
    behaviour(check)


for _size in (1, 2, 3, 4, 5, 7):
    paged(_size)


@behaviour
def a_page_holds_so_many_groups(env):
    result = env.session.execute(
        SimpleStatement(f"SELECT a, b, sum(e) FROM {table(env)} GROUP BY a, b", fetch_size=2))
    equal(len(result.current_rows), 2)
    equal(result.has_more_pages, True)


@behaviour
def a_group_of_more_rows_than_one_read_is_whole(env):
    name = env.table("k int, c int, v int, PRIMARY KEY (k, c)")
    statement = env.session.prepare(f"INSERT INTO {name} (k, c, v) VALUES (?, ?, 1)")
    futures = [env.session.execute_async(statement, (k, c)) for k in range(2) for c in range(6000)]
    for future in futures:
        future.result()
    equal(sorted(env.rows(f"SELECT k, count(*), sum(v) FROM {name} GROUP BY k")),
          [(0, 6000, 6000), (1, 6000, 6000)])


@behaviour
def groups_take_bound_values(env):
    statement = env.session.prepare(
        f"SELECT b, sum(e) FROM {table(env)} WHERE a = ? GROUP BY a, b LIMIT ?")
    equal(env.rows(statement, (1, 2)), [(2, 18), (3, 24)])


@behaviour
def a_static_row_alone_is_a_group(env):
    name = env.table("k int, c int, s int static, v int, PRIMARY KEY (k, c)")
    env.execute(f"INSERT INTO {name} (k, s) VALUES (1, 7)")
    equal(env.rows(f"SELECT k, s, count(*), count(v) FROM {name} GROUP BY k"), [(1, 7, 1, 0)])


@behaviour
def deleted_rows_are_in_no_group(env):
    name = env.table("k int, c int, v int, PRIMARY KEY (k, c)")
    for c in range(4):
        env.execute(f"INSERT INTO {name} (k, c, v) VALUES (1, {c}, {c})")
    env.execute(f"DELETE FROM {name} WHERE k = 1 AND c = 2")
    equal(env.rows(f"SELECT c, sum(v) FROM {name} GROUP BY k, c"), [(0, 0), (1, 1), (3, 3)])


ORDER = "Group by currently only support groups of columns following their declared order"
refusals([
    ("a value column", "SELECT a, max(c) FROM $t GROUP BY a, e", InvalidRequest,
     "Group by is currently only supported on the columns of the PRIMARY KEY, got e"),
    ("a column without those before", "SELECT a FROM $t WHERE a = 1 GROUP BY c", InvalidRequest, ORDER),
    ("columns in another order", "SELECT a FROM $t GROUP BY a, c, b", InvalidRequest, ORDER),
    ("a column twice", "SELECT a FROM $t GROUP BY a, a", InvalidRequest, ORDER),
    ("clustering columns without the partition key", "SELECT a FROM $t GROUP BY b", InvalidRequest, ORDER),
    ("a restriction that is no equality",
     "SELECT a FROM $t WHERE a = 1 AND b > 1 GROUP BY c", InvalidRequest, ORDER),
    ("an unknown column", "SELECT a FROM $t GROUP BY nope", InvalidRequest,
     "Undefined column name nope in table"),
    ("half of a partition key", "SELECT a FROM $two GROUP BY a", InvalidRequest,
     "Group by is not supported on only a part of the partition key"),
    ("clustering columns of distinct partitions",
     "SELECT DISTINCT a, count(a) FROM $t GROUP BY a, b", InvalidRequest,
     "Grouping on clustering columns is not allowed for SELECT DISTINCT queries"),
    ("an order over all partitions", "SELECT a, count(*) FROM $t GROUP BY a ORDER BY b DESC",
     InvalidRequest, "ORDER BY is only supported when the partition key is restricted by an EQ or an IN"),
    ("an aggregate as a group", "SELECT a FROM $t GROUP BY a, count(b)", InvalidRequest,
     "Aggregate functions are not supported within the GROUP BY clause"),
    ("a function that is not monotonic", "SELECT a FROM $t GROUP BY a, abs(b)", InvalidRequest,
     "Only monotonic functions are supported in the GROUP BY clause"),
    ("a column after a function", "SELECT k FROM $series GROUP BY k, floor(at, 1m), v", InvalidRequest,
     "Functions are only supported on the last element of the GROUP BY clause"),
    ("a function of no column",
     "SELECT k FROM $series GROUP BY k, floor((timestamp)'2016-01-01', 1m)", InvalidRequest,
     "GROUP BY functions must have one clustering column name as parameter"),
], names)
