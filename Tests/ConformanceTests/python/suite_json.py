"""SELECT JSON, INSERT JSON, to_json and from_json: every type, and what is refused."""

import json

from cassandra import FunctionFailure, InvalidRequest

from harness import behaviour, equal, refusals

# type: (literal in CQL, JSON as it is shown, other forms of JSON that mean the same)
TYPES = {
    "ascii": ("'abc'", '"abc"', []),
    "text": ("'a\"b\\c'", '"a\\"b\\\\c"', []),
    "varchar": ("'\u00e9\u4e16'", '"\u00e9\u4e16"', ['"\\u00e9\\u4e16"']),
    "tinyint": ("-7", "-7", ['"-7"']),
    "smallint": ("300", "300", ['"300"']),
    "int": ("-5", "-5", ['"-5"', " -5 "]),
    "bigint": ("9223372036854775807", "9223372036854775807", ['"9223372036854775807"']),
    "varint": ("123456789012345678901234567890", "123456789012345678901234567890",
               ['"123456789012345678901234567890"']),
    "decimal": ("1.50", "1.50", ['"1.50"']),
    "float": ("1.5", "1.5", ['"1.5"', "15e-1"]),
    "double": ("1e20", "1.0E20", ['"1e20"', "100000000000000000000"]),
    "boolean": ("true", "true", ['"true"']),
    "blob": ("0xcafe", '"0xcafe"', ['"0xCAFE"']),
    "inet": ("'127.0.0.1'", '"127.0.0.1"', []),
    "uuid": ("6bddc89a-5644-11e4-97fc-56847afe9799", '"6bddc89a-5644-11e4-97fc-56847afe9799"', []),
    "timeuuid": ("6bddc89a-5644-11e4-97fc-56847afe9799",
                 '"6bddc89a-5644-11e4-97fc-56847afe9799"', []),
    "date": ("'2020-02-29'", '"2020-02-29"', []),
    "time": ("'10:20:30.5'", '"10:20:30.500000000"', ['"10:20:30.5"']),
    "timestamp": ("'2014-01-01 00:00:00+0000'", '"2014-01-01 00:00:00.000Z"',
                  ["1388534400000", '"2014-01-01T00:00:00Z"']),
    "duration": ("1y2mo3d", '"1y2mo3d"', ['"P1Y2M3D"']),
    "list<int>": ("[1, 2]", "[1, 2]", ['"[1, 2]"', '["1", "2"]']),
    "set<text>": ("{'b', 'a'}", '["a", "b"]', ['["b", "a", "a"]']),
    "map<int, text>": ("{2: 'b', 1: 'a'}", '{"1": "a", "2": "b"}', []),
    "map<text, frozen<list<int>>>": ("{'x': [1]}", '{"x": [1]}', []),
    "frozen<list<int>>": ("[3]", "[3]", []),
    "frozen<tuple<int, text, float>>": ("(1, null, 2.5)", '[1, null, 2.5]', []),
    "frozen<pair>": ("{x: 1, \"Y\": 'q'}", '{"x": 1, "\\"Y\\"": "q"}', []),
    "pair": ("{x: 1, \"Y\": 'q'}", '{"x": 1, "\\"Y\\"": "q"}', []),
    "vector<float, 2>": ("[1.0, 2.5]", "[1.0, 2.5]", ["[1, 2.5]"]),
}


def table(env):
    def make():
        env.execute('CREATE TYPE pair (x int, "Y" text)') if env.session else None
        columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(TYPES))
        return env.table(f'k int PRIMARY KEY, {columns}, "Case" int')
    return env.shared("table", make)


def shown(kind, column, place):
    literal, text, others = TYPES[kind]

    def check(env):
        env.execute(f"INSERT INTO {table(env)} (k, {column}) VALUES ({place}, {literal})")
        row = env.rows(f"SELECT JSON {column} FROM {table(env)} WHERE k = {place}")[0][0]
        equal(row, '{"%s": %s}' % (column, text))
        json.loads(row)
    check.__name__ = f"{kind} is shown as JSON"
    behaviour(check)

    def function(env):
        env.execute(f"INSERT INTO {table(env)} (k, {column}) VALUES ({place}, {literal})")
        for name in ("to_json", "toJson"):
            equal(env.rows(f"SELECT {name}({column}) FROM {table(env)} WHERE k = {place}"), [(text,)])
    function.__name__ = f"to_json of {kind}"
    behaviour(function)

    def inserted(env):
        env.execute(f"INSERT INTO {table(env)} (k, {column}) VALUES ({place}, {literal})")
        expected = env.rows(f"SELECT {column} FROM {table(env)} WHERE k = {place}")
        for form in [text] + others:
            env.execute(f"INSERT INTO {table(env)} JSON %s", ('{"k": 1000, "%s": %s}' % (column, form),))
            equal(env.rows(f"SELECT {column} FROM {table(env)} WHERE k = 1000"), expected, form)
    inserted.__name__ = f"{kind} is read from JSON"
    behaviour(inserted)

    def converted(env):
        env.execute(f"INSERT INTO {table(env)} (k, {column}) VALUES ({place}, {literal})")
        expected = env.rows(f"SELECT {column} FROM {table(env)} WHERE k = {place}")
        for name in ("from_json", "fromJson"):
            env.execute(
                f"INSERT INTO {table(env)} (k, {column}) VALUES (1001, {name}(%s))", (text,))
            equal(env.rows(f"SELECT {column} FROM {table(env)} WHERE k = 1001"), expected)
    converted.__name__ = f"from_json of {kind}"
    behaviour(converted)


for _place, _kind in enumerate(TYPES):
    shown(_kind, f"c{_place}", _place)


@behaviour
def a_row_of_all_columns_is_one_object(env):
    name = env.table("k int, c text, v int, s int static, PRIMARY KEY (k, c)")
    env.execute(f"INSERT INTO {name} (k, c, v, s) VALUES (1, 'a', 2, 3)")
    equal(env.rows(f"SELECT JSON * FROM {name}"), [('{"k": 1, "c": "a", "s": 3, "v": 2}',)])


@behaviour
def the_one_column_is_called_json(env):
    result = env.session.execute(f"SELECT JSON k FROM {table(env)} LIMIT 1")
    equal(result.column_names, ["[json]"])


@behaviour
def null_is_null_in_JSON(env):
    env.execute(f"INSERT INTO {table(env)} (k) VALUES (2000)")
    equal(env.rows(f"SELECT JSON k, c5 FROM {table(env)} WHERE k = 2000"), [('{"k": 2000, "c5": null}',)])


@behaviour
def names_that_are_not_lower_case_keep_their_quotes(env):
    env.execute(f'INSERT INTO {table(env)} JSON \'{{"k": 2001, "\\"Case\\"": 5, "C5": 6}}\'')
    equal(env.rows(f'SELECT "Case", c5 FROM {table(env)} WHERE k = 2001'), [(5, 6)])
    equal(env.rows(f'SELECT JSON k, "Case" FROM {table(env)} WHERE k = 2001'),
          [('{"k": 2001, "\\"Case\\"": 5}',)])


@behaviour
def aliases_and_functions_name_the_members(env):
    env.execute(f"INSERT INTO {table(env)} (k, c5) VALUES (2002, 4)")
    equal(env.rows(f"SELECT JSON k AS id, c5 + 1 AS next FROM {table(env)} WHERE k = 2002"),
          [('{"id": 2002, "next": 5}',)])


@behaviour
def infinite_numbers_are_null_in_JSON(env):
    env.execute(f"INSERT INTO {table(env)} (k, c9, c10) VALUES (2003, NaN, -Infinity)")
    equal(env.rows(f"SELECT JSON c9, c10 FROM {table(env)} WHERE k = 2003"),
          [('{"c9": null, "c10": null}',)])


@behaviour
def distinct_as_JSON(env):
    name = env.table("k int, c int, PRIMARY KEY (k, c)")
    for c in range(3):
        env.execute(f"INSERT INTO {name} (k, c) VALUES (1, {c})")
    equal(env.rows(f"SELECT JSON DISTINCT k FROM {name}"), [('{"k": 1}',)])


@behaviour
def JSON_with_paging(env):
    from cassandra.query import SimpleStatement
    name = env.table("k int, c int, PRIMARY KEY (k, c)")
    for c in range(7):
        env.execute(f"INSERT INTO {name} (k, c) VALUES (1, {c})")
    rows = env.rows(SimpleStatement(f"SELECT JSON c FROM {name}", fetch_size=2))
    equal(rows, [('{"c": %d}' % c,) for c in range(7)])


def missing(clause, expected):
    def check(env):
        env.execute(f"INSERT INTO {table(env)} (k, c5, c1) VALUES (2004, 1, 'x')")
        env.execute(f"INSERT INTO {table(env)} JSON '{{\"k\": 2004, \"c5\": 2}}' {clause}")
        equal(env.rows(f"SELECT c5, c1 FROM {table(env)} WHERE k = 2004"), [(2, expected)])
    check.__name__ = f"columns that the text does not name: {clause or 'no clause'}"
    behaviour(check)


for _clause, _expected in (("", None), ("DEFAULT NULL", None), ("DEFAULT UNSET", "x")):
    missing(_clause, _expected)


@behaviour
def INSERT_JSON_takes_a_timestamp_and_a_time_to_live(env):
    env.execute(
        f"INSERT INTO {table(env)} JSON '{{\"k\": 2005, \"c5\": 2}}' USING TIMESTAMP 1000 AND TTL 5000")
    row = env.rows(f"SELECT writetime(c5), ttl(c5) FROM {table(env)} WHERE k = 2005")[0]
    equal(row[0], 1000)
    equal(4000 < row[1] <= 5000, True)


@behaviour
def INSERT_JSON_is_prepared_with_one_marker(env):
    statement = env.session.prepare(f"INSERT INTO {table(env)} JSON ?")
    equal([column.name for column in statement.column_metadata], ["[json]"])
    for k in (2006, 2007):
        env.execute(statement, ('{"k": %d, "c5": %d}' % (k, k),))
        equal(env.rows(f"SELECT c5 FROM {table(env)} WHERE k = {k}"), [(k,)])


@behaviour
def INSERT_JSON_in_a_batch(env):
    env.execute(
        f"BEGIN BATCH INSERT INTO {table(env)} JSON '{{\"k\": 2008, \"c5\": 1}}'; "
        f"INSERT INTO {table(env)} JSON '{{\"k\": 2009, \"c5\": 2}}'; APPLY BATCH")
    equal(env.rows(f"SELECT c5 FROM {table(env)} WHERE k IN (2008, 2009)"), [(1,), (2,)])


def names(env):
    return {"t": table(env)}


def wrong(name, text, phrase):
    return (name, "INSERT INTO $t JSON '%s'" % text, InvalidRequest, phrase)


COLUMN = {kind: f"c{place}" for place, kind in enumerate(TYPES)}


def bad(kind, text, phrase):
    return wrong(f"{kind} from {text}", '{"k": 1, "%s": %s}' % (COLUMN[kind], text),
                 f"Error decoding JSON value for {COLUMN[kind]}: {phrase}")


refusals([
    wrong("text that is no JSON", "nonsense", "Could not decode JSON string as a map"),
    wrong("an object without an end", '{"k": 1', "Could not decode JSON string as a map"),
    wrong("a list as a row", "[1]", "Could not decode JSON string as a map"),
    wrong("null as a row", "null", "Got null for INSERT JSON values"),
    wrong("an unknown column", '{"k": 1, "nope": 1}', "JSON values map contains unrecognized column: nope"),
    wrong("a row without its key", '{"c5": 1}', "Invalid null value in condition for column k"),
    bad("int", "1.5", "Expected an int value, but got a Double: 1.5"),
    bad("int", "true", "Expected an int value, but got a Boolean: true"),
    bad("int", '"x"', "Unable to make int from 'x'"),
    bad("int", "2147483648", "Expected an int value, but got a Long: 2147483648"),
    bad("tinyint", "128", "Unable to make byte from '128'"),
    bad("smallint", "40000", "Unable to make short from '40000'"),
    bad("bigint", "[]", "Expected a bigint value, but got a ArrayList: []"),
    bad("text", "5", "Expected a UTF-8 string, but got a Integer: 5"),
    bad("ascii", "5", "Expected an ascii string, but got a Integer: 5"),
    bad("boolean", "1", "Expected a boolean value, but got a Integer: 1"),
    bad("blob", '"cafe"', "Value 'cafe' is not a valid blob representation"),
    bad("uuid", "1", "Expected a string representation of a uuid, but got a Integer: 1"),
    bad("timeuuid", "1", "Expected a string representation of a timeuuid, but got a Integer: 1"),
    bad("inet", "1", "Expected a string representation of an inet value, but got a Integer: 1"),
    bad("date", "true", "Expected a string representation of a date value, but got a Boolean: true"),
    bad("time", "true", "Expected a string representation of a time value, but got a Boolean: true"),
    bad("timestamp", "true", "Expected a long or a datestring representation of a timestamp value"),
    bad("float", "true", "Expected a float value, but got a Boolean: true"),
    bad("double", "true", "Expected a double value, but got a Boolean: true"),
    bad("list<int>", "5", "Expected a list, but got a Integer: 5"),
    bad("list<int>", "[null]", "Invalid null element in list"),
    bad("list<int>", '["x"]', "Unable to make int from 'x'"),
    bad("set<text>", "{}", "Expected a list (representing a set), but got a LinkedHashMap"),
    bad("set<text>", "[null]", "Invalid null element in set"),
    bad("map<int, text>", "5", "Expected a map, but got a Integer: 5"),
    bad("map<int, text>", '{"1": null}', "Invalid null value in map"),
    bad("map<int, text>", '{"x": "a"}', "Unable to make int from 'x'"),
    bad("frozen<tuple<int, text, float>>", "[1]", "Tuple is missing items (expected 3): [1]"),
    bad("frozen<tuple<int, text, float>>", "[1, null, 1, 1]", "Tuple contains extra items (expected 3)"),
    bad("frozen<tuple<int, text, float>>", "5", "Expected a list representation of a tuple"),
    bad("frozen<pair>", "5", "Expected a map, but got a Integer: 5"),
    bad("frozen<pair>", '{"z": 1}', "Unknown fields [z] in value of user defined type pair"),
    bad("vector<float, 2>", "[1]", "List had incorrect size: expected 2 but given 1: [1]"),
    ("to_json of a value to be written", "INSERT INTO $t (k, c1) VALUES (1, to_json(1))", InvalidRequest,
     "to_json() may only be used within the selection clause of SELECT statements"),
    ("from_json in a select list", "SELECT from_json('1') FROM $t", InvalidRequest,
     "from_json() cannot be used in the selection clause of a SELECT statement"),
    ("JSON without a text", "INSERT INTO $t JSON 5", Exception, "no viable alternative"),
    ("from_json of broken JSON", "INSERT INTO $t (k, c5) VALUES (1, from_json('{'))", FunctionFailure,
     "Could not decode JSON string"),
], names)


@behaviour
def from_json_says_what_is_no_value_of_the_type(env):
    name = env.table(
        "k int PRIMARY KEY, b blob, d decimal, v varint, s smallint, t tinyint, ts timestamp, i int")
    for column, text, phrase in (
            ("b", '"0x123"', "Value '0x123' is not a valid blob representation: "),
            ("b", "123", "Value '123' is not a valid blob representation: "),
            ("d", '"xyzz"', "Value 'xyzz' is not a valid representation of a decimal value"),
            ("v", "true", "Value 'true' is not a valid representation of a varint value"),
            ("v", '""', "Value '' is not a valid representation of a varint value"),
            ("s", "32768", "Unable to make short from '32768'"),
            ("t", "123.456", "Unable to make byte from '123.456'"),
            ("ts", "123.456", "Expected a long or a datestring representation of a timestamp value, but got a Double"),
            ("ts", '"abcd"', "Unable to parse a date/time from 'abcd'")):
        env.refused(
            FunctionFailure, phrase,
            lambda: env.execute(f"INSERT INTO {name} (k, {column}) VALUES (1, from_json('{text}'))"))


@behaviour
def what_stands_behind_the_object_is_not_looked_at(env):
    name = env.table("k int PRIMARY KEY")
    env.execute(f"INSERT INTO {name} JSON '{{\"k\": 1}} x'")
    equal(env.rows(f"SELECT k FROM {name}"), [(1,)])


@behaviour
def an_empty_value_is_an_empty_string(env):
    name = env.table("k int PRIMARY KEY, i int, u uuid")
    env.execute(f"INSERT INTO {name} (k, i, u) VALUES (1, blob_as_int(0x), blob_as_uuid(0x))")
    equal(env.rows(f"SELECT JSON * FROM {name}"), [('{"k": 1, "i": "", "u": ""}',)])


@behaviour
def an_empty_string_is_an_empty_decimal(env):
    name = env.table("k int PRIMARY KEY, d decimal")
    env.execute(f"INSERT INTO {name} JSON '{{\"k\": 1, \"d\": \"\"}}'")
    equal(env.rows(f"SELECT decimal_as_blob(d) FROM {name}"), [(b"",)])
    equal(env.rows(f"SELECT JSON d FROM {name}"), [('{"d": ""}',)])
