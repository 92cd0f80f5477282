"""Collects behaviours, runs them against a ring, and prints one line for each.

A behaviour is a function marked `@behaviour`; its name, read as a sentence, is the name of the check.
Output, one line per behaviour, for the Swift test that started us:

    ok <suite>: <name>
    FAIL <suite>: <name>: <reason>
    skip <suite>: <name>: <reason>          a client that is not installed here
    elsewhere <suite>: <name>: <reason>     it needs more nodes than this ring has

A behaviour runs against one node unless it says `@needs(3)`; a suite of which nearly all needs more says `NODES = 3`,
and `@needs(1)` where it does not.

Exit code 0 if all held, 3 if some failed, 1 if the suite could not run at all.

What ran is also noted in `behaviours.tsv` in the ring's folder, by the statement that each behaviour is about, for
the table at the end (`table.py`).
"""

import logging
import sys
import time
import traceback

import table
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import (
    FallthroughRetryPolicy, RoundRobinPolicy, WhiteListRoundRobinPolicy)
from cassandra.query import tuple_factory

logging.getLogger("cassandra").setLevel(logging.CRITICAL)

# How long, in seconds, anything is waited for whose time is not what is tested. A wait ends when what it waits for
# is there, so that a slow machine only makes it longer.
PATIENCE = 60

_behaviours = []
# What was asserted since the running behaviour began.
_asserted = {"refusals": 0}


class Behaviour:
    """A check: its name, its function, the statement it is about if that is known, and how many nodes it needs."""

    def __init__(self, name, function, statement=None):
        self.name, self.function, self.statement = name, function, statement
        self.nodes = getattr(function, "nodes", None)


def needs(nodes):
    """Declares how many nodes a behaviour needs; stands below `@behaviour`."""
    def mark(function):
        function.nodes = nodes
        return function
    return mark


def asserted_refusal(phrase):
    """Notes that an answer was held against the code and a phrase of a refusal: only what was is counted as one."""
    if phrase:
        _asserted["refusals"] += 1


class Failed(Exception):
    """An expectation that did not hold."""


class Skipped(Exception):
    """The behaviour could not be tried, with the reason."""


def behaviour(function):
    """Registers a check. It takes the `Environment` and raises when the behaviour does not hold. The statement it is
    about is its attribute `statement`, or begins its name, or is found by what it executes."""
    name = function.__name__.replace("_", " ")
    _behaviours.append(Behaviour(
        name, function, getattr(function, "statement", None) or table.statement_of(name)))
    return function


def refusals(cases, prepare=None):
    """Registers a check for each `(name, statement, exception, phrase)`: the statement is refused with
    that exception and a message that holds the phrase. `prepare(env)` gives the names to fill in."""
    for name, statement, exception, phrase in cases:

        def check(env, statement=statement, exception=exception, phrase=phrase):
            names = prepare(env) if prepare else {}
            env.refused(
                exception, fill(phrase, names), lambda: env.session.execute(fill(statement, names)))

        kind = table.statement_of(statement) or "anything else"
        _behaviours.append(Behaviour(f"refused: {kind}: {name}", check, kind))


def fill(text, names):
    """Replaces `$name` in a statement (braces mean maps in CQL)."""
    for name, value in sorted(names.items(), reverse=True):
        text = text.replace("$" + name, value)
    return text


def equal(actual, expected, what=""):
    """Fails with both values when they differ."""
    if actual != expected:
        prefix = what + ": " if what else ""
        raise Failed(f"{prefix}expected {shorten(expected)}, got {shorten(actual)}")


def true(condition, what):
    """Fails with `what` when the condition is false."""
    if not condition:
        raise Failed(what)


def shorten(value):
    text = repr(value)
    return text if len(text) <= 400 else text[:400] + "..."


def eventually(check, every=0.1):
    """Repeats `check` until it raises nothing; its last failure is the result."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return check()
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(every)


class Environment:
    """What a behaviour needs: a ring, sessions, tables with unique names."""

    def __init__(self, ring, suite):
        self.ring = ring
        self.suite = suite
        self._clusters = []
        self._session = None
        self._tables = 0
        self._shared = {}
        self._ends = []

    # Sessions

    def profile(self, **options):
        """An execution profile: QUORUM, tuples, round robin, unless told otherwise."""
        given = dict(
            consistency_level=ConsistencyLevel.QUORUM, row_factory=tuple_factory,
            load_balancing_policy=RoundRobinPolicy(), request_timeout=PATIENCE)
        given.update(options)
        return ExecutionProfile(**given)

    def cluster(self, profile=None, **options):
        """A driver's cluster on this ring; it is shut down with the environment."""
        given = dict(
            contact_points=[self.ring.addresses[0]], port=self.ring.port, protocol_version=5,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile or self.profile()},
            connect_timeout=PATIENCE, control_connection_timeout=PATIENCE,
            max_schema_agreement_wait=PATIENCE)
        given.update(options)
        cluster = Cluster(**given)
        self._clusters.append(cluster)
        return cluster

    def nodes(self):
        """The numbers of all nodes."""
        return range(1, len(self.ring.addresses) + 1)

    def several(self):
        """Three coordinators: different ones if there are so many."""
        return [number % len(self.ring.addresses) + 1 for number in range(3)]

    def only(self, node, **options):
        """A session whose coordinator is always the node with that number, and which never retries."""
        address = self.ring.addresses[node - 1]
        self.make_keyspace()
        profile = self.profile(
            load_balancing_policy=WhiteListRoundRobinPolicy([address]),
            retry_policy=FallthroughRetryPolicy(), **options)
        cluster = self.cluster(
            profile=profile, contact_points=[address], schema_metadata_enabled=False,
            token_metadata_enabled=False)
        return cluster.connect(self.keyspace)

    @property
    def session(self):
        """The suite's default session, in a keyspace of its own with a replica on every node."""
        self.make_keyspace()
        return self._session

    def make_keyspace(self):
        """Opens the default session, once, and with it makes the suite's keyspace."""
        if self._session is None:
            cluster = self.cluster(schema_metadata_enabled=False, token_metadata_enabled=False)
            session = cluster.connect()
            # An earlier run on the same ring may have left it.
            session.execute(f"DROP KEYSPACE IF EXISTS {self.keyspace}")
            session.execute(
                f"CREATE KEYSPACE IF NOT EXISTS {self.keyspace} WITH replication = "
                f"{{'class': 'SimpleStrategy', 'replication_factor': {len(self.ring.addresses)}}}")
            session.execute(f"USE {self.keyspace}")
            self._session = session

    @property
    def keyspace(self):
        return "conformance_" + self.suite

    def shared(self, name, make):
        """A value that several behaviours of the suite use, made once."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    # Statements

    def table(self, columns, options=""):
        """Creates a table with a name of its own and returns the name."""
        self._tables += 1
        name = f"t{self._tables}"
        self.session.execute(f"CREATE TABLE {name} ({columns}) {options}")
        return name

    def execute(self, statement, parameters=None):
        return self.session.execute(statement, parameters)

    def rows(self, statement, parameters=None):
        """All rows of a query, as a list of tuples."""
        return list(self.session.execute(statement, parameters))

    def refused(self, exception, phrase, action):
        """Fails unless `action` raises that exception with the phrase in its message."""
        try:
            action()
        except exception as error:
            if phrase.lower() not in str(error).lower():
                raise Failed(f"expected a message with {phrase!r}, got {str(error)!r}") from None
            if exception is not Exception:
                asserted_refusal(phrase)
            return error
        except Exception as error:
            raise Failed(
                f"expected {names(exception)} with {phrase!r}, "
                f"got {type(error).__name__}: {error}") from None
        raise Failed(f"expected {names(exception)} with {phrase!r}, but it was accepted")

    def at_end(self, action):
        """Does something when the suite has ended, whatever came of it; the last one first."""
        self._ends.append(action)

    def close(self):
        while self._ends:
            self._ends.pop()()
        for cluster in self._clusters:
            cluster.shutdown()
        self._clusters = []
        self._session = None


def run(ring, suite, only=None, needing=1):
    """Runs the registered behaviours and returns how many failed. Those that need fewer than `needing` nodes are left
    to the run on one."""
    environment = Environment(ring, suite)
    failed = 0
    done = []
    executed = record_statements()
    for behaviour in _behaviours:
        name = behaviour.name
        if only and only not in name or behaviour.nodes < needing:
            continue
        if behaviour.nodes > len(ring.addresses):
            print(f"elsewhere {suite}: {name}: it needs {behaviour.nodes} nodes", flush=True)
            done.append((suite, behaviour.statement or "", "elsewhere", name))
            continue
        begin = time.monotonic()
        executed.clear()
        _asserted["refusals"] = 0
        try:
            behaviour.function(environment)
        except Skipped as reason:
            print(f"skip {suite}: {name}: {one_line(reason)}", flush=True)
        except Failed as error:
            failed += 1
            print(f"FAIL {suite}: {name}: {one_line(error)}", flush=True)
        except Exception as error:
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            ours = [entry for entry in place if "suite_" in entry.filename] or list(place)
            print(
                f"FAIL {suite}: {name}: {type(error).__name__}: {one_line(error)} "
                f"(line {ours[-1].lineno})", flush=True)
        else:
            seconds = time.monotonic() - begin
            slow = f" ({seconds:.1f} s)" if seconds > 2 else ""
            print(f"ok {suite}: {name}{slow}", flush=True)
            statement = behaviour.statement or table.SUBJECTS.get(suite) or table.most_telling(executed)
            done.append((suite, statement, "refusal" if _asserted["refusals"] else "behaviour", name))
    environment.close()
    if not only:
        table.note(ring.folder, suite, done)
    return failed


def record_statements():
    """Notes the kind of each statement that a session executes, for behaviours that do not say what they are about."""
    executed = []
    original = Session.execute_async

    def execute_async(self, query, *arguments, **options):
        text = query if isinstance(query, str) else getattr(query, "query_string", "")
        kind = table.statement_of(text) or ("BATCH" if not text else None)
        if kind:
            executed.append(kind)
        return original(self, query, *arguments, **options)

    Session.execute_async = execute_async
    return executed


def names(exception):
    kinds = exception if isinstance(exception, tuple) else (exception,)
    return " or ".join(kind.__name__ for kind in kinds)


def one_line(error):
    return " ".join(str(error).split())[:600]


def load(suite):
    """Imports a suite, which registers its behaviours."""
    _behaviours.clear()
    sys.modules.pop("suite_" + suite, None)
    module = __import__("suite_" + suite)
    for behaviour in _behaviours:
        behaviour.nodes = behaviour.nodes or getattr(module, "NODES", 1)
    return len(_behaviours)
