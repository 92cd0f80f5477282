"""`coterie shell` beside cqlsh, unmodified: both run the same statements, and print the same.

What is compared is the whole of the standard output, the errors, and the exit code. COPY and
logins have suites of their own.
"""

import json
import os
import re
import sys
import tempfile

from harness import Behaviour, asserted_refusal, behaviour, equal, eventually, needs, true, _behaviours
from shells import TYPES, both, cqlsh, people, run, same, shell, table_of, types


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

        _behaviours.append(Behaviour(f"values of {kind} are shown as by cqlsh", shown))


type_checks()


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


def refusals_of_both(env):
    """The errors of each by the statement's line."""
    def make():
        people(env)
        types(env)
        # One replica, on however many nodes.
        env.execute("CREATE KEYSPACE IF NOT EXISTS conformance_few WITH replication = "
                    "{'class': 'SimpleStrategy', 'replication_factor': 1}")
        env.execute("CREATE TABLE IF NOT EXISTS conformance_few.t (k int PRIMARY KEY)")
        text = "".join(statement + ";\n" for statement in REFUSED)
        found = []
        for result in both(env, None, input=text):
            equal(result.code, 2)
            errors = {}
            for line, error in re.findall(r"^<stdin>:(\d+):(.*)$", result.errors, re.M):
                errors[int(line) - 1] = errors.get(int(line) - 1, "") + error
            found.append(errors)
        return found
    return env.shared("refusals", make)


def refused(name, statements, kind, words):
    def check(env):
        ours, theirs = (errors.get(REFUSED.index(statements) + 1) for errors in refusals_of_both(env))
        equal(ours, theirs)
        true(kind in ours and words.lower() in ours.lower(), ours)
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
refused("an improper COPY", "COPY people TO", "Improper COPY command.", "")
refused("COPY with a number that is none", "COPY people TO STDOUT WITH PAGESIZE = 'x'",
        "invalid literal for int() with base 10: 'x'", "")
refused("COPY with a token that is none", "COPY people TO STDOUT WITH BEGINTOKEN = 'x'",
        "invalid literal for int() with base 10: 'x'", "")
refused("COPY with tokens the wrong way round", "COPY people TO STDOUT WITH BEGINTOKEN = 5 AND ENDTOKEN = 1",
        "Begin token 5 must be smaller than end token 1", "")
refused("COPY of an unknown table", "COPY nowhere TO STDOUT", "Column family nowhere not found", "")
refused("COPY in an unknown keyspace", "COPY nowhere.t TO STDOUT", "Keyspace 'nowhere' not found.", "")
refused("COPY cut into files without one", "COPY nowhere2.t TO STDOUT", "Keyspace 'nowhere2' not found.", "")
refused("a semicolon alone", "", "SyntaxException", "no viable alternative at input ';'")
refused("an unknown keyspace", "USE nowhere", "InvalidRequest", "code=2200")
refused("a keyspace that exists",
        "CREATE KEYSPACE conformance_shell WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "AlreadyExists", "Keyspace 'conformance_shell' already exists")
refused("an unknown strategy",
        "CREATE KEYSPACE k2 WITH replication = {'class': 'Nothing', 'replication_factor': 1}",
        "ConfigurationException", "Unable to find replication strategy class")
refused("what needs a login", "LIST USERS", "Unauthorized", "code=2100 [Unauthorized]")
refused("a level that cannot be had", "CONSISTENCY THREE; SELECT * FROM conformance_few.t; CONSISTENCY ONE",
        "NoHostAvailable", "code=1000 [Unavailable exception]")
refused("a level that is for conditions",
        "CONSISTENCY SERIAL; DELETE FROM people WHERE country = 'x'; CONSISTENCY ONE", "InvalidRequest",
        "You must use conditional updates for serializable writes")
for what in ("TABLE", "TYPE", "KEYSPACE", "INDEX", "FUNCTION", "AGGREGATE", "MATERIALIZED VIEW", ""):
    refused(f"DESCRIBE {what} of what is not there", f"DESCRIBE {what} nowhere", "nowhere' not found", "")
refused("an improper DESCRIBE", "DESC people too many", "Improper DESC command.", "")
for improper in ("consistency ONE TWO", "SERIAL", "SERIAL CONSISTENCY ONE", "PAGING -1", "expand MAYBE",
                 "TRACING PERHAPS", "SHOW", "SHOW REPLICAS x", "SHOW SESSION abc", "SOURCE", "CAPTURE FOO", "LOGIN",
                 "HISTORY x", "EXIT now", "clear it"):
    word = improper.split()[0]
    refused(f"the improper command {improper}", improper, f"Improper {word} command.", "")
refused("a file that cannot be captured to", "CAPTURE '/nowhere/x'", "Could not open '/nowhere/x' for append",
        "[Errno 2] No such file or directory")
refused("help on nothing", "HELP nothing", "*** No help on nothing", "")
refused("COPY without a key", "COPY people (country, born) FROM STDIN",
        "Primary key column 'name' missing or skipped", "")
refused("COPY with one word for true and false", "COPY people TO STDOUT WITH BOOLSTYLE = 'a,a'",
        "Invalid boolean styles", "")


@behaviour
def errors_of_a_script_name_its_line_as_in_cqlsh(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        inner, outer = os.path.join(folder, "x.cql"), os.path.join(folder, "y.cql")
        with open(inner, "w") as file:
            file.write("PAGING OFF\n\nSELECT *\n FROM nowhere;\nPAGING X\nDESC nowhere\nEXIT\nPAGING X\n")
        with open(outer, "w") as file:
            file.write(f"SOURCE '{inner}'\nSELECT * FROM nowhere; SELECT * FROM nowhere2;\n-- end\nSELECT *\n")
        same(env, None, options=["-f", inner])
        result = same(env, None, options=["-f", outer])
        true(f"{inner}:5:InvalidRequest" in result.errors, result.errors)
        true(f"{outer}:3:InvalidRequest" in result.errors, result.errors)


@behaviour
def errors_of_an_argument_are_those_of_cqlsh(env):
    people(env)
    same(env, "SELECT * FROM nowhere; PAGING X; SELECT *\n FORM people")


@behaviour
def errors_of_a_pipe_are_those_of_cqlsh(env):
    people(env)
    same(env, None, input="SELECT * FROM nowhere;\n\nSELECT *\nFROM\nnowhere;\nPAGING X\n/* a\nb */ DESC nowhere\n"
         "BEGIN BATCH\nINSERT INTO nowhere (k) VALUES (1);\nAPPLY BATCH;\nSELECT 'a\nb' FROM nowhere; PAGING X\n;\n"
         "SELECT\n")


@behaviour
def errors_are_red_where_there_are_colours_as_in_cqlsh(env):
    # The last of both options counts.
    people(env)
    same(env, "SELECT * FROM people LIMIT 1; SELECT * FROM nowhere", options=["-C"])
    same(env, "SELECT * FROM people LIMIT 1; SELECT * FROM nowhere", options=["-C", "--no-color"])


@behaviour
def files_begin_with_a_byte_order_mark_as_in_cqlsh(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        for encoding in ("utf-8-sig", "utf-16"):
            path = os.path.join(folder, encoding)
            with open(path, "w", encoding=encoding) as file:
                file.write("SELECT born FROM people LIMIT 1;\n")
            true("1900" in shell(env, options=["-f", path]).output, encoding)
        same(env, None, options=["-f", os.path.join(folder, "utf-8-sig")])


@behaviour
def errors_in_a_sourced_file_fail_the_script(env):
    # cqlsh prints them, and says with its code that all was well.
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.cql")
        with open(path, "w") as file:
            file.write("SELECT * FROM nowhere;\n")
        ours, theirs = both(env, f"SOURCE '{path}'")
        equal(ours.errors, theirs.errors)
        equal((ours.code, theirs.code), (2, 0))


@behaviour
def a_file_that_is_missing_ends_with_one_as_in_cqlsh(env):
    for path in ("/nowhere/x.cql", "/tmp"):
        equal(same(env, None, options=["-f", path]).code, 1)


@behaviour
def what_is_given_with_e_wins_over_a_file_as_in_cqlsh(env):
    same(env, "PAGING", options=["-f", "/dev/null"])


@behaviour
def versions_are_told_and_asked_for_as_in_cqlsh(env):
    for option in ("-v", "--version"):
        result = shell(env, options=[option])
        equal((result.code, result.errors), (0, ""))
        true("cqlsh 6.2.2" in result.output, result.output)
    same(env, "PAGING", options=["--cqlversion", "3.4.7"])
    for version in ("3.4.9", "3"):
        result = both(env, "PAGING", options=["--cqlversion", version])
        equal(result[0].errors.splitlines()[0], result[1].errors.splitlines()[0])
        true("is not supported by remote" in result[0].errors, result[0].errors)
        equal([each.code for each in result], [1, 1])
    ours, theirs = both(env, "PAGING", options=["--protocol-version", "2"])
    equal((ours.code, ours.errors), (theirs.code, theirs.errors))


@behaviour
def wrong_options_end_with_two_as_in_cqlsh(env):
    for options in (["--cqlversion", "2"], ["--protocol-version", "x"], ["--connect-timeout", "x"],
                    ["--request-timeout", "x"]):
        ours, theirs = both(env, "PAGING", options=options)
        equal((ours.code, theirs.code), (2, 2), " ".join(options))
        true("Usage: coterie shell" in ours.errors, ours.errors)
    equal(shell(env, "PAGING", options=["--nonsense"]).code, 2)
    equal(both(env, "PAGING", variables={"CQLSH_PORT": "x"})[0].code, 0)


@behaviour
def a_keyspace_that_is_not_there_ends_with_one_as_in_cqlsh(env):
    ours, theirs = both(env, "PAGING", keyspace="nowhere")
    equal((ours.code, theirs.code), (1, 1))
    equal(ours.errors.splitlines()[0], theirs.errors.splitlines()[0])
    true("Keyspace 'nowhere' does not exist" in ours.errors, ours.errors)


WIDTHS = [
    "\U0001f1e8\U0001f1ed flag", "\U0001f44d\U0001f3fd", "\u2764\ufe0f \u263a \u231a\ufe0e #\ufe0f\u20e3",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u1100\u1161\u11a8 \uac00", "\u0e01\u0e33",
    "\u0928\u093f\u0915\u094d\u0937", "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd", "\u05e2\u05b4\u05d1\u05b0\u05e8\u05b4\u05d9\u05ea",
    "a\u200bb\u00ad", "\u6771\u4eac e\u0301", "\U0001f1e8\U0001f1ed\U0001f1e9", "\U0001f1e8", "x\u200d", "\u115f\u3164",
]


@behaviour
def texts_of_all_scripts_take_the_room_that_cqlsh_gives_them(env):
    def make():
        env.execute("CREATE TABLE widths (k int PRIMARY KEY, v text)")
        for key, text in enumerate(WIDTHS):
            env.execute("INSERT INTO widths (k, v) VALUES (%s, %s)", (key, text))
        env.execute("INSERT INTO widths (k, v) VALUES (-1, 'as long as nothing else is')")
        return True
    env.shared("widths", make)
    same(env, "SELECT * FROM widths; EXPAND ON; SELECT v FROM widths")


@behaviour
def the_environment_sets_the_form_of_times_as_in_cqlsh(env):
    types(env)
    statement = "SELECT k, v FROM t_timestamp"
    same(env, statement, variables={"CQLSH_DEFAULT_TIMESTAMP_FORMAT": "%Y/%m/%d %H:%M"})
    same(env, statement, variables={"TZ": "Europe/Zurich"})
    same(env, statement, variables={"TZ": "No/Where"})


@behaviour
def PAGING_takes_any_size_as_in_cqlsh(env):
    people(env)
    same(env, "PAGING 0; SELECT born FROM people; PAGING 99999999; SELECT born FROM people LIMIT 3")


@behaviour
def EXIT_ends_a_sourced_file_alone_as_in_cqlsh(env):
    people(env)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.cql")
        with open(path, "w") as file:
            file.write("SELECT born FROM people LIMIT 1;\nEXIT\nSELECT born FROM people LIMIT 2;\n")
        same(env, f"SOURCE '{path}'; PAGING")


@behaviour
def nothing_inside_of_a_tuple_is_shown_as_by_cqlsh(env):
    def make():
        env.execute("CREATE TABLE nothing (k int PRIMARY KEY, t tuple<int, text>, p place, "
                    "l list<frozen<tuple<int, text>>>)")
        env.execute("INSERT INTO nothing (k, t, p, l) VALUES (1, (1, null), {street: null, \"Zip\": 3}, "
                    "[(null, 'x')])")
        env.execute("INSERT INTO nothing (k, t) VALUES (2, (null, null))")
        return True
    types(env)
    env.shared("nothing", make)
    same(env, "SELECT * FROM nothing; EXPAND ON; SELECT * FROM nothing")


def theirs(env):
    """What cqlsh says where no node is."""
    program = os.path.join(os.path.dirname(sys.executable), "cqlsh")
    with tempfile.TemporaryDirectory() as home:
        return run([sys.executable, program, "127.0.0.1", "1", "-e", "PAGING"], [], home).errors.strip()


@behaviour
def no_node_ends_with_one_and_says_what_to_do(env):
    with tempfile.TemporaryDirectory() as home:
        result = run([env.ring.binary, "shell", "127.0.0.1", "1", "-e", "PAGING"], [], home)
    equal(result.code, 1)
    # The first line is cqlsh's.
    equal(result.errors.splitlines()[0], theirs(env))
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
def ssl_is_refused_by_name(env):
    result = shell(env, "PAGING", options=["--ssl"])
    true(result.code == 2 and "SSL is not supported" in result.errors, result.errors)


@behaviour
def other_encodings_are_warned_about(env):
    result = shell(env, "PAGING", options=["--encoding", "latin1"])
    equal(result.code, 0)
    true("encoding latin1 has no effect" in result.errors, result.errors)


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

    def check():
        ours, theirs = both(env, "CONSISTENCY ALL; TRACING ON; SELECT born FROM people LIMIT 1")
        for result in (ours, theirs):
            equal(result.code, 0, result.errors)
            true(re.search(r"\nTracing session: [0-9a-f-]{36}\n\n activity +\| timestamp +\| source "
                           r"+\| source_elapsed +\| client\n-+\+-", result.output), result.output)
            true("Request complete |" in result.output, result.output)
        true("Nodes that took part: " + ", ".join(env.ring.addresses) in ours.output, ours.output)

    # What the replicas did is written apart from the session: neither shell waits for it.
    eventually(check)


@behaviour
def SHOW_SESSION_prints_the_same_trace_as_cqlsh(env):
    people(env)
    traced = shell(env, "TRACING ON; SELECT born FROM people LIMIT 1").output
    session = re.search(r"Tracing session: (\S+)", traced).group(1)

    def check():
        ours, theirs = both(env, f"SHOW SESSION {session}")
        # cqlsh shows no time that is nought, and adds a zone to some times.
        sessions = [re.findall(r"^ *(.*?) +\| .*? \| +(\S+) \|", result.output, re.M)
                    for result in (ours, theirs)]
        true(len(sessions[0]) > 3, ours.output)
        equal([row for row in sessions[0] if row[0] != "Request complete"],
              [row for row in sessions[1] if row[0] != "Request complete"])

    # Some of it may be written between the two reads.
    eventually(check)


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
