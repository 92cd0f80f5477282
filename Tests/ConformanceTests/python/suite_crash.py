"""Acknowledged writes and SIGKILL: writers count versions, nodes die under them, all is read back."""

import hashlib
import random
import threading
import time

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from harness import behaviour, equal, eventually, true

NODES = 3

WRITERS, KEYS_OF_WRITER, KILLS = 4, 40, 3


def value(key, version):
    """A value that tells its key and version, and shows damage."""
    body = f"{key}:{version}:" + "x" * (version * 37 % 400)
    return body + ":" + hashlib.sha1(body.encode()).hexdigest()


class Writer(threading.Thread):
    """Writes rising versions to keys of its own and remembers what was acknowledged."""

    def __init__(self, session, statement, first, stop):
        super().__init__(daemon=True)
        self.session, self.statement, self.stop = session, statement, stop
        self.keys = range(first, first + KEYS_OF_WRITER)
        self.sent = dict.fromkeys(self.keys, 0)
        self.acknowledged = dict.fromkeys(self.keys, 0)
        self.failures = 0

    def run(self):
        while not self.stop.is_set():
            for key in self.keys:
                if self.stop.is_set():
                    return
                version = self.sent[key] + 1
                self.sent[key] = version
                try:
                    self.session.execute(self.statement, (key, value(key, version)), timeout=10)
                except Exception:
                    # Unknown: it may have been written, and a later read may show it.
                    self.failures += 1
                    time.sleep(0.02)
                else:
                    self.acknowledged[key] = version


def survive(env, factor, level, client_timestamps):
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    keyspace = f"{env.keyspace}_{factor}_{'client' if client_timestamps else 'server'}"
    for statement in (
        f"DROP KEYSPACE IF EXISTS {keyspace}",
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
        f"{{'class': 'SimpleStrategy', 'replication_factor': {factor}}}",
        f"CREATE TABLE IF NOT EXISTS {keyspace}.versions (k int PRIMARY KEY, v text)",
    ):
        # The driver may still hold connections to a node that died a moment ago.
        eventually(lambda: env.session.execute(statement))
    cluster = env.cluster(
        profile=env.profile(consistency_level=level), contact_points=env.ring.addresses,
        schema_metadata_enabled=False)
    session = cluster.connect(keyspace)
    session.use_client_timestamp = client_timestamps
    statement = session.prepare("INSERT INTO versions (k, v) VALUES (?, ?)")
    stop = threading.Event()
    writers = [
        Writer(session, statement, number * KEYS_OF_WRITER, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.4, 1.2))
            node = chance.randrange(len(env.ring.addresses)) + 1
            env.ring.kill(node)
            time.sleep(chance.uniform(0, 0.4))
            env.ring.start(node)
        eventually(lambda: true(written(writers) > 200, f"only {written(writers)} writes were acknowledged"))
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    verify(session, level, writers, seed)


def written(writers):
    """How many writes were acknowledged."""
    return sum(sum(writer.acknowledged.values()) for writer in writers)


def verify(session, level, writers, seed):
    select = SimpleStatement("SELECT k, v FROM versions", consistency_level=level)
    found = {}

    def read():
        found.clear()
        found.update(dict(session.execute(select)))
    eventually(read)
    lost, stale, corrupt, phantom = [], [], [], []
    for writer in writers:
        for key in writer.keys:
            text = found.get(key)
            if text is None:
                if writer.acknowledged[key]:
                    lost.append(key)
                continue
            version = int(text.split(":")[1])
            if text != value(key, version):
                corrupt.append(key)
            elif version < writer.acknowledged[key]:
                stale.append((key, writer.acknowledged[key], version))
            elif version > writer.sent[key]:
                phantom.append((key, writer.sent[key], version))
    equal((lost, stale, corrupt, phantom), ([], [], [], []), f"of {written(writers)} writes, seed {seed}")


@behaviour
def at_quorum_of_three_with_client_timestamps_nothing_is_lost(env):
    survive(env, 3, ConsistencyLevel.QUORUM, True)


@behaviour
def at_quorum_of_three_with_server_timestamps_nothing_is_lost(env):
    survive(env, 3, ConsistencyLevel.QUORUM, False)


@behaviour
def with_one_replica_nothing_is_lost(env):
    survive(env, 1, ConsistencyLevel.ONE, True)
