"""What suites about `coterie shell` share: both shells run beside each other, and the tables that they look at."""

import os
import re
import subprocess
import sys
import tempfile
import threading

from harness import PATIENCE, Failed, equal
from ring import HANGING


PATIENT = ["--no-color", "--connect-timeout", str(PATIENCE), "--request-timeout", str(PATIENCE)]


class Result:
    def __init__(self, process):
        self.code = process.returncode
        self.output = process.stdout
        self.errors = process.stderr


def run(program, arguments, home, input=None, folder=None, variables=None):
    return Result(subprocess.run(
        program + arguments, input=input, stdin=subprocess.DEVNULL if input is None else None,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=HANGING, cwd=folder,
        env={**{k: v for k, v in os.environ.items() if k not in ("TZ", "CQL_HISTORY")},
             "HOME": home, "PYTHONWARNINGS": "ignore", **(variables or {})}))


def place(env, keyspace):
    return [env.ring.addresses[0], str(env.ring.port), *(["-k", keyspace] if keyspace else [])]


def cqlsh(env, statements=None, keyspace=True, options=(), input=None, folder=None, home=None, variables=None):
    env.make_keyspace()
    program = os.path.join(os.path.dirname(sys.executable), "cqlsh")
    if not os.path.exists(program):
        raise Failed(f"there is no {program}")
    keyspace = env.keyspace if keyspace is True else keyspace
    with tempfile.TemporaryDirectory() as own:
        return run(
            [sys.executable, program],
            [*PATIENT, *options, *place(env, keyspace), *(["-e", statements] if statements else [])],
            home or own, input, folder, variables)


def shell(env, statements=None, keyspace=True, options=(), input=None, folder=None, home=None, variables=None):
    env.make_keyspace()
    keyspace = env.keyspace if keyspace is True else keyspace
    with tempfile.TemporaryDirectory() as own:
        return run(
            [env.ring.binary, "shell"],
            [*PATIENT, *options, *place(env, keyspace), *(["-e", statements] if statements else [])], home or own, input, folder, variables)


def both(env, statements, **options):
    """The two results; cqlsh takes a second to start, so they run beside each other."""
    # Before the two, which would both make it.
    env.make_keyspace()
    results = {}
    thread = threading.Thread(target=lambda: results.update(cqlsh=cqlsh(env, statements, **options)))
    thread.start()
    results["shell"] = shell(env, statements, **options)
    thread.join()
    if "cqlsh" not in results:
        raise Failed("cqlsh did not run")
    return results["shell"], results["cqlsh"]


def same(env, statements, **options):
    """Both print the same and end alike; gives what ours was."""
    ours, theirs = both(env, statements, **options)
    equal(ours.errors, theirs.errors, "errors")
    equal(ours.output, theirs.output, "output")
    equal(ours.code, theirs.code, "exit code")
    return ours


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
