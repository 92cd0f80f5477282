"""Every scalar type and the frozen ones: round trips as bound values and as text, order, null."""

import datetime
import decimal
import hashlib
import ipaddress
import math
import struct
import uuid

from cassandra import InvalidRequest
from cassandra.query import BatchStatement
from cassandra.util import Date, Duration, Time

from harness import behaviour, equal, refusals, true

UUID = uuid.UUID("123e4567-e89b-12d3-a456-426614174000")
TIMEUUID = uuid.UUID("e1a4b9f0-0b5a-11ee-be56-0242ac120002")

# name: [(value to bind, literal in CQL)], in the order of the type.
VALUES = {
    "ascii": [("", "''"), ("A", "'A'"), ("a'b", "'a''b'"), ("z" * 1000, None)],
    "text": [("", "''"), ("a", "'a'"), ("\u00e9", "'\u00e9'"), ("\U0001f600", "$$\U0001f600$$")],
    "tinyint": [(-128, "-128"), (0, "0"), (127, "127")],
    "smallint": [(-32768, "-32768"), (0, "0"), (32767, "32767")],
    "int": [(-2**31, "-2147483648"), (-1, "-1"), (0, "0"), (2**31 - 1, "2147483647")],
    "bigint": [(-2**63, "-9223372036854775808"), (0, "0"), (2**63 - 1, "9223372036854775807")],
    "varint": [
        (-10**60, "-1" + "0" * 60), (-129, "-129"), (-128, "-128"), (-1, "-1"), (0, "0"),
        (127, "127"), (128, "128"), (255, "255"), (10**60, "1" + "0" * 60)],
    "decimal": [
        (decimal.Decimal("-1E+40"), "-1E+40"), (decimal.Decimal("-0.5"), "-0.5"),
        (decimal.Decimal("0"), "0"), (decimal.Decimal("1E-40"), "1E-40"),
        (decimal.Decimal("1.5"), "1.5"), (decimal.Decimal("3.14159265358979323846264338327950"),
                                         "3.14159265358979323846264338327950")],
    "float": [
        (-math.inf, "-Infinity"), (-1.5, "-1.5"), (0.0, "0"), (1.0, "1"), (1.5, "1.5e0"),
        (math.inf, "Infinity")],
    "double": [
        (-math.inf, "-Infinity"), (-1.7976931348623157e308, "-1.7976931348623157e308"),
        (-0.1, "-0.1"), (0.0, "0.0"), (5e-324, "4.9E-324"), (1.0, "1"), (math.inf, "Infinity")],
    "boolean": [(False, "false"), (True, "TRUE")],
    "blob": [(b"", "0x"), (b"\x00", "0x00"), (b"\x00\xff", "0x00FF"), (b"\xff" * 100, None)],
    "inet": [
        ("0.0.0.0", "'0.0.0.0'"), ("127.0.0.1", "'127.0.0.1'"),
        ("255.255.255.255", "'255.255.255.255'")],
    "uuid": [(uuid.UUID(int=0), str(uuid.UUID(int=0))), (UUID, str(UUID))],
    "timeuuid": [(TIMEUUID, str(TIMEUUID))],
    "date": [
        (Date(-(2**31)), None), (Date(-1), "'1969-12-31'"), (Date(0), "'1970-01-01'"),
        (Date(19000), "'2022-01-08'"), (Date(2**31 - 1), None)],
    "time": [
        (Time(0), "'00:00:00'"), (Time(1), "'00:00:00.000000001'"),
        (Time(86_399_999_999_999), "'23:59:59.999999999'")],
    "timestamp": [
        (datetime.datetime(1, 1, 1), None),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), "'1969-12-31 23:59:59.999+0000'"),
        (datetime.datetime(1970, 1, 1), "0"),
        (datetime.datetime(2024, 2, 29, 12, 30, 15, 250000), "'2024-02-29T12:30:15.250Z'"),
        (datetime.datetime(9999, 12, 31), None)],
    "duration": [
        (Duration(0, 0, 0), None), (Duration(1, 2, 3), "1mo2d3ns"),
        (Duration(-14, -3, -4000000000), "-1y2mo3d4s")],
}

NO_KEYS = {"duration"}
NO_EMPTY_KEYS = {"ascii", "text", "blob"}


def table(env, kind):
    return env.shared(kind, lambda: env.table(f"k int PRIMARY KEY, v {kind}"))


def round_trip(kind, values):
    def check(env):
        name = table(env, kind)
        write = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
        read = env.session.prepare(f"SELECT v FROM {name} WHERE k = ?")
        for number, (value, _) in enumerate(values):
            env.execute(write, (number, value))
            equal(env.rows(read, (number,)), [(value,)], f"bound {kind}")
    check.__name__ = f"{kind} values come back as they were bound"
    return check


def literals(kind, values):
    def check(env):
        name = table(env, kind)
        for number, (value, literal) in enumerate(values):
            if literal is None:
                continue
            env.execute(f"INSERT INTO {name} (k, v) VALUES ({100 + number}, {literal})")
            equal(env.rows(f"SELECT v FROM {name} WHERE k = {100 + number}"), [(value,)], literal)
    check.__name__ = f"{kind} literals mean the same as bound values"
    return check


def null(kind):
    def check(env):
        name = table(env, kind)
        write = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
        env.execute(write, (200, None))
        equal(env.rows(f"SELECT v FROM {name} WHERE k = 200"), [(None,)])
        env.execute(f"INSERT INTO {name} (k, v) VALUES (201, null)")
        equal(env.rows(f"SELECT v FROM {name} WHERE k = 201"), [(None,)])
    check.__name__ = f"{kind} can be null, bound and as a literal"
    return check


def keys(kind, values):
    def check(env):
        name = env.table(f"p int, c {kind}, PRIMARY KEY (p, c)")
        single = env.table(f"k {kind} PRIMARY KEY")
        write = env.session.prepare(f"INSERT INTO {name} (p, c) VALUES (1, ?)")
        write_key = env.session.prepare(f"INSERT INTO {single} (k) VALUES (?)")
        read_key = env.session.prepare(f"SELECT k FROM {single} WHERE k = ?")
        read_one = env.session.prepare(f"SELECT c FROM {name} WHERE p = 1 AND c = ?")
        ordered = [value for value, _ in values]
        for value in reversed(ordered):
            env.execute(write, (value,))
            equal(env.rows(read_one, (value,)), [(value,)], "one row")
            if kind in NO_EMPTY_KEYS and len(value) == 0:
                env.refused(
                    InvalidRequest, "Key may not be empty",
                    lambda value=value: env.execute(write_key, (value,)))
            else:
                env.execute(write_key, (value,))
                equal(env.rows(read_key, (value,)), [(value,)], "one partition")
        equal([row[0] for row in env.rows(f"SELECT c FROM {name} WHERE p = 1")], ordered)
        equal(
            [row[0] for row in env.rows(f"SELECT c FROM {name} WHERE p = 1 ORDER BY c DESC")],
            ordered[::-1])
    check.__name__ = f"{kind} is ordered as a clustering column and found as a key"
    return check


for _kind, _values in VALUES.items():
    behaviour(round_trip(_kind, _values))
    behaviour(literals(_kind, _values))
    behaviour(null(_kind))
    if _kind not in NO_KEYS:
        behaviour(keys(_kind, _values))


@behaviour
def not_a_number_comes_back(env):
    for kind in ("float", "double"):
        name = table(env, kind)
        env.execute(f"INSERT INTO {name} (k, v) VALUES (300, NaN)")
        true(math.isnan(env.rows(f"SELECT v FROM {name} WHERE k = 300")[0][0]), kind)


@behaviour
def zeros_and_what_is_no_number_have_their_places_in_the_order(env):
    places = ["-inf", "-1.0", "-0.0", "0.0", "1.0", "inf", "nan"]
    for kind in ("float", "double"):
        name = env.table(f"p int, c {kind}, v int, PRIMARY KEY (p, c)")
        single = env.table(f"k {kind} PRIMARY KEY")
        write = env.session.prepare(f"INSERT INTO {name} (p, c, v) VALUES (1, ?, 1)")
        write_key = env.session.prepare(f"INSERT INTO {single} (k) VALUES (?)")
        read = env.session.prepare(f"SELECT c FROM {name} WHERE p = 1 AND c = ?")
        read_key = env.session.prepare(f"SELECT k FROM {single} WHERE k = ?")
        for text in ("nan", "inf", "0.0", "1.0", "-0.0", "-1.0", "-inf"):
            env.execute(write, (float(text),))
            env.execute(write_key, (float(text),))
        found = lambda rows: [repr(row[0]) for row in rows]
        equal(found(env.rows(f"SELECT c FROM {name} WHERE p = 1")), places, kind)
        equal(found(env.rows(f"SELECT c FROM {name} WHERE p = 1 ORDER BY c DESC")), places[::-1], kind)
        equal(found(env.rows(f"SELECT c FROM {name} WHERE p = 1 AND c < 0.0")), places[:3], kind)
        equal(found(env.rows(f"SELECT c FROM {name} WHERE p = 1 AND c > Infinity")), ["nan"], kind)
        for text in places:
            equal(found(env.rows(read, (float(text),))), [text], f"{kind} as a clustering column")
            equal(found(env.rows(read_key, (float(text),))), [text], f"{kind} as a key")


@behaviour
def numbers_of_thousands_of_digits_come_back(env):
    name = env.table("k int PRIMARY KEY, v varint, d decimal")
    write = env.session.prepare(f"INSERT INTO {name} (k, v, d) VALUES (?, ?, ?)")
    whole, fraction = 7**4000, decimal.Decimal((1, tuple(int(digit) for digit in str(7**3000)), -4000))
    env.execute(write, (1, whole, fraction))
    env.execute(write, (2, -whole, fraction.copy_negate()))
    env.execute(f"INSERT INTO {name} (k, v, d) VALUES (3, {whole}, 1E-100000)")
    rows = {row[0]: row[1:] for row in env.rows(f"SELECT k, v, d FROM {name}")}
    equal(rows, {1: (whole, fraction), 2: (-whole, fraction.copy_negate()),
                 3: (whole, decimal.Decimal((0, (1,), -100000)))})
    equal(rows[1][1].as_tuple(), fraction.as_tuple(), "the scale")


MAY_BE_EMPTY = {
    "ascii", "bigint", "blob", "boolean", "decimal", "double", "float", "inet", "int", "text", "timestamp", "timeuuid",
    "uuid", "varint"}


def empty(kind):
    def check(env):
        name = env.table(f"k int PRIMARY KEY, v {kind}")
        bound = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)").bind((1, None))
        bound.values[1] = b""
        if kind not in MAY_BE_EMPTY:
            env.refused(InvalidRequest, "Expected", lambda: env.execute(bound))
            return
        env.execute(bound)
        env.execute(f"INSERT INTO {name} (k) VALUES (2)")
        shown = "v" if kind == "blob" else f"{kind}_as_blob(v)"
        equal(env.rows(f"SELECT {shown} FROM {name} WHERE k = 1"), [(b"",)])
        equal(env.rows(f"SELECT {shown} FROM {name} WHERE k = 2"), [(None,)])
        value = "0x" if kind == "blob" else f"blob_as_{kind}(0x)"
        equal(env.rows(f"SELECT k FROM {name} WHERE v = {value} ALLOW FILTERING"), [(1,)])
    check.__name__ = f"{kind} without bytes is a value or refused"
    return check


def blob_conversions(kind, values):
    def check(env):
        name = env.table(f"k int PRIMARY KEY, v {kind}, b blob")
        write = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
        there = f"{kind}_as_blob(v), {kind}AsBlob(v), varcharAsBlob(v)" if kind == "text" else (
            f"{kind}_as_blob(v), {kind}AsBlob(v)")
        for number, (value, _) in enumerate(values):
            env.execute(write, (number, value))
            found = env.rows(f"SELECT {there} FROM {name} WHERE k = {number}")[0]
            equal(len(set(found)), 1, f"the names mean the same: {found}")
            text = "0x" + found[0].hex()
            for function in (f"blob_as_{kind}", f"blobAs{kind.capitalize()}"):
                equal(env.rows(f"SELECT {function}({text}) FROM {name} WHERE k = {number}"), [(value,)], text)
                env.execute(f"INSERT INTO {name} (k, v) VALUES (99, {function}({text}))")
                equal(env.rows(f"SELECT v FROM {name} WHERE k = 99"), [(value,)], f"written by {function}")
    check.__name__ = f"{kind} goes into a blob and back by the old and the new names"
    return check


for _kind, _values in VALUES.items():
    behaviour(empty(_kind))
    if _kind != "blob":
        behaviour(blob_conversions(_kind, _values))


@behaviour
def every_part_of_a_timestamp_may_stand_in_every_form(env):
    name = table(env, "timestamp")
    write = f"INSERT INTO {name} (k, v) VALUES (750, '%s')"
    days = datetime.datetime(2024, 3, 5)
    zones = [("", 0), ("Z", 0), (" UTC", 0), (" GMT", 0), ("+0000", 0), ("+00", 0), ("+02", 120), ("+0230", 150),
             ("+02:30", 150), ("-05", -300), ("-0530", -330), ("-05:30", -330), (" +0530", 330), (" -05:30", -330)]
    times = [("", 0), ("06:07", 22_020_000), ("06:07:08", 22_028_000), ("06:07:08.9", 22_028_900),
             ("06:07:08.98", 22_028_980), ("06:07:08.987", 22_028_987)]
    for separator in (" ", "T"):
        for time, milliseconds in times:
            for zone, minutes in zones:
                text = "2024-03-05" + (separator + time if time else "") + zone
                env.execute(write % text)
                moment = days + datetime.timedelta(milliseconds=milliseconds) - datetime.timedelta(minutes=minutes)
                equal(env.rows(f"SELECT v FROM {name} WHERE k = 750"), [(moment,)], text)


@behaviour
def now_is_a_timestamp_in_words(env):
    name = table(env, "timestamp")
    for k, text in ((760, "'now'"), (761, "'NOW'")):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({k}, {text})")
        moment = env.rows(f"SELECT v FROM {name} WHERE k = {k}")[0][0]
        true(abs(moment - datetime.datetime.utcnow()) < datetime.timedelta(minutes=5), f"{moment} is now")
    env.execute(f"""INSERT INTO {name} JSON '{{"k": 762, "v": "Now"}}'""")
    moment = env.rows(f"SELECT v FROM {name} WHERE k = 762")[0][0]
    true(abs(moment - datetime.datetime.utcnow()) < datetime.timedelta(minutes=5), f"{moment} is now")


@behaviour
def an_IPv6_address_comes_back(env):
    name = table(env, "inet")
    for number, text in enumerate(("::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4")):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({400 + number}, '{text}')")
        value = env.rows(f"SELECT v FROM {name} WHERE k = {400 + number}")[0][0]
        expected = ipaddress.ip_address(text)
        mapped = getattr(expected, "ipv4_mapped", None)
        true(ipaddress.ip_address(value) in (expected, mapped), f"{text} came back as {value}")


@behaviour
def zero_bytes_are_a_value_of_types_that_allow_it_and_differ_from_null(env):
    table_of_ints = env.table("k int PRIMARY KEY, v int")
    env.execute(f"INSERT INTO {table_of_ints} (k, v) VALUES (1, blob_as_int(0x))")
    text = table(env, "text")
    env.execute(f"INSERT INTO {text} (k, v) VALUES (500, '')")
    equal(env.rows(f"SELECT v FROM {text} WHERE k = 500"), [("",)])
    rows = env.rows(f"SELECT k, v FROM {table_of_ints}")
    equal(len(rows), 1)


@behaviour
def the_scale_of_a_decimal_is_kept(env):
    name = table(env, "decimal")
    for number, text in enumerate(("1.0", "1.00", "100", "1E+2", "0.000")):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({600 + number}, {text})")
        value = env.rows(f"SELECT v FROM {name} WHERE k = {600 + number}")[0][0]
        equal(value.as_tuple(), decimal.Decimal(text).as_tuple(), text)


@behaviour
def timestamps_are_read_in_every_form_of_ISO_8601(env):
    name = table(env, "timestamp")
    moment = datetime.datetime(2024, 3, 5, 6, 7)
    for number, text in enumerate((
            "2024-03-05 06:07+0000", "2024-03-05 06:07:00+0000", "2024-03-05 06:07:00.000+0000",
            "2024-03-05T06:07+0000", "2024-03-05T06:07Z", "2024-03-05T06:07:00Z",
            "2024-03-05 08:07:00+0200", "2024-03-05T08:07:00.000+02:00", "2024-03-05 06:07",
            "2024-03-05T06:07:00")):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({700 + number}, '{text}')")
        equal(env.rows(f"SELECT v FROM {name} WHERE k = {700 + number}"), [(moment,)], text)
    env.execute(f"INSERT INTO {name} (k, v) VALUES (799, '2024-03-05')")
    equal(
        env.rows(f"SELECT v FROM {name} WHERE k = 799"), [(datetime.datetime(2024, 3, 5),)])


@behaviour
def durations_are_read_in_every_form(env):
    name = table(env, "duration")
    for number, (text, months, days, nanoseconds) in enumerate((
            ("1y2mo3w4d5h6m7s8ms9us10ns", 14, 25, 18_367_008_009_010),
            ("2w", 0, 14, 0), ("-12h", 0, 0, -43_200_000_000_000),
            ("P1Y2M3DT4H5M6S", 14, 3, 14_706_000_000_000), ("P2W", 0, 14, 0),
            ("P0001-02-03T04:05:06", 14, 3, 14_706_000_000_000))):
        env.execute(f"INSERT INTO {name} (k, v) VALUES ({800 + number}, {text})")
        equal(
            env.rows(f"SELECT v FROM {name} WHERE k = {800 + number}"),
            [(Duration(months, days, nanoseconds),)], text)


@behaviour
def vectors_in_vectors_come_back_however_long_their_elements_are(env):
    for kind, value, literal in (
            ("vector<vector<text, 2>, 2>", [["a", "bcd"], ["", "e" * 200]], f"[['a', 'bcd'], ['', '{'e' * 200}']]"),
            ("vector<vector<text, 1>, 1>", [["a"]], "[['a']]"),
            ("vector<vector<decimal, 1>, 2>", [[decimal.Decimal("1.5")], [decimal.Decimal("-20")]], "[[1.5], [-20]]"),
            ("vector<vector<int, 2>, 2>", [[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
            ("vector<vector<vector<varint, 1>, 2>, 1>", [[[1], [2**80]]], f"[[[1], [{2**80}]]]")):
        name = env.table(f"k int PRIMARY KEY, v {kind}")
        env.execute(f"INSERT INTO {name} (k, v) VALUES (1, {literal})")
        env.execute(env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (2, ?)"), (value,))
        env.execute(f"INSERT INTO {name} JSON '" + '{"k": 3, "v": ' + literal.replace("'", '"') + "}'")
        for k in (1, 2, 3):
            equal(env.rows(f"SELECT v FROM {name} WHERE k = {k}"), [(value,)], f"{kind} {k}")
        found = env.session.prepare(f"SELECT k FROM {name} WHERE v = ? ALLOW FILTERING")
        equal(sorted(env.rows(found, (value,))), [(1,), (2,), (3,)], kind)


@behaviour
def the_last_fields_of_a_type_are_null_and_not_left_out(env):
    """Seen by the hash of the value's bytes."""
    env.execute("CREATE TYPE IF NOT EXISTS three (a int, b text, c int)")
    table = env.table("k int PRIMARY KEY, u three, f frozen<three>")
    whole = struct.pack(">ii", 4, 7) + struct.pack(">i", -1) * 2
    env.execute(f"INSERT INTO {table} (k, u, f) VALUES (1, {{a: 7}}, {{a: 7}})")
    env.execute(f"UPDATE {table} SET u.a = 7 WHERE k = 2")
    digest = hashlib.sha256(whole).digest()
    equal(env.rows(f"SELECT mask_hash(u), mask_hash(f) FROM {table} WHERE k = 1"), [(digest, digest)])
    equal(env.rows(f"SELECT mask_hash(u) FROM {table} WHERE k = 2"), [(digest,)])
    env.execute(f"UPDATE {table} SET u.b = '' WHERE k = 2")
    middle = struct.pack(">ii", 4, 7) + struct.pack(">i", 0) + struct.pack(">i", -1)
    equal(env.rows(f"SELECT mask_hash(u) FROM {table} WHERE k = 2"), [(hashlib.sha256(middle).digest(),)])


@behaviour
def frozen_collections_tuples_and_vectors_come_back(env):
    for number, (kind, value, literal) in enumerate((
            ("frozen<list<int>>", [3, 1, 2, 1], "[3, 1, 2, 1]"),
            ("frozen<set<text>>", {"b", "a"}, "{'b', 'a'}"),
            ("frozen<map<text, int>>", {"b": 2, "a": 1}, "{'b': 2, 'a': 1}"),
            ("frozen<list<frozen<map<int, frozen<set<int>>>>>>", [{1: {2, 3}}], "[{1: {2, 3}}]"),
            ("tuple<int, text, boolean>", (1, "x", None), "(1, 'x', null)"),
            ("frozen<tuple<int, frozen<list<int>>>>", (1, [2]), "(1, [2])"),
            ("vector<float, 3>", [1.0, 2.5, -3.0], "[1.0, 2.5, -3.0]"))):
        name = env.table(f"k int PRIMARY KEY, v {kind}")
        env.execute(f"INSERT INTO {name} (k, v) VALUES (1, {literal})")
        write = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (2, ?)")
        env.execute(write, (value,))
        rows = [row[0] for row in env.rows(f"SELECT v FROM {name}")]
        equal(len(rows), 2, kind)
        for row in rows:
            same = dict(row) if isinstance(value, dict) else set(row) if isinstance(
                value, set) else tuple(row) if isinstance(value, tuple) else list(row)
            if kind.startswith("frozen<list<frozen<map"):
                same = [{k: set(v) for k, v in item.items()} for item in row]
            if kind == "frozen<tuple<int, frozen<list<int>>>>":
                same = (row[0], list(row[1]))
            equal(same, value, kind)


@behaviour
def a_frozen_collection_is_a_key(env):
    name = env.table(
        "k frozen<list<int>>, c frozen<map<text, int>>, PRIMARY KEY (k, c)")
    env.execute(f"INSERT INTO {name} (k, c) VALUES ([1, 2], {{'b': 1, 'a': 2}})")
    equal(len(env.rows(f"SELECT * FROM {name} WHERE k = [1, 2] AND c = {{'a': 2, 'b': 1}}")), 1)
    equal(env.rows(f"SELECT * FROM {name} WHERE k = [2, 1]"), [])


@behaviour
def a_set_literal_is_sorted_and_made_unique(env):
    name = env.table("k int PRIMARY KEY, v frozen<set<int>>")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, {{3, 1, 2, 1}})")
    equal(list(env.rows(f"SELECT v FROM {name}")[0][0]), [1, 2, 3])


@behaviour
def functions_of_time_and_identity_give_values_of_their_types(env):
    name = env.table("k uuid PRIMARY KEY, t timeuuid, m timestamp, d date")
    env.execute(
        f"INSERT INTO {name} (k, t, m, d) "
        "VALUES (uuid(), now(), toTimestamp(now()), toDate(now()))")
    env.execute(
        f"INSERT INTO {name} (k, t, m, d) "
        "VALUES (uuid(), now(), current_timestamp(), current_date())")
    rows = env.rows(f"SELECT k, t, m, d FROM {name}")
    equal(len(rows), 2)
    today = datetime.datetime.utcnow()
    for key, time, moment, _ in rows:
        equal((key.version, time.version), (4, 1))
        true(abs(moment - today) < datetime.timedelta(minutes=5), f"{moment} is now")


@behaviour
def conversions_to_and_from_blob_keep_the_bytes(env):
    name = env.table("k int PRIMARY KEY, b blob, i bigint, t text")
    env.execute(
        f"INSERT INTO {name} (k, b, i, t) VALUES (1, intAsBlob(258), "
        "blobAsBigint(0x0000000000000102), blob_as_text(0x616263))")
    equal(env.rows(f"SELECT b, i, t FROM {name}"), [(b"\x00\x00\x01\x02", 258, "abc")])


refusals([
    (f"{literal} as a {kind}", f"INSERT INTO ${kind} (k, v) VALUES (1, {literal})",
     InvalidRequest, phrase)
    for kind, literal, phrase in (
        ("int", "'text'", "Invalid STRING constant (text)"),
        ("int", "2147483648", "2147483648"),
        ("int", "1.5", "Invalid FLOAT constant (1.5)"),
        ("int", "true", "Invalid BOOLEAN constant (true)"),
        ("tinyint", "128", "128"),
        ("smallint", "-32769", "-32769"),
        ("bigint", "9223372036854775808", "9223372036854775808"),
        ("text", "1", "Invalid INTEGER constant (1)"),
        ("ascii", "'\u00e9'", "ascii"),
        ("boolean", "1", "Invalid INTEGER constant (1)"),
        ("blob", "'abcd'", "Invalid STRING constant (abcd)"),
        ("blob", "1", "Invalid INTEGER constant (1)"),
        ("uuid", "'not-a-uuid'", "not-a-uuid"),
        ("timeuuid", "123e4567-e89b-42d3-a456-426614174000", "version"),
        ("inet", "'300.1.1.1'", "300.1.1.1"),
        ("date", "'2024-02-30'", "2024-02-30"),
        ("time", "'25:00:00'", "25:00:00"),
        ("timestamp", "'yesterday'", "yesterday"),
        ("duration", "'soon'", "soon"),
        ("double", "'x'", "Invalid STRING constant (x)"),
        ("varint", "1.5", "Invalid FLOAT constant (1.5)"),
    )
], lambda env: {kind: table(env, kind) for kind in VALUES})

refusals([
    ("too few dimensions of a vector", "INSERT INTO $vector (k, v) VALUES (1, [1.0])",
     InvalidRequest, "vector"),
    ("null in a collection", "INSERT INTO $list (k, v) VALUES (1, [1, null])",
     InvalidRequest, "null is not supported inside collections"),
    ("too many elements in a tuple", "INSERT INTO $tuple (k, v) VALUES (1, (1, 2, 3))",
     InvalidRequest, "tuple"),
    ("a wrong type in a collection", "INSERT INTO $list (k, v) VALUES (1, ['x'])",
     InvalidRequest, "int"),
    ("an unknown function", "INSERT INTO $list (k, v) VALUES (no_such_function(), [1])",
     InvalidRequest, "Unknown function"),
], lambda env: {
    "vector": env.shared("a vector", lambda: env.table("k int PRIMARY KEY, v vector<float, 3>")),
    "list": env.shared("a list", lambda: env.table("k int PRIMARY KEY, v frozen<list<int>>")),
    "tuple": env.shared("a tuple", lambda: env.table("k int PRIMARY KEY, v tuple<int, int>")),
})


@behaviour
def bound_bytes_of_a_wrong_length_are_refused(env):
    name = table(env, "int")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    bound = statement.bind((1, 1))
    bound.values[1] = b"\x00\x01"
    env.refused(InvalidRequest, "4 or 0 byte", lambda: env.execute(bound))


@behaviour
def bound_text_that_is_not_UTF_8_is_refused(env):
    name = table(env, "text")
    bound = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)").bind((1, "x"))
    bound.values[1] = b"\xff\xfe"
    env.refused(InvalidRequest, "String didn't validate", lambda: env.execute(bound))


# The form of what is bound

@behaviour
def a_bound_set_is_one_value_whatever_order_the_driver_sends(env):
    name = env.table("k frozen<set<text>> PRIMARY KEY, v int")
    write = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    read = env.session.prepare(f"SELECT k, v FROM {name} WHERE k = ?")
    # As lists, whose order the driver keeps.
    for number, elements in enumerate((["b", "a"], ["a", "b"], ["b", "a", "b"])):
        env.execute(write, (elements, number))
    equal([(sorted(k), v) for k, v in env.rows(f"SELECT k, v FROM {name}")], [(["a", "b"], 2)])
    equal([(list(k), v) for k, v in env.execute(read, (["b", "a"],))], [(["a", "b"], 2)])
    equal(len(env.rows(f"SELECT v FROM {name} WHERE k = {{'b', 'a'}}")), 1)
    remove = env.session.prepare(f"DELETE FROM {name} WHERE k = ?")
    env.execute(remove, (["b", "a"],))
    equal(env.rows(f"SELECT v FROM {name}"), [])


@behaviour
def a_bound_map_is_one_value_also_in_a_tuple_and_in_a_batch(env):
    name = env.table("k int, c frozen<map<int, int>>, t frozen<tuple<int, frozen<set<int>>>>, PRIMARY KEY (k, c)")
    write = env.session.prepare(f"INSERT INTO {name} (k, c, t) VALUES (1, ?, ?)")
    env.execute(write, ({1: 1, 2: 2}, (1, [3, 2])))
    batch = BatchStatement()
    batch.add(write, ({2: 2, 1: 1}, (1, [2, 3, 3])))
    batch.add(write, ({3: 3}, (1, [9, 8])))
    env.execute(batch)
    equal([(dict(c), t[0], list(t[1])) for c, t in env.rows(f"SELECT c, t FROM {name}")],
          [({1: 1, 2: 2}, 1, [2, 3]), ({3: 3}, 1, [8, 9])])
    named = env.session.prepare(f"SELECT t FROM {name} WHERE k = 1 AND c IN ?")
    equal(len(list(env.execute(named, ([{2: 2, 1: 1}, {3: 3}],)))), 2)
    where = env.session.prepare(f"SELECT c FROM {name} WHERE t = ? ALLOW FILTERING")
    equal(len(list(env.execute(where, ((1, [3, 2]),)))), 1)


@behaviour
def a_condition_compares_a_bound_set_by_its_elements(env):
    name = env.table("k int PRIMARY KEY, s set<int>, f frozen<set<int>>")
    env.execute(f"INSERT INTO {name} (k, s, f) VALUES (1, {{1, 2}}, {{1, 2}})")
    for column in ("s", "f"):
        check = env.session.prepare(f"UPDATE {name} SET {column} = ? WHERE k = 1 IF {column} = ?")
        equal([row[0] for row in env.execute(check, ([2, 1], [2, 1]))], [True], column)
