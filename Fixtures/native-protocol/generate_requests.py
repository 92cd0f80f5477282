"""Writes requests.txt: requests as the Python driver (cassandra-driver 3.30.1) encodes them.

Run by hand when a case is added: python3 generate_requests.py > requests.txt
Each line: name, protocol version, framing (plain, lz4, segment, segment-lz4), hexadecimal bytes.
"""
import io

import lz4.block
from cassandra.marshal import int32_pack
from cassandra.protocol import (
    AuthResponseMessage, BatchMessage, ExecuteMessage, OptionsMessage, PrepareMessage,
    ProtocolHandler, QueryMessage, RegisterMessage, StartupMessage, _UNSET_VALUE)
from cassandra.query import BatchType
from cassandra.segment import SegmentCodec


def compress(data):
    return int32_pack(len(data)) + lz4.block.compress(data, store_size=False)


def decompress(data):
    return lz4.block.decompress(data)


def line(name, version, framing, data):
    print(name, version, framing, data.hex())


def cases(version):
    yield "options", OptionsMessage()
    yield "startup", StartupMessage(
        cqlversion="3.4.7", options={"COMPRESSION": "lz4", "DRIVER_NAME": "fixture"})
    yield "auth_response", AuthResponseMessage(b"\0user\0secret")
    yield "register", RegisterMessage(["TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"])
    yield "prepare", PrepareMessage("SELECT v FROM t WHERE k = ?")
    if version >= 5:
        yield "prepare_keyspace", PrepareMessage("SELECT v FROM t WHERE k = ?", keyspace="ks")
    yield "query", QueryMessage("SELECT * FROM system.local", 1)
    keyspace = "ks" if version >= 5 else None
    yield "query_all", QueryMessage(
        "SELECT * FROM ü", 4, serial_consistency_level=9, fetch_size=100, paging_state=b"\1\2\3",
        timestamp=1234567890123456, keyspace=keyspace)
    unset = _UNSET_VALUE if version >= 4 else None
    yield "execute", ExecuteMessage(
        b"\xaa" * 16, [b"key", None, unset, b""], 6, fetch_size=5000,
        timestamp=5, result_metadata_id=b"\xbb" * 16 if version >= 5 else None)
    yield "batch", BatchMessage(
        BatchType.UNLOGGED,
        [(False, "INSERT INTO t (k) VALUES (1)", []), (True, b"\xcc" * 16, [b"a", None])],
        10, serial_consistency_level=8, timestamp=77, keyspace=keyspace)


for version in (3, 4, 5):
    for name, message in cases(version):
        plain = ProtocolHandler.encode_message(message, 7, version, None, False)
        line(name, version, "plain", plain)
        if version < 5 and name in ("query_all", "batch"):
            line(name, version, "lz4",
                 ProtocolHandler.encode_message(message, 7, version, compress, False))
        if version == 5 and name not in ("options", "startup"):
            for framing, codec in (
                    ("segment", SegmentCodec()),
                    ("segment-lz4", SegmentCodec(compress, decompress))):
                buffer = io.BytesIO()
                codec.encode(buffer, plain)
                line(name, version, framing, buffer.getvalue())

# A message that needs compressing, and one that spans segments: 300,000 bytes of text.
for count in (2000, 300000):
    text = "SELECT '" + "abcdefghij" * (count // 10) + "' FROM t"
    plain = ProtocolHandler.encode_message(QueryMessage(text, 1), 7, 5, None, False)
    buffer = io.BytesIO()
    SegmentCodec(compress, decompress).encode(buffer, plain)
    line("query_repeated_%d" % count, 5, "segment-lz4", buffer.getvalue())
