"""Nodes that fail: what each consistency level still does, and how the others refuse.

These behaviours kill nodes with SIGKILL and start them again; each leaves the ring whole. The
keyspace has three replicas, one on every node.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from cassandra import ConsistencyLevel, ReadTimeout, Unavailable, WriteTimeout
from cassandra.query import SimpleStatement

from harness import PATIENCE, Failed, behaviour, equal, eventually, true

NODES = 3

LEVEL = ConsistencyLevel.name_to_value


class Down:
    """Nodes that are dead inside the block, and known to be dead."""

    def __init__(self, env, *nodes):
        self.env, self.nodes = env, nodes

    def __enter__(self):
        session = first(self.env)
        try:
            for node in self.nodes:
                self.env.ring.kill(node)
            self.wait(session, 3 - len(self.nodes))
        except BaseException:
            self.env.ring.heal()
            raise

    def wait(self, session, alive):
        """Waits until the first node counts that many alive."""

        def known():
            try:
                session.execute(at("ALL", f"SELECT k FROM {table(self.env)} WHERE k = 1"))
            except Unavailable as error:
                equal(error.alive_replicas, alive, "alive")
            else:
                raise Failed("ALL is still answered")
        eventually(known)

    def __exit__(self, *_):
        self.env.ring.heal()
        session = first(self.env)
        eventually(
            lambda: session.execute(at("ALL", f"SELECT k FROM {table(self.env)} WHERE k = 1")))


def first(env):
    """A session that asks node 1 alone, which stays alive."""
    def make():
        env.make_keyspace()
        return env.only(1)
    return env.shared("first", make)


def table(env):
    return env.shared("table", lambda: env.table("k int PRIMARY KEY, v int"))


def at(level, statement):
    return SimpleStatement(statement, consistency_level=LEVEL[level])


def unavailable(env, level, statement, required, alive):
    try:
        first(env).execute(at(level, statement))
    except Unavailable as error:
        equal(
            (error.consistency, error.required_replicas, error.alive_replicas),
            (LEVEL[level], required, alive), level)
    else:
        raise Failed(f"{level} was accepted: {statement}")


@behaviour
def with_one_of_three_nodes_down_quorum_works_and_all_is_unavailable(env):
    name = table(env)
    with Down(env, 3):
        for level in ("ONE", "TWO", "QUORUM", "LOCAL_ONE", "LOCAL_QUORUM"):
            first(env).execute(at(level, f"INSERT INTO {name} (k, v) VALUES (10, 1)"))
            equal(list(first(env).execute(at(level, f"SELECT v FROM {name} WHERE k = 10"))), [(1,)])
        for level in ("THREE", "ALL"):
            unavailable(env, level, f"INSERT INTO {name} (k, v) VALUES (11, 1)", 3, 2)
            unavailable(env, level, f"SELECT v FROM {name} WHERE k = 10", 3, 2)
            unavailable(env, level, f"SELECT v FROM {name}", 3, 2)


@behaviour
def with_two_of_three_nodes_down_one_works_and_quorum_is_unavailable(env):
    name = table(env)
    with Down(env, 2, 3):
        for level in ("ANY", "ONE", "LOCAL_ONE"):
            first(env).execute(at(level, f"INSERT INTO {name} (k, v) VALUES (20, 1)"))
        equal(list(first(env).execute(at("ONE", f"SELECT v FROM {name} WHERE k = 20"))), [(1,)])
        for level, required in (("TWO", 2), ("QUORUM", 2), ("LOCAL_QUORUM", 2), ("ALL", 3)):
            unavailable(env, level, f"INSERT INTO {name} (k, v) VALUES (21, 1)", required, 1)
            unavailable(env, level, f"SELECT v FROM {name} WHERE k = 20", required, 1)
        unavailable(
            env, "QUORUM", f"BEGIN BATCH INSERT INTO {name} (k) VALUES (22) APPLY BATCH", 2, 1)


@behaviour
def an_unavailable_write_was_written_nowhere(env):
    name = table(env)
    equal(env.rows(at("ALL", f"SELECT k FROM {name} WHERE k IN (11, 21, 22)")), [])


@behaviour
def what_a_dead_node_missed_is_read_at_quorum_and_handed_to_it(env):
    name = table(env)
    with Down(env, 3):
        for k in range(100, 150):
            first(env).execute(at("QUORUM", f"INSERT INTO {name} (k, v) VALUES ({k}, {k})"))
    keys = ", ".join(str(k) for k in range(100, 150))
    equal(len(env.rows(at("QUORUM", f"SELECT k FROM {name} WHERE k IN ({keys})"))), 50)
    # Hints bring it to the node itself: then ONE, with only that node alive, has it all.
    for node in (1, 2):
        eventually(lambda: true(
            "does not have any pending hints" in env.ring.admin("listpendinghints", node=node)[1], "hints wait"))
    third = env.only(3)
    for node in (1, 2):
        env.ring.kill(node)
    try:
        def complete():
            rows = list(third.execute(at("ONE", f"SELECT k FROM {name} WHERE k IN ({keys})")))
            equal(len(rows), 50, "rows that the node has by itself")
        eventually(complete)
    finally:
        Down(env).__exit__()


@behaviour
def with_one_node_down_the_schema_can_be_changed_and_the_node_learns_it(env):
    with Down(env, 3):
        first(env).execute("CREATE TABLE made_without_three (k int PRIMARY KEY)")
        first(env).execute("INSERT INTO made_without_three (k) VALUES (1)")
    third = env.only(3)
    eventually(
        lambda: equal(list(third.execute("SELECT k FROM made_without_three")), [(1,)]))


@behaviour
def without_a_majority_the_schema_cannot_be_changed_and_the_cause_is_named(env):
    with Down(env, 2, 3):
        try:
            first(env).execute("CREATE TABLE made_alone (k int PRIMARY KEY)")
        except Exception as error:
            true(
                "majority" in str(error) or "voters" in str(error), f"the cause is not named: {error}")
        else:
            raise Failed("the table was made without a majority")
        equal(list(first(env).execute(at("ONE", f"SELECT k FROM {table(env)} WHERE k = -1"))), [])


@behaviour
def a_paused_node_is_waited_for_no_longer_than_the_timeout(env):
    name = table(env)

    def ends():
        """The node ends the wait, long before the driver would, and counts two of three."""
        try:
            first(env).execute(at("ALL", f"INSERT INTO {name} (k, v) VALUES (220, 1)"))
        except Unavailable as error:
            equal((error.required_replicas, error.alive_replicas), (3, 2))
        except WriteTimeout as error:
            equal((error.required_responses, error.received_responses), (3, 2))
        else:
            raise Failed("ALL was answered without the paused node")

    env.ring.pause(3)
    try:
        for k in range(200, 220):
            first(env).execute(at("QUORUM", f"INSERT INTO {name} (k, v) VALUES ({k}, 1)"))
        # The other two may take longer at times.
        eventually(ends)
    finally:
        env.ring.resume(3)
    eventually(lambda: env.rows(at("ALL", f"SELECT k FROM {name} WHERE k = 1")))


@behaviour
def a_paused_node_is_read_around_after_the_time_of_speculative_retry(env):
    """Node 1 has all rows; which of the others it asks for a digest depends on the key."""
    session, keys = first(env), range(40)
    tables = {policy: env.table("k int PRIMARY KEY, v int", f"WITH speculative_retry = '{policy}'")
              for policy in ("50ms", "NEVER", "ALWAYS", "99p")}
    for name in tables.values():
        for k in keys:
            session.execute(at("ALL", f"INSERT INTO {name} (k, v) VALUES ({k}, {k})"))

    def read(name, timeout=PATIENCE):
        """Seconds of each read, or None for a timeout."""
        def one(k):
            begin = time.monotonic()
            try:
                equal(list(session.execute(at(
                    "QUORUM", f"SELECT v FROM {name} WHERE k = {k} USING TIMEOUT {timeout}s"))), [(k,)])
            except ReadTimeout:
                return None
            return time.monotonic() - begin
        with ThreadPoolExecutor(len(keys)) as pool:
            return list(pool.map(one, keys))

    # The time of 99p is looked up again each read_request_timeout, here once there are samples.
    read(tables["99p"])
    env.ring.pause(3)
    try:
        took = {policy: read(name, 2 if policy == "NEVER" else PATIENCE) for policy, name in tables.items()}
    finally:
        env.ring.resume(3)
    true(None in took["NEVER"], "no read needed node 3")
    true(any(took["NEVER"]), "every read needed node 3")
    for policy in ("50ms", "ALWAYS"):
        true(None not in took[policy], f"{policy}: {took[policy]}")
    for never, hedged in zip(took["NEVER"], took["50ms"]):
        true(never is not None or hedged >= 0.05, f"{hedged} s, before its time")
    retries = speculative_retries(env)
    equal(retries[tables["NEVER"]], 0)
    needed = took["NEVER"].count(None)
    true(retries[tables["50ms"]] >= needed, f"{retries}, {needed} needed")
    eventually(lambda: env.rows(at("ALL", f"SELECT k FROM {tables['50ms']} WHERE k = 1")))


def speculative_retries(env):
    """Of each table, as node 1 counts them."""
    code, output, errors = env.ring.admin("tablestats", env.keyspace)
    equal(code, 0, errors)
    counts, table = {}, None
    for line in output.splitlines():
        name, _, value = line.strip().partition(": ")
        if name == "Table":
            table = value
        elif name == "Speculative retries":
            counts[table] = int(value)
    return counts


@behaviour
def acknowledged_writes_survive_the_death_of_all_nodes(env):
    name = env.table("k int PRIMARY KEY, v text")
    statement = env.session.prepare(f"INSERT INTO {name} (k, v) VALUES (?, ?)")
    for k in range(500):
        env.execute(statement, (k, "x" * (k % 50)))
    for node in (1, 2, 3):
        env.ring.kill(node)
    env.ring.heal()

    def check():
        rows = list(first(env).execute(at("QUORUM", f"SELECT k, v FROM {name}")))
        equal(sorted(rows), [(k, "x" * (k % 50)) for k in range(500)])
    eventually(check)
