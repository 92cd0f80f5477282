"""Requests and answers of the native protocol by hand, for the suites that look at the bytes: what each version sends
and how a result, an error or a prepared statement is read back."""

import struct

import wire
from harness import Failed, asserted_refusal, behaviour, equal, true
from wire import Wire

VERSIONS = (3, 4, 5)
ONE, QUORUM, ALL, SERIAL, LOCAL_SERIAL, TWO = 1, 4, 5, 8, 9, 2
VALUES, SKIP_METADATA, PAGE_SIZE, PAGING_STATE, SERIAL_LEVEL, TIMESTAMP, NAMES, KEYSPACE, NOW = (
    0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x100)
INT, TEXT = 9, 13


def started(env, version=4, **options):
    connection = Wire(env.ring.addresses[0], env.ring.port, version)
    equal(connection.start(**options).opcode, wire.READY, "answer to STARTUP")
    return connection


def each_version(function, versions=VERSIONS):
    """A behaviour for each version, whose function takes the environment and a started connection."""
    for version in versions:
        def check(env, version=version):
            with started(env, version) as connection:
                function(env, connection)
        check.__name__ = f"version {version}: " + function.__name__.replace("_", " ")
        behaviour(check)
    return function


def in_version_5(function):
    return each_version(function, (5,))


def from_version_4(function):
    return each_version(function, (4, 5))


def table(env):
    """k int PRIMARY KEY, v int, w text; rows 1..5 with v = 10 k."""
    def make():
        name = env.keyspace + "." + env.table("k int PRIMARY KEY, v int, w text")
        for k in range(1, 6):
            env.execute(f"INSERT INTO {name} (k, v, w) VALUES ({k}, {k * 10}, 'w{k}')")
        return name
    return env.shared("table", make)


def number(value):
    return struct.pack(">ii", 4, value)


def body(connection, text, flags=0, rest=b"", level=QUORUM):
    return connection.query_body(text, level, flags, rest)


def ask(connection, text, flags=0, rest=b"", level=QUORUM, **options):
    return connection.ask(wire.QUERY, body(connection, text, flags, rest, level), **options)


def error(frame, code, *phrases):
    equal(frame.opcode, wire.ERROR, "opcode of the answer")
    found, text = frame.error
    equal(hex(found), hex(code), f"code of {text!r}")
    for phrase in phrases:
        true(phrase.lower() in text.lower(), f"{phrase!r} is not in {text!r}")
        asserted_refusal(phrase)
    return frame.content[6 + len(text.encode()):]


class Reader:
    """Reads the parts of a body."""

    def __init__(self, data, offset=0):
        self.data, self.offset = data, offset

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.offset)
        self.offset += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        text, self.offset = wire.read_string(self.data, self.offset)
        return text

    def bytes(self):
        length = self.take("i")
        return None if length < 0 else self.raw(length)

    def short_bytes(self):
        return self.raw(self.take("H"))

    def raw(self, length):
        self.offset += length
        return self.data[self.offset - length:self.offset]

    @property
    def rest(self):
        return self.data[self.offset:]


class Rows:
    """A ROWS result of scalar columns."""

    def __init__(self, frame):
        if frame.opcode == wire.ERROR:
            raise Failed(f"error {frame.error}")
        reader = Reader(frame.content)
        equal(reader.take("i"), 2, "kind of the result")
        self.flags, count = reader.take("ii")
        self.paging_state = reader.bytes() if self.flags & 2 else None
        self.metadata_id = reader.short_bytes() if self.flags & 8 else None
        self.columns = []
        if not self.flags & 4:
            self.table = (reader.string(), reader.string()) if self.flags & 1 else None
            for _ in range(count):
                owner = None if self.flags & 1 else (reader.string(), reader.string())
                self.columns.append((reader.string(), reader.take("H")))
                self.table = self.table or owner
        self.rows = [tuple(reader.bytes() for _ in range(count)) for _ in range(reader.take("i"))]
        equal(reader.rest, b"", "bytes behind the rows")

    @property
    def numbers(self):
        return [tuple(None if cell is None else int.from_bytes(cell, "big", signed=True) for cell in row)
                for row in self.rows]


class Prepared:
    """A PREPARED result."""

    def __init__(self, connection, text, keyspace=None):
        data = wire.long_string(text)
        if connection.version >= 5:
            data += struct.pack(">i", 1) + wire.string(keyspace) if keyspace else struct.pack(">i", 0)
        frame = connection.ask(wire.PREPARE, data)
        if frame.opcode == wire.ERROR:
            raise Failed(f"error {frame.error}")
        reader = Reader(frame.body)
        self.warnings = [reader.string() for _ in range(reader.take("H"))] if frame.flags & 8 else []
        equal(reader.take("i"), 4, "kind of the result")
        self.id = reader.short_bytes()
        self.metadata_id = reader.short_bytes() if connection.version >= 5 else None
        flags, count = reader.take("ii")
        self.keys = [reader.take("H") for _ in range(reader.take("i"))] if connection.version >= 4 else None
        self.markers = []
        if count:
            true(flags & 1, "one table for all markers")
            self.table = reader.string(), reader.string()
            self.markers = [(reader.string(), reader.take("H")) for _ in range(count)]
        flags, count = reader.take("ii")
        self.result_flags = flags
        self.columns = []
        if not flags & 4 and count:
            reader.string(), reader.string()
            self.columns = [(reader.string(), reader.take("H")) for _ in range(count)]

    def body(self, connection, flags=0, rest=b"", metadata_id=None, level=QUORUM):
        data = struct.pack(">H", len(self.id)) + self.id
        if connection.version >= 5:
            known = self.metadata_id if metadata_id is None else metadata_id
            data += struct.pack(">H", len(known)) + known
        return data + struct.pack(">H", level) + struct.pack(">i" if connection.version >= 5 else ">B", flags) + rest

    def execute(self, connection, flags=0, rest=b"", **options):
        return connection.ask(wire.EXECUTE, self.body(connection, flags, rest, **options))


def batch(connection, kind, parts, flags=0, rest=b"", level=QUORUM):
    data = struct.pack(">BH", kind, len(parts)) + b"".join(parts) + struct.pack(">H", level)
    return connection.ask(wire.BATCH, data + struct.pack(">i" if connection.version >= 5 else ">B", flags) + rest)


def text_part(text, values=b"", count=0):
    return b"\0" + wire.long_string(text) + struct.pack(">H", count) + values


def prepared_part(prepared, values, count):
    return b"\1" + struct.pack(">H", len(prepared.id)) + prepared.id + struct.pack(">H", count) + values
