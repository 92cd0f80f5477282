"""Operators' commands: `coterie admin` with nodetool's grammar, against the nodes of a real ring.

What scripts read of nodetool's output is read here with the same patterns.
"""

import base64
import glob
import json
import os
import re
import shutil
import subprocess

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from harness import asserted_refusal, behaviour, equal, eventually, needs, true
from ring import HANGING

KEYSPACE = "conformance_admin_data"
ROWS = 300


def ask(env, *words, node=1):
    """The output of a command that must succeed."""
    code, output, errors = env.ring.admin(*words, node=node)
    true(code == 0, f"admin {' '.join(words)} ended with {code}: {errors.strip()}")
    return output


def tell(env, *words, node=1):
    """The answer as JSON."""
    return json.loads(ask(env, "-F", "json", *words, node=node))


def refused(env, phrase, *words, node=1):
    code, output, errors = env.ring.admin(*words, node=node)
    true(code == 1, f"admin {' '.join(words)} ended with {code}: {output.strip()}")
    true(phrase in errors, f"admin {' '.join(words)} said {errors.strip()!r}, without {phrase!r}")
    asserted_refusal(phrase)


def everywhere(env, *words):
    return [ask(env, *words, node=node + 1) for node in range(len(env.ring.addresses))]


def prepare(env):
    """A keyspace on every node, with a table of its own for each behaviour."""
    session = env.session
    session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
        f"{{'class': 'SimpleStrategy', 'replication_factor': {len(env.ring.addresses)}}}")
    return session


def filled(env, name, count=ROWS, columns="k int PRIMARY KEY, v text"):
    session = prepare(env)
    session.execute(f"DROP TABLE IF EXISTS {KEYSPACE}.{name}")
    session.execute(f"CREATE TABLE {KEYSPACE}.{name} ({columns})")
    insert = session.prepare(f"INSERT INTO {KEYSPACE}.{name} (k, v) VALUES (?, ?)")
    insert.consistency_level = ConsistencyLevel.ALL
    for k in range(count):
        session.execute(insert, (k, f"value {k}"))
    return session


def rows(env, name):
    statement = SimpleStatement(
        f"SELECT * FROM {KEYSPACE}.{name}", consistency_level=ConsistencyLevel.ALL)
    return sorted(tuple(row) for row in env.session.execute(statement))


def node_folder(env, node):
    return os.path.join(env.ring.folder, f"node-{node}")


# Reading the ring


@behaviour
def status_has_a_line_for_each_node(env):
    text = ask(env, "status")
    true("Datacenter: datacenter1" in text, text)
    lines = re.findall(
        r"^([UD][NLJM])\s+(\S+)\s+([\d.]+ \S+|\?)\s+(\d+)\s+(\S+)\s+([0-9a-f-]{36})\s+(\S+)", text,
        re.MULTILINE)
    equal(sorted(line[1] for line in lines), sorted(env.ring.addresses))
    true(all(line[0] == "UN" for line in lines), text)


@behaviour
@needs(3)
def status_of_a_keyspace_tells_what_each_node_owns(env):
    prepare(env)
    nodes = tell(env, "status", KEYSPACE)["nodes"]
    equal([round(node["owns"], 6) for node in nodes], [1.0, 1.0, 1.0])
    true("100.0%" in ask(env, "status", KEYSPACE), "status")


@behaviour
@needs(3)
def status_shows_a_node_that_is_down(env):
    env.ring.kill(3)
    try:
        def check():
            text = ask(env, "status")
            true(re.search(r"^DN\s+" + re.escape(env.ring.addresses[2]), text, re.MULTILINE), text)
        eventually(check)
        refused(env, "Failed to connect to", "status", node=3)
    finally:
        env.ring.heal()
    eventually(lambda: true("DN" not in ask(env, "status"), "the node is still down"))


@behaviour
@needs(3)
def every_node_answers_for_itself(env):
    ids = [tell(env, "info", node=node)["host_id"] for node in (1, 2, 3)]
    equal(len(set(ids)), 3)
    true(re.search(r"^ID\s+: " + ids[0], ask(env, "info"), re.MULTILINE), "ID in info")
    true(re.search(r"^Native Transport active: true$", ask(env, "info"), re.MULTILINE), "info")


@behaviour
def ring_lists_all_tokens(env):
    text = ask(env, "ring")
    tokens = re.findall(r"^\d+\.\S+\s.*\s(-?\d+)\s*$", text, re.MULTILINE)
    equal(len(tokens), sum(len(node["tokens"]) for node in tell(env, "status")["nodes"]))
    equal(tokens, [str(t) for t in sorted(map(int, tokens))])


@behaviour
def describecluster_sees_one_schema_version(env):
    def check():
        versions = tell(env, "describecluster")["schema_versions"]
        equal(len(versions), 1, "schema versions")
        equal(len(next(iter(versions.values()))), len(env.ring.addresses))
    eventually(check)
    true("\tPartitioner: org.apache.cassandra.dht.Murmur3Partitioner" in
         ask(env, "describecluster"), "describecluster")


@behaviour
@needs(3)
def describering_covers_the_ring(env):
    prepare(env)
    ranges = tell(env, "describering", KEYSPACE)["ranges"]
    equal({r["end_token"] for r in ranges}, {r["start_token"] for r in ranges})
    true(all(len(r["endpoints"]) == 3 for r in ranges), "three replicas each")
    refused(env, "does not exist", "describering", "nowhere")


@behaviour
def gossipinfo_has_every_node(env):
    text = ask(env, "gossipinfo")
    equal(sorted(re.findall(r"^/(\S+)$", text, re.MULTILINE)), sorted(env.ring.addresses))
    true("RELEASE_VERSION:5.0.0" in text, text)


@behaviour
@needs(3)
def failuredetector_has_the_other_nodes(env):
    equal(len(tell(env, "failuredetector")), 2)


@behaviour
def version_is_the_release_that_drivers_see(env):
    equal(ask(env, "version"), "ReleaseVersion: 5.0.0\n")


@behaviour
def getendpoints_knows_the_replicas_of_a_key(env):
    filled(env, "endpoints", 1)
    equal(
        sorted(ask(env, "getendpoints", KEYSPACE, "endpoints", "7").split()),
        sorted(env.ring.addresses))
    refused(env, "Unknown keyspace/cf pair", "getendpoints", KEYSPACE, "nothing", "7")
    refused(env, "does not exist", "getendpoints", "nowhere", "nothing", "7")
    refused(env, "int", "getendpoints", KEYSPACE, "endpoints", "seven")


@behaviour
def all_verbs_print_yaml_and_json(env):
    for verb in ("status", "info", "tablestats", "tpstats", "listsnapshots", "gossipinfo",
                 "compactionstats", "clientstats"):
        tell(env, verb)
        true(":" in ask(env, "-F", "yaml", verb) or verb == "listsnapshots", f"yaml of {verb}")


# Tables


@behaviour
def flush_moves_memtables_into_files(env):
    filled(env, "flushed")
    stats = tell(env, "tablestats")[KEYSPACE]["flushed"]
    equal(stats["sstable_count"], 0)
    ask(env, "flush", KEYSPACE, "flushed")
    stats = tell(env, "tablestats")[KEYSPACE]["flushed"]
    true(stats["sstable_count"] >= 1, f"after a flush: {stats}")
    equal(stats["partitions"], ROWS)
    text = ask(env, "tablestats", f"{KEYSPACE}.flushed")
    true(re.search(r"^\t\tTable: flushed$", text, re.MULTILINE), text)
    true(re.search(r"^\t\tSpace used \(live\): \d+$", text, re.MULTILINE), text)
    refused(env, "Keyspace [nowhere] does not exist.", "flush", "nowhere")


@behaviour
def load_follows_the_files(env):
    filled(env, "loaded")
    ask(env, "flush")
    true(tell(env, "info")["load"] > 0, "load of the node")

    def check():
        loads = {n["address"]: n["load"] for n in tell(env, "status")["nodes"]}
        true(loads[env.ring.addresses[0]] > 0, f"own load in status: {loads}")
    eventually(check)


@behaviour
def getsstables_finds_the_files_of_a_key(env):
    filled(env, "located")
    ask(env, "flush", KEYSPACE, "located")
    names = ask(env, "getsstables", KEYSPACE, "located", "7").split()
    true(names, "no file holds the key")
    for name in names:
        true(os.path.exists(os.path.join(node_folder(env, 1), "files", name)), name)


@behaviour
def compact_leaves_one_file_in_each_shard(env):
    session = filled(env, "compacted", 50)
    for part in range(3):
        for k in range(50):
            session.execute(
                f"INSERT INTO {KEYSPACE}.compacted (k, v) VALUES ({k}, 'part {part}')")
        ask(env, "flush", KEYSPACE, "compacted")
    shards = tell(env, "info")["shards"]
    ask(env, "compact", KEYSPACE, "compacted")

    def check():
        count = tell(env, "tablestats")[KEYSPACE]["compacted"]["sstable_count"]
        true(count <= shards, f"{count} files in {shards} shards")
    eventually(check)
    equal(len(rows(env, "compacted")), 50)


@behaviour
def compact_of_named_files_makes_one_of_them(env):
    session = filled(env, "named", 1)
    for part in range(3):
        session.execute(f"INSERT INTO {KEYSPACE}.named (k, v) VALUES (7, 'part {part}')")
        ask(env, "flush", KEYSPACE, "named")
    before = ask(env, "getsstables", KEYSPACE, "named", "7").split()
    ask(env, "compact", "--user-defined", *before)

    def check():
        after = ask(env, "getsstables", KEYSPACE, "named", "7").split()
        equal(len(after), 1)
        true(after[0] not in before, f"{after} out of {before}")
    eventually(check)


@behaviour
def compact_of_a_file_that_is_not_there_is_refused(env):
    refused(env, "no SSTable of this node: g9s9-sst-1.db", "compact", "--user-defined",
            "g9s9-sst-1.db")
    refused(env, "takes files alone", "compact", "--user-defined", "-s", "g9s9-sst-1.db")


@behaviour
def compact_of_a_file_that_is_being_compacted_says_so(env):
    session = filled(env, "busy", 1)
    insert = session.prepare(f"INSERT INTO {KEYSPACE}.busy (k, v) VALUES (?, ?)")
    insert.consistency_level = ConsistencyLevel.ALL
    for part in range(2):
        for k in range(30):
            session.execute(insert, (k, base64.b64encode(os.urandom(96 << 10)).decode()))
        ask(env, "flush", KEYSPACE, "busy")
    before = ask(env, "getsstables", KEYSPACE, "busy", "7").split()
    true(len(before) >= 2, f"files of the key: {before}")
    ask(env, "setcompactionthroughput", "1")
    try:
        ask(env, "compact", "--user-defined", *before[:2])
        refused(env, f"already being compacted: {before[0]}, {before[1]}", "compact",
                "--user-defined", *before[:2])
    finally:
        ask(env, "setcompactionthroughput", "64")
        ask(env, "stop", "COMPACTION")


@behaviour
def garbagecollect_drops_what_other_files_delete_and_merges_none(env):
    session = filled(env, "garbage", 0)

    def run(text):
        session.execute(SimpleStatement(text, consistency_level=ConsistencyLevel.ALL))

    for k in range(40):
        run(f"INSERT INTO {KEYSPACE}.garbage (k, v) VALUES ({k}, '{'old' * 500}')")
    ask(env, "disableautocompaction", KEYSPACE, "garbage")
    ask(env, "flush", KEYSPACE, "garbage")
    for k in range(20):
        run(f"DELETE FROM {KEYSPACE}.garbage WHERE k = {k}")
    for k in range(20, 40):
        run(f"INSERT INTO {KEYSPACE}.garbage (k, v) VALUES ({k}, 'new')")
    ask(env, "flush", KEYSPACE, "garbage")
    expected = rows(env, "garbage")
    keys = [str(k) for k in range(40)]
    names = lambda: {n for k in keys for n in ask(env, "getsstables", KEYSPACE, "garbage", k).split()}
    size = lambda: tell(env, "tablestats")[KEYSPACE]["garbage"]["space_used"]
    files, whole = names(), size()

    report = tell(env, "garbagecollect", KEYSPACE, "garbage")
    equal(report["rewritten"], len(files))
    by_row, rewritten = size(), names()
    true(by_row < whole, f"{whole} bytes before, {by_row} after")
    equal(len(rewritten), len(files))
    true(not rewritten & files, f"{rewritten} out of {files}")
    equal(rows(env, "garbage"), expected)

    text = ask(env, "garbagecollect", "-g", "CELL", KEYSPACE, "garbage")
    true(re.match(r"garbagecollect: \d+ files, \d+ written anew\n", text), text)
    true(size() < by_row, f"{by_row} bytes by row, {size()} by cell")
    equal(rows(env, "garbage"), expected)
    refused(env, "Unexpected value for granularity: COLUMN", "garbagecollect", "-g", "COLUMN",
            KEYSPACE)
    equal(tell(env, "stop", "GARBAGE_COLLECT")["stopped"], 0)


@behaviour
def stop_takes_an_id_or_a_kind_and_refuses_others(env):
    equal(tell(env, "stop", "-id", "0-999999")["stopped"], 0)
    equal(tell(env, "stop", "SCRUB")["stopped"], 0)
    refused(env, "is no id of a compaction", "stop", "-id", "17")
    refused(env, "there is no operation INDEX_BUILD to stop", "stop", "INDEX_BUILD")


@behaviour
def tpstats_lists_the_pools(env):
    text = ask(env, "tpstats")
    for pool in ("ReadStage", "MutationStage", "CompactionExecutor", "MemtableFlushWriter"):
        true(re.search(rf"^{pool}\s+\d+\s+\d+", text, re.MULTILINE), text)


@behaviour
def compact_of_a_range_leaves_what_is_outside_of_it(env):
    filled(env, "ranged", 20)
    ask(env, "flush", KEYSPACE, "ranged")
    ask(env, "compact", "-st", "-9223372036854775807", "-et", "9223372036854775806", KEYSPACE,
        "ranged")
    ask(env, "compact", "--split-output", KEYSPACE, "ranged")
    equal(len(rows(env, "ranged")), 20)


@behaviour
def compact_of_a_range_that_is_turned_around_is_refused(env):
    filled(env, "ranged", 20)
    refused(env, "is behind --end-token", "compact", "-st", "5", "-et", "4", KEYSPACE)


@behaviour
def compactionstats_begins_with_pending_tasks(env):
    true(re.match(r"pending tasks: \d+\n", ask(env, "compactionstats")), "compactionstats")


@behaviour
def clientstats_counts_the_drivers(env):
    env.session.execute("SELECT release_version FROM system.local")
    true(len(tell(env, "clientstats")) >= 1, "clients")
    true("Total connected clients: " in ask(env, "clientstats"), "clientstats")


# Maintenance


@behaviour
def verify_reads_everything_and_names_damage(env):
    filled(env, "verified")
    ask(env, "flush", KEYSPACE, "verified")
    true("partitions" in ask(env, "verify", KEYSPACE, "verified"), "verify")
    name = ask(env, "getsstables", KEYSPACE, "verified", "7").split()[0]
    path = os.path.join(node_folder(env, 1), "files", name)
    with open(path, "r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    try:
        code, output, _ = env.ring.admin("verify", "-e", KEYSPACE, "verified")
        equal(code, 2, "the exit code of verify with a finding")
        true(re.search(re.escape(name) + r" at byte \d+: ", output), output)
    finally:
        with open(path, "r+b") as file:
            file.seek(40)
            file.write(byte)


@behaviour
def scrub_cleanup_and_upgrade_keep_all_rows(env):
    filled(env, "scrubbed")
    expected = rows(env, "scrubbed")
    everywhere(env, "flush", KEYSPACE, "scrubbed")
    for words in (("scrub",), ("cleanup",), ("upgradesstables", "-a"), ("garbagecollect",)):
        everywhere(env, *words, KEYSPACE, "scrubbed")
        equal(rows(env, "scrubbed"), expected, " ".join(words))
    report = tell(env, "scrub", KEYSPACE, "scrubbed")
    true(report["rewritten"] >= 1, f"scrub: {report}")
    equal(report["dropped_rows"], 0)


@behaviour
@needs(3)
def a_scrub_of_a_damaged_file_leaves_the_rest_readable(env):
    filled(env, "damaged")
    ask(env, "flush", KEYSPACE, "damaged")
    name = ask(env, "getsstables", KEYSPACE, "damaged", "7").split()[0]
    with open(os.path.join(node_folder(env, 1), "files", name), "r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    report = tell(env, "scrub", KEYSPACE, "damaged")
    equal(report["dropped_blocks"], 1)
    equal([finding["file"] for finding in report["findings"]], [name])
    equal(tell(env, "verify", KEYSPACE, "damaged")["findings"], [])
    equal(len(rows(env, "damaged")), ROWS, "the other replicas have them")


@behaviour
def inspect_reads_the_files_of_a_running_node(env):
    filled(env, "inspected", 40)
    ask(env, "flush", KEYSPACE, "inspected")
    name = ask(env, "getsstables", KEYSPACE, "inspected", "7").split()[0]
    files = os.path.join(node_folder(env, 1), "files")

    def inspect(*words):
        result = subprocess.run(
            [env.ring.binary, "inspect", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=HANGING)
        equal(result.returncode, 0, f"inspect {' '.join(words)}: {result.stderr}")
        return result.stdout

    path = os.path.join(files, name)
    partitions = json.loads(inspect("dump", path))
    true(any(p["partition"]["key"] == ["7"] and
             p["rows"][0]["cells"][0]["name"] == "v" and
             p["rows"][0]["cells"][0]["value"] == "value 7" for p in partitions), "dump")
    equal(len(inspect("keys", path).splitlines()), len(partitions))
    true(f'"partitions": {len(partitions)}' in inspect("sstable", path), "sstable")
    true("Bytes" in inspect("partitions", path), "partitions")
    true(f"{len(partitions)} partitions" in inspect("verify", path), "verify")
    prefix = name[:name.index("sst-")]
    manifest = sorted(glob.glob(os.path.join(files, prefix + "manifest-*")))[-1]
    true(name in inspect("manifest", manifest), "manifest")
    segment = sorted(glob.glob(os.path.join(files, prefix + "commitlog-*")))[0]
    for line in inspect("commitlog", segment).splitlines():
        json.loads(line)
    true("inspected" in inspect("metadata", node_folder(env, 1)), "metadata")


# Snapshots


@behaviour
def snapshots_are_taken_listed_and_cleared(env):
    filled(env, "pictured")
    text = ask(env, "snapshot", "-t", "album", KEYSPACE)
    true("Snapshot directory: album" in text, text)
    listed = [s for s in tell(env, "listsnapshots") if s["tag"] == "album"]
    true(any(s["table"] == "pictured" and s["size"] > 0 for s in listed), f"{listed}")
    true(all(s["true_size"] == 0 for s in listed), "links take no room")
    text = ask(env, "listsnapshots")
    true(re.search(rf"^album\s+{KEYSPACE}\s+pictured\s", text, re.MULTILINE), text)
    refused(env, "Snapshot album already exists.", "snapshot", "-t", "album", KEYSPACE)
    refused(env, "Specify snapshot name or --all", "clearsnapshot")
    ask(env, "clearsnapshot", "-t", "album")
    equal([s for s in tell(env, "listsnapshots") if s["tag"] == "album"], [])
    equal(glob.glob(os.path.join(node_folder(env, 1), "files", "snapshot-album-*")), [])


@behaviour
def a_snapshot_outlives_its_table_and_gives_it_back(env):
    session = filled(env, "treasure")
    session.execute(f"ALTER TABLE {KEYSPACE}.treasure ADD gone int")
    session.execute(f"ALTER TABLE {KEYSPACE}.treasure DROP gone")
    session.execute(f"ALTER TABLE {KEYSPACE}.treasure ADD late int")
    session.execute(f"UPDATE {KEYSPACE}.treasure SET late = 5 WHERE k = 5")
    expected = rows(env, "treasure")
    everywhere(env, "snapshot", "-t", "chest", "-cf", "treasure", KEYSPACE)
    session.execute(f"DROP TABLE {KEYSPACE}.treasure")
    folders = []
    for node in range(1, len(env.ring.addresses) + 1):
        folder = os.path.join(env.ring.folder, f"backup-{node}")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder)
        for path in glob.glob(os.path.join(node_folder(env, node), "files", "snapshot-chest-*")):
            shutil.copy(path, folder)
        folders.append(folder)
    with open(glob.glob(os.path.join(folders[0], "*schema.cql"))[0]) as file:
        statements = file.read()
    true("CREATE KEYSPACE" in statements, statements)
    session.execute(re.search(r"CREATE TABLE .*?;", statements, re.DOTALL).group(0))
    equal(rows(env, "treasure"), [])
    for node, folder in enumerate(folders, 1):
        text = ask(env, "import", KEYSPACE, "treasure", folder, node=node)
        true("imported" in text, text)
        refused(env, "holds no snapshot of", "import", KEYSPACE, "other_table", folder,
                node=node) if node == 1 and other(env) else None
    equal(rows(env, "treasure"), expected)
    env.ring.kill(1)
    env.ring.heal()
    eventually(lambda: equal(rows(env, "treasure"), expected, "after a kill"))


def other(env):
    env.session.execute(
        f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.other_table (k int PRIMARY KEY, v text)")
    return True


@behaviour
def a_table_with_a_long_name_leaves_snapshots_too(env):
    name = "n" * 222
    session = filled(env, name)
    equal(len(rows(env, name)), ROWS)
    session.execute(f"TRUNCATE {KEYSPACE}.{name}")
    equal(rows(env, name), [])
    session.execute(f"INSERT INTO {KEYSPACE}.{name} (k, v) VALUES (1, 'one')")
    session.execute(f"DROP TABLE {KEYSPACE}.{name}")

    def check():
        tags = [s["tag"] for s in tell(env, "listsnapshots") if s["table"] == name]
        equal({tag.split("-")[0] for tag in tags}, {"dropped", "truncated"})
        true(all(tag.endswith("-" + "n" * 96) for tag in tags), "the tag has the beginning of the name")
    eventually(check)
    ask(env, "clearsnapshot", "--all")


@behaviour
def truncate_and_drop_leave_automatic_snapshots(env):
    session = filled(env, "fleeting")
    expected = rows(env, "fleeting")
    session.execute(f"TRUNCATE {KEYSPACE}.fleeting")
    equal(rows(env, "fleeting"), [])
    found = [s for s in tell(env, "listsnapshots")
             if s["table"] == "fleeting" and s["tag"].startswith("truncated-")]
    true(found, "no snapshot of the truncation")
    for node in range(1, len(env.ring.addresses) + 1):
        folder = os.path.join(node_folder(env, node), "upload", KEYSPACE, "fleeting")
        os.makedirs(folder, exist_ok=True)
        for path in glob.glob(
                os.path.join(node_folder(env, node), "files", "snapshot-truncated-*")):
            shutil.copy(path, folder)
        ask(env, "refresh", KEYSPACE, "fleeting", node=node)
    equal(rows(env, "fleeting"), expected)
    session.execute(f"DROP TABLE {KEYSPACE}.fleeting")

    def check():
        true(any(s["tag"].startswith("dropped-") and s["table"] == "fleeting"
                 for s in tell(env, "listsnapshots")), "no snapshot of the drop")
    eventually(check)
    session.execute(
        f"CREATE TABLE {KEYSPACE}.unwatched (k int PRIMARY KEY, v text) "
        "WITH allow_auto_snapshot = false")
    session.execute(f"INSERT INTO {KEYSPACE}.unwatched (k, v) VALUES (1, 'a')")
    session.execute(f"DROP TABLE {KEYSPACE}.unwatched")
    equal([s for s in tell(env, "listsnapshots") if s["table"] == "unwatched"], [])
    ask(env, "clearsnapshot", "--all")


@behaviour
def a_snapshot_with_a_time_to_live_tells_when_it_goes(env):
    filled(env, "mortal", 5)
    ask(env, "snapshot", "-t", "brief", "--ttl", "1h", "-cf", "mortal", KEYSPACE)
    found = [s for s in tell(env, "listsnapshots") if s["tag"] == "brief"]
    true(found and all(
        s["expires_at"] - s["created_at"] == 3_600_000_000 for s in found), f"{found}")
    refused(env, "is no duration", "snapshot", "-t", "x", "--ttl", "soon", KEYSPACE)
    ask(env, "clearsnapshot", "-t", "brief")


# Switches


@behaviour
@needs(3)
def the_client_port_closes_and_opens(env):
    equal(ask(env, "statusbinary", node=2), "running\n")
    ask(env, "disablebinary", node=2)
    equal(ask(env, "statusbinary", node=2), "not running\n")
    true(re.search(r"^Native Transport active: false$", ask(env, "info", node=2), re.MULTILINE),
         "info")
    ask(env, "enablebinary", node=2)
    equal(ask(env, "statusbinary", node=2), "running\n")


@behaviour
def hinted_handoff_is_switched(env):
    equal(ask(env, "statushandoff"), "Hinted handoff is running\n")
    ask(env, "disablehandoff")
    equal(ask(env, "statushandoff"), "Hinted handoff is not running\n")
    ask(env, "enablehandoff")
    equal(ask(env, "statushandoff"), "Hinted handoff is running\n")


@behaviour
def the_window_of_hints_is_shown_and_set(env):
    equal(ask(env, "getmaxhintwindow"), "Current max hint window: 10800000 ms\n")
    ask(env, "setmaxhintwindow", "1000")
    equal(ask(env, "getmaxhintwindow"), "Current max hint window: 1000 ms\n")
    ask(env, "setmaxhintwindow", "10800000")
    refused(env, "no whole number of milliseconds", "setmaxhintwindow", "soon")


@behaviour
@needs(3)
def hints_are_forgotten_for_all_nodes_or_for_those_that_are_named(env):
    session = filled(env, "forgotten", 5)
    others = env.ring.addresses[1:]
    env.ring.kill(3)

    def write():
        session.execute(SimpleStatement(
            f"INSERT INTO {KEYSPACE}.forgotten (k, v) VALUES (100, 'hint')",
            consistency_level=ConsistencyLevel.QUORUM))
        true(tell(env, "listpendinghints"), "no hints")

    def none():
        equal(tell(env, "listpendinghints"), [])

    try:
        eventually(write)
        refused(env, "unknown endpoint: 127.0.0.9", "truncatehints", "127.0.0.9")
        ask(env, "truncatehints", others[0])
        true(tell(env, "listpendinghints"), "hints of another node are gone")
        ask(env, "truncatehints", others[1])
        eventually(none)
        eventually(write)
        ask(env, "truncatehints")
        eventually(none)
    finally:
        env.ring.heal()


@behaviour
@needs(3)
def paused_hints_wait_until_they_are_resumed(env):
    session = filled(env, "hinted", 5)
    for node in (1, 2):
        ask(env, "pausehandoff", node=node)
    env.ring.kill(3)

    def write():
        session.execute(SimpleStatement(
            f"INSERT INTO {KEYSPACE}.hinted (k, v) VALUES (100, 'hint')",
            consistency_level=ConsistencyLevel.QUORUM))
        pending = [h for node in (1, 2) for h in tell(env, "listpendinghints", node=node)]
        true(pending, "no hints")
    eventually(write)
    env.ring.heal()
    pending = [h for node in (1, 2) for h in tell(env, "listpendinghints", node=node)]
    true(pending, "hints went although they are paused")
    for node in (1, 2):
        ask(env, "resumehandoff", node=node)

    def gone():
        for node in (1, 2):
            equal(ask(env, "listpendinghints", node=node),
                  "This node does not have any pending hints\n")
    eventually(gone)


@behaviour
def timeouts_and_rates_are_read_and_set(env):
    before = tell(env, "gettimeout", "read")["milliseconds"]
    ask(env, "settimeout", "read", "7000")
    equal(ask(env, "gettimeout", "read"), "Current timeout for type read: 7000 ms\n")
    ask(env, "settimeout", "read", str(before))
    refused(env, "Valid timeout types", "gettimeout", "nothing")
    ask(env, "setcompactionthroughput", "17")
    equal(ask(env, "getcompactionthroughput"), "Current compaction throughput: 17 MiB/s\n")
    ask(env, "setcompactionthroughput", "64")


@behaviour
def a_share_of_the_requests_is_traced(env):
    session = filled(env, "traced", 3)
    for node in range(1, len(env.ring.addresses) + 1):
        ask(env, "settraceprobability", "1", node=node)
    equal(ask(env, "gettraceprobability"), "Current trace probability: 1.0\n")
    session.execute(f"SELECT * FROM {KEYSPACE}.traced WHERE k = 1")
    for node in range(1, len(env.ring.addresses) + 1):
        ask(env, "settraceprobability", "0", node=node)

    def check():
        # Traces have two replicas, one of which may not be there.
        found = list(session.execute(SimpleStatement(
            "SELECT parameters FROM system_traces.sessions", consistency_level=ConsistencyLevel.ONE)))
        true(
            any("traced WHERE k = 1" in (row[0] or {}).get("query", "") for row in found),
            f"{len(found)} sessions")
    eventually(check)
    refused(env, "Trace probability must be between 0 and 1", "settraceprobability", "2")


# Refusals


@behaviour
def unknown_verbs_are_refused_with_the_nearest_one(env):
    refused(env, "did you mean status?", "stattus")
    refused(env, "did you mean tablestats?", "tablestat")
    refused(env, "has no option --frob", "flush", "--frob")
    refused(env, "usage: ", "getendpoints", "one")


@behaviour
def a_node_that_is_not_there_is_named(env):
    code, _, errors = env.ring.admin("-p", "1", "status")
    true(code == 1 and "Failed to connect to '127.0.0.1:1'" in errors, errors)


@behaviour
@needs(3)
def a_drained_node_has_all_in_files_and_takes_no_clients(env):
    filled(env, "drained")
    ask(env, "drain", node=3)
    equal(ask(env, "statusbinary", node=3), "not running\n")
    stats = tell(env, "tablestats", node=3)[KEYSPACE]["drained"]
    equal(stats["partitions"], ROWS)
    ask(env, "enablebinary", node=3)
