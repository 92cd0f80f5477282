"""What a select list may hold: columns, literals, arithmetic, casts, parts of values, times, aggregates."""

import datetime
import decimal
import math

from cassandra import FunctionFailure, InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.util import Date

from harness import behaviour, equal, refusals, true

D = decimal.Decimal


def table(env):
    def make():
        env.execute("CREATE TYPE address (street text, number int)")
        name = env.table(
            "k int PRIMARY KEY, a tinyint, b smallint, c int, d bigint, e float, f double, g decimal, "
            "h varint, s text, ts timestamp, dt date, m map<text, int>, l list<int>, st set<int>, "
            "u address, fu frozen<address>, fm frozen<map<text, int>>, v vector<float, 2>, t time, "
            "i inet, id uuid, bo boolean, n int")
        env.execute(
            f"INSERT INTO {name} (k, a, b, c, d, e, f, g, h, s, ts, dt, m, l, st, u, fu, fm, v, t, i, id, bo) "
            "VALUES (1, 1, 2, 3, 4, 5.5, 6.25, 7.50, 8, 'text', '2016-09-27 16:10:00Z', '2016-09-27', "
            "{'a': 1, 'b': 2, 'c': 3}, [10, 20, 30], {1, 2, 3}, {street: 'Main', number: 5}, "
            "{street: 'Side', number: 6}, {'x': 9}, [3.0, 4.0], '10:15:30', '10.0.0.1', "
            "6bddc89a-5644-11e4-97fc-56847afe9799, true)")
        return name
    return env.shared("table", make)


def names(env):
    return {"t": table(env)}


TIME = datetime.datetime(2016, 9, 27, 16, 10)
# expression: (value, name of the result column or None)
CASES = [
    # arithmetic: the wider type, floating point if one side has it
    ("a + a", 2, "a + a"), ("a + b", 3, None), ("b * c", 6, "b * c"), ("c - d", -1, None),
    ("c / b", 1, None), ("d % c", 1, "d % c"), ("c + e", 8.5, None), ("d + e", 9.5, None),
    ("e * f", 34.375, None), ("f / e", 6.25 / 5.5, None), ("f % e", 0.75, None),
    ("c + h", 11, None), ("h * h", 64, None), ("h % c", 2, None), ("h / c", 2, None),
    ("c + g", D("10.50"), None), ("g * g", D("56.2500"), None), ("g / c", D("2.5"), None),
    ("g % c", D("1.50"), None), ("g - g", D("0.00"), None), ("h + g", D("15.50"), None),
    ("g / 7.0", D("1.07142857142857142857142857142857"), None),
    ("-c", -3, "-c"), ("-g", D("-7.50"), None), ("-e", -5.5, None), ("-h", -8, None),
    ("c + 1 * 2", 5, None), ("(c + 1) * 2", 8, None), ("c - 1 - 1", 1, None),
    ("c * 2 + d * 3", 18, None), ("1 + 1", 2, "1 + 1"), ("7 / 2", 3, None), ("7 % 4", 3, None),
    ("2147483647 + c", -2147483646, None), ("(tinyint)127 + (tinyint)1", -128, None),
    ("9223372036854775807 + d", -9223372036854775805, None), ("c + n", None, None), ("-n", None, None),
    ("f / 0", math.inf, None), ("e * 0.5", 2.75, None), ("-7 / c", -2, None), ("-7 % c", -1, None),
    ("(varint)7 % 8.5", D("7"), None), ("(varint)20 % 8.5", D("3.0"), None), ("(varint)85 % 8.5", D("0"), None),
    ("(decimal)7 / 3", D("2.33333333333333333333333333333333"), None), ("c + 2147483647", -2147483646, None),
    ("-f / 0", -math.inf, None), ("(tinyint)127 + (tinyint)127", -2, None),
    # dates and durations
    ("(date)'2024-03-31' - 1mo", Date("2024-02-29"), None), ("(date)'2024-03-31' - 13mo", Date("2023-02-28"), None),
    ("(timestamp)'2024-03-31 12:00Z' + 1y11mo", datetime.datetime(2026, 2, 28, 12), None),
    ("(timestamp)'2024-03-31 12:00Z' - 1mo1d", datetime.datetime(2024, 2, 28, 12), None),
    ("(date)'2024-03-31' + -1d", Date("2024-03-30"), None),
    ("dt + 1d", Date("2016-09-28"), None), ("dt - 1mo", Date("2016-08-27"), None),
    ("dt + 1y2w", Date("2017-10-11"), None), ("ts + 1h30m", TIME + datetime.timedelta(hours=1.5), None),
    ("ts - 1d", TIME - datetime.timedelta(days=1), None),
    ("ts + 5mo", datetime.datetime(2017, 2, 27, 16, 10), None),
    ("(date)'2016-01-31' + 1mo", Date("2016-02-29"), None),
    # casts
    ("CAST(f AS int)", 6, "cast(f as int)"), ("CAST(e AS tinyint)", 5, None), ("CAST(g AS double)", 7.5, None),
    ("CAST(c AS decimal)", D("3"), None), ("CAST(f AS decimal)", D("6.25"), None), ("CAST(c AS varint)", 3, None),
    ("CAST(h AS bigint)", 8, None), ("CAST(c AS float)", 3.0, None), ("CAST(g AS varint)", 7, None),
    ("CAST(a AS text)", "1", None), ("CAST(e AS text)", "5.5", None), ("CAST(f AS text)", "6.25", None),
    ("CAST(g AS text)", "7.50", None), ("CAST(h AS text)", "8", None), ("CAST(bo AS text)", "true", None),
    ("CAST(i AS text)", "10.0.0.1", None), ("CAST(id AS text)", "6bddc89a-5644-11e4-97fc-56847afe9799", None),
    ("CAST(dt AS text)", "2016-09-27", None), ("CAST(t AS text)", "10:15:30.000000000", None),
    ("CAST(ts AS text)", "2016-09-27T16:10:00.000Z", None), ("CAST(c AS ascii)", "3", None),
    ("CAST(ts AS date)", Date("2016-09-27"), None), ("CAST(dt AS timestamp)", datetime.datetime(2016, 9, 27), None),
    ("CAST(c AS int)", 3, None), ("CAST(n AS text)", None, None), ("CAST(1e10 AS tinyint)", -1, None),
    ("CAST(1e10 AS int)", 2147483647, None), ("CAST(-1.9 AS int)", -1, None),
    ("CAST(c + d AS text)", "7", "cast(c + d as text)"),
    # hints and literals
    ("(int)5", 5, "(int)5"), ("(text)'x'", "x", "(text)'x'"), ("(bigint)c", None, False),
    ("[c, 4]", [3, 4], "[c, 4]"), ("(c, s)", (3, "text"), "(c, s)"), ("(c)", None, False),
    ("{c, 3, 1}", {1, 3}, "{c, 3, 1}"), ("(map<text, int>){'a': c}", {"a": 3}, "(map<text, int>){'a': c}"),
    ("{s: c}", {"text": 3}, "{s: c}"), ("(set<int>){}", set(), None),
    ("(list<bigint>)[1, 2]", [1, 2], "(list<bigint>)[1, 2]"), ("(tuple<int, text>)(1, 'a')", (1, "a"), None),
    ("(vector<float, 2>)[1.0, 2.0]", [1.0, 2.0], None), ("(frozen<list<int>>)[1]", [1], None),
    ("(address){street: s, number: c}", ("text", 3), "(address){street: s, number: c}"),
    ("(double)1", 1.0, None), ("(blob)0x01", b"\x01", None), ("(boolean)true", True, None),
    ("[[c], [d + 0]]", None, False), ("[(c, s)]", [(3, "text")], None),
    # parts
    ("m['b']", 2, "m['b']"), ("m['z']", None, None), ("st[2]", 2, "st[2]"), ("st[9]", None, None),
    ("m['a'..'b']", {"a": 1, "b": 2}, "m['a'..'b']"), ("m['b'..]", {"b": 2, "c": 3}, "m['b'..]"),
    ("m[..'b']", {"a": 1, "b": 2}, "m[..'b']"), ("m['x'..]", None, None), ("st[2..]", {2, 3}, None),
    ("st[..2]", {1, 2}, None), ("fm['x']", 9, None), ("u.street", "Main", "u.street"),
    ("fu.number", 6, "fu.number"), ("m['a'] + m['b']", 3, None), ("u.number * 2", 10, None),
    ("map_keys(m)['a']", "a", None),
    # alone in parentheses: a tuple of one where one is expected
    ("(tuple<int>)(c)", (3,), "(tuple<int>)(c)"), ("(tuple<tuple<int>>)((c))", ((3,),), None),
    ("(tuple<tuple<int, text>>)((c, s))", ((3, "text"),), None), ("(int)(c)", 3, "(int)(c)"),
    ("[(c), 4]", None, False), ("[c, (d + 0)]", None, False), ("[[c], ([4])]", [[3], [4]], None),
    ("(map<int, frozen<tuple<bigint>>>){c: (d)}", {3: (4,)}, None),
    ("(fu).number", 6, None), ("((address){number: 4}).number", 4, None), ("max((c))", 3, None),
    ("((c + 1)) * 2", 8, None),
]


def case(expression, value, column):
    def check(env):
        statement = f"SELECT {expression} FROM {table(env)} WHERE k = 1"
        if column is False:
            env.refused(InvalidRequest, "", lambda: env.session.execute(statement))
            return
        result = env.session.execute(statement)
        rows = list(result)
        got = rows[0][0]
        if isinstance(value, tuple) and got is not None:
            got = tuple(got)
        if isinstance(value, (set, list)) and got is not None:
            got = type(value)(got)
        if isinstance(value, dict) and got is not None:
            got = dict(got)
        equal(got, value)
        if isinstance(value, D):
            equal(str(got), str(value))
        if column:
            equal(env.session.execute(statement).column_names, [column])
    check.__name__ = "select " + expression
    behaviour(check)


@behaviour
def an_average_of_numbers_whose_sum_is_too_large_is_exact(env):
    table = env.table("k int, c int, d double, PRIMARY KEY (k, c)")
    for c, value in enumerate((1.7e308, 1.7e308, 1.7e308)):
        env.execute(f"INSERT INTO {table} (k, c, d) VALUES (1, {c}, {value})")
        env.execute(f"INSERT INTO {table} (k, c, d) VALUES (2, {c}, {-value})")
    env.execute(f"INSERT INTO {table} (k, c, d) VALUES (2, 3, 0)")
    equal(env.rows(f"SELECT avg(d), sum(d) FROM {table} WHERE k = 1"), [(1.7e308, float("inf"))])
    equal(env.rows(f"SELECT avg(d) FROM {table} WHERE k = 2"), [(-1.275e308,)])
    env.execute(f"INSERT INTO {table} (k, c, d) VALUES (1, 3, -Infinity)")
    equal(env.rows(f"SELECT avg(d) FROM {table} WHERE k = 1"), [(float("-inf"),)])


@behaviour
def sums_of_decimals_have_ten_thousand_digits(env):
    table = env.table("k int PRIMARY KEY, a decimal, b decimal")
    for k, (large, small) in enumerate((("1e10000", "5"), ("1e10000", "4"), ("1e9999", "4"), ("-1e10000", "-5"))):
        env.execute(f"INSERT INTO {table} (k, a, b) VALUES ({k}, {large}, {small})")
    equal(sorted(env.rows(f"SELECT k, (a + b) - a FROM {table}")), [(0, D(10)), (1, D(0)), (2, D(4)), (3, D(-10))])


for _case in CASES:
    case(*_case)


# Aggregates over 1..4 and over nothing: (expression, over four rows, over no row)
AGGREGATES = [
    ("count(*)", 4, 0), ("count(1)", 4, 0), ("count(v)", 3, 0), ("COUNT(k)", 4, 0),
    ("count(2)", 4, 0), ("count('a')", 4, 0), ("count(true)", 4, 0), ("count((int) 2)", 4, 0),
    ("min(i)", 1, None), ("max(i)", 4, None), ("sum(i)", 10, 0), ("avg(i)", 2, 0),
    ("sum(t)", -112, 0), ("avg(t)", 100, 0), ("sum(sm)", 10, 0), ("avg(sm)", 2, 0), ("sum(b)", 10, 0),
    ("avg(b)", 2, 0), ("sum(f)", 5.0, 0.0), ("avg(f)", 1.25, 0.0), ("sum(d)", 5.0, 0.0), ("avg(d)", 1.25, 0.0),
    ("sum(de)", D("11.00"), D("0")), ("avg(de)", D("2.75"), D("0")), ("min(de)", D("1.25"), None),
    ("sum(vi)", 40000000000000000000010, 0), ("avg(vi)", 10000000000000000000002, 0),
    ("min(s)", "s1", None), ("max(s)", "s4", None), ("min(u)", None, None), ("max(bo)", True, None),
    ("max(v) + min(v)", 4, None), ("sum(v)", 6, 0), ("avg(v)", 2, 0), ("max(da)", Date("2020-01-04"), None),
    ("count(*) + 1", 5, 1), ("max(l)", [4], None), ("sum(i * 2)", 20, 0), ("max(abs(-i))", 4, None),
]


def numbers(env):
    def make():
        name = env.table(
            "k int PRIMARY KEY, v int, i int, t tinyint, sm smallint, b bigint, f float, d double, de decimal, "
            "vi varint, s text, u uuid, bo boolean, da date, l frozen<list<int>>")
        for k in range(1, 5):
            env.execute(
                f"INSERT INTO {name} (k, v, i, t, sm, b, f, d, de, vi, s, bo, da, l) VALUES ({k}, "
                f"{k if k < 4 else 'null'}, {k}, 100, {k}, {k}, {k / 2}, {k / 2}, {k}.25, "
                f"1000000000000000000000{k}, 's{k}', {'true' if k > 2 else 'false'}, '2020-01-0{k}', [{k}])")
        return name
    return env.shared("numbers", make)


def aggregate(expression, full, empty):
    def over_rows(env):
        equal(env.rows(f"SELECT {expression} FROM {numbers(env)}"), [(full,)])

    def over_nothing(env):
        equal(env.rows(f"SELECT {expression} FROM {numbers(env)} WHERE k = 99"), [(empty,)])
    over_rows.__name__ = f"aggregate {expression}"
    over_nothing.__name__ = f"aggregate {expression} over nothing"
    behaviour(over_rows)
    behaviour(over_nothing)


for _aggregate in AGGREGATES:
    aggregate(*_aggregate)


def times(env):
    def make():
        name = env.table(
            "k int PRIMARY KEY, m map<text, int>, s set<int>, l list<int>, u spot, f frozen<set<int>>, p int, "
            "g map<text, frozen<map<int, int>>>")
        env.execute(f"UPDATE {name} USING TIMESTAMP 10 SET m['a'] = 1, u.b = 2, p = 1 WHERE k = 1")
        env.execute(f"UPDATE {name} USING TIMESTAMP 20 AND TTL 10000 SET m['b'] = 2, s = s + {{5}} WHERE k = 1")
        env.execute(f"UPDATE {name} USING TIMESTAMP 30 SET f = {{1}}, l = l + [7], g['x'] = {{1: 2}} WHERE k = 1")
        return name

    def before():
        env.execute("CREATE TYPE spot (a int, b int)")
        return True
    env.shared("spot", before)
    return env.shared("times", make)


TIMES = [
    ("writetime(p)", 10), ("ttl(p)", None), ("maxwritetime(p)", 10), ("writetime(m)", [10, 20]),
    ("maxwritetime(m)", 20), ("writetime(m['a'])", 10), ("writetime(m['b'])", 20), ("writetime(m['z'])", None),
    ("writetime(m['b'..])", [20]), ("writetime(m[..'a'])", [10]), 
    ("writetime(u.b)", 10), ("writetime(u.a)", None), ("writetime(s)", [20]), ("writetime(s[5])", 20),
    ("writetime(l)", [30]), ("writetime(f)", 30), ("maxwritetime(f)", 30), ("maxwritetime(u)", 10),
    ("maxwritetime(s)", 20), ("ttl(m['a'])", None), ("ttl(f)", None),
    ("writetime(f[1])", 30), ("writetime(f[9])", None), ("writetime(f[..5])", 30), ("writetime(f[5..])", None),
    ("writetime(g['x'][1])", 30), ("writetime(g['x'][3])", None), ("writetime(g['x'][1..2])", 30),
    ("maxwritetime(g['y'][1])", None),
    ("writetime(m['a'..'b']['b'])", 20), ("writetime(m['b'..]['a'])", None), ("writetime(m['a'..][..'a'])", [10]),
    ("maxwritetime(m['a'..'z'][..'a'])", 10), ("writetime(g['a'..'z']['x'][1])", 30),
    ("writetime(g['a'..'z']['x'][3])", None),
]


def time_case(expression, value):
    def check(env):
        statement = f"SELECT {expression} FROM {times(env)} WHERE k = 1"
        equal(env.rows(statement), [(value,)])
        equal(env.session.execute(statement).column_names, [expression])
    check.__name__ = "select " + expression
    behaviour(check)


for _time in TIMES:
    time_case(*_time)


@behaviour
def parts_without_a_time_are_null(env):
    # The driver cannot read a list that holds null.
    equal(env.rows(f"SELECT to_json(writetime(u)), to_json(ttl(u)) FROM {times(env)} WHERE k = 1"),
          [("[null, 10]", "[null, null]")])


@behaviour
def the_time_to_live_of_elements(env):
    row = env.rows(f"SELECT ttl(m['b'..]), ttl(s[5]), ttl(m['b']) FROM {times(env)} WHERE k = 1")[0]
    for left in (row[0][0], row[1], row[2]):
        true(9000 < left <= 10000, f"{left} seconds are left")


@behaviour
def bind_markers_in_the_select_list(env):
    statement = env.session.prepare(
        f"SELECT (int)? + c, m[?], (text)? FROM {table(env)} WHERE k = ?")
    equal(env.rows(statement, (10, "b", "x", 1)), [(13, 2, "x")])


@behaviour
def computed_values_are_written(env):
    name = env.table("k int PRIMARY KEY, v int, g decimal, d date, t text")
    env.execute(f"INSERT INTO {name} (k, v, g, d) VALUES (1 + 1, 2 * (3 + 4), 1.5 + 1.25, '2016-02-29' + 1y)")
    equal(env.rows(f"SELECT v, g, d FROM {name} WHERE k = 1 + 1"), [(14, D("2.75"), Date("2017-02-28"))])
    env.execute(f"UPDATE {name} SET t = CAST(7 AS text), v = -(3) WHERE k = 2")
    equal(env.rows(f"SELECT t, v FROM {name} WHERE k = 2"), [("7", -3)])


@behaviour
def an_alias_names_an_expression(env):
    equal(env.session.execute(f"SELECT c + d AS total FROM {table(env)} WHERE k = 1").column_names, ["total"])


INFER = "in selection clause (try using a cast to force a type)"
refusals([
    ("a number without a type", "SELECT 5 FROM $t", InvalidRequest, "Cannot infer type for term 5 " + INFER),
    ("a text without a type", "SELECT 'x' FROM $t", InvalidRequest, "Cannot infer type for term 'x' " + INFER),
    ("a marker without a type", "SELECT null FROM $t", InvalidRequest, "Cannot infer type for term NULL " + INFER),
    ("a list without a type", "SELECT [1, 2] FROM $t", InvalidRequest, "Cannot infer type for term [1, 2] " + INFER),
    ("a column alone in parentheses", "SELECT (c) FROM $t", InvalidRequest, "Cannot infer type for term (c) " + INFER),
    ("a tuple alone in parentheses", "SELECT ((tuple<int>)(1)) FROM $t", InvalidRequest,
     "Cannot infer type for term ((tuple<int>)(1)) " + INFER),
    ("a map of calls without a type", "SELECT {'a': min(c)} FROM $t", InvalidRequest,
     "Cannot infer type for term {'a': system.min(c)} " + INFER),
    ("a field of a map", "SELECT (map<text, int>){'a': min(c)}.a FROM $t", InvalidRequest,
     "Invalid field selection: (map<text, int>){'a': system.min(c)} of type frozen<map<text, int>> is not a user type"),
    ("a set of durations", "SELECT {(duration)1d, (duration)2d} FROM $t", InvalidRequest,
     "Durations are not allowed inside sets: frozen<set<duration>>"),
    ("a hint that does not fit a literal", "SELECT (int)'x' FROM $t", InvalidRequest,
     "Cannot assign value (int)'x' to (int)'x' of type int"),
    ("a hint that does not fit a column", "SELECT (tinyint)s FROM $t", InvalidRequest,
     "Cannot assign value (tinyint)s to (tinyint)s of type tinyint"),
    ("an element of a list", "SELECT l[0] FROM $t", InvalidRequest,
     "Element selection is only allowed on sets and maps, but l is a list"),
    ("a slice of a list", "SELECT l[0..1] FROM $t", InvalidRequest,
     "Slice selection is only allowed on sets and maps, but l is a list"),
    ("an element of a number", "SELECT c[0] FROM $t", InvalidRequest, "Invalid element selection: c is of type int"),
    ("a key of another type", "SELECT m[1] FROM $t", InvalidRequest, "Invalid INTEGER constant (1)"),
    ("a field of a number", "SELECT c.x FROM $t", InvalidRequest,
     "Invalid field selection: c of type int is not a user type"),
    ("an unknown field", "SELECT u.nope FROM $t", InvalidRequest, "u of type address has no field nope"),
    ("text plus a number", "SELECT s + c FROM $t", InvalidRequest,
     "the '+' operation is not supported between s and c"),
    ("a date times a duration", "SELECT dt * 1d FROM $t", InvalidRequest,
     "the '*' operation is not supported between dt and 1d"),
    ("the negative of a text", "SELECT -s FROM $t", InvalidRequest, "none of its type signatures match"),
    ("two literals of no one type", "SELECT ? + 1 FROM $t", InvalidRequest, ""),
    ("division by zero", "SELECT c / 0 FROM $t", FunctionFailure,
     "the operation 'int / int' failed: / by zero"),
    ("remainder by zero", "SELECT c % 0 FROM $t", FunctionFailure, "the operation 'int % int' failed: / by zero"),
    ("division of decimals by zero", "SELECT g / 0 FROM $t", FunctionFailure,
     "the operation 'decimal / int' failed: BigInteger divide by zero"),
    ("division of a decimal of zero by zero", "SELECT (g - g) / 0 FROM $t", FunctionFailure, "failed: / by zero"),
    ("division of varints by zero", "SELECT h / 0 FROM $t", FunctionFailure,
     "the operation 'varint / int' failed: BigInteger divide by zero"),
    ("hours on a date", "SELECT dt + 10h FROM $t", FunctionFailure,
     "The duration must have a day precision. Was: 10h"),
    ("nanoseconds on a timestamp", "SELECT ts + 5ns FROM $t", FunctionFailure,
     "The duration must have a millisecond precision. Was: 5ns"),
    ("a cast of a collection", "SELECT CAST(m AS int) FROM $t", InvalidRequest, "m cannot be cast to int"),
    ("a cast of a text to a number", "SELECT CAST(s AS int) FROM $t", InvalidRequest, "s cannot be cast to int"),
    ("a cast to a collection", "SELECT CAST(c AS list<int>) FROM $t", SyntaxException, ""),
    ("writetime of a key", "SELECT writetime(k) FROM $t", InvalidRequest,
     "Cannot use selection function writetime on PRIMARY KEY part k"),
    ("ttl of a key", "SELECT ttl(k) FROM $t", InvalidRequest, "Cannot use selection function ttl on PRIMARY KEY part k"),
    ("maxwritetime of a key", "SELECT maxwritetime(k) FROM $t", InvalidRequest,
     "Cannot use selection function maxwritetime on PRIMARY KEY part k"),
    ("writetime of an unknown field", "SELECT writetime(u.z) FROM $t", InvalidRequest, "has no field z"),
    ("writetime of an element of a list", "SELECT writetime(l[0]) FROM $t", InvalidRequest,
     "Element selection is only allowed on sets and maps, but l is a list"),
    ("an aggregate of an aggregate", "SELECT sum(min(c)) FROM $t", InvalidRequest,
     "aggregate functions cannot be used as arguments of aggregate functions"),
    ("the sum of texts", "SELECT sum(s) FROM $t", InvalidRequest,
     "Invalid call to function system.sum, none of its type signatures match"),
    ("the average of dates", "SELECT avg(dt) FROM $t", InvalidRequest, "none of its type signatures match"),
    ("count of two columns", "SELECT count(c, d) FROM $t", InvalidRequest, "Invalid number of arguments"),
    ("per partition limit of aggregates", "SELECT count(*) FROM $t PER PARTITION LIMIT 1", InvalidRequest,
     "PER PARTITION LIMIT is not allowed with aggregate queries"),
    ("a computed value of another type", "INSERT INTO $t (k, s) VALUES (1, 1 + 1)", InvalidRequest, ""),
    ("a value divided by zero", "INSERT INTO $t (k, c) VALUES (1, 1 / 0)", FunctionFailure, "/ by zero"),
], names)
