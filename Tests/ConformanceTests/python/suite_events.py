"""Events: what registered connections are told, and that others are told nothing."""

import struct

from cassandra import ConsistencyLevel

import wire
from harness import behaviour, equal, eventually, needs, true
from wire import Wire


def registered(env, *types, version=4):
    connection = Wire(env.ring.addresses[0], env.ring.port, version)
    equal(connection.start().opcode, wire.READY)
    answer = connection.ask(wire.REGISTER, wire.string_list(types))
    equal(answer.opcode, wire.READY, "answer to REGISTER")
    return connection


def event(connection):
    """The next event as its type and strings; addresses are given as text."""
    frame = connection.receive()
    equal((frame.opcode, frame.stream), (wire.EVENT, -1), "opcode and stream of an event")
    kind, offset = wire.read_string(frame.body, 0)
    parts = []
    if kind == "SCHEMA_CHANGE":
        while offset < len(frame.body):
            text, offset = wire.read_string(frame.body, offset)
            parts.append(text)
    else:
        change, offset = wire.read_string(frame.body, offset)
        size = frame.body[offset]
        address = ".".join(str(byte) for byte in frame.body[offset + 1:offset + 1 + size])
        port = struct.unpack_from(">i", frame.body, offset + 1 + size)[0]
        parts = [change, address, port]
    return (kind, *parts)


def awaited(connection, *expected):
    """Passes events up to that one: a node that gets no time for a while is announced down and up too."""
    while event(connection) != expected:
        pass


@behaviour
def changes_of_the_schema_are_announced(env):
    env.make_keyspace()
    with registered(env, "SCHEMA_CHANGE") as connection:
        for statement, expected in (
            ("CREATE KEYSPACE announced WITH replication = "
             "{'class': 'SimpleStrategy', 'replication_factor': 1}",
             ("CREATED", "KEYSPACE", "announced")),
            ("ALTER KEYSPACE announced WITH durable_writes = false",
             ("UPDATED", "KEYSPACE", "announced")),
            ("CREATE TYPE announced.y (a int)", ("CREATED", "TYPE", "announced", "y")),
            ("ALTER TYPE announced.y ADD b int", ("UPDATED", "TYPE", "announced", "y")),
            ("CREATE TABLE announced.t (k int PRIMARY KEY)",
             ("CREATED", "TABLE", "announced", "t")),
            ("ALTER TABLE announced.t ADD v int", ("UPDATED", "TABLE", "announced", "t")),
            ("DROP TABLE announced.t", ("DROPPED", "TABLE", "announced", "t")),
            ("DROP TYPE announced.y", ("DROPPED", "TYPE", "announced", "y")),
            ("DROP KEYSPACE announced", ("DROPPED", "KEYSPACE", "announced")),
        ):
            env.execute(statement)
            equal(event(connection), ("SCHEMA_CHANGE",) + expected, statement)


@behaviour
def a_statement_that_changes_nothing_is_not_announced(env):
    env.make_keyspace()
    with registered(env, "SCHEMA_CHANGE") as connection:
        env.execute("DROP TABLE IF EXISTS nowhere")
        env.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {env.keyspace} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 3}")
        name = env.table("k int PRIMARY KEY")
        equal(event(connection), ("SCHEMA_CHANGE", "CREATED", "TABLE", env.keyspace, name))


@behaviour
@needs(3)
def a_change_made_through_another_node_is_announced(env):
    session = env.only(len(env.ring.addresses))
    env.make_keyspace()
    with registered(env, "SCHEMA_CHANGE") as connection:
        session.execute("CREATE TABLE elsewhere (k int PRIMARY KEY)")
        equal(event(connection), ("SCHEMA_CHANGE", "CREATED", "TABLE", env.keyspace, "elsewhere"))


@behaviour
def events_come_in_version_5_segments(env):
    env.make_keyspace()
    with registered(env, "SCHEMA_CHANGE", version=5) as connection:
        name = env.table("k int PRIMARY KEY")
        equal(event(connection), ("SCHEMA_CHANGE", "CREATED", "TABLE", env.keyspace, name))


@behaviour
def a_connection_that_did_not_register_is_told_nothing(env):
    env.make_keyspace()
    with Wire(env.ring.addresses[0], env.ring.port) as connection:
        connection.start()
        env.table("k int PRIMARY KEY")
        connection.query("SELECT key FROM system.local", stream=5)
        frame = connection.receive()
        equal((frame.opcode, frame.stream), (wire.RESULT, 5))


@behaviour
@needs(3)
def a_node_that_dies_and_returns_is_announced_down_and_up(env):
    env.make_keyspace()
    node = len(env.ring.addresses)
    address = env.ring.addresses[node - 1]
    with registered(env, "STATUS_CHANGE", "TOPOLOGY_CHANGE") as connection:
        env.ring.kill(node)
        awaited(connection, "STATUS_CHANGE", "DOWN", address, env.ring.port)
        env.ring.start(node)
        awaited(connection, "STATUS_CHANGE", "UP", address, env.ring.port)
        with Wire(address, env.ring.port) as probe:
            equal(probe.ask(wire.OPTIONS).opcode, wire.SUPPORTED, "UP means that it answers")


@behaviour
@needs(3)
def the_driver_follows_a_node_down_and_up(env):
    cluster = env.cluster(schema_metadata_enabled=False)
    session = cluster.connect(env.keyspace)
    node = len(env.ring.addresses)
    host = next(
        host for host in cluster.metadata.all_hosts()
        if host.address == env.ring.addresses[node - 1])
    eventually(lambda: true(host.is_up, "up at first"))
    env.ring.kill(node)
    eventually(lambda: true(not host.is_up, "seen down"))
    for _ in range(6):
        session.execute("SELECT key FROM system.local")
    env.ring.start(node)
    eventually(lambda: true(host.is_up, "seen up again"))
