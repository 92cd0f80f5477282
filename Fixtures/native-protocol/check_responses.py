"""Has the Python driver (cassandra-driver 3.30.1) decode every line of responses.txt and checks it.

Run by hand after the fixture was renewed: python3 check_responses.py
"""
import os
import uuid

from cassandra.protocol import ProtocolHandler
from cassandra import protocol as p

EXPECTED_ERRORS = [
    p.ServerError, p.ProtocolException, p.BadCredentials, p.UnavailableErrorMessage,
    p.OverloadedErrorMessage, p.IsBootstrappingErrorMessage, p.TruncateError,
    p.WriteTimeoutErrorMessage, p.WriteTimeoutErrorMessage, p.ReadTimeoutErrorMessage,
    p.ReadFailureMessage, p.WriteFailureMessage, p.SyntaxException, p.UnauthorizedErrorMessage,
    p.InvalidRequestException, p.ConfigurationException, p.AlreadyExistsException,
    p.PreparedQueryNotFound]

TYPES = [
    "ascii", "bigint", "blob", "boolean", "counter", "date", "decimal", "double", "duration",
    "float", "inet", "int", "smallint", "varchar", "time", "timestamp", "timeuuid", "tinyint", "uuid",
    "varint", "list<int>", "set<varchar>", "map<varchar, list<duration>>", "frozen<tuple<int, varchar>>",
    "org.apache.cassandra.db.marshal.VectorType<float, 3>", "frozen<point>"]


def check(name, version, message):
    if name == "void_prefix":
        assert message.trace_id == uuid.UUID(int=(1 << 64) + 2)
        if version >= 4:
            assert message.warnings == ["careful", "very"], message.warnings
            assert message.custom_payload == {"k": b"\1\2", "n": None}
    if name == "supported":
        assert message.options["PROTOCOL_VERSIONS"] == ["3/v3", "4/v4", "5/v5"]
        assert message.cql_versions == ["3.4.7"]
    if name.startswith("error_"):
        index = int(name[6:])
        expected = EXPECTED_ERRORS[index]
        if version == 3 and expected in (p.ReadFailureMessage, p.WriteFailureMessage):
            expected = p.ServerError
        assert type(message) is expected, (name, version, type(message))
        info = message.info
        if expected is p.UnavailableErrorMessage:
            assert info == {"consistency": 4, "required_replicas": 2, "alive_replicas": 1}, info
        if expected is p.WriteTimeoutErrorMessage:
            assert info["required_responses"] == 3 and info["received_responses"] == 1, info
        if expected is p.ReadFailureMessage:
            assert info["failures"] == 2 and not info["data_retrieved"], info
            if version == 5:
                assert info["error_code_map"] == {
                    "10.0.0.1": 1, "fefe:" * 7 + "fefe": 5}, info
        if expected is p.PreparedQueryNotFound:
            assert info == b"\xab" * 16, info
        if expected is p.AlreadyExistsException:
            assert info == {"keyspace": "ks", "table": "t"}, info
    if name == "event_0":
        assert message.event_args == {"change_type": "NEW_NODE", "address": ("10.0.0.2", 9042)}
    if name == "event_3":
        assert message.event_args["table"] == "t", message.event_args
    if name == "prepared":
        assert message.query_id == b"\xcd" * 16
        assert [c.name for c in message.bind_metadata] == ["c0", "c1"]
        assert message.pk_indexes == ([1, 0] if version >= 4 else None)
        assert [c[3].cql_parameterized_type() for c in message.column_metadata] == ["uuid"]
    if name == "rows_types":
        types = [t.cql_parameterized_type() for t in message.column_types]
        assert types[:len(TYPES)] == TYPES, types
        vector = message.column_types[26]
        assert vector.vector_size == 2 and vector.subtype.vector_size == 2
    if name == "rows_paged":
        assert message.paging_state == b"\t\x08\x07"
        assert message.parsed_rows == [(0, "row0"), (1, "row1"), (2, "row2")]
    if name == "rows_metadata_changed" and version == 5:
        assert message.result_metadata_id is not None and message.column_names == ["c0"]


count = 0
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "responses.txt")
for text in open(path):
    if text.startswith("#"):
        continue
    name, version, data = text.split()
    version = int(version)
    frame = bytes.fromhex(data)
    assert frame[0] == 0x80 | version
    known = None
    if name == "rows_metadata_changed" and version < 5:
        known = [("ks", "t", "c0", p.Int32Type)]
    message = ProtocolHandler.decode_message(
        version, {}, int.from_bytes(frame[2:4], "big", signed=True), frame[1], frame[4], frame[9:],
        None, known)
    check(name, version, message)
    count += 1
print("%d responses checked" % count)
