"""The number of shards of a node changes with a restart; nothing that it holds is lost by that.

The suite has a ring of its own, of one node.
"""

import os
import shutil

from cassandra.query import SimpleStatement

from harness import Environment, behaviour, equal, true
from ring import Ring

ROWS, WIDE = 400, 300


class OwnRing:
    """A ring of one node for one behaviour, with sessions that follow its restarts."""

    def __init__(self, env, name, shards):
        self.env = env
        self.folder = os.path.join(env.ring.folder, "of-one-" + name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.ring = Ring.up(env.ring.binary, self.folder, 1, shards=shards)
        self.inner = Environment(self.ring, "shards")

    def __enter__(self):
        session = self.inner.session
        session.execute("CREATE TABLE narrow (k int PRIMARY KEY, v text)")
        session.execute("CREATE TABLE wide (k int, c int, v text, s int static, PRIMARY KEY (k, c))")
        return self

    def __exit__(self, *_):
        self.inner.close()
        self.ring.down()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, shards, kill=False):
        self.inner.close()
        if kill:
            self.ring.kill(1)
        else:
            self.ring.down()
        self.ring = Ring.up(self.env.ring.binary, self.folder, 1, shards=shards)
        self.inner = Environment(self.ring, "shards")
        cluster = self.inner.cluster(schema_metadata_enabled=False)
        self.inner._session = cluster.connect("conformance_shards")

    @property
    def session(self):
        return self.inner.session

    def write(self, first):
        """Rows whose keys begin at `first`, and as many in one partition."""
        session = self.session
        narrow = session.prepare("INSERT INTO narrow (k, v) VALUES (?, ?)")
        wide = session.prepare("INSERT INTO wide (k, c, v) VALUES (1, ?, ?)")
        for k in range(first, first + ROWS):
            session.execute(narrow, (k, f"value {k}"))
        for c in range(first, first + WIDE):
            session.execute(wide, (c, "x" * (c % 100)))
        session.execute(f"UPDATE wide SET s = {first} WHERE k = 1")

    def check(self, batches):
        firsts = [batch * 10_000 for batch in range(batches)]
        equal(
            sorted(self.session.execute("SELECT k, v FROM narrow")),
            [(k, f"value {k}") for first in firsts for k in range(first, first + ROWS)])
        rows = list(self.session.execute("SELECT c, v, s FROM wide WHERE k = 1"))
        equal(rows, [
            (c, "x" * (c % 100), firsts[-1]) for first in firsts for c in range(first, first + WIDE)])


@behaviour
def data_written_with_3_shards_is_read_with_1_and_then_with_2(env):
    with OwnRing(env, "turns", 3) as own:
        own.write(0)
        own.check(1)
        own.restart(1)
        own.check(1)
        own.write(10_000)
        own.check(2)
        own.restart(2)
        own.check(2)
        own.write(20_000)
        own.check(3)


@behaviour
def the_same_after_SIGKILL(env):
    with OwnRing(env, "kills", 3) as own:
        own.write(0)
        own.restart(1, kill=True)
        own.check(1)
        own.write(10_000)
        own.restart(2, kill=True)
        own.check(2)
        own.restart(3, kill=True)
        own.check(2)


@behaviour
def a_paged_query_goes_on_after_a_restart_with_another_number_of_shards(env):
    with OwnRing(env, "pages", 3) as own:
        own.write(0)
        for query, total in (("SELECT k FROM narrow", ROWS), ("SELECT c FROM wide WHERE k = 1", WIDE)):
            seen, state = [], None
            for shards in (3, 1, 2, 3):
                if shards != 3 or seen:
                    own.restart(shards)
                result = own.session.execute(
                    SimpleStatement(query, fetch_size=70), paging_state=state)
                seen += [row[0] for row in result.current_rows]
                state = result.paging_state
                true(state is not None, "there is more")
            rest = own.session.execute(SimpleStatement(query, fetch_size=70), paging_state=state)
            seen += [row[0] for row in rest]
            equal(sorted(seen), list(range(total)), query)
