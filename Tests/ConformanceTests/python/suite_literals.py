"""Literals: each form gives the very bytes that the driver's own encoder makes of the value."""

import datetime
import decimal
import math
import uuid

from cassandra import InvalidRequest
from cassandra.cqltypes import lookup_casstype
from cassandra.protocol import SyntaxException
from cassandra.util import Date, Duration, Time

from harness import behaviour, equal, refusals

D = decimal.Decimal
UUID = "6bddc89a-5644-11e4-97fc-56847afe9799"
CLASSES = {
    "ascii": "AsciiType", "text": "UTF8Type", "int": "Int32Type", "bigint": "LongType", "smallint": "ShortType",
    "tinyint": "ByteType", "varint": "IntegerType", "decimal": "DecimalType", "float": "FloatType",
    "double": "DoubleType", "boolean": "BooleanType", "blob": "BytesType", "inet": "InetAddressType",
    "uuid": "UUIDType", "timeuuid": "TimeUUIDType", "date": "SimpleDateType", "time": "TimeType",
    "timestamp": "TimestampType", "duration": "DurationType"}

DAY = datetime.datetime(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12, 30)
EXACT = datetime.datetime(2024, 2, 29, 12, 30, 15, 123000)

# (type, literal, value for the driver's encoder)
CASES = [
    ("text", "''", ""), ("text", "'a'", "a"), ("text", "'it''s'", "it's"), ("text", "$$it's$$", "it's"),
    ("text", "$$a $ b$$", "a $ b"), ("text", "'\u4e16\U0001f600'", "\u4e16\U0001f600"), ("text", "'a\nb'", "a\nb"),
    ("text", "'--no comment'", "--no comment"), ("text", "'/* none */'", "/* none */"), ("ascii", "'~'", "~"),
    ("int", "0", 0), ("int", "-0", 0), ("int", "007", 7), ("int", "2147483647", 2**31 - 1),
    ("int", "-2147483648", -2**31), ("bigint", "9223372036854775807", 2**63 - 1),
    ("bigint", "-9223372036854775808", -2**63), ("smallint", "-32768", -32768), ("tinyint", "127", 127),
    ("varint", "0", 0), ("varint", "128", 128), ("varint", "-129", -129), ("varint", "1" + "0" * 80, 10**80),
    ("decimal", "1", D("1")), ("decimal", "1.0", D("1.0")), ("decimal", "-0.001", D("-0.001")),
    ("decimal", "1.", D("1")), ("decimal", "1e3", D("1E+3")), ("decimal", "1.5E-7", D("1.5E-7")),
    ("decimal", "100", D("100")), ("decimal", "12345678901234567890.123456789", D("12345678901234567890.123456789")),
    ("float", "1", 1.0), ("float", "1.5", 1.5), ("float", "-1e10", -1e10), ("float", "1E-2", 0.01),
    ("float", "NaN", math.nan), ("float", "Infinity", math.inf), ("float", "-Infinity", -math.inf),
    ("double", "1", 1.0), ("double", "0.1", 0.1), ("double", "-0.0", -0.0), ("double", "1e308", 1e308),
    ("double", "nan", math.nan), ("double", "INFINITY", math.inf), ("double", "-infinity", -math.inf),
    ("double", "1e400", math.inf), ("double", "4.9E-324", 5e-324), ("double", "12.", 12.0),
    ("boolean", "true", True), ("boolean", "FALSE", False), ("boolean", "True", True),
    ("blob", "0x", b""), ("blob", "0xcafe", b"\xca\xfe"), ("blob", "0XCAFE", b"\xca\xfe"), ("blob", "0x0Ff0", b"\x0f\xf0"),
    ("inet", "'127.0.0.1'", "127.0.0.1"), ("inet", "'255.255.255.255'", "255.255.255.255"), ("inet", "'::1'", "::1"),
    ("inet", "'2001:db8::ff00:42:8329'", "2001:db8::ff00:42:8329"), ("inet", "'FE80::'", "fe80::"),
    ("uuid", UUID, uuid.UUID(UUID)), ("uuid", UUID.upper(), uuid.UUID(UUID)), ("timeuuid", UUID, uuid.UUID(UUID)),
    ("uuid", "00000000-0000-0000-0000-000000000000", uuid.UUID(int=0)),
    ("date", "'2024-02-29'", Date("2024-02-29")), ("date", "'1970-01-01'", Date(0)), ("date", "2147483648", Date(0)),
    ("date", "'1969-12-31'", Date(-1)), ("date", "0", Date(-2**31)), ("date", "4294967295", Date(2**31 - 1)),
    ("time", "'00:00:00'", Time(0)), ("time", "'12:30:15'", Time("12:30:15")),
    ("time", "'12:30:15.5'", Time("12:30:15.5")), ("time", "'23:59:59.999999999'", Time("23:59:59.999999999")),
    ("time", "1000000000", Time(1000000000)), ("time", "'8:05:00'", Time("08:05:00")),
    ("timestamp", "0", datetime.datetime(1970, 1, 1)), ("timestamp", "1709209815123", EXACT),
    ("timestamp", "-1", datetime.datetime(1969, 12, 31, 23, 59, 59, 999000)),
    ("timestamp", "'2024-02-29'", DAY), ("timestamp", "'2024-02-29Z'", DAY), ("timestamp", "'2024-02-29+0000'", DAY),
    ("timestamp", "'2024-02-29 12:30'", NOON), ("timestamp", "'2024-02-29T12:30'", NOON),
    ("timestamp", "'2024-02-29 12:30Z'", NOON), ("timestamp", "'2024-02-29T12:30:00Z'", NOON),
    ("timestamp", "'2024-02-29 12:30:00+0000'", NOON), ("timestamp", "'2024-02-29T14:30+02'", NOON),
    ("timestamp", "'2024-02-29T14:30+0200'", NOON), ("timestamp", "'2024-02-29T14:30:00+02:00'", NOON),
    ("timestamp", "'2024-02-29 05:30-0700'", NOON), ("timestamp", "'2024-02-29T12:30:15.123Z'", EXACT),
    ("timestamp", "'2024-02-29 12:30:15.123'", EXACT), ("timestamp", "'2024-02-29 12:30:15.123 UTC'", EXACT),
    ("timestamp", "'2024-02-29 12:30:00 GMT'", NOON), ("timestamp", "'2024-2-9 1:05'", datetime.datetime(2024, 2, 9, 1, 5)),
    ("duration", "1y", Duration(12, 0, 0)), ("duration", "1y2mo3w4d", Duration(14, 25, 0)),
    ("duration", "5h6m7s8ms9us10ns", Duration(0, 0, ((5 * 60 + 6) * 60 + 7) * 10**9 + 8 * 10**6 + 9 * 1000 + 10)),
    ("duration", "-2d3h", Duration(0, -2, -3 * 3600 * 10**9)), ("duration", "1MO2D", Duration(1, 2, 0)),
    ("duration", "15\u00b5s", Duration(0, 0, 15000)), ("duration", "P1Y2M3D", Duration(14, 3, 0)),
    ("duration", "P1Y2M3DT4H5M6S", Duration(14, 3, (4 * 3600 + 5 * 60 + 6) * 10**9)),
    ("duration", "PT12H", Duration(0, 0, 12 * 3600 * 10**9)), ("duration", "P2W", Duration(0, 14, 0)),
    ("duration", "-P1D", Duration(0, -1, 0)), ("duration", "P0001-02-03T04:05:06",
                                               Duration(14, 3, (4 * 3600 + 5 * 60 + 6) * 10**9)),
    ("duration", "0s", Duration(0, 0, 0)),
]


def table(env):
    def make():
        columns = ", ".join(f"c_{kind} {kind}" for kind in CLASSES)
        return env.table(
            f"k int PRIMARY KEY, {columns}, l list<int>, s set<text>, m map<text, int>, t tuple<int, text>, "
            "v vector<float, 3>, vt vector<text, 2>, fl frozen<list<list<int>>>, n map<int, frozen<set<int>>>, "
            "ft frozen<map<text, int>>")
    return env.shared("table", make)


def names(env):
    return {"t": table(env)}


def bytes_of(kind, value):
    return lookup_casstype("org.apache.cassandra.db.marshal." + CLASSES[kind]).serialize(value, 5)


def case(kind, literal, value):
    def check(env):
        env.execute(f"INSERT INTO {table(env)} (k, c_{kind}) VALUES (1, {literal})")
        if kind == "blob":
            row = env.rows(f"SELECT c_blob FROM {table(env)} WHERE k = 1")
        else:
            row = env.rows(f"SELECT {kind}_as_blob(c_{kind}) FROM {table(env)} WHERE k = 1")
        equal(row[0][0], bytes_of(kind, value))
    shown = " ".join(literal.split())
    check.__name__ = f"literal {kind} {shown if len(shown) < 60 else shown[:57] + '...'}"
    behaviour(check)


for _case in CASES:
    case(*_case)

NESTED = [
    ("l", "[]", None), ("l", "[1, 2, 1]", [1, 2, 1]), ("l", "[ 1 ]", [1]), ("s", "{'b', 'a', 'b'}", {"a", "b"}),
    ("s", "{}", None), ("m", "{}", None), ("m", "{'a': 1, 'b': 2}", {"a": 1, "b": 2}),
    ("m", "{'a': 1, 'a': 2}", {"a": 2}), ("t", "(1, 'x')", (1, "x")), ("t", "(1, null)", (1, None)),
    ("t", "(null, 'x')", (None, "x")), ("v", "[1, 2.5, -3]", [1.0, 2.5, -3.0]), ("vt", "['a', 'bc']", ["a", "bc"]),
    ("fl", "[[1], [], [2, 3]]", [[1], [], [2, 3]]), ("n", "{1: {3, 2}, 2: {}}", {1: {2, 3}, 2: set()}),
    ("ft", "{'x': 1}", {"x": 1}), ("ft", "{}", {}), ("l", "[(int)1, 1 + 1, abs(-3)]", [1, 2, 3]),
]


def plain(value):
    if value is None or isinstance(value, (int, float, str)):
        return value
    if hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, (list,)):
        return [plain(item) for item in value]
    return {plain(item) for item in value}


def nested(column, literal, value):
    def check(env):
        env.execute(f"INSERT INTO {table(env)} (k, {column}) VALUES (2, {literal})")
        got = plain(env.rows(f"SELECT {column} FROM {table(env)} WHERE k = 2")[0][0])
        equal(list(got) if column in ("v", "vt") else got, value)
    check.__name__ = f"literal {column} {literal}"
    behaviour(check)


for _nested in NESTED:
    nested(*_nested)


# Words, names and comments: statements that all read column c_int of row 3.
TEXTS = [
    "select C_INT from $t where K = 3", "SELECT \"c_int\" FROM $t WHERE \"k\" = 3", "SELECT c_int FROM $t WHERE k = 3;",
    "SELECT c_int FROM $t WHERE k = 3 ;;", "SELECT /* a comment */ c_int FROM $t WHERE k = 3",
    "SELECT c_int FROM $t -- a comment\nWHERE k = 3", "SELECT c_int FROM $t // a comment\nWHERE k = 3",
    "SELECT c_int FROM $t WHERE k = 3 -- the end", "/* ** */ SELECT c_int FROM $t WHERE k = 3",
    "\n\tSELECT\r\nc_int\n FROM $t WHERE k=3", "SELECT c_int FROM $t WHERE (k = 3)", "SELECT c_int FROM $t WHERE k IN (3)",
    "SELECT c_int AS \"Other\" FROM $t WHERE k = 3", "SELECT c_int as ttl FROM $t WHERE k = 3",
]


def text_case(text):
    def check(env):
        env.execute(f"INSERT INTO {table(env)} (k, c_int) VALUES (3, 33)")
        equal(env.rows(text.replace("$t", table(env))), [(33,)])
    check.__name__ = "statement " + " ".join(text.split())
    behaviour(check)


for _text in TEXTS:
    text_case(_text)


@behaviour
def words_that_are_not_reserved_name_columns(env):
    words = ["ttl", "key", "type", "count", "values", "timestamp", "json", "writetime", "user", "role", "static",
             "contains", "filtering", "as", "text", "date", "vector", "ascii", "distinct", "group", "like", "language"]
    name = env.table("id int PRIMARY KEY, " + ", ".join(f"{word} int" for word in words))
    env.execute(f"INSERT INTO {name} (id, {', '.join(words)}) VALUES (1, {', '.join('7' for _ in words)})")
    quoted = ", ".join('"%s"' % word for word in words)
    equal(env.rows(f"SELECT {quoted} FROM {name}"), [(7,) * len(words)])


@behaviour
def quoted_names_keep_case_and_quotes(env):
    name = env.table('"Key" int PRIMARY KEY, "a""b" int, "select" int, "x y" int, "\u00e9" int')
    env.execute(f'INSERT INTO {name} ("Key", "a""b", "select", "x y", "\u00e9") VALUES (1, 2, 3, 4, 5)')
    equal(env.rows(f'SELECT "Key", "a""b", "select", "x y", "\u00e9" FROM {name}'), [(1, 2, 3, 4, 5)])


@behaviour
def named_markers_are_bound_by_name(env):
    statement = env.session.prepare(f'SELECT c_int FROM {table(env)} WHERE k = :"Wanted" LIMIT :most')
    env.execute(f"INSERT INTO {table(env)} (k, c_int) VALUES (4, 44)")
    equal([column.name for column in statement.column_metadata], ["Wanted", "most"])
    equal(env.rows(statement, {"Wanted": 4, "most": 1}), [(44,)])


@behaviour
def empty_values_differ_from_null(env):
    env.execute(f"INSERT INTO {table(env)} (k, c_text, c_blob) VALUES (5, '', 0x)")
    equal(env.rows(f"SELECT c_text, c_blob, c_ascii FROM {table(env)} WHERE k = 5"), [("", b"", None)])


def wrong(kind, literal, phrase, exception=InvalidRequest):
    return (f"{kind} {literal}", f"INSERT INTO $t (k, c_{kind}) VALUES (1, {literal})", exception, phrase)


refusals([
    wrong("int", "'1'", 'Invalid STRING constant (1) for "c_int" of type int'),
    wrong("int", "1.0", 'Invalid FLOAT constant (1.0) for "c_int" of type int'),
    wrong("int", "true", 'Invalid BOOLEAN constant (true) for "c_int" of type int'),
    wrong("int", "0x01", 'Invalid HEX constant (0x01) for "c_int" of type int'),
    wrong("int", UUID, f'Invalid UUID constant ({UUID}) for "c_int" of type int'),
    wrong("int", "1d", 'Invalid DURATION constant (1d) for "c_int" of type int'),
    wrong("int", "2147483648", "Unable to make int from '2147483648'"),
    wrong("bigint", "9223372036854775808", "Unable to make long from '9223372036854775808'"),
    wrong("smallint", "32768", "Unable to make short from '32768'"),
    wrong("tinyint", "128", "Unable to make byte from '128'"),
    wrong("text", "1", 'Invalid INTEGER constant (1) for "c_text" of type text'),
    wrong("ascii", "'\u00e9'", "Invalid ASCII character in string literal"),
    wrong("boolean", "1", 'Invalid INTEGER constant (1) for "c_boolean" of type boolean'),
    wrong("blob", "'cafe'", 'Invalid STRING constant (cafe) for "c_blob" of type blob'),
    wrong("blob", "0xcaf", "cannot parse '0xcaf' as hex bytes"),
    wrong("inet", "'300.0.0.1'", "Unable to make inet address from '300.0.0.1'"),
    wrong("uuid", "'x'", 'Invalid STRING constant (x) for "c_uuid" of type uuid'),
    wrong("timeuuid", "123e4567-e89b-42d3-a456-426614174000", "TimeUUID supports only version 1 UUIDs"),
    wrong("date", "'2024-02-30'", "Unable to coerce '2024-02-30' to a formatted date (long)"),
    wrong("date", "'24-2-1'", "Unable to coerce '24-2-1' to a formatted date (long)"),
    wrong("date", "4294967296", "Unable to make unsigned int (for date) from: '4294967296'"),
    wrong("time", "'25:00:00'", "Unable to coerce '25:00:00' to a formatted time (long)"),
    wrong("time", "'12:30'", "Unable to coerce '12:30' to a formatted time (long)"),
    wrong("timestamp", "'yesterday'", "Unable to parse a date/time from 'yesterday'"),
    wrong("timestamp", "'2024-13-01'", "Unable to parse a date/time from '2024-13-01'"),
    wrong("timestamp", "'2024-02-29 25:00'", "Unable to parse a date/time from '2024-02-29 25:00'"),
    wrong("duration", "'1d'", 'Invalid STRING constant (1d) for "c_duration" of type duration'),
    wrong("float", "'1'", 'Invalid STRING constant (1) for "c_float" of type float'),
    wrong("decimal", "'1'", 'Invalid STRING constant (1) for "c_decimal" of type decimal'),
    wrong("int", "[1]", "Invalid list literal for c_int of type int"),
    wrong("int", "{1}", "Invalid set literal for c_int of type int"),
    wrong("int", "{1: 1}", "Invalid map literal for c_int of type int"),
    wrong("int", "1 1", "", SyntaxException), wrong("text", "'no end", "", SyntaxException),
    wrong("text", "$$no end", "", SyntaxException), wrong("int", "#", "", SyntaxException),
    ("null in a list", "INSERT INTO $t (k, l) VALUES (1, [null])", InvalidRequest,
     "null is not supported inside collections"),
    ("null in a set", "INSERT INTO $t (k, s) VALUES (1, {null})", InvalidRequest,
     "null is not supported inside collections"),
    ("a set for a list", "INSERT INTO $t (k, l) VALUES (1, {1})", InvalidRequest,
     "Invalid set literal for l of type list<int>"),
    ("a text in a list of numbers", "INSERT INTO $t (k, l) VALUES (1, ['x'])", InvalidRequest, "Invalid"),
    ("a tuple with too many parts", "INSERT INTO $t (k, t) VALUES (1, (1, 'x', 2))", InvalidRequest,
     "Invalid tuple literal for t: too many elements. Type frozen<tuple<int, text>> expects 2 but got 3"),
    ("a vector that is too short", "INSERT INTO $t (k, v) VALUES (1, [1, 2])", InvalidRequest,
     "Invalid vector literal for v of type vector<float, 3>; expected 3 elements, but given 2"),
    ("a comment without end", "SELECT * FROM $t /* no end", SyntaxException, ""),
    ("an empty name", 'SELECT "" FROM $t', InvalidRequest, "Undefined column name"),
    ("a reserved word as a column", "SELECT from FROM $t", SyntaxException, "no viable alternative"),
], names)


@behaviour
def a_tuple_may_stand_in_a_text(env):
    name = env.table("k int PRIMARY KEY, t frozen<tuple<int, text>>")
    for k, text in enumerate(("0:0", "@:1", "1:1\\:1", "2")):
        env.execute(f"INSERT INTO {name} (k, t) VALUES ({k}, '{text}')")
    equal(
        [tuple(row[1]) for row in sorted(env.rows(f"SELECT k, t FROM {name}"), key=lambda row: row[0])],
        [(0, "0"), (None, "1"), (1, "1:1"), (2, None)])
    env.refused(
        InvalidRequest,
        "Invalid tuple literal: too many elements. Type frozen<tuple<int, text>> expects 2 but got 3",
        lambda: env.execute(f"INSERT INTO {name} (k, t) VALUES (9, '1:2:3')"))


@behaviour
def arithmetic_of_literals_takes_the_columns_type_however_it_nests(env):
    name = env.table("k int PRIMARY KEY, b bigint, s smallint, e decimal, v varint, t text")
    env.execute(
        f"INSERT INTO {name} (k, b, s, e, t) VALUES (1, 60 * 60 * 1000, 1 * (1 + 1), -(1 + 2), 'a' + 'b' + 'c')")
    equal(env.rows(f"SELECT b, s, e, t FROM {name}"), [(3600000, 2, decimal.Decimal(-3), "abc")])
    env.execute(f"UPDATE {name} SET v = to_timestamp(now()) WHERE k = 1")
    equal(env.rows(f"SELECT v FROM {name}")[0][0] > 1700000000000, True)
