"""Random frames against a running node for a bounded time: it neither dies nor grows, and others are answered.

Every round takes an honest frame and spoils it: bits flip, bytes vanish or come twice, lengths lie, the whole is cut short.
The seed is printed with what fails; COTERIE_FUZZ_SECONDS and COTERIE_FUZZ_SEED make other runs by hand.
"""

import os
import random
import socket
import struct
import time

import lz4.block

import wire
from harness import Failed, behaviour, equal, true
from wire import Closed, Wire

SECONDS = float(os.environ.get("COTERIE_FUZZ_SECONDS", "10"))
SEED = int(os.environ.get("COTERIE_FUZZ_SEED", "1"))

TEXTS = [
    "SELECT key FROM system.local", "SELECT * FROM system.peers_v2", "SELECT v FROM $t WHERE k = ?",
    "INSERT INTO $t (k, v) VALUES (?, ?)", "UPDATE $t SET v = 'x' WHERE k = 1 IF v = 'y'", "DELETE FROM $t WHERE k = 2",
    "SELECT json v, token(k), writetime(v) FROM $t WHERE token(k) > 0 LIMIT 3", "USE system",
    "BEGIN BATCH INSERT INTO $t (k) VALUES (1); APPLY BATCH", "DESCRIBE TABLE $t", "SELECT [1, {2: (3, 'x')}] FROM $t",
]


class Frames:
    """Honest frames of every kind, and spoiled ones."""

    def __init__(self, dice, table):
        self.dice, self.table = dice, table

    def text(self):
        text = self.dice.choice(TEXTS).replace("$t", self.table)
        if self.dice.random() < 0.2:
            place = self.dice.randrange(len(text))
            text = text[:place] + self.dice.choice("'\"$({[?:;0\u00e9\0") + text[place:]
        return text

    def parameters(self, version):
        flags = self.dice.choice([0, 1, 2, 4, 5, 0x10, 0x20, 0x41, 0x1FF, self.dice.randrange(1 << 9)])
        rest = b""
        if flags & 1:
            count = self.dice.randrange(3)
            rest += struct.pack(">H", count)
            for _ in range(count):
                value = self.dice.choice([b"\0\0\0\1", b"", b"abc", None])
                rest += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
        rest += b"".join(struct.pack(">i", self.dice.choice([1, 5000, -1, 1 << 30])) for _ in range(self.dice.randrange(3)))
        mark = struct.pack(">i", flags) if version >= 5 else struct.pack(">B", flags & 0xFF)
        return struct.pack(">H", self.dice.choice([0, 1, 4, 6, 8, 10, 0x50])) + mark + rest

    def honest(self, version):
        opcode = self.dice.choice([5, 7, 7, 7, 9, 10, 11, 13, 15, 1])
        if opcode == wire.QUERY:
            body = wire.long_string(self.text()) + self.parameters(version)
        elif opcode == wire.PREPARE:
            body = wire.long_string(self.text()) + (struct.pack(">i", 0) if version >= 5 else b"")
        elif opcode == wire.EXECUTE:
            body = struct.pack(">H", 16) + bytes(16) + self.parameters(version)
        elif opcode == wire.REGISTER:
            body = wire.string_list(self.dice.sample(["SCHEMA_CHANGE", "STATUS_CHANGE", "TOPOLOGY_CHANGE", "?"], 2))
        elif opcode == wire.BATCH:
            count = self.dice.randrange(4)
            body = struct.pack(">BH", self.dice.randrange(4), count) + b"".join(
                b"\0" + wire.long_string(self.text()) + b"\0\0" for _ in range(count)) + self.parameters(version)
        elif opcode == wire.STARTUP:
            body = wire.string_map({"CQL_VERSION": "3.0.0", "COMPRESSION": "lz4"})
        else:
            body = b""
        flags = self.dice.choice([0, 0, 0, 0, 1, 2, 4, 8, 0x10, 0xFF])
        return struct.pack(">BBhBi", version, flags, self.dice.randrange(-1, 200), opcode, len(body)) + body

    def spoiled(self, version):
        data = bytearray(self.honest(version))
        kind = self.dice.randrange(7)
        if kind == 0:
            for _ in range(self.dice.randrange(1, 6)):
                data[self.dice.randrange(len(data))] ^= 1 << self.dice.randrange(8)
        elif kind == 1:
            del data[self.dice.randrange(len(data)):]
        elif kind == 2:
            place = self.dice.randrange(len(data))
            data[place:place] = self.dice.randbytes(self.dice.randrange(1, 40))
        elif kind == 3 and len(data) > 13:
            struct.pack_into(">i", data, self.dice.randrange(9, len(data) - 3), self.dice.choice([-1, -2, -9, 1 << 30, 70000]))
        elif kind == 4:
            data = bytearray(self.dice.randbytes(self.dice.randrange(1, 300)))
        elif kind == 5:
            struct.pack_into(">i", data, 5, max(0, len(data) - 9 + self.dice.randrange(-4, 5)))
        return bytes(data)


def spoil(frames, connection, compressed):
    """Frames as the connection's framing wants them, sometimes with a broken segment."""
    data = b"".join(frames.spoiled(connection.version) for _ in range(frames.dice.randrange(1, 20)))
    if connection.version < 5:
        return data
    if compressed:
        payload = data[:100_000]
        packed = lz4.block.compress(payload, store_size=False)
        bits = len(packed) | len(payload) << 17 | 1 << 34
        header = bits.to_bytes(5, "little")
        result = header + wire.crc24(header).to_bytes(3, "little") + packed + wire.crc32(packed).to_bytes(4, "little")
    else:
        result = wire.segment(data[:131_071], is_self_contained=frames.dice.random() < 0.8)
    if frames.dice.random() < 0.2:
        result = bytearray(result)
        result[frames.dice.randrange(len(result))] ^= 1 << frames.dice.randrange(8)
    return bytes(result)


def memory_of(env):
    """Resident kilobytes of the first node's process, or nothing where the system does not tell."""
    for line in env.ring.status().splitlines()[1:]:
        words = line.split()
        path = f"/proc/{words[3]}/status"
        if words[0] == "1" and words[3].isdigit() and os.path.exists(path):
            with open(path) as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return None


@behaviour
def random_frames_neither_end_a_node_nor_make_it_grow(env):
    dice = random.Random(SEED)
    table = env.keyspace + "." + env.table("k int PRIMARY KEY, v text")
    frames = Frames(dice, table)
    address = env.ring.addresses[0]
    steady = Wire(address, env.ring.port, 4)
    steady.start()
    begin, rounds, sent = time.monotonic(), 0, 0
    memory = None
    while time.monotonic() - begin < SECONDS or rounds <= 20:
        version = dice.choice([3, 4, 5, 5])
        compressed = version == 5 and dice.random() < 0.5
        with Wire(address, env.ring.port, version, timeout=5) as connection:
            try:
                if dice.random() < 0.9:
                    connection.start(**({"COMPRESSION": "lz4"} if compressed else {}))
                connection.socket.settimeout(0.005)
                for _ in range(dice.randrange(1, 10)):
                    data = spoil(frames, connection, compressed)
                    sent += len(data)
                    connection.raw(data)
                    try:
                        connection.received = b""
                        connection.take_raw(1)
                    except (TimeoutError, socket.timeout):
                        pass
            except (Closed, OSError):
                pass
        rounds += 1
        if rounds % 50 == 0:
            steady.query("SELECT key FROM system.local", stream=rounds % 1000)
            answer = steady.receive()
            if (answer.opcode, answer.stream) != (wire.RESULT, rounds % 1000):
                raise Failed(f"seed {SEED}: after {rounds} connections the steady one is answered {answer.body[:80]!r}")
        if memory is None and time.monotonic() - begin > SECONDS / 3:
            memory = memory_of(env)
    steady.query("SELECT key FROM system.local")
    equal(steady.receive().kind, 2, f"seed {SEED}: the steady connection is answered")
    steady.socket.close()
    after = memory_of(env)
    print(f"# fuzz: seed {SEED}: {rounds} connections, {sent} bytes, {memory} then {after} KiB resident", flush=True)
    if memory and after:
        true(after < memory + 150_000, f"seed {SEED}: memory grew from {memory} to {after} KiB")


@behaviour
def the_cluster_serves_after_it(env):
    name = env.table("k int PRIMARY KEY, v int")
    env.execute(f"INSERT INTO {name} (k, v) VALUES (1, 2)")
    equal(env.rows(f"SELECT v FROM {name} WHERE k = 1"), [(2,)])
