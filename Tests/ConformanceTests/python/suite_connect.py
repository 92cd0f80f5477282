"""Connecting: versions, negotiation, compression, frames and segments, right and broken."""

import struct

import lz4.block
from cassandra import InvalidRequest, ProtocolVersion
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, NoHostAvailable

import wire
from harness import Failed, asserted_refusal, behaviour, equal, true
from wire import Closed, Wire


def connected(env, **options):
    options.setdefault("schema_metadata_enabled", False)
    options.setdefault("token_metadata_enabled", False)
    cluster = env.cluster(**options)
    session = cluster.connect()
    equal(session.execute("SELECT key FROM system.local").one()[0], "local")
    return cluster, session


def echo(env, session):
    """A value of 300,000 characters goes to the server and comes back."""
    table = env.shared("echo", lambda: env.table("k int PRIMARY KEY, v text"))
    text = "".join(chr(0x61 + (i * 7919) % 26) for i in range(300_000))
    statement = session.prepare(f"INSERT INTO {env.keyspace}.{table} (k, v) VALUES (?, ?)")
    session.execute(statement, (1, text))
    rows = list(session.execute(f"SELECT v FROM {env.keyspace}.{table} WHERE k = 1"))
    equal(rows == [(text,)], True, "the long value came back")


def wired(env, version=4, **options):
    return Wire(env.ring.addresses[0], env.ring.port, version, **options)


def started(env, version=4, **options):
    connection = wired(env, version)
    equal(connection.start(**options).opcode, wire.READY, "answer to STARTUP")
    return connection


def protocol_error(frame, *phrases):
    equal(frame.opcode, wire.ERROR, "opcode of the answer")
    code, text = frame.error
    equal(code, wire.PROTOCOL_ERROR, f"code of the error {text!r}")
    for phrase in phrases:
        true(phrase.lower() in text.lower(), f"{phrase!r} is not in {text!r}")
        asserted_refusal(phrase)
    return text


@behaviour
def the_driver_steps_down_from_its_newest_version_to_5(env):
    cluster = Cluster(
        [env.ring.addresses[0]], port=env.ring.port,
        execution_profiles={EXEC_PROFILE_DEFAULT: env.profile()})
    try:
        session = cluster.connect()
        equal(cluster.protocol_version, ProtocolVersion.V5)
        equal(session.execute("SELECT key FROM system.local").one()[0], "local")
    finally:
        cluster.shutdown()


@behaviour
def version_3_plain(env):
    echo(env, connected(env, protocol_version=3, compression=False)[1])


@behaviour
def version_3_lz4(env):
    echo(env, connected(env, protocol_version=3, compression="lz4")[1])


@behaviour
def version_4_plain(env):
    echo(env, connected(env, protocol_version=4, compression=False)[1])


@behaviour
def version_4_lz4(env):
    echo(env, connected(env, protocol_version=4, compression="lz4")[1])


@behaviour
def version_5_plain_with_messages_over_several_segments(env):
    echo(env, connected(env, protocol_version=5, compression=False)[1])


@behaviour
def version_5_lz4_with_messages_over_several_segments(env):
    echo(env, connected(env, protocol_version=5, compression="lz4")[1])


@behaviour
def connecting_to_a_keyspace_uses_it(env):
    env.make_keyspace()
    session = env.cluster().connect(env.keyspace)
    equal(session.keyspace, env.keyspace)


@behaviour
def connecting_to_an_unknown_keyspace_is_refused(env):
    cluster = env.cluster()
    try:
        cluster.connect("no_such_keyspace")
    except (InvalidRequest, NoHostAvailable) as error:
        true("no_such_keyspace" in str(error), f"the keyspace is not named in {error}")
    else:
        raise Failed("the session was opened")


@behaviour
def every_node_answers_its_own_address(env):
    for address in env.ring.addresses:
        with Wire(address, env.ring.port) as connection:
            equal(connection.ask(wire.OPTIONS).opcode, wire.SUPPORTED, address)


@behaviour
def options_before_startup_name_versions_and_compressions(env):
    with wired(env) as connection:
        frame = connection.ask(wire.OPTIONS, stream=7)
        equal((frame.version, frame.stream, frame.opcode), (0x84, 7, wire.SUPPORTED))
        options = wire.read_string_multimap(frame.body)
        equal(options["PROTOCOL_VERSIONS"][:3], ["3/v3", "4/v4", "5/v5"])
        true("lz4" in options["COMPRESSION"], "lz4 is offered")
        true(options["CQL_VERSION"][0].startswith("3.4."), f"CQL_VERSION {options['CQL_VERSION']}")


@behaviour
def options_are_answered_at_any_time(env):
    with started(env, 5) as connection:
        equal(connection.ask(wire.OPTIONS, stream=3).opcode, wire.SUPPORTED)


def refused_version(env, version):
    with wired(env, version) as connection:
        connection.send(wire.OPTIONS, stream=5)
        frame = connection.receive()
        true(frame.version in (0x83, 0x84, 0x85), f"the answer has version {frame.version:#x}")
        equal(frame.stream, 5, "stream")
        text = protocol_error(frame)
        true(connection.is_closed_by_server(), "the connection is closed")
        return text


@behaviour
def an_unknown_version_is_refused_in_words_that_drivers_match(env):
    for version in (66, 65, 2, 1, 7):
        text = refused_version(env, version)
        true("unsupported protocol version" in text, f"version {version}: {text!r}")
    text = refused_version(env, 66)
    true("Invalid or unsupported protocol version" in text, text)
    true("3/v3" in text and "5/v5" in text, f"the supported ones are not named in {text!r}")


@behaviour
def the_beta_version_is_refused_without_its_flag(env):
    text = refused_version(env, 6)
    true(
        "unsupported protocol version" in text or "USE_BETA" in text, text)


@behaviour
def a_query_before_startup_is_a_protocol_error(env):
    with wired(env) as connection:
        connection.query("SELECT key FROM system.local")
        protocol_error(connection.receive(), "STARTUP")


@behaviour
def startup_without_a_CQL_version_is_a_protocol_error(env):
    with wired(env) as connection:
        protocol_error(connection.ask(wire.STARTUP, wire.string_map({})), "CQL_VERSION")


@behaviour
def startup_with_an_unknown_compression_is_a_protocol_error(env):
    with wired(env) as connection:
        protocol_error(connection.start(COMPRESSION="brotli"), "compression")


@behaviour
def unknown_startup_options_are_accepted(env):
    with started(env, APPLICATION_NAME="conformance", DRIVER_NAME="by hand") as connection:
        connection.query("SELECT key FROM system.local")
        equal(connection.receive().kind, 2)


@behaviour
def an_unknown_opcode_is_a_protocol_error(env):
    with started(env) as connection:
        protocol_error(connection.ask(0x7F))


@behaviour
def an_opcode_of_the_server_is_a_protocol_error(env):
    with started(env) as connection:
        protocol_error(connection.ask(wire.RESULT, b"\0\0\0\1"))


@behaviour
def a_body_that_is_too_short_is_a_protocol_error(env):
    with started(env) as connection:
        protocol_error(connection.ask(wire.QUERY, struct.pack(">i", 1000) + b"SELECT"))


@behaviour
def text_that_is_not_UTF_8_is_a_protocol_error(env):
    with started(env) as connection:
        body = wire.long_string(b"SELECT \xff\xfe") + struct.pack(">HB", 1, 0)
        frame = connection.ask(wire.QUERY, body)
        equal(frame.opcode, wire.ERROR)
        true(frame.error[0] in (0x000A, 0x2000), f"error {frame.error}")


@behaviour
def a_negative_stream_from_a_client_is_a_protocol_error(env):
    with started(env) as connection:
        protocol_error(connection.ask(wire.OPTIONS, stream=-3))


@behaviour
def a_frame_over_the_limit_ends_the_connection_and_no_other(env):
    with started(env) as other:
        with started(env) as connection:
            connection.send(wire.QUERY, b"x" * 100, length=0x7FFFFFFF)
            try:
                protocol_error(connection.receive())
            except Closed:
                pass
            true(connection.is_closed_by_server(), "the connection is closed")
        other.query("SELECT key FROM system.local")
        equal(other.receive().kind, 2, "the other connection lives")


@behaviour
def a_value_of_a_length_below_minus_two_is_a_protocol_error(env):
    with started(env) as connection:
        body = connection.query_body(
            "SELECT key FROM system.local WHERE key = ?", query_flags=0x01,
            rest=struct.pack(">Hi", 1, -5))
        protocol_error(connection.ask(wire.QUERY, body))


@behaviour
def registering_for_an_unknown_event_is_a_protocol_error(env):
    with started(env) as connection:
        protocol_error(connection.ask(wire.REGISTER, wire.string_list(["EARTHQUAKE"])))


@behaviour
def answers_carry_the_stream_of_their_question(env):
    with started(env) as connection:
        streams = [0, 1, 127, 128, 300, 32767]
        for stream in streams:
            connection.query("SELECT key FROM system.local", stream=stream)
        equal(sorted(connection.receive().stream for _ in streams), streams)


@behaviour
def a_thousand_pipelined_queries_are_answered_once_each(env):
    with started(env) as connection:
        for stream in range(1000):
            connection.query("SELECT key FROM system.local", stream=stream)
        equal(sorted(connection.receive().stream for _ in range(1000)), list(range(1000)))


@behaviour
def a_query_in_one_byte_pieces_is_answered(env):
    with started(env) as connection:
        for byte in connection.frame(
                wire.QUERY, connection.query_body("SELECT key FROM system.local"), stream=9):
            connection.raw(bytes([byte]))
        equal(connection.receive().stream, 9)


@behaviour
def executing_an_unknown_statement_is_answered_with_its_id(env):
    with started(env) as connection:
        identifier = bytes(range(16))
        body = struct.pack(">H", 16) + identifier + struct.pack(">HB", 1, 0)
        frame = connection.ask(wire.EXECUTE, body)
        equal(frame.opcode, wire.ERROR)
        equal(frame.error[0], wire.UNPREPARED)
        true(frame.body.endswith(struct.pack(">H", 16) + identifier), "the id is in the body")


def prepare(connection, text):
    body = wire.long_string(text)
    if connection.version >= 5:
        body += struct.pack(">i", 0)
    frame = connection.ask(wire.PREPARE, body)
    equal(frame.kind if frame.opcode == wire.RESULT else frame.error, 4, "RESULT prepared")
    length = struct.unpack_from(">H", frame.body, 4)[0]
    return frame.body[6:6 + length], frame.body[6 + length:]


@behaviour
def a_prepared_statement_tells_which_markers_are_the_partition_key(env):
    table = env.table("a int, b int, v int, PRIMARY KEY ((a, b))")
    with started(env) as connection:
        identifier, rest = prepare(
            connection, f"INSERT INTO {env.keyspace}.{table} (v, b, a) VALUES (?, ?, ?)")
        equal(len(identifier), 16, "length of the id")
        flags, columns, keys = struct.unpack_from(">iii", rest)
        equal((flags & 1, columns, keys), (1, 3, 2), "global table flag, columns, key markers")
        equal(struct.unpack_from(">HH", rest, 12), (2, 1), "markers of the key in key order")


@behaviour
def the_id_of_a_prepared_statement_is_the_same_on_every_node(env):
    text = "SELECT key FROM system.local WHERE key = ?"
    identifiers = set()
    for address in env.ring.addresses:
        with Wire(address, env.ring.port) as connection:
            connection.start()
            identifiers.add(prepare(connection, text)[0])
    equal(len(identifiers), 1, "different ids")


@behaviour
def metadata_is_left_out_when_the_client_has_it(env):
    with started(env) as connection:
        identifier, _ = prepare(connection, "SELECT key FROM system.local")
        body = struct.pack(">H", 16) + identifier + struct.pack(">HB", 1, 0x02)
        frame = connection.ask(wire.EXECUTE, body)
        kind, flags = struct.unpack_from(">ii", frame.body)
        equal((kind, flags & 4), (2, 4))


@behaviour
def a_traced_answer_begins_with_the_id_of_its_trace(env):
    with started(env) as connection:
        connection.query("SELECT key FROM system.local", flags=0x02)
        frame = connection.receive()
        equal(frame.flags & 0x02, 0x02, "the tracing flag")
        equal(frame.body[6] >> 4, 1, "version of the trace's uuid")
        equal(struct.unpack_from(">i", frame.body, 16)[0], 2, "kind of the result")


@behaviour
def a_custom_payload_is_accepted(env):
    with started(env) as connection:
        payload = struct.pack(">H", 1) + wire.string("key") + wire.long_string(b"value")
        body = payload + connection.query_body("SELECT key FROM system.local")
        connection.send(wire.QUERY, body, flags=0x04)
        equal(connection.receive().opcode, wire.RESULT)


@behaviour
def bodies_compressed_with_lz4_are_read_in_version_4(env):
    with started(env, COMPRESSION="lz4") as connection:
        body = connection.query_body("SELECT key FROM system.local")
        packed = struct.pack(">i", len(body)) + lz4.block.compress(body, store_size=False)
        connection.send(wire.QUERY, packed, flags=0x01)
        frame = connection.receive()
        body = frame.body
        if frame.flags & 0x01:
            size = struct.unpack_from(">i", body)[0]
            body = lz4.block.decompress(body[4:], uncompressed_size=size)
        equal(struct.unpack_from(">i", body)[0], 2, "kind of the result")


@behaviour
def a_lying_length_of_a_compressed_body_is_a_protocol_error(env):
    with started(env, COMPRESSION="lz4") as connection:
        packed = struct.pack(">i", 0x7FFFFFFF) + lz4.block.compress(b"abc", store_size=False)
        connection.send(wire.QUERY, packed, flags=0x01)
        try:
            protocol_error(connection.receive())
        except Closed:
            pass
    with started(env) as other:
        other.query("SELECT key FROM system.local")
        equal(other.receive().kind, 2, "the node lives")


@behaviour
def several_frames_in_one_segment_are_all_answered(env):
    with started(env, 5) as connection:
        query = connection.query_body("SELECT key FROM system.local")
        connection.raw(wire.segment(b"".join(
            connection.frame(wire.QUERY, query, stream=stream) for stream in range(20))))
        equal(sorted(connection.receive().stream for _ in range(20)), list(range(20)))


@behaviour
def a_frame_over_several_segments_is_put_together(env):
    with started(env, 5) as connection:
        text = "SELECT key FROM system.local /* " + "x" * 300_000 + " */"
        data = connection.frame(wire.QUERY, connection.query_body(text), stream=4)
        for offset in range(0, len(data), 131_071):
            connection.raw(wire.segment(data[offset:offset + 131_071], is_self_contained=False))
        frame = connection.receive()
        equal((frame.opcode, frame.stream), (wire.RESULT, 4))


def broken_segment(env, **how):
    with started(env, 5) as other, started(env, 5) as connection:
        data = connection.frame(wire.OPTIONS)
        connection.raw(wire.segment(data, **how))
        try:
            protocol_error(connection.receive())
        except Closed:
            pass
        true(connection.is_closed_by_server(), "the connection is closed")
        other.query("SELECT key FROM system.local")
        equal(other.receive().kind, 2, "the other connection lives")


@behaviour
def a_segment_with_a_broken_header_ends_its_connection_only(env):
    broken_segment(env, break_header=True)


@behaviour
def a_segment_with_a_broken_payload_ends_its_connection_only(env):
    broken_segment(env, break_payload=True)


@behaviour
def garbage_instead_of_a_frame_ends_its_connection_only(env):
    with wired(env) as connection:
        connection.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        true(connection.is_closed_by_server(), "the connection is closed")
    with started(env) as other:
        equal(other.ask(wire.OPTIONS).opcode, wire.SUPPORTED)
