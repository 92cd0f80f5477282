"""`coterie shell` beside cqlsh, unmodified: both run the same statements, and print the same.

What is compared is the whole of the standard output and the exit code; of errors their kind and the
server's words, because cqlsh puts the driver's wording around them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading

from harness import Behaviour, Failed, asserted_refusal, behaviour, equal, needs, true, _behaviours


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.output = process.stdout
        self.errors = process.stderr


def run(program, arguments, home, input=None, folder=None):
    return Result(subprocess.run(
        program + arguments, input=input, stdin=subprocess.DEVNULL if input is None else None,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=180, cwd=folder,
        env={**{k: v for k, v in os.environ.items() if k not in ("TZ", "CQL_HISTORY")},
             "HOME": home, "PYTHONWARNINGS": "ignore"}))


def place(env, keyspace):
    return [env.ring.addresses[0], str(env.ring.port), *(["-k", keyspace] if keyspace else [])]


def cqlsh(env, statements=None, keyspace=True, options=(), input=None, folder=None, home=None):
    env.session
    program = os.path.join(os.path.dirname(sys.executable), "cqlsh")
    if not os.path.exists(program):
        raise Failed(f"there is no {program}")
    keyspace = env.keyspace if keyspace is True else keyspace
    with tempfile.TemporaryDirectory() as own:
        return run(
            [sys.executable, program],
            ["--no-color", "--connect-timeout", "20", "--request-timeout", "60", *options,
             *place(env, keyspace), *(["-e", statements] if statements else [])],
            home or own, input, folder)


def shell(env, statements=None, keyspace=True, options=(), input=None, folder=None, home=None):
    env.session
    keyspace = env.keyspace if keyspace is True else keyspace
    with tempfile.TemporaryDirectory() as own:
        return run(
            [env.ring.binary, "shell"],
            ["--no-color", *options, *place(env, keyspace),
             *(["-e", statements] if statements else [])], home or own, input, folder)


def both(env, statements, **options):
    """The two results; cqlsh takes a second to start, so they run beside each other."""
    results = {}
    thread = threading.Thread(target=lambda: results.update(cqlsh=cqlsh(env, statements, **options)))
    thread.start()
    results["shell"] = shell(env, statements, **options)
    thread.join()
    if "cqlsh" not in results:
        raise Failed("cqlsh did not run")
    return results["shell"], results["cqlsh"]


def same(env, statements, **options):
    """Both print the same and end alike; gives what they print."""
    ours, theirs = both(env, statements, **options)
    equal(ours.output, theirs.output, "output (" + ours.errors.strip()[:200] + ")")
    equal(ours.code, theirs.code, "exit code (" + ours.errors.strip()[:200] + ")")
    return ours.output


# Statements that change nothing of the session run in one cqlsh, which takes long to start; the line of
# SHOW VERSION stands between them.
_groups = {}
MARK = re.compile(r"^\[(?:cqlsh|coterie shell) .*\]\n", re.M)


def grouped(env, group):
    """What both print for each statement of the group."""
    def make():
        text = "".join(f"{statement};\nSHOW VERSION\n" for statement in _groups[group])
        ours, theirs = both(env, None, input=text)
        return [dict(zip(_groups[group], MARK.split(result.output))) for result in (ours, theirs)]
    return env.shared("group " + group, make)


def alike(name, statements, prepare=None, group=None, **options):
    """Registers a behaviour: both shells print the same for the statements."""
    if group:
        _groups.setdefault(group, []).append(statements)

    def check(env):
        if prepare:
            prepare(env)
        if group:
            ours, theirs = grouped(env, group)
            equal(ours[statements], theirs[statements])
        else:
            same(env, statements, **options)

    _behaviours.append(Behaviour(name, check))


def unique_people(env):
    """A table that is only written with conditions: the warning about both kinds of writes comes now and then."""

    def make():
        env.execute("CREATE TABLE unique_people (country text PRIMARY KEY, name text, height float)")
        env.execute("INSERT INTO unique_people (country, name, height) VALUES ('ch', 'name', 1.5) IF NOT EXISTS")
        return True
    return env.shared("unique people", make)


def types(env):
    """A table with a column of every type, its values and its edges."""

    def make():
        env.execute("CREATE TYPE place (street text, \"Zip\" int, tags frozen<set<text>>)")
        for kind, values in TYPES.items():
            table = table_of(kind)
            env.execute(f"CREATE TABLE {table} (k int PRIMARY KEY, v {kind})")
            for key, value in enumerate(values):
                env.execute(f"INSERT INTO {table} (k, v) VALUES ({key}, {value})")
        return True
    return env.shared("types", make)


TYPES = {
    "ascii": ["'plain'", "''", "'it''s'", "null"],
    "text": ["'z\u00fcrich'", "'a, b'", "'say \"hi\"'", "'back\\slash'", "'two\nlines\ttab'",
             "'\u6771\u4eac \U0001f642'", "'e\u0301'", "''", "'\u0001\u007f'"],
    "boolean": ["true", "false", "null"],
    "tinyint": ["0", "-128", "127"],
    "smallint": ["-32768", "32767"],
    "int": ["0", "-2147483648", "2147483647", "null"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "varint": ["0", "-1", "123456789012345678901234567890"],
    "decimal": ["0", "1.50", "-0.001", "1E+10", "123456789.123456789", "1E-10"],
    "float": ["0", "1.5", "-0.1", "3.14159265", "1e10", "123456.789", "1e-7", "NaN", "Infinity",
              "-Infinity", "100000", "0.0001"],
    "double": ["0", "1.5", "-0.1", "3.14159265358979", "1e100", "123456.789", "1e-7", "NaN",
               "Infinity", "99999.5", "1234567.891", "0.00012345678"],
    "blob": ["0x", "0x00", "0xdeadbeef", "null"],
    "uuid": ["123e4567-e89b-42d3-a456-426614174000"],
    "timeuuid": ["50554d6e-29bb-11e5-b345-feff819cdc9f"],
    "timestamp": ["0", "'2024-02-29 12:34:56.789+0000'", "-1", "'1999-12-31T23:59:59Z'"],
    "date": ["'2024-02-29'", "'1970-01-01'", "'0001-01-01'"],
    "time": ["'00:00:00'", "'12:34:56.789012345'"],
    "duration": ["1y2mo3d4h5m6s7ms8us9ns", "-12h", "90m", "1d"],
    "inet": ["'127.0.0.1'", "'2001:db8::1'", "'::'"],
    "list<int>": ["[1, 2, 3]", "[]"],
    "list<text>": ["['a', 'it''s', 'b,c', '']"],
    "set<text>": ["{'b', 'a'}"],
    "set<double>": ["{1.5, 2.123456789}"],
    "map<text, int>": ["{'a': 1, 'b': 2}"],
    "map<int, timestamp>": ["{1: '2024-01-01 00:00:00+0000'}"],
    "map<text, frozen<list<inet>>>": ["{'hosts': ['127.0.0.1', '::1']}"],
    "frozen<list<frozen<map<text, blob>>>>": ["[{'x': 0x01}, {}]"],
    "tuple<int, text, boolean>": ["(1, 'a', true)"],
    "vector<float, 3>": ["[1, 2.5, -0.1]"],
    "place": ["{street: 'Main', \"Zip\": 8000, tags: {'x'}}", "{street: 'Side'}"],
    "frozen<place>": ["{street: 'it''s', \"Zip\": 1, tags: {}}"],
}


def table_of(kind):
    return "t_" + re.sub(r"\W+", "_", kind)


def exported_types(env):
    """The files of both shells for every type."""
    def make():
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            results = {}

            def export(program, more):
                texts = "".join(
                    f"COPY {table_of(kind)} TO '{folder}/{program.__name__}_{table_of(kind)}' "
                    f"WITH HEADER = true{more};\n" for kind in TYPES)
                results[program] = program(env, input=texts)

            thread = threading.Thread(target=export, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            export(shell, "")
            thread.join()
            equal(results[shell].code, 0, results[shell].errors)
            return {
                (program, kind): lines(f"{folder}/{program.__name__}_{table_of(kind)}")
                for program in (shell, cqlsh) for kind in TYPES}
    return env.shared("exported", make)


def type_checks():
    for kind in TYPES:
        statement = f"SELECT k, v FROM {table_of(kind)}"
        _groups.setdefault("types", []).append(statement)

        def shown(env, statement=statement):
            types(env)
            # cqlsh takes an empty collection for nothing wide, and so shifts what is beside it.
            ours, theirs = (re.sub("[ -]+", " ", result[statement].replace("+", " "))
                            if "{}" in result[statement] or "[]" in result[statement]
                            else result[statement] for result in grouped(env, "types"))
            equal(ours, theirs)

        def exported(env, kind=kind):
            files = exported_types(env)
            equal(files[shell, kind], files[cqlsh, kind])

        _behaviours.append(Behaviour(f"values of {kind} are shown as by cqlsh", shown))
        _behaviours.append(Behaviour(f"values of {kind} are exported byte for byte as by cqlsh", exported))


def lines(path):
    """The records of a file, whose order is not defined, after its header if it has one."""
    with open(path, "rb") as file:
        all = file.read().split(b"\r\n")
    head = 1 if re.match(rb"k,v$|country[,|]b|name,c", all[0]) else 0
    return all[:head] + sorted(all[head:])


type_checks()


def people(env):
    def make():
        env.execute(
            "CREATE TABLE people (country text, born int, name text, height double, "
            "leader text static, PRIMARY KEY (country, born, name))")
        for i in range(25):
            env.execute(
                "INSERT INTO people (country, born, name, height) VALUES (%s, %s, %s, %s)",
                ("ch", 1900 + i, f"name {i}", 1.5 + i / 8))
        env.execute("UPDATE people SET leader = 'one' WHERE country = 'ch'")
        return "people"
    return env.shared("people", make)


# Commands

alike("CONSISTENCY is shown and set as by cqlsh",
      "CONSISTENCY; CONSISTENCY QUORUM; CONSISTENCY; CONSISTENCY local_one; CONSISTENCY")
alike("SERIAL CONSISTENCY is shown and set as by cqlsh",
      "SERIAL CONSISTENCY; SERIAL CONSISTENCY LOCAL_SERIAL; SERIAL CONSISTENCY")
alike("PAGING is switched as by cqlsh",
      "PAGING; PAGING OFF; PAGING OFF; PAGING; PAGING ON; PAGING 7; PAGING; PAGING ON")
alike("EXPAND is switched as by cqlsh", "EXPAND; EXPAND ON; EXPAND ON; EXPAND; EXPAND OFF")
alike("TRACING is switched as by cqlsh", "TRACING; TRACING ON; TRACING ON; TRACING OFF; TRACING")
alike("rows are printed as by cqlsh", "SELECT * FROM people", people, "plain")
alike("no rows are printed as by cqlsh", "SELECT * FROM people WHERE country = 'none'", people, "plain")
alike("pages run on in a script as by cqlsh", "PAGING 4; SELECT born FROM people", people)
alike("expanded rows are printed as by cqlsh", "EXPAND ON; SELECT * FROM people LIMIT 3", people)
alike("expanded pages count on as by cqlsh", "PAGING 2; EXPAND ON; SELECT born FROM people LIMIT 5",
      people)
alike("functions and aliases head columns as by cqlsh",
      "SELECT count(*), max(born) AS m, cast(born AS text) FROM people", people, "plain")
alike("JSON rows are printed as by cqlsh", "SELECT JSON born, name FROM people LIMIT 2", people, "plain")
alike("conditional results are printed as by cqlsh",
      "INSERT INTO unique_people (country, name) VALUES ('ch', 'name 0') IF NOT EXISTS", unique_people, "plain")
alike("statements without results print nothing",
      "INSERT INTO people (country, born, name) VALUES ('xx', 1, 'x'); "
      "DELETE FROM people WHERE country = 'xx'", people, "plain")
alike("a batch of lines is one statement",
      "BEGIN BATCH\n INSERT INTO people (country, born, name) VALUES ('b', 1, 'x');\n"
      " DELETE FROM people WHERE country = 'b';\nAPPLY BATCH;\nSELECT * FROM people LIMIT 1", people, "plain")
alike("comments and empty statements count for nothing",
      "-- one\n/* two; */ SELECT born /* three */ FROM people -- four;\nLIMIT 1", people, "plain")
alike("DESCRIBE KEYSPACES is printed as by cqlsh", "DESCRIBE KEYSPACES", None, "plain")
alike("DESCRIBE TABLES is printed as by cqlsh", "DESCRIBE TABLES", types, "plain")
alike("DESCRIBE TABLES without a keyspace is printed as by cqlsh", "DESC TABLES", types,
      keyspace=False)
alike("DESCRIBE TABLE is printed as by cqlsh", "DESCRIBE TABLE people", people, "plain")
alike("DESCRIBE TYPE is printed as by cqlsh", "DESCRIBE TYPE place", types, "plain")
alike("DESCRIBE TYPES is printed as by cqlsh", "DESCRIBE TYPES", types, "plain")
alike("DESCRIBE KEYSPACE is printed as by cqlsh", "DESCRIBE KEYSPACE", people, "plain")
alike("DESCRIBE SCHEMA is printed as by cqlsh", "DESCRIBE SCHEMA", people, "plain")
alike("DESCRIBE of a name is printed as by cqlsh", "DESCRIBE people", people, "plain")
alike("DESCRIBE CLUSTER is printed as by cqlsh", "DESCRIBE CLUSTER", keyspace=False)
alike("DESCRIBE FUNCTIONS is printed as by cqlsh", "DESCRIBE FUNCTIONS", None, "plain")
alike("USE changes the keyspace as in cqlsh",
      "USE system; SELECT key FROM local; USE \"system\"; SELECT key FROM local", keyspace=False)
alike("SHOW REPLICAS names the same nodes as cqlsh",
      "SHOW REPLICAS 0; SHOW REPLICAS -9223372036854775808; SHOW REPLICAS 9000000000000000000", None, "plain")
alike("SHOW REPLICAS takes a keyspace as cqlsh does", "SHOW REPLICAS 42 conformance_shell", people,
      keyspace=False)
alike("LIST ROLES is printed or refused as by cqlsh", "LIST ROLES", keyspace=False)
alike("CAPTURE without a file says so as cqlsh", "CAPTURE", None, "plain")


# Refusals

REFUSED = []


def refusals_of_cqlsh(env):
    """The errors of one cqlsh by the line of the statement, which it writes before each."""
    def make():
        result = cqlsh(env, input="".join(statement + ";\n" for statement in REFUSED))
        equal(result.code, 2)
        errors = {}
        for line, text in re.findall(r"^<stdin>:(\d+):(.*)$", result.errors, re.M):
            errors[int(line) - 1] = errors.get(int(line) - 1, "") + text
        return errors
    return env.shared("refusals", make)


def refused(name, statements, kind, words, prepare=people):
    def check(env):
        prepare(env)
        ours = shell(env, statements)
        equal(ours.code, 2, "exit code")
        theirs = refusals_of_cqlsh(env)[REFUSED.index(statements) + 1]
        for errors in (ours.errors, theirs):
            true(kind in errors and words.lower() in errors.lower(), errors)
        asserted_refusal(kind)

    REFUSED.append(statements)
    _behaviours.append(Behaviour("refused as by cqlsh: " + name, check))


refused("an unknown table", "SELECT * FROM nowhere", "InvalidRequest", "nowhere")
refused("an unknown column", "SELECT nothing FROM people", "InvalidRequest", "nothing")
refused("what does not parse", "SELEC * FROM people", "SyntaxException", "line 1:0")
refused("a value of another type", "SELECT * FROM people WHERE country = 1", "InvalidRequest",
        "Invalid INTEGER constant")
refused("a table that exists", "CREATE TABLE people (k int PRIMARY KEY)", "AlreadyExists", "people")
refused("a key that is missing", "INSERT INTO people (country) VALUES ('x')", "InvalidRequest",
        "Some clustering keys are missing")
refused("an unknown level", "CONSISTENCY SOME", "Improper CONSISTENCY command", "")
refused("an improper PAGING", "PAGING MANY", "Improper PAGING command", "")
refused("an improper SHOW", "SHOW ME", "Improper SHOW command", "")
refused("a trace that is not there", "SHOW SESSION 123e4567-e89b-12d3-a456-426614174000",
        "wasn't found", "123e4567")
refused("a file that is not there", "SOURCE '/nowhere/x.cql'", "Could not open", "/nowhere/x.cql")
refused("COPY of an unknown column", "COPY people (nothing) TO STDOUT", "Invalid column name nothing",
        "")
refused("COPY with an unknown option", "COPY people TO STDOUT WITH SPEED = 1",
        "Unrecognized COPY TO options: speed", "")
refused("COPY without a key", "COPY people (country, born) FROM STDIN",
        "Primary key column 'name' missing or skipped", "")
refused("COPY with one word for true and false", "COPY people TO STDOUT WITH BOOLSTYLE = 'a,a'",
        "Invalid boolean styles", "")


@behaviour
def errors_point_at_the_place_in_the_statement(env):
    result = shell(env, "SELECT *\n  FORM people")
    true("  FORM people\n" in result.errors and "\n    ^" in result.errors, result.errors)


@behaviour
def errors_of_a_script_name_its_line(env):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.cql")
        with open(path, "w") as file:
            file.write("PAGING OFF\n\nSELECT * FROM nowhere;\nPAGING\n")
        result = shell(env, options=["-f", path])
        equal(result.code, 2)
        true(f"{path}:3: InvalidRequest" in result.errors, result.errors)
        true("PAGING is OFF" in result.output, result.output)


@behaviour
def a_file_that_is_missing_ends_with_one_as_in_cqlsh(env):
    for program in (shell, cqlsh):
        equal(program(env, options=["-f", "/nowhere/x.cql"]).code, 1, program.__name__)


@behaviour
def no_node_ends_with_one_and_says_what_to_do(env):
    with tempfile.TemporaryDirectory() as home:
        result = run([env.ring.binary, "shell", "127.0.0.1", "1", "-e", "PAGING"], [], home)
    equal(result.code, 1)
    true("Connection refused" in result.errors and "coterie ring up" in result.errors, result.errors)


@behaviour
def statements_come_from_a_pipe_as_in_cqlsh(env):
    people(env)
    text = "PAGING\nSELECT born\nFROM people\nLIMIT 2;\nCONSISTENCY\n"
    ours, theirs = both(env, None, input=text)
    equal(ours.output, theirs.output)
    equal(ours.code, theirs.code)


@behaviour
def an_unfinished_statement_is_told_as_in_cqlsh(env):
    ours, theirs = both(env, None, input="SELECT born\n")
    equal(ours.code, theirs.code)
    for result in (ours, theirs):
        true("Incomplete statement at end of file" in result.errors, result.errors)


@behaviour
def ssl_and_other_encodings_are_refused_by_name(env):
    for options, word in ((["--ssl"], "SSL is not supported"), (["--encoding", "latin1"], "latin1")):
        result = shell(env, "PAGING", options=options)
        true(result.code != 0 and word in result.errors, result.errors)


@behaviour
def options_of_cqlsh_are_taken(env):
    result = shell(env, "PAGING", options=[
        "--connect-timeout", "9", "--request-timeout=9", "--protocol-version=4", "--debug",
        "--cqlversion", "3.4.7", "--encoding=utf8", "--disable-history", "--browser", "x"])
    equal(result.code, 0, result.errors)
    true("--browser has no effect" in result.errors and "Using ssl: False" in result.errors,
         result.errors)


def with_settings(env, statements, text, path=".cassandra/cqlshrc"):
    with tempfile.TemporaryDirectory() as home:
        os.makedirs(os.path.dirname(os.path.join(home, path)))
        with open(os.path.join(home, path), "w") as file:
            file.write(text)
        return both(env, statements, home=home)


@behaviour
def cqlshrc_sets_digits_and_times_as_in_cqlsh(env):
    types(env)
    ours, theirs = with_settings(
        env, "SELECT k, v FROM t_double; SELECT k, v FROM t_float; SELECT k, v FROM t_timestamp",
        "[ui]\nfloat_precision = 3\ndouble_precision = 9\ntime_format = %d/%m/%y %H:%M:%S.%f %z\n"
        "timezone = UTC\n")
    equal(ours.output, theirs.output)


@behaviour
def cqlshrc_sets_the_zone_as_in_cqlsh(env):
    types(env)
    ours, theirs = with_settings(
        env, "SELECT k, v FROM t_timestamp", "[ui]\ntimezone = America/New_York\n")
    equal(ours.output, theirs.output)


@behaviour
def settings_that_are_not_honoured_are_named(env):
    ours, _ = with_settings(env, "PAGING", "[ui]\nbrowser = lynx\n")
    true("[ui] browser is not honoured" in ours.errors, ours.errors)
    equal(ours.code, 0)


# Tracing

@behaviour
@needs(3)
def TRACING_prints_the_session_as_cqlsh_does(env):
    people(env)
    ours, theirs = both(env, "CONSISTENCY ALL; TRACING ON; SELECT born FROM people LIMIT 1")
    for result in (ours, theirs):
        equal(result.code, 0, result.errors)
        true(re.search(r"\nTracing session: [0-9a-f-]{36}\n\n activity +\| timestamp +\| source "
                       r"+\| source_elapsed +\| client\n-+\+-", result.output), result.output)
        true("Request complete |" in result.output, result.output)
    true("Nodes that took part: " + ", ".join(env.ring.addresses) in ours.output, ours.output)


@behaviour
def SHOW_SESSION_prints_the_same_trace_as_cqlsh(env):
    people(env)
    traced = shell(env, "TRACING ON; SELECT born FROM people LIMIT 1").output
    session = re.search(r"Tracing session: (\S+)", traced).group(1)
    ours, theirs = both(env, f"SHOW SESSION {session}")
    # cqlsh shows no time that is nought, and adds a zone to some times.
    sessions = [re.findall(r"^ *(.*?) +\| .*? \| +(\S+) \|", result.output, re.M)
                for result in (ours, theirs)]
    true(len(sessions[0]) > 3, ours.output)
    equal([row for row in sessions[0] if row[0] != "Request complete"],
          [row for row in sessions[1] if row[0] != "Request complete"])


# Files

@behaviour
def SOURCE_runs_a_file_as_cqlsh_does(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.cql")
        with open(path, "w") as file:
            file.write("CONSISTENCY ALL\nSELECT born\nFROM people LIMIT 2;\n")
        same(env, f"SOURCE '{path}'")


@behaviour
def CAPTURE_writes_what_cqlsh_writes(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        texts = []
        for program in (shell, cqlsh):
            path = os.path.join(folder, program.__name__)
            result = program(env, f"CAPTURE '{path}'; CAPTURE; PAGING; SELECT * FROM people")
            with open(path) as file:
                texts.append((result.output.replace(path, "FILE"), file.read()))
        equal(texts[0], texts[1])


@behaviour
def CAPTURE_OFF_ends_a_capture(env):
    # In cqlsh 6.2.2 it only says what is captured.
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        result = shell(env, f"CAPTURE '{folder}/x'; CAPTURE OFF; SELECT born FROM people LIMIT 1")
        true("(1 rows)" in result.output, result.output)
    true("Not currently capturing output." in shell(env, "CAPTURE OFF").errors, "no capture")


@behaviour
def EXIT_ends_the_shell(env):
    equal(shell(env, "PAGING; EXIT; PAGING").output, "PAGING is ON\nPage size: 100\n")


@behaviour
def CAPTURE_JSON_writes_an_object_for_each_row(env):
    types(env)
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        result = shell(
            env, f"CAPTURE JSON '{path}'; SELECT born, name, height FROM people LIMIT 2; "
            "SELECT v FROM t_map_text_int_; SELECT v FROM t_text WHERE k = 4")
        equal(result.code, 0, result.errors)
        with open(path) as file:
            rows = [json.loads(line) for line in file]
    equal(rows, [{"born": 1900, "name": "name 0", "height": 1.5},
                 {"born": 1901, "name": "name 1", "height": 1.625}, {"v": {"a": 1, "b": 2}},
                 {"v": "two\nlines\ttab"}])


# COPY

EXPORTS = []


def exports(env):
    """The files of both shells for each export, by their names after its number."""
    def make():
        people(env)
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            def export(program, more):
                text = "".join(
                    f"COPY {columns or 'people'} TO '{folder}/{program.__name__}{number:02}' WITH "
                    f"{options}{more};\n" for number, (options, columns) in enumerate(EXPORTS))
                equal(program(env, input=text).code, 0, program.__name__)

            thread = threading.Thread(target=export, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            export(shell, "")
            thread.join()
            files = {}
            for name in sorted(os.listdir(folder)):
                program, number, rest = re.fullmatch(r"(cqlsh|shell)(\d\d)(.*)", name).groups()
                files.setdefault((program, int(number)), {})[rest] = lines(f"{folder}/{name}")
            return files
    return env.shared("exports", make)


def exports_alike(name, options, prepare=people, columns=""):
    number = len(EXPORTS)
    EXPORTS.append((options, columns))

    def check(env):
        files = exports(env)
        true(files["shell", number], "no file")
        equal(files["shell", number], files["cqlsh", number])

    _behaviours.append(Behaviour("COPY TO writes the same file as cqlsh: " + name, check))


exports_alike("with a delimiter and a header", "DELIMITER = '|' AND HEADER = true")
exports_alike("with other quotes", "QUOTE = '''' AND ESCAPE = ''''", types, "t_text")
exports_alike("with a word for null", "NULL = 'none'", types, "t_int")
exports_alike("with a list of columns", "HEADER = true", people, "people (name, country)")
exports_alike("with digits", "FLOATPRECISION = 2 AND DOUBLEPRECISION = 3", types, "t_double")
exports_alike("with separators", "DECIMALSEP = ',' AND DELIMITER = ';'", types, "t_double")
exports_alike("with thousands", "THOUSANDSSEP = '.' AND DECIMALSEP = ',' AND DELIMITER = ';'", types,
              "t_int")
exports_alike("with words for true and false", "BOOLSTYLE = 'yes,no'", types, "t_boolean")
exports_alike("with a form of times", "DATETIMEFORMAT = '%Y/%m/%d %H:%M'", types, "t_timestamp")
exports_alike("with a range of tokens", "BEGINTOKEN = '1' AND PAGESIZE = 2", types, "t_text")
exports_alike("split over files", "MAXOUTPUTSIZE = 10")


@behaviour
def COPY_TO_STDOUT_prints_the_rows_alone_as_cqlsh_does(env):
    people(env)
    ours, theirs = both(env, "COPY people (born, name) TO STDOUT")
    equal(sorted(ours.output.split()), sorted(theirs.output.split()))


IMPORTS = []


def imports(env):
    """What both make of each file: the rows, the rows that failed, and the counts."""
    def make():
        types(env)
        with tempfile.TemporaryDirectory() as folder:
            tables = {}
            for number, (text, columns, _) in enumerate(IMPORTS):
                with open(f"{folder}/{number}.csv", "w", newline="") as file:
                    file.write(text)
                for program in (shell, cqlsh):
                    tables[program, number] = env.table(columns)
            outputs = {}

            def fill(program, more):
                text = "".join(
                    f"COPY {tables[program, number]} FROM '{folder}/{number}.csv' WITH ERRFILE = "
                    f"'{folder}/errors{number}{program.__name__}'{' AND ' if options else ''}{options}"
                    f"{more};\n" for number, (_, _, options) in enumerate(IMPORTS))
                outputs[program] = program(env, input=text).output

            thread = threading.Thread(target=fill, args=(cqlsh, " AND NUMPROCESSES = 1"))
            thread.start()
            fill(shell, "")
            thread.join()
            results = {}
            for program in (shell, cqlsh):
                counts = re.findall(
                    r"(\d+) rows imported from (\d+) files in .*\((\d+) skipped\)", outputs[program])
                equal(len(counts), len(IMPORTS), program.__name__)
                for number in range(len(IMPORTS)):
                    failed = ""
                    if os.path.exists(f"{folder}/errors{number}{program.__name__}"):
                        with open(f"{folder}/errors{number}{program.__name__}") as file:
                            failed = file.read()
                    rows = sorted(env.rows(f"SELECT * FROM {tables[program, number]}"), key=str)
                    results[program, number] = (rows, failed, counts[number])
            return results
    return env.shared("imports", make)


def imports_alike(name, text, columns, options="", rows=None, counted=True):
    number = len(IMPORTS)
    IMPORTS.append((text, columns, options))

    def check(env):
        ours, theirs = (imports(env)[program, number] for program in (shell, cqlsh))
        equal(ours[:2], theirs[:2])
        if counted:
            equal(ours[2], theirs[2], "counts")
        equal(len(ours[0]), rows, "rows")

    _behaviours.append(Behaviour("COPY FROM makes the same rows as cqlsh: " + name, check))


imports_alike("plain", "1,a,1.5\n2,b,2.5\r\n3,,\n", "k int PRIMARY KEY, a text, b double", rows=3)
imports_alike("with quotes", '1,"a, b"\n2,"say \\"hi\\""\n4,\\,\n', "k int PRIMARY KEY, a text",
              rows=3)
imports_alike("with doubled quotes", "1;'it''s'\n2;'a;b'\n", "k int PRIMARY KEY, a text",
              "DELIMITER = ';' AND QUOTE = '''' AND ESCAPE = ''''", rows=2)
imports_alike("with a header and skipped rows", "k,a\n1,a\n2,b\n3,c\n",
              "k int PRIMARY KEY, a text", "HEADER = true AND SKIPROWS = 1", rows=2)
imports_alike("with a limit", "1,a\n2,b\n3,c\n", "k int PRIMARY KEY, a text", "MAXROWS = 2", rows=2)
imports_alike("with skipped columns", "1,x,a\n2,y,b\n", "k int PRIMARY KEY, a text, b text",
              "SKIPCOLS = 'a'", rows=2)
imports_alike("with a word for null", "1,none\n2,\n", "k int PRIMARY KEY, a text",
              "NULL = 'none'", rows=2)
imports_alike("rows that do not read", "1,a\nx,b\n3,c\n", "k int PRIMARY KEY, a text", rows=2)
imports_alike("rows of another length", "1,a\n2\n3,c\n", "k int PRIMARY KEY, a text", rows=2)
imports_alike("rows without a key", "1,a\n,b\n", "k int PRIMARY KEY, a text", rows=1)
imports_alike("counters", "1,5\n2,\n1,2\n", "k int PRIMARY KEY, c counter", "MAXBATCHSIZE = 1",
              rows=2)
imports_alike("words for true and false", "1,yes\n2,no\n3,other\n", "k int PRIMARY KEY, b boolean",
              "BOOLSTYLE = 'yes,no'", rows=3)
imports_alike("separators in numbers", "1;1.234,5\n2;-7\n", "k int PRIMARY KEY, d double",
              "DELIMITER = ';' AND THOUSANDSSEP = '.' AND DECIMALSEP = ','", rows=2)
imports_alike("a form of times", "1,29/02/2024\n", "k int PRIMARY KEY, t timestamp",
              "DATETIMEFORMAT = '%d/%m/%Y'", rows=1)
imports_alike("nested values",
              "1;[1, 2];{'a': [1]};('x', 2)\n2;[];{};('it''s', 3)\n",
              "k int PRIMARY KEY, l list<int>, m map<text, frozen<list<int>>>, t tuple<text, int>",
              "DELIMITER = ';'", rows=2)
imports_alike("user-defined types", "1;{street: 'Main', Zip: 8, tags: {'x', 'y'}}\n",
              "k int PRIMARY KEY, p place", "DELIMITER = ';'", rows=1)


@behaviour
def COPY_FROM_reads_what_COPY_TO_wrote_for_every_type(env):
    types(env)
    with tempfile.TemporaryDirectory() as folder:
        for kind in TYPES:
            table = table_of(kind)
            copy = env.table(f"k int PRIMARY KEY, v {kind}")
            path = os.path.join(folder, table)
            # Strings lose to a null marker; text with escapes comes back escaped, as with cqlsh.
            result = shell(
                env, f"COPY {table} TO '{path}' WITH DELIMITER = ';' AND NULL = 'null' "
                f"AND DOUBLEPRECISION = 17 AND FLOATPRECISION = 9; "
                f"COPY {copy} FROM '{path}' WITH DELIMITER = ';' AND NULL = 'null'")
            equal(result.code, 0, kind + result.errors)
            if kind in ("text", "timestamp"):
                continue
            before = env.rows(f"SELECT JSON k, v FROM {table}")
            equal(sorted(env.rows(f"SELECT JSON k, v FROM {copy}")), sorted(before), kind)


@behaviour
def COPY_FROM_STDIN_takes_the_lines_after_it(env):
    for program in (shell, cqlsh):
        table = env.table("k int PRIMARY KEY, a text")
        result = program(env, input=f"COPY {table} FROM STDIN;\n1,a\n2,b\n.\nPAGING\n")
        equal(result.code, 0, result.errors)
        equal(sorted(env.rows(f"SELECT * FROM {table}")), [(1, "a"), (2, "b")], program.__name__)
        true("2 rows imported from 1 files" in result.output, result.output)
        true("PAGING is ON" in result.output or "PAGING is ON" in result.output, result.output)


@behaviour
def COPY_FROM_takes_quoted_line_ends(env):
    # cqlsh imports them too, and then waits a minute and a half for the lines that it had counted.
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/x", "w") as file:
            file.write('1,"two\nlines"\n2,b\n')
        result = shell(env, f"COPY {table} FROM '{folder}/x'")
    true("2 rows imported" in result.output, result.output)
    equal(sorted(env.rows(f"SELECT * FROM {table}")), [(1, "two\nlines"), (2, "b")])


@behaviour
def COPY_FROM_takes_several_files_and_a_time_to_live(env):
    table = env.table("k int PRIMARY KEY, a text")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            with open(os.path.join(folder, f"part{number}.csv"), "w") as file:
                file.write(f"{number},x\n")
        result = shell(env, f"COPY {table} FROM '{folder}/*.csv' WITH TTL = 1000")
    true("3 rows imported from 3 files" in result.output, result.output + result.errors)
    true(all(0 < ttl <= 1000 for (ttl,) in env.rows(f"SELECT ttl(a) FROM {table}")), "TTL")


@behaviour
def COPY_reports_its_progress_as_cqlsh_does(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        result = shell(
            env, f"COPY people TO '{folder}/x' WITH RATEFILE = '{folder}/rates'")
        pattern = r"Processed: 25 rows; Rate: +\d+ rows/s; Avg\. rate: +\d+ rows/s"
        true(re.search(pattern, result.output), result.output)
        true(f"Starting copy of {env.keyspace}.people with columns "
             "[country, born, name, height, leader]." in result.output, result.output)
        with open(f"{folder}/rates") as file:
            true(re.search(pattern, file.read()), "rates")


@behaviour
def COPY_takes_options_from_a_file_as_cqlsh_does(env):
    types(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "options")
        with open(path, "w") as file:
            file.write(f"[copy]\nheader = true\n[copy-to:{env.keyspace}.t_boolean]\n"
                       "boolstyle = ja,nein\n")
        files = []
        for program in (shell, cqlsh):
            out = os.path.join(folder, program.__name__)
            equal(program(env, f"COPY t_boolean TO '{out}' WITH CONFIGFILE = '{path}'").code, 0)
            files.append(lines(out))
        equal(files[0], files[1])
        equal(files[0][0], b"k,v")


@behaviour
def what_COPY_cannot_do_is_refused_by_name(env):
    people(env)
    for option, word in (("ENCODING = 'latin1'", "only utf8"),
                         ("PREPAREDSTATEMENTS = false", "PREPAREDSTATEMENTS")):
        direction = "FROM" if "PREPARED" in option else "TO"
        result = shell(env, f"COPY people {direction} '/tmp/x' WITH {option}")
        true(result.code == 2 and word in result.errors, result.errors)


# Our own

@behaviour
def ELAPSED_says_how_long_a_statement_took(env):
    text = shell(env, "ELAPSED ON; PAGING").output
    true("ELAPSED set to ON" in text and re.search(r"\(\d+ms elapsed\)", text), text)


@behaviour
def HELP_knows_every_command_and_statement(env):
    text = shell(env, "HELP").output
    topics = [word for line in text.splitlines() for word in line.split() if word.isupper()]
    for name in ("COPY", "CAPTURE", "LOGIN", "SELECT", "CREATE_TABLE", "TYPES", "UNICODE"):
        true(name in topics, name)
    result = shell(env, "; ".join("HELP " + name for name in topics if len(name) > 3))
    equal(result.code, 0, result.errors)
    true("No help on nothing" in shell(env, "HELP nothing").errors, "no help")


@behaviour
def embedded_rings_need_no_node(env):
    with tempfile.TemporaryDirectory() as home:
        statements = ("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
                      "'replication_factor': 1}; CREATE TABLE k.t (k int PRIMARY KEY); "
                      "INSERT INTO k.t (k) VALUES (7); SELECT * FROM k.t")
        result = run([env.ring.binary, "shell", "--embedded"], ["-e", statements], home)
        equal(result.code, 0, result.errors)
        true("(1 rows)" in result.output, result.output)
        data = os.path.join(home, "kept")
        for words, count in ((statements, "(1 rows)"), ("SELECT * FROM k.t", "(1 rows)")):
            result = run(
                [env.ring.binary, "shell", "--embedded", "--data", data], ["-e", words], home)
            true(count in result.output, result.output + result.errors)
