"""The virtual tables of system_views, and the system tables whose rows are figures."""

import time

from cassandra import ConsistencyLevel, InvalidRequest, Unauthorized
from cassandra.query import SimpleStatement

from wire import Wire
from harness import behaviour, equal, eventually, needs, refusals, true


def node(env):
    env.make_keyspace()
    return env.shared("node", lambda: env.only(1))


def rows(env, statement, parameters=None):
    return [tuple(row) for row in node(env).execute(statement, parameters)]


def used(env):
    """A table with rows that were written, flushed on the first node, and read."""

    def make():
        name = env.table("k int, c int, v text, PRIMARY KEY (k, c)")
        insert = env.session.prepare(f"INSERT INTO {name} (k, c, v) VALUES (?, ?, ?)")
        futures = [
            env.session.execute_async(insert, (k, c, "x" * 100)) for k in range(20)
            for c in range(5)]
        for future in futures:
            future.result()
        code, _, errors = env.ring.admin("flush", env.keyspace, name)
        equal((code, errors), (0, ""))
        for k in range(20):
            node(env).execute(f"SELECT * FROM {name} WHERE k = {k}")
        node(env).execute(f"SELECT * FROM {name}")
        node(env).execute(f"INSERT INTO {name} (k, c, v) VALUES (1, 1, 'y')")
        return name

    return env.shared("used", make)


# Columns

COLUMNS = {
    "batch_metrics": "name text, max bigint, p50th double, p999th double, p99th double",
    "caches": "name text, capacity_bytes bigint, entry_count int, hit_count bigint, "
        "hit_ratio double, recent_hit_rate_per_second bigint, "
        "recent_request_rate_per_second bigint, request_count bigint, size_bytes bigint",
    "clients": "address inet, port int, client_options frozen<map<text, text>>, "
        "connection_stage text, driver_name text, driver_version text, hostname text, "
        "keyspace_name text, protocol_version int, request_count bigint, ssl_cipher_suite text, "
        "ssl_enabled boolean, ssl_protocol text, username text",
    "cql_metrics": "name text, value double",
    "pending_hints": "host_id uuid, address inet, dc text, files int, newest timestamp, "
        "oldest timestamp, port int, rack text, status text",
    "queries": "thread_id text, queued_micros bigint, running_micros bigint, task text",
    "snapshots": "name text, keyspace_name text, table_name text, created_at timestamp, "
        "ephemeral boolean, expires_at timestamp, size_on_disk bigint, true_size bigint",
    "sstable_tasks": "keyspace_name text, table_name text, task_id timeuuid, "
        "completion_ratio double, kind text, progress bigint, sstables int, total bigint, unit text",
    "system_properties": "name text, value text",
    "thread_pools": "name text, active_tasks int, active_tasks_limit int, blocked_tasks bigint, "
        "blocked_tasks_all_time bigint, completed_tasks bigint, core_pool_size int, "
        "max_pool_size int, max_tasks_queued int, pending_tasks int",
    "disk_usage": "keyspace_name text, table_name text, mebibytes bigint",
    "max_partition_size": "keyspace_name text, table_name text, mebibytes bigint",
    "rows_per_read": "keyspace_name text, table_name text, count bigint, max double, p50th double, "
        "p99th double",
    "tombstones_per_read": "keyspace_name text, table_name text, count bigint, max double, "
        "p50th double, p99th double",
}
for _name in ("coordinator_read", "coordinator_scan", "coordinator_write", "local_read",
              "local_scan", "local_write"):
    COLUMNS[_name + "_latency"] = (
        "keyspace_name text, table_name text, count bigint, max_ms double, p50th_ms double, "
        "p99th_ms double, per_second double")


def has_columns(name, text):
    def check(env):
        found = env.rows(
            "SELECT column_name, type FROM system_virtual_schema.columns WHERE keyspace_name = "
            "'system_views' AND table_name = %s", (name,))
        expected = []
        for part in text.replace("map<text, text>", "map<text;text>").split(", "):
            column, kind = part.split(" ", 1)
            expected.append((column, kind.replace(";", ", ")))
        equal(sorted(found), sorted(expected))
        rows(env, f"SELECT * FROM system_views.{name}")

    check.__name__ = name + "_has_the_columns_of_Cassandra"
    return behaviour(check)


for _name, _text in sorted(COLUMNS.items()):
    has_columns(_name, _text)


@behaviour
def every_virtual_table_can_be_read(env):
    names = [row[0] for row in env.rows(
        "SELECT table_name FROM system_virtual_schema.tables "
        "WHERE keyspace_name = 'system_views'")]
    true(len(names) >= 25, names)
    for name in names:
        rows(env, f"SELECT * FROM system_views.{name}")


@behaviour
def system_views_is_a_virtual_keyspace(env):
    equal(env.rows("SELECT * FROM system_virtual_schema.keyspaces"), [
        ("system_views",), ("system_virtual_schema",)])
    equal(env.rows(
        "SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'system_views'"), [])


# Latencies


def count(env, view, name, column="count"):
    found = rows(
        env, f"SELECT {column} FROM system_views.{view} WHERE keyspace_name = %s "
        "AND table_name = %s", (env.keyspace, name))
    equal(len(found), 1)
    return found[0][0]


@behaviour
def reads_of_partitions_are_counted_by_their_coordinator(env):
    name = used(env)
    before = count(env, "coordinator_read_latency", name)
    for _ in range(7):
        node(env).execute(f"SELECT * FROM {name} WHERE k = 1")
    equal(count(env, "coordinator_read_latency", name), before + 7)


@behaviour
def scans_are_counted_by_their_coordinator(env):
    name = used(env)
    before = count(env, "coordinator_scan_latency", name)
    node(env).execute(f"SELECT * FROM {name}")
    equal(count(env, "coordinator_scan_latency", name), before + 1)


@behaviour
def writes_are_counted_by_their_coordinator(env):
    name = used(env)
    before = count(env, "coordinator_write_latency", name)
    for _ in range(5):
        node(env).execute(f"INSERT INTO {name} (k, c, v) VALUES (1, 1, 'y')")
    equal(count(env, "coordinator_write_latency", name), before + 5)


@behaviour
def a_refused_statement_is_not_counted(env):
    name = used(env)
    before = count(env, "coordinator_read_latency", name)
    env.refused(
        InvalidRequest, "", lambda: node(env).execute(f"SELECT * FROM {name} WHERE v = 'x'"))
    equal(count(env, "coordinator_read_latency", name), before)


@behaviour
def replicas_count_their_own_reads_and_writes(env):
    name = used(env)
    true(count(env, "local_write_latency", name) >= 100, "writes")
    true(count(env, "local_read_latency", name) >= 1, "reads")
    true(count(env, "local_scan_latency", name) >= 1, "scans")


@behaviour
def latencies_are_ordered(env):
    name = used(env)
    for view in ("coordinator_read_latency", "coordinator_write_latency"):
        found = rows(
            env, f"SELECT p50th_ms, p99th_ms, max_ms, per_second FROM system_views.{view} "
            "WHERE keyspace_name = %s AND table_name = %s", (env.keyspace, name))[0]
        true(0 < found[0] <= found[1] <= found[2] < 60_000, found)
        true(found[3] > 0, found)


@behaviour
def rows_per_read_are_counted(env):
    name = used(env)
    found = rows(
        env, "SELECT count, max FROM system_views.rows_per_read WHERE keyspace_name = %s "
        "AND table_name = %s", (env.keyspace, name))[0]
    true(found[0] >= 1 and found[1] >= 5, found)


@behaviour
def tombstones_per_read_are_counted(env):
    name = env.table("k int, c int, PRIMARY KEY (k, c)")
    for c in range(10):
        node(env).execute(SimpleStatement(
            f"DELETE FROM {name} WHERE k = 1 AND c = {c}", consistency_level=ConsistencyLevel.ALL))
    node(env).execute(SimpleStatement(
        f"SELECT * FROM {name} WHERE k = 1", consistency_level=ConsistencyLevel.ALL))
    equal(count(env, "tombstones_per_read", name, "max"), 10.0)


# Storage


@behaviour
def disk_usage_is_rounded_up(env):
    name = used(env)
    equal(count(env, "disk_usage", name, "mebibytes"), 1)
    equal(count(env, "max_partition_size", name, "mebibytes"), 1)
    equal(count(env, "max_sstable_size", name, "mebibytes"), 1)


@behaviour
def a_table_that_was_never_flushed_uses_no_disk(env):
    name = env.table("k int PRIMARY KEY")
    equal(count(env, "disk_usage", name, "mebibytes"), 0)


@behaviour
def the_block_cache_is_shown(env):
    used(env)
    found = rows(
        env, "SELECT capacity_bytes, entry_count, size_bytes, hit_count, request_count, hit_ratio "
        "FROM system_views.caches WHERE name = 'chunks'")
    equal(len(found), 1)
    capacity, entries, size, hits, requests, ratio = found[0]
    true(capacity >= 256 << 20, found)
    true(0 <= size <= capacity and hits <= requests and 0 <= ratio <= 1, found)


@behaviour
def snapshots_are_shown_and_go(env):
    name = used(env)
    code, _, errors = env.ring.admin("snapshot", "-t", "seen", "-cf", name, env.keyspace)
    equal((code, errors), (0, ""))
    found = rows(
        env, "SELECT keyspace_name, table_name, ephemeral, size_on_disk, created_at "
        "FROM system_views.snapshots WHERE name = 'seen'")
    equal(len(found), 1)
    equal(found[0][:3], (env.keyspace, name, False))
    true(found[0][3] > 0 and abs(found[0][4].timestamp() - time.time()) < 86_400, found)
    env.ring.admin("clearsnapshot", "-t", "seen")
    equal(rows(env, "SELECT * FROM system_views.snapshots WHERE name = 'seen'"), [])


@behaviour
def estimates_of_sizes_add_up_to_the_partitions(env):
    name = used(env)
    found = rows(
        env, "SELECT range_start, range_end, mean_partition_size, partitions_count "
        "FROM system.size_estimates WHERE keyspace_name = %s AND table_name = %s",
        (env.keyspace, name))
    equal(len(found), 16)
    # An estimate: the partitions of a file are told by a sketch, and one node has them all.
    true(0 < sum(row[3] for row in found) <= 24, found)
    true(any(row[2] > 500 for row in found), found)
    tokens = rows(env, "SELECT tokens FROM system.local")[0][0]
    equal({row[1] for row in found}, set(tokens))


@behaviour
def estimates_of_tables_have_both_types_of_ranges(env):
    name = used(env)
    found = rows(
        env, "SELECT range_type, range_end FROM system.table_estimates WHERE keyspace_name = %s "
        "AND table_name = %s", (env.keyspace, name))
    equal({row[0] for row in found}, {"primary", "local_primary"})
    equal(len(found), 32)


@behaviour
def compactions_are_remembered(env):
    name = env.table("k int PRIMARY KEY, v int")
    for v in range(2):
        for k in range(10):
            node(env).execute(SimpleStatement(
                f"INSERT INTO {name} (k, v) VALUES ({k}, {v})",
                consistency_level=ConsistencyLevel.ALL))
        env.ring.admin("flush", env.keyspace, name)
    equal(env.ring.admin("compact", env.keyspace, name)[0], 0)

    def remembered():
        found = [
            row for row in rows(
                env, "SELECT columnfamily_name, bytes_in, bytes_out, compacted_at "
                "FROM system.compaction_history") if row[0] == name]
        true(found, "no compaction of the table")
        true(found[0][1] > found[0][2] > 0, found)

    eventually(remembered)
    status, text, _ = env.ring.admin("compactionhistory")
    true(status == 0 and f" {name} " in text and "compaction_properties" in text, text)


# Clients and requests


@behaviour
def a_client_shows_what_it_told(env):
    options = {
        "CLIENT_ID": "7f2c5a3e", "APPLICATION_NAME": "shop", "APPLICATION_VERSION": "1.2",
        "DRIVER_NAME": "by hand", "DRIVER_VERSION": "3", "THROW_ON_OVERLOAD": "1"}
    with Wire(env.ring.addresses[0], env.ring.port, version=4) as wire:
        wire.start(**options)
        wire.query(f"USE {env.keyspace}")
        wire.receive()
        wire.query("SELECT key FROM system.local")
        wire.receive()
        port = wire.socket.getsockname()[1]
        found = [
            row for row in rows(
                env, "SELECT port, connection_stage, driver_name, driver_version, client_options, "
                "keyspace_name, protocol_version, request_count, ssl_enabled, username "
                "FROM system_views.clients") if row[0] == port]
    equal(len(found), 1)
    equal(found[0][1:4], ("ready", "by hand", "3"))
    equal(dict(found[0][4]), dict(options, CQL_VERSION="3.0.0"))
    equal(found[0][5:], (env.keyspace, 4, 2, False, "anonymous"))
    eventually(lambda: equal([
        row for row in rows(env, "SELECT port FROM system_views.clients") if row[0] == port], []))


@behaviour
def a_driver_shows_its_name_and_version(env):
    found = rows(env, "SELECT driver_name, driver_version, protocol_version, hostname, address "
                 "FROM system_views.clients")
    true(any("Python" in (row[0] or "") and row[1] and row[2] == 5 for row in found), found)
    true(all(row[3] == row[4] for row in found), found)


@behaviour
def statements_are_counted_by_kind(env):
    def counts():
        return dict(rows(env, "SELECT name, value FROM system_views.cql_metrics"))

    before = counts()
    statement = node(env).prepare("SELECT key FROM system.local")
    for _ in range(3):
        node(env).execute(statement)
    after = counts()
    equal(after["prepared_statements_executed"] - before["prepared_statements_executed"], 3)
    true(after["prepared_statements_count"] >= 1, after)
    true(0 <= after["prepared_statements_ratio"] <= 1, after)
    true(after["regular_statements_executed"] > before["regular_statements_executed"], after)


@behaviour
def partitions_of_batches_are_counted(env):
    name = env.table("k int PRIMARY KEY")
    inserts = "".join(f"INSERT INTO {name} (k) VALUES ({k}); " for k in range(9))
    node(env).execute(f"BEGIN UNLOGGED BATCH {inserts} APPLY BATCH")
    found = dict(rows(env, "SELECT name, max FROM system_views.batch_metrics"))
    equal(sorted(found), [
        "partitions_per_counter_batch", "partitions_per_logged_batch",
        "partitions_per_unlogged_batch"])
    true(found["partitions_per_unlogged_batch"] >= 9, found)


@behaviour
def thread_pools_have_the_names_of_Cassandra(env):
    found = dict(rows(env, "SELECT name, completed_tasks FROM system_views.thread_pools"))
    for name in ("ReadStage", "MutationStage", "Native-Transport-Requests", "CompactionExecutor"):
        true(name in found, found)
    true(found["Native-Transport-Requests"] > 0, found)


# The ring


@behaviour
@needs(3)
def gossip_shows_every_node(env):
    found = rows(env, "SELECT address, port, dc, rack, host_id, status, \"schema\", generation "
                 "FROM system_views.gossip_info")
    equal({row[0] for row in found}, set(env.ring.addresses))
    hosts = {str(row[0]) for number in (1, 2, 3)
             for row in env.only(number).execute("SELECT host_id FROM system.local")}
    equal({row[4] for row in found}, hosts)
    equal(len({row[6] for row in found}), 1)
    true(all(row[5].startswith("NORMAL") and row[7] > 0 for row in found), found)


@behaviour
@needs(3)
def messages_with_other_nodes_are_counted(env):
    used(env)
    for table, column in (("internode_inbound", "received"), ("internode_outbound", "sent")):
        found = rows(
            env, f"SELECT address, dc, {column}_count, {column}_bytes FROM system_views.{table}")
        equal({row[0] for row in found}, set(env.ring.addresses[1:]), table)
        true(all(row[2] > 0 and row[3] > row[2] for row in found), found)


@behaviour
@needs(3)
def hints_for_a_node_that_is_down_are_shown(env):
    name = used(env)
    host = list(env.only(3).execute("SELECT host_id FROM system.local"))[0][0]
    env.ring.kill(3)
    try:
        eventually(lambda: true("DN" in env.ring.admin("status")[1], "still up"))
        node(env).execute(SimpleStatement(
            f"INSERT INTO {name} (k, c, v) VALUES (1, 1, 'hint')",
            consistency_level=ConsistencyLevel.ONE))

        def shown():
            found = rows(env, "SELECT host_id, address, status, files FROM "
                         "system_views.pending_hints")
            equal([row[:3] for row in found], [(host, env.ring.addresses[2], "DOWN")])

        eventually(shown)
    finally:
        env.ring.start(3)
    eventually(lambda: equal(rows(env, "SELECT * FROM system_views.pending_hints"), []))


@behaviour
def properties_name_the_product(env):
    found = dict(rows(env, "SELECT name, value FROM system_views.system_properties"))
    equal(found["product"], "Coterie")
    equal(found["coterie.host_id"], str(rows(env, "SELECT host_id FROM system.local")[0][0]))


@behaviour
def nothing_streams(env):
    equal(rows(env, "SELECT * FROM system_views.streaming"), [])


# Histograms of coterie admin


@behaviour
def proxyhistograms_show_what_clients_waited_for(env):
    used(env)
    code, output, errors = env.ring.admin("proxyhistograms")
    equal((code, errors), (0, ""))
    for line in ("proxy histograms", "Read Latency", "50%", "99%", "Max"):
        true(line in output, output)
    line = [line for line in output.splitlines() if line.startswith("99%")][0]
    true(float(line.split()[1]) > 0 and float(line.split()[2]) > 0, line)


@behaviour
def tablehistograms_show_one_table(env):
    name = used(env)
    code, output, errors = env.ring.admin("tablehistograms", env.keyspace, name)
    equal((code, errors), (0, ""))
    true(output.startswith(f"{env.keyspace}/{name} histograms"), output)
    line = [line for line in output.splitlines() if line.startswith("Max")][0]
    true(float(line.split()[3]) > 500, line)
    equal(env.ring.admin("tablehistograms", f"{env.keyspace}.{name}")[0], 0)


def admin_refused(name, phrase, *words):
    def check(env):
        used(env)
        code, _, errors = env.ring.admin(
            *[word.replace("$ks", env.keyspace).replace("$t", used(env)) for word in words])
        equal(code, 1)
        true(phrase in errors, errors)

    check.__name__ = "refused_command_" + name
    return behaviour(check)


for _case in [
    ("tablehistograms_of_a_keyspace", "requires keyspace and table name", "tablehistograms", "$ks"),
    ("tablehistograms_of_no_table", "Unknown keyspace/cf pair", "tablehistograms", "$ks", "none"),
    ("toppartitions", "does not sample partitions", "toppartitions", "$ks", "$t", "1000"),
    ("scrub_without_validation", "--no-validate is refused", "scrub", "-n", "$ks", "$t"),
    ("scrub_of_overflowed_ttl", "--reinsert-overflowed-ttl is refused", "scrub", "-r", "$ks"),
    ("verify_with_the_disk_policy", "--dfp is refused", "verify", "-d", "$ks"),
    ("verify_that_resets_repairs", "--rsc is refused", "verify", "-r", "$ks"),
    ("verify_of_tokens", "--check-tokens is refused", "verify", "-t", "$ks"),
    ("garbagecollect_by_partition", "Unexpected value for granularity", "garbagecollect", "-g",
     "PARTITION", "$ks"),
    ("cleanup_with_some_jobs", "is no number", "cleanup", "-j", "some", "$ks"),
    ("getsstables_with_levels", "--show-levels is refused", "getsstables", "-l", "$ks", "$t", "1"),
    ("status_with_names", "has no option -r", "status", "-r"),
    ("ring_with_names", "has no option -r", "ring", "-r"),
    ("gossipinfo_with_names", "has no option -r", "gossipinfo", "-r"),
]:
    admin_refused(*_case)


def admin_warned(name, phrase, *words):
    def check(env):
        code, _, errors = env.ring.admin(
            *[word.replace("$ks", env.keyspace).replace("$t", used(env)) for word in words])
        equal(code, 0, errors)
        true("changes nothing" in errors and phrase in errors, errors)

    check.__name__ = "a_command_warns_of_" + name
    return behaviour(check)


for _case in [
    ("jobs_of_cleanup", "--jobs", "cleanup", "-j", "2", "$ks", "$t"),
    ("jobs_of_scrub", "--jobs", "scrub", "-j", "2", "$ks", "$t"),
    ("jobs_of_upgradesstables", "--jobs", "upgradesstables", "-j", "2", "$ks", "$t"),
    ("jobs_of_garbagecollect", "--jobs", "garbagecollect", "-j", "2", "$ks", "$t"),
    ("a_quick_verify", "--quick", "verify", "-q", "$ks", "$t"),
    ("skipping_what_is_corrupt", "--skip-corrupted", "scrub", "-s", "$ks", "$t"),
]:
    admin_warned(*_case)


# Refusals

refusals([
    ("writing to a virtual table", "INSERT INTO system_views.caches (name) VALUES ('a')",
     InvalidRequest, "Modification is not supported by table system_views.caches"),
    ("changing a virtual table", "UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'",
     InvalidRequest, "Modification is not supported by table system_views.caches"),
    ("deleting from a virtual table", "DELETE FROM system_views.clients WHERE address = '::1'",
     InvalidRequest, "Modification is not supported by table system_views.clients"),
    ("a time of its own for a virtual table",
     "INSERT INTO system_views.caches (name) VALUES ('a') USING TIMESTAMP 1",
     InvalidRequest, "Custom timestamp is not supported by virtual tables"),
    ("a time to live in a virtual table", "INSERT INTO system_views.caches (name) VALUES ('a') USING TTL 1",
     InvalidRequest, "Expiring columns are not supported by virtual tables"),
    ("a condition on a virtual table", "INSERT INTO system_views.caches (name) VALUES ('a') IF NOT EXISTS",
     InvalidRequest, "Conditional updates are not supported by virtual tables"),
    ("a logged batch with a virtual table",
     "BEGIN BATCH UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'; APPLY BATCH",
     InvalidRequest, "Cannot include a virtual table statement in a logged batch"),
    ("a batch with a virtual table",
     "BEGIN UNLOGGED BATCH UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'; APPLY BATCH",
     InvalidRequest, "Modification is not supported by table system_views.caches"),
    ("a batch with a virtual table and another",
     "BEGIN UNLOGGED BATCH UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks'; "
     "INSERT INTO $used (k, c) VALUES (1, 1); APPLY BATCH",
     InvalidRequest, "Mutations for virtual and regular tables cannot exist in the same batch"),
    ("a conditional batch with a virtual table",
     "BEGIN UNLOGGED BATCH UPDATE system_views.caches SET entry_count = 1 WHERE name = 'chunks' IF entry_count = 2; "
     "APPLY BATCH",
     InvalidRequest, "Conditional BATCH statements cannot include mutations for virtual tables"),
    ("emptying a virtual table", "TRUNCATE system_views.clients", InvalidRequest,
     "Truncation is not supported by table system_views.clients"),
    ("dropping a virtual table", "DROP TABLE system_views.clients", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("dropping what is no virtual table", "DROP TABLE IF EXISTS system_views.none", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("altering a virtual table", "ALTER TABLE system_views.clients ADD a int", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("creating a table among the virtual ones",
     "CREATE TABLE system_views.own (k int PRIMARY KEY)", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("a type in the virtual keyspace", "CREATE TYPE system_views.own (a int)", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("altering the virtual keyspace", "ALTER KEYSPACE system_views WITH durable_writes = false", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("dropping the virtual keyspace", "DROP KEYSPACE system_views", Unauthorized,
     "system_views keyspace is not user-modifiable."),
    ("creating the virtual keyspace again", "CREATE KEYSPACE system_views WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 1}", InvalidRequest,
     "System keyspace 'system_views' is not user-modifiable"),
    ("a virtual table that does not exist", "SELECT * FROM system_views.none", InvalidRequest,
     "table none does not exist"),
    ("a column that does not exist", "SELECT none FROM system_views.clients", InvalidRequest,
     "Undefined column name none"),
    ("writing to the estimates",
     "DELETE FROM system.size_estimates WHERE keyspace_name = 'a'", Unauthorized,
     "not user-modifiable"),
], lambda env: {"used": used(env)})


@behaviour
def compactions_are_remembered_after_a_kill(env):
    before = rows(env, "SELECT id, columnfamily_name, bytes_in, rows_merged FROM system.compaction_history")
    true(before, "no compaction before the kill")
    env.ring.kill(1)
    env.ring.start(1)

    def remembered():
        found = rows(env, "SELECT id, columnfamily_name, bytes_in, rows_merged FROM system.compaction_history")
        true(set(map(str, before)) <= set(map(str, found)), found)
    eventually(remembered)
    status, text, _ = env.ring.admin("compactionhistory")
    true(status == 0 and str(before[0][0]) in text, text)
