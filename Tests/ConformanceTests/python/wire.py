"""The native protocol by hand: what a driver would not send, and what it hides of the answers."""

import socket
import struct
import zlib

from harness import PATIENCE

ERROR, STARTUP, READY, OPTIONS, SUPPORTED = 0x00, 0x01, 0x02, 0x05, 0x06
QUERY, RESULT, PREPARE, EXECUTE, REGISTER, EVENT, BATCH = 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D

PROTOCOL_ERROR, UNPREPARED = 0x000A, 0x2500
QUORUM = 4


class Closed(Exception):
    """The server closed the connection."""


class Frame:
    """One frame of an answer."""

    def __init__(self, version, flags, stream, opcode, body):
        self.version, self.flags, self.stream = version, flags, stream
        self.opcode, self.body = opcode, body

    @property
    def content(self):
        """The body without the trace's id, the warnings and the custom payload that go before it."""
        offset = 16 if self.flags & 0x02 else 0
        if self.flags & 0x08:
            count = struct.unpack_from(">H", self.body, offset)[0]
            offset += 2
            for _ in range(count):
                offset = read_string(self.body, offset)[1]
        return self.body[offset:]

    @property
    def error(self):
        """Code and text of an ERROR."""
        code, length = struct.unpack_from(">iH", self.content)
        return code, self.content[6:6 + length].decode()

    @property
    def kind(self):
        """What kind of RESULT it is: 1 void, 2 rows, 3 keyspace, 4 prepared, 5 schema change."""
        return struct.unpack_from(">i", self.content)[0]


class Wire:
    """One connection. Frames leave as they are told, right or wrong."""

    def __init__(self, address, port, version=4, timeout=PATIENCE):
        self.version = version
        self.segments = False
        self.received = b""
        self.frames = b""
        self.socket = socket.create_connection((address, port), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # Sending

    def frame(self, opcode, body=b"", stream=0, flags=0, version=None, length=None):
        return struct.pack(
            ">BBhBi", self.version if version is None else version, flags, stream, opcode,
            len(body) if length is None else length) + body

    def send(self, opcode, body=b"", **options):
        data = self.frame(opcode, body, **options)
        self.raw(segment(data) if self.segments else data)

    def raw(self, data):
        self.socket.sendall(data)

    def start(self, **options):
        """STARTUP; from version 5 on, segments follow its answer."""
        self.send(STARTUP, string_map({"CQL_VERSION": "3.0.0", **options}))
        answer = self.receive()
        self.segments = self.version >= 5 and answer.opcode == READY
        return answer

    def query(self, text, stream=0, flags=0):
        """Sends a QUERY without values at consistency QUORUM: what was written at it is seen."""
        self.send(QUERY, self.query_body(text), stream=stream, flags=flags)

    def query_body(self, text, consistency=QUORUM, query_flags=0, rest=b""):
        mark = struct.pack(">i" if self.version >= 5 else ">B", query_flags)
        return long_string(text) + struct.pack(">H", consistency) + mark + rest

    def ask(self, opcode, body=b"", **options):
        self.send(opcode, body, **options)
        return self.receive()

    # Receiving

    def receive(self):
        """The next frame; raises `Closed` at the end of the connection."""
        header = self.take(9)
        version, flags, stream, opcode, length = struct.unpack(">BBhBi", header)
        return Frame(version, flags, stream, opcode, self.take(length))

    def take(self, count):
        if not self.segments:
            return self.take_raw(count)
        while len(self.frames) < count:
            header = self.take_raw(6)
            bits = int.from_bytes(header[:3], "little")
            if crc24(header[:3]) != int.from_bytes(header[3:], "little"):
                raise ValueError("a segment's header has a wrong CRC24")
            payload = self.take_raw(bits & 0x1FFFF)
            if crc32(payload) != int.from_bytes(self.take_raw(4), "little"):
                raise ValueError("a segment's payload has a wrong CRC32")
            self.frames += payload
        result, self.frames = self.frames[:count], self.frames[count:]
        return result

    def take_raw(self, count):
        while len(self.received) < count:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed()
            self.received += data
        result, self.received = self.received[:count], self.received[count:]
        return result

    def is_closed_by_server(self):
        """Reads on until the end; true if it comes before the timeout."""
        try:
            while True:
                self.take_raw(1)
        except Closed:
            return True
        except (TimeoutError, socket.timeout):
            return False


def segment(payload, is_self_contained=True, break_header=False, break_payload=False):
    """An uncompressed segment of version 5."""
    header = (len(payload) | (is_self_contained << 17)).to_bytes(3, "little")
    header_crc = crc24(header) ^ (1 if break_header else 0)
    payload_crc = crc32(payload) ^ (1 if break_payload else 0)
    return (
        header + header_crc.to_bytes(3, "little") + payload + payload_crc.to_bytes(4, "little"))


def crc24(data):
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc & 0xFFFFFF


def crc32(data):
    return zlib.crc32(data, zlib.crc32(b"\xfa\x2d\x55\xca"))


def string(text):
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def long_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">i", len(data)) + data


def string_map(pairs):
    return struct.pack(">H", len(pairs)) + b"".join(string(k) + string(v) for k, v in pairs.items())


def string_list(items):
    return struct.pack(">H", len(items)) + b"".join(string(item) for item in items)


def read_string_multimap(body):
    result, offset = {}, 2
    for _ in range(struct.unpack_from(">H", body)[0]):
        key, offset = read_string(body, offset)
        count = struct.unpack_from(">H", body, offset)[0]
        offset += 2
        values = []
        for _ in range(count):
            value, offset = read_string(body, offset)
            values.append(value)
        result[key] = values
    return result


def read_string(body, offset):
    length = struct.unpack_from(">H", body, offset)[0]
    return body[offset + 2:offset + 2 + length].decode(), offset + 2 + length
