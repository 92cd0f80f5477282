"""The functions: times, conversions, numbers, collections, vectors, masks; and how overloads are found."""

import datetime
import decimal
import hashlib
import uuid

from cassandra import FunctionFailure, InvalidRequest
from cassandra.util import Date, Time

from harness import behaviour, equal, refusals, true

D = decimal.Decimal
TIMEUUID = uuid.UUID("6bddc89a-5644-11e4-97fc-56847afe9799")
OWN_TIME = datetime.datetime(2014, 10, 17, 21, 27, 39, 541000)
TIME = datetime.datetime(2014, 10, 17, 20, 28, 52, 138000)


def table(env):
    def make():
        name = env.table(
            "k int PRIMARY KEY, tu timeuuid, ts timestamp, d date, t time, i int, b bigint, si smallint, "
            "ti tinyint, f float, do double, g decimal, vi varint, s text, a ascii, bl blob, bo boolean, "
            "u uuid, ip inet, du duration, m map<text, int>, l list<int>, st set<int>, v vector<float, 2>, "
            "w vector<float, 3>, n int, lt list<text>, g2 list<decimal>, e list<int>")
        env.execute(
            f"INSERT INTO {name} (k, tu, ts, d, t, i, b, si, ti, f, do, g, vi, s, a, bl, bo, u, ip, du, m, l, "
            f"st, v, w, lt, g2) VALUES (1, {TIMEUUID}, '2014-10-17 20:28:52.138Z', '2014-10-17', "
            "'20:28:52.138', -5, -50, -3, -2, -2.5, 2.5, -7.50, -80, 'hello', 'ascii', 0x00000007, true, "
            f"{TIMEUUID}, '10.0.0.1', 1mo2d, {{'a': 1, 'b': 2}}, [10, 20, 30], {{1, 2, 3}}, [3.0, 4.0], "
            "[1.0, 2.0, 2.0], ['x', 'y'], [1.5, 2.5])")
        return name
    return env.shared("table", make)


def names(env):
    return {"t": table(env)}


CASES = [
    # times, in both spellings
    ("to_timestamp(tu)", OWN_TIME), ("toTimestamp(tu)", OWN_TIME), ("to_timestamp(d)", datetime.datetime(2014, 10, 17)),
    ("to_date(tu)", Date("2014-10-17")), ("toDate(tu)", Date("2014-10-17")), ("to_date(ts)", Date("2014-10-17")),
    ("to_unix_timestamp(tu)", 1413581259541), ("toUnixTimestamp(ts)", 1413577732138),
    ("to_unix_timestamp(d)", 1413504000000), ("to_unix_timestamp(ts)", 1413577732138),
    ("floor(ts, 1h)", datetime.datetime(2014, 10, 17, 20)), ("floor(ts, 1d)", datetime.datetime(2014, 10, 17)),
    ("floor(ts, 1mo)", datetime.datetime(2014, 10, 1)), ("floor(ts, 1y)", datetime.datetime(2014, 1, 1)),
    ("floor(ts, 5m)", datetime.datetime(2014, 10, 17, 20, 25)),
    ("floor(ts, 1h, '2014-10-17 00:30:00Z')", datetime.datetime(2014, 10, 17, 19, 30)),
    ("floor(ts, 2mo, '2014-01-15')", datetime.datetime(2014, 9, 15)),
    ("floor(tu, 1h)", datetime.datetime(2014, 10, 17, 21)), ("floor(d, 1mo)", Date("2014-10-01")),
    ("floor(d, 2d, '2014-10-16')", Date("2014-10-16")),
    ("floor(ts, 1ms)", TIME), ("floor(n, 1h)", InvalidRequest),
    # conversions to and from blob
    ("int_as_blob(i)", b"\xff\xff\xff\xfb"), ("intAsBlob(i)", b"\xff\xff\xff\xfb"),
    ("blob_as_int(bl)", 7), ("blobAsInt(bl)", 7), ("blob_as_int(0x00000001)", 1),
    ("bigint_as_blob(b)", (-50).to_bytes(8, "big", signed=True)), ("text_as_blob(s)", b"hello"),
    ("varchar_as_blob(s)", b"hello"), ("ascii_as_blob(a)", b"ascii"), ("boolean_as_blob(bo)", b"\x01"),
    ("tinyint_as_blob(ti)", b"\xfe"), ("smallint_as_blob(si)", b"\xff\xfd"), ("uuid_as_blob(u)", TIMEUUID.bytes),
    ("timeuuid_as_blob(tu)", TIMEUUID.bytes), ("inet_as_blob(ip)", b"\x0a\x00\x00\x01"),
    ("varint_as_blob(vi)", b"\xb0"), ("date_as_blob(d)", b"\x80\x00\x3f\xe8"),
    ("timestamp_as_blob(ts)", (1413577732138).to_bytes(8, "big")), ("double_as_blob(do)", b"\x40\x04" + b"\0" * 6),
    ("float_as_blob(f)", b"\xc0\x20\0\0"), ("decimal_as_blob(g)", b"\0\0\0\x02\xfd\x12"),
    ("duration_as_blob(du)", b"\x02\x04\x00"), ("blob_as_text(text_as_blob(s))", "hello"),
    ("blob_as_bigint(bigint_as_blob(b))", -50), ("blob_as_timestamp(timestamp_as_blob(ts))", TIME),
    ("blob_as_uuid(uuid_as_blob(u))", TIMEUUID), ("blob_as_boolean(0x00)", False),
    ("blob_as_inet(0x7f000001)", "127.0.0.1"), ("blob_as_varint(0xff)", -1),
    ("blob_as_decimal(decimal_as_blob(g))", D("-7.50")), ("int_as_blob(n)", None),
    # numbers
    ("abs(i)", 5), ("abs(b)", 50), ("abs(si)", 3), ("abs(ti)", 2), ("abs(f)", 2.5), ("abs(do)", 2.5),
    ("abs(g)", D("7.50")), ("abs(vi)", 80), ("abs(-3)", 3), ("abs(n)", None),
    ("round(do)", 3.0), ("round(f)", -2.0), ("round(g)", D("-8")), ("round(i)", -5), ("round(vi)", -80),
    ("round(2.4)", 2.0), ("exp(do)", 12.182493960703473), ("exp(0.0)", 1.0), ("exp((int)1)", 2),
    ("exp((decimal)1)", D("2.7182818284590452353602874713527")), ("exp((varint)2)", 7),
    ("log(do)", 0.9162907318741551), ("log(1.0)", 0.0), ("log((int)10)", 2),
    ("log((decimal)10)", D("2.3025850929940456840179914546844")), ("log10(100.0)", 2.0),
    ("log10((int)1000)", 3), ("log10((decimal)1000)", D("3")), ("log10(do)", 0.3979400086720376),
    ("abs(i + i)", 10), ("abs(i) + abs(b)", 55),
    ("log((decimal)1)", D("0")),
    # texts one behind the other
    ("s + a", "helloascii"), ("'x' + s", "xhello"), ("s + n", InvalidRequest),
    # conversions
    ("CAST(ts AS text)", "2014-10-17T20:28:52.138Z"), ("CAST((float)5.2 AS decimal)", D("5.2")),
    ("CAST((inet)'2001:db8::1' AS text)", "2001:db8:0:0:0:0:0:1"), ("to_json((inet)'::1')", '"0:0:0:0:0:0:0:1"'),
    # collections
    ("map_keys(m)", {"a", "b"}), ("map_values(m)", [1, 2]), ("collection_count(m)", 2), ("collection_count(l)", 3),
    ("collection_count(st)", 3), ("collection_count(e)", None), ("collection_min(l)", 10),
    ("collection_max(l)", 30), ("collection_min(st)", 1), ("collection_max(lt)", "y"), ("collection_sum(l)", 60),
    ("collection_sum(st)", 6), ("collection_avg(l)", 20), ("collection_avg(g2)", D("2.0")),
    ("collection_sum(g2)", D("4.0")), ("collection_max(map_values(m))", 2), ("collection_count(map_keys(m))", 2),
    ("collection_sum((list<int>)[])", 0), ("collection_min((list<int>)[])", None),
    # vectors
    ("similarity_euclidean(v, v)", 1.0), ("similarity_euclidean(v, [3.0, 5.0])", 0.5),
    ("similarity_cosine(v, v)", 1.0), ("similarity_cosine(v, [-3.0, -4.0])", 0.0),
    ("similarity_dot_product(v, [0.0, 1.0])", 2.5), ("similarity_cosine([3.0, 4.0], v)", 1.0),
    ("similarity_euclidean([1, 2], [1, 2])", 1.0),
    # masks
    ("mask_null(s)", None), ("mask_default(s)", "****"), ("mask_default(i)", 0), ("mask_default(bo)", False),
    ("mask_default(d)", Date(0)), ("mask_default(g)", D("0")), ("mask_default(ip)", "0.0.0.0"),
    ("mask_replace(s, 'x')", "x"), ("mask_replace(i, 7)", 7), ("mask_inner(s, 1, 1)", "h***o"),
    ("mask_inner(s, 1, 1, '#')", "h###o"), ("mask_outer(s, 1, 1)", "*ell*"), ("mask_outer(s, 0, 2, '-')", "hel--"),
    ("mask_inner(s, null, 1)", "****o"),
    ("mask_hash(s)", hashlib.sha256(b"hello").digest()), ("mask_hash(s, null)", hashlib.sha256(b"hello").digest()),
    ("mask_hash(s, 'SHA-512')", hashlib.sha512(b"hello").digest()),
    ("mask_hash(s, 'sha-1')", hashlib.sha1(b"hello").digest()),
    ("mask_hash(s, 'MD5')", hashlib.md5(b"hello").digest()),
    ("mask_hash(s, 'SHA3-256')", hashlib.sha3_256(b"hello").digest()),
    ("mask_hash(bo)", hashlib.sha256(b"\x01").digest()), ("mask_hash(n)", None),
    # token and nesting
    ("token(k)", -4069959284402364209), ("token(1)", -4069959284402364209),
    ("to_date(floor(ts, 1mo))", Date("2014-10-01")), ("system.abs(i)", 5), ("ABS(i)", 5),
]


def case(expression, value):
    def check(env):
        statement = f"SELECT {expression} FROM {table(env)} WHERE k = 1"
        if isinstance(value, type) and issubclass(value, Exception):
            env.refused(value, "", lambda: env.session.execute(statement))
            return
        got = env.rows(statement)[0][0]
        if isinstance(value, (set, list)):
            got = type(value)(got)
        if isinstance(value, float):
            true(abs(got - value) <= 1e-15 * max(1, abs(value)), f"expected {value}, got {got}")
        else:
            equal(got, value)
        if isinstance(value, D):
            equal(str(got), str(value))
    check.__name__ = "function " + expression
    behaviour(check)


for _case in CASES:
    case(*_case)


def now(expression, kind):
    def check(env):
        value = env.rows(f"SELECT {expression} FROM {table(env)} WHERE k = 1")[0][0]
        true(isinstance(value, kind), f"{expression} is {type(value).__name__}")
    check.__name__ = "function " + expression
    behaviour(check)


for _expression, _kind in [
        ("now()", uuid.UUID), ("uuid()", uuid.UUID), ("current_timeuuid()", uuid.UUID),
        ("currentTimeUUID()", uuid.UUID), ("current_timestamp()", datetime.datetime),
        ("currentTimestamp()", datetime.datetime), ("current_date()", Date), ("currentDate()", Date),
        ("min_timeuuid(ts)", uuid.UUID), ("maxTimeuuid(ts)", uuid.UUID), ("current_time()", Time),
        ("minTimeuuid(ts)", uuid.UUID), ("max_timeuuid(ts)", uuid.UUID), ("currentTime()", Time),
        ("to_date(now())", Date)]:
    now(_expression, _kind)


@behaviour
def the_smallest_and_largest_timeuuid_of_a_time(env):
    low, own, high = env.rows(
        f"SELECT min_timeuuid(to_timestamp(tu)), tu, max_timeuuid(to_timestamp(tu)) FROM {table(env)} WHERE k = 1")[0]
    true(low.time <= own.time <= high.time, "the own one lies between them")


@behaviour
def two_calls_of_now_differ(env):
    first, second = env.rows(f"SELECT uuid(), uuid() FROM {table(env)} WHERE k = 1")[0]
    true(first != second, "two calls of uuid() give two identifiers")


@behaviour
def token_of_bind_markers(env):
    name = env.table("a int, b text, PRIMARY KEY ((a, b))")
    for a in range(20):
        env.execute(f"INSERT INTO {name} (a, b) VALUES ({a}, 'x')")
    ordered = env.rows(f"SELECT a FROM {name}")
    statement = env.session.prepare(f"SELECT a FROM {name} WHERE token(a, b) > token(?, ?)")
    equal(env.rows(statement, (ordered[9][0], "x")), ordered[10:])
    statement = env.session.prepare(f"SELECT a FROM {name} WHERE token(a, b) <= token(?, 'x')")
    equal(env.rows(statement, (ordered[9][0],)), ordered[:10])


@behaviour
def functions_name_their_result_column(env):
    equal(env.session.execute(
        f"SELECT toDate(ts), abs(i), count(*), max(i), token(k) FROM {table(env)} WHERE k = 1").column_names,
        ["system.todate(ts)", "system.abs(i)", "count", "system.max(i)", "system.token(k)"])


@behaviour
def functions_in_values_and_conditions(env):
    name = env.table("k int PRIMARY KEY, v blob, d date, m set<text>")
    env.execute(f"INSERT INTO {name} (k, v, d) VALUES (abs(-3), int_as_blob(5), to_date(now()))")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = abs(3)"), [(b"\x00\x00\x00\x05",)])


@behaviour
def a_token_is_a_value_too(env):
    name = env.table("k int PRIMARY KEY, t bigint, b blob")
    env.execute(f"INSERT INTO {name} (k, t, b) VALUES (1234, token(1234), token(1234))")
    token = env.rows(f"SELECT token(k) FROM {name}")[0][0]
    equal(env.rows(f"SELECT t, b FROM {name}"), [(token, token.to_bytes(8, "big", signed=True))])
    env.execute(f"UPDATE {name} SET t = token(7) WHERE k = 7")
    equal(env.rows(f"SELECT t FROM {name} WHERE t = token(7) AND token(k) = token(7) ALLOW FILTERING"),
          env.rows(f"SELECT token(k) FROM {name} WHERE k = 7"))


@behaviour
def functions_of_any_type_know_the_types_of_literals(env):
    equal(env.rows(f"SELECT to_json(5), to_json('a'), collection_count([1, 2]), collection_sum({{1, 2}}), "
                   f"map_values({{1: 'a'}}), mask_inner('abc', 1, 1) FROM {table(env)} WHERE k = 1"),
          [("5", '"a"', 2, 3, ["a"], "a*c")])


@behaviour
def the_mask_of_a_vector_is_bounded(env):
    name = env.table("k int PRIMARY KEY, v vector<int, 2147483647>, w vector<int, 3>")
    env.execute(f"INSERT INTO {name} (k, w) VALUES (1, [1, 2, 3])")
    equal(env.rows(f"SELECT v, mask_default(w) FROM {name}"), [(None, [0, 0, 0])])
    env.refused(InvalidRequest, "has more than 16777216 bytes",
                lambda: env.execute(f"SELECT mask_default(v) FROM {name}"))


NONE_MATCH = "none of its type signatures match (known type signatures: "
refusals([
    ("an unknown function", "SELECT nope(i) FROM $t", InvalidRequest, "Unknown function 'nope'"),
    ("dateOf, which is gone", "SELECT dateOf(tu) FROM $t", InvalidRequest, "Unknown function 'dateof'"),
    ("unixTimestampOf, which is gone", "SELECT unixTimestampOf(tu) FROM $t", InvalidRequest,
     "Unknown function 'unixtimestampof'"),
    ("a function of another keyspace", "SELECT nowhere.abs(i) FROM $t", InvalidRequest,
     "Unknown function 'nowhere.abs'"),
    ("no overload", "SELECT to_date(i) FROM $t", InvalidRequest,
     "Invalid call to function system.to_date, " + NONE_MATCH +
     "system.to_date : (timeuuid) -> date, system.to_date : (timestamp) -> date)"),
    ("no overload of a number", "SELECT abs(s) FROM $t", InvalidRequest,
     "Invalid call to function system.abs, " + NONE_MATCH + "system.abs : (tinyint) -> tinyint"),
    ("several overloads", "SELECT abs(?) FROM $t", InvalidRequest, ""),
    ("an argument of another type", "SELECT min_timeuuid(i) FROM $t", InvalidRequest,
     "Type error: i cannot be passed as argument 0 of function system.min_timeuuid of type timestamp"),
    ("too many arguments", "SELECT now(i) FROM $t", InvalidRequest,
     "Invalid number of arguments in call to function system.now: 0 required but 1 provided"),
    ("too few arguments", "SELECT min_timeuuid() FROM $t", InvalidRequest,
     "Invalid number of arguments in call to function system.min_timeuuid: 1 required but 0 provided"),
    ("too few arguments of floor", "SELECT floor(ts) FROM $t", InvalidRequest, NONE_MATCH),
    ("a result that does not fit", "INSERT INTO $t (k, i) VALUES (1, now())", InvalidRequest,
     "Type error: cannot assign result of function system.now (type timeuuid) to i (type int)"),
    ("bytes that are no value", "SELECT blob_as_int(0x01) FROM $t", InvalidRequest,
     "In call to function system.blob_as_int, value 0x01 is not a valid binary representation for type int"),
    ("bytes that are no value, by the old name", "SELECT blobAsInt(0x01) FROM $t", InvalidRequest,
     "In call to function system.blobasint, value 0x01 is not a valid binary representation for type int"),
    ("a number as a counter", "SELECT counter_as_blob(b) FROM $t", InvalidRequest,
     "Type error: b cannot be passed as argument 0 of function system.counter_as_blob of type counter"),
    ("an aggregate in a condition", "SELECT k FROM $t WHERE k = sum((int) 4)", InvalidRequest,
     "Aggregation function are not supported in the where clause"),
    ("an aggregate as a value", "INSERT INTO $t (k, i) VALUES (1, max(1))", InvalidRequest,
     "Aggregation function are not supported in the where clause"),
    ("the similarity of a text", "SELECT similarity_cosine(v, 'x') FROM $t", InvalidRequest,
     "Function system.similarity_cosine requires a float vector argument, but found argument 'x' of type ascii"),
    ("the similarity of sets", "SELECT similarity_cosine({1.0, 2.0}, {3.0, 4.0}) FROM $t", InvalidRequest,
     "Function system.similarity_cosine requires a float vector argument"),
    ("map_keys of a list", "SELECT map_keys(l) FROM $t", InvalidRequest,
     "Function system.map_keys requires a map argument, but found argument l of type list<int>"),
    ("map_values of a set", "SELECT map_values(st) FROM $t", InvalidRequest,
     "Function system.map_values requires a map argument, but found argument st of type set<int>"),
    ("collection_count of a number", "SELECT collection_count(i) FROM $t", InvalidRequest,
     "Function system.collection_count requires a collection argument, but found argument i of type int"),
    ("collection_min of a map", "SELECT collection_min(m) FROM $t", InvalidRequest,
     "Function system.collection_min requires a set or list argument, but found argument m of type map<text, int>"),
    ("collection_sum of texts", "SELECT collection_sum(lt) FROM $t", InvalidRequest,
     "Function system.collection_sum requires a numeric set/list argument, but found argument lt of type list<text>"),
    ("collection_avg of a map", "SELECT collection_avg(m) FROM $t", InvalidRequest,
     "Function system.collection_avg requires a numeric set/list argument"),
    ("collection_count of nothing", "SELECT collection_count() FROM $t", InvalidRequest,
     "Invalid number of arguments for function system.collection_count"),
    ("vectors of two lengths", "SELECT similarity_cosine(v, w) FROM $t", InvalidRequest,
     "All arguments must have the same vector dimensions"),
    ("vectors and a number", "SELECT similarity_cosine(v, i) FROM $t", InvalidRequest,
     "Function system.similarity_cosine requires a float vector argument, but found argument i of type int"),
    ("a literal vector of another length", "SELECT similarity_cosine(v, [1.0]) FROM $t", InvalidRequest, ""),
    ("a vector of zeros", "SELECT similarity_cosine(v, [0.0, 0.0]) FROM $t", InvalidRequest,
     "Function system.similarity_cosine doesn't support all-zero vectors"),
    ("two nulls for vectors", "SELECT similarity_cosine(null, null) FROM $t", InvalidRequest,
     "Cannot infer type of argument"),
    ("mask_inner of a number", "SELECT mask_inner(i, 1, 1) FROM $t", InvalidRequest,
     "Function system.mask_inner requires an argument of type [text|varchar|ascii]"),
    ("mask_hash by an unknown algorithm", "SELECT mask_hash(i, 'áéíóú') FROM $t", InvalidRequest,
     "Hash algorithm not found: áéíóú"),
    ("mask_hash of three arguments", "SELECT mask_hash(i, 'MD5', 1) FROM $t", InvalidRequest,
     "Invalid number of arguments for function system.mask_hash"),
    ("a padding of two characters", "SELECT mask_inner(s, 1, 1, 'ab') FROM $t", InvalidRequest,
     "should be single-character, but 'ab' has 2 characters"),
    ("mask_replace by another type", "SELECT mask_replace(i, 'x') FROM $t", InvalidRequest, "Type error"),
    ("the logarithm of zero", "SELECT log((decimal)0) FROM $t", FunctionFailure,
     "Natural log of number zero or less"),
    ("the decimal logarithm of less", "SELECT log10((decimal)-1) FROM $t", FunctionFailure,
     "Log10 of number zero or less"),
    ("floor with a negative duration", "SELECT floor(ts, -1h) FROM $t", InvalidRequest,
     "Negative durations are not supported by the floor function"),
    ("floor from a later start", "SELECT floor(ts, 1h, '2020-01-01') FROM $t", InvalidRequest,
     "The floor function starting time is greater than the provided time"),
    ("floor of a date by hours", "SELECT floor(d, 1h) FROM $t", InvalidRequest,
     "precision is below 1 day"),
    ("floor of a time by days", "SELECT floor(t, 2d) FROM $t", InvalidRequest,
     "the floor can only be computed for durations smaller that a day"),
    ("token of two values", "SELECT token(1, 2) FROM $t", InvalidRequest,
     "Invalid number of arguments in call to function system.token: 1 required but 2 provided"),
    ("token of a text", "SELECT token('x') FROM $t", InvalidRequest, "cannot be passed as argument 0"),
], names)
