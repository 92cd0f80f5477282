"""Errors with their bodies, code by code: what each says behind its text, in every version of the protocol."""

import struct

import wire
from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement
from frames import ALL, ONE, QUORUM, SERIAL, SERIAL_LEVEL, TWO, Reader, ask, batch, error, started, text_part
from harness import behaviour, equal, eventually, needs, true

VERSIONS = (3, 4, 5)
TIMEOUTS = ("read_request_timeout", "write_request_timeout", "cas_contention_timeout", "truncate_request_timeout")


def table(env):
    """k int PRIMARY KEY, v int, on every node."""
    return env.shared("table", lambda: env.keyspace + "." + env.table("k int PRIMARY KEY, v int"))


def counters(env):
    return env.shared("counters", lambda: env.keyspace + "." + env.table("k int PRIMARY KEY, n counter"))


def change(env, node, name, text):
    """Gives a setting of one node another value; the former one."""
    session = env.shared(f"node {node}", lambda: env.only(node))
    before = session.execute("SELECT value FROM system_views.settings WHERE name = %s", (name,)).one()[0]
    session.execute("UPDATE system_views.settings SET value = %s WHERE name = %s", (text, name))
    return before


class Paused:
    """Nodes whose processes stand still while the block runs, and a first node that waits for half a second."""

    def __init__(self, env, *nodes):
        self.env, self.nodes = env, nodes

    def __enter__(self):
        table(self.env), counters(self.env)
        self.before = {name: change(self.env, 1, name, "500ms") for name in TIMEOUTS}
        for node in self.nodes:
            self.env.ring.pause(node)

    def __exit__(self, *_):
        for node in self.nodes:
            self.env.ring.resume(node)
        for name, text in self.before.items():
            change(self.env, 1, name, text)
        everyone = SimpleStatement(f"SELECT v FROM {table(self.env)} WHERE k = 1", consistency_level=ConsistencyLevel.ALL)
        eventually(lambda: self.env.execute(everyone))


def timed_out(env, frame, code, level, received, required):
    """What a timeout says, up to how many replicas have answered; the rest of its body."""
    reader = Reader(error(frame, code, "Operation timed out - received only"))
    equal(reader.take("Hii"), (level, received, required), frame.error[1])
    return reader


def write_timeouts(env):
    """Each kind of write with how the client asks for it, and the kind that the error names."""
    name, n = table(env), counters(env)
    yield "SIMPLE", (ALL, 2, 3), lambda c: ask(c, f"INSERT INTO {name} (k, v) VALUES (1, 1)", level=ALL)
    yield "UNLOGGED_BATCH", (ALL, 2, 3), lambda c: batch(
        c, 1, [text_part(f"INSERT INTO {name} (k, v) VALUES ({k}, 1)") for k in (1, 2)], level=ALL)
    # The log itself is written on two other nodes, of which one does not answer: nothing of the batch was written.
    yield "BATCH_LOG", (TWO, 1, 2), lambda c: batch(
        c, 0, [text_part(f"INSERT INTO {name} (k, v) VALUES ({k}, 1)") for k in (1, 2)], level=ALL)
    # Who leads the increment tells the coordinator only that it is through.
    yield "COUNTER", (ALL, 0, 3), lambda c: ask(c, f"UPDATE {n} SET n = n + 1 WHERE k = 1", level=ALL)


@behaviour
@needs(3)
def a_write_timeout_tells_level_received_required_and_kind(env):
    with Paused(env, 3):
        for version in VERSIONS:
            with started(env, version) as connection:
                for kind, answered, write in write_timeouts(env):
                    def told():
                        answer = write(connection)
                        equal(answer.opcode, wire.ERROR, f"{kind}, version {version}")
                        rest = timed_out(env, answer, 0x1100, *answered)
                        equal((rest.string(), rest.rest), (kind, b""), f"version {version}")
                    # The others may take longer at times.
                    eventually(told)


@behaviour
@needs(3)
def a_write_timeout_of_a_condition_is_of_kind_CAS_and_counts_contentions_in_version_5(env):
    text = f"INSERT INTO {table(env)} (k, v) VALUES (5, 1) IF NOT EXISTS"
    with Paused(env, 2, 3):
        for version in VERSIONS:
            with started(env, version) as connection:
                rest = eventually(lambda: timed_out(
                    env, ask(connection, text, SERIAL_LEVEL, struct.pack(">H", SERIAL), ONE), 0x1100, SERIAL, 1, 2))
                equal(rest.string(), "CAS")
                equal(len(rest.rest), 2 if version >= 5 else 0, f"contentions in version {version}")


@behaviour
@needs(3)
def a_read_timeout_tells_level_received_required_and_whether_data_came(env):
    env.execute(f"INSERT INTO {table(env)} (k, v) VALUES (1, 1)")
    with Paused(env, 3):
        for version in VERSIONS:
            with started(env, version) as connection:
                rest = eventually(lambda: timed_out(
                    env, ask(connection, f"SELECT v FROM {table(env)} WHERE k = 1", level=ALL), 0x1200, ALL, 2, 3))
                true(rest.rest in (b"\0", b"\1"), f"data present: {rest.rest}")


@behaviour
@needs(3)
def a_truncation_that_not_every_node_can_take_has_its_own_code(env):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY")
    env.execute(f"INSERT INTO {name} (k) VALUES (1)")
    with Paused(env, 3):
        for version in VERSIONS:
            with started(env, version) as connection:
                equal(error(ask(connection, f"TRUNCATE {name}"), 0x1003, "Error during truncate"), b"")
    env.execute(f"TRUNCATE {name}")
    equal(env.rows(f"SELECT k FROM {name}"), [])


@behaviour
@needs(3)
def a_truncation_with_a_dead_node_is_refused(env):
    name = env.keyspace + "." + env.table("k int PRIMARY KEY")
    env.execute(SimpleStatement(f"INSERT INTO {name} (k) VALUES (1)", consistency_level=ConsistencyLevel.ALL))
    env.ring.kill(3)
    try:
        eventually(lambda: true("DN" in env.ring.admin("status")[1], "still up"))
        with started(env) as connection:
            error(ask(connection, f"TRUNCATE {name}"), 0x1003,
                  "Error during truncate: Cannot achieve consistency level ALL")
        equal(env.rows(f"SELECT k FROM {name}"), [(1,)])
    finally:
        env.ring.heal()


def tombstones(env):
    """A partition with 300 deleted rows."""
    def make():
        name = env.keyspace + "." + env.table("k int, c int, PRIMARY KEY (k, c)")
        deletion = env.session.prepare(f"DELETE FROM {name} WHERE k = 1 AND c = ?")
        for future in [env.session.execute_async(deletion, (c,)) for c in range(300)]:
            future.result()
        return name
    return env.shared("tombstones", make)


@behaviour
def a_read_failure_tells_how_many_failed_and_in_version_5_who_and_why(env):
    name = tombstones(env)
    before = [change(env, node, "tombstone_failure_threshold", "200") for node in env.nodes()]
    try:
        for version in VERSIONS:
            with started(env, version) as connection:
                frame = ask(connection, f"SELECT * FROM {name} WHERE k = 1", level=ONE)
                if version == 3:
                    # There are no failures in version 3: they are told as timeouts.
                    equal(Reader(error(frame, 0x1200)).take("Hii"), (ONE, 0, 1))
                    continue
                reader = Reader(error(frame, 0x1300))
                equal(reader.take("Hii"), (ONE, 0, 1))
                failures = reader.take("i")
                true(1 <= failures <= len(env.ring.addresses), f"{failures} failures")
                for _ in range(failures if version >= 5 else 0):
                    address = ".".join(map(str, reader.raw(reader.take("B"))))
                    true(address in env.ring.addresses, address)
                    equal(reader.take("H"), 1, "the reason: too many tombstones")
                equal(reader.rest, b"\0", "no data came")
    finally:
        for node, text in zip(env.nodes(), before):
            change(env, node, "tombstone_failure_threshold", text)


@behaviour
def syntax_errors_name_line_and_column(env):
    for version in VERSIONS:
        with started(env, version) as connection:
            for text, place in (("SELEC * FROM t", "line 1:0 "), ("SELECT *\nFROM\n  WHERE", "line 3:2 "),
                                ("INSERT INTO t (k) VALUES (1", "line 1:27 ")):
                equal(error(ask(connection, text), 0x2000, place), b"", text)


@behaviour
def an_unauthorized_statement_has_its_code_and_no_more(env):
    for version in VERSIONS:
        with started(env, version) as connection:
            equal(error(ask(connection, "DROP TABLE system.local"), 0x2100, "is not user-modifiable"), b"")


@behaviour
def a_protocol_error_has_its_code_and_no_more(env):
    for version in VERSIONS:
        with started(env, version) as connection:
            equal(error(connection.ask(wire.QUERY, b"\0\0"), 0x000A), b"")


@behaviour
def an_unknown_statement_tells_its_id(env):
    for version in VERSIONS:
        with started(env, version) as connection:
            rest = struct.pack(">H", 16) + b"x" * 16
            metadata = struct.pack(">H", 16) + b"y" * 16 if version >= 5 else b""
            flags = struct.pack(">i" if version >= 5 else ">B", 0)
            frame = connection.ask(wire.EXECUTE, rest + metadata + struct.pack(">H", QUORUM) + flags)
            equal(error(frame, 0x2500, "not found"), rest)
