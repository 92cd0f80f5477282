"""What a driver learns about the cluster: nodes, tokens, keyspaces, tables, columns, types."""

import os
import shutil
import uuid

from cassandra import ConsistencyLevel
from cassandra.metadata import Murmur3Token, SimpleStrategy, NetworkTopologyStrategy
from cassandra.query import SimpleStatement, dict_factory

import wire
from frames import ONE
from harness import behaviour, equal, eventually, needs, true
from ring import Ring, free_ports
from wire import Wire

def metadata(env):
    """A cluster that keeps the schema and the tokens; shared by the suite."""
    def make():
        env.make_keyspace()
        cluster = env.cluster()
        cluster.connect()
        return cluster
    return env.shared("metadata", make)


def table_metadata(env, name):
    cluster = metadata(env)
    cluster.refresh_table_metadata(env.keyspace, name)
    return cluster.metadata.keyspaces[env.keyspace].tables[name]


def dictionaries(env, statement, node=1):
    session = env.shared(f"node {node}", lambda: env.only(node, row_factory=dict_factory))
    return list(session.execute(statement))


@behaviour
def all_nodes_are_known_and_up(env):
    hosts = metadata(env).metadata.all_hosts()
    equal(sorted(host.address for host in hosts), env.ring.addresses)
    eventually(lambda: true(all(host.is_up for host in hosts), "all hosts are up"))


@behaviour
def a_host_has_datacenter_rack_release_and_id(env):
    hosts = metadata(env).metadata.all_hosts()
    for host in hosts:
        true(host.datacenter and host.rack, f"{host} has a datacenter and a rack")
        true(host.release_version.startswith("5.0"), f"release {host.release_version}")
        true(isinstance(host.host_id, uuid.UUID), "host_id")
        equal(host.broadcast_rpc_port, env.ring.port, "native port")
    equal(len({host.host_id for host in hosts}), len(hosts), "different host ids")


@behaviour
def the_cluster_has_a_name_and_the_Murmur3_partitioner(env):
    known = metadata(env).metadata
    true(known.cluster_name, "cluster_name")
    equal(known.partitioner, "org.apache.cassandra.dht.Murmur3Partitioner")


@behaviour
def the_token_map_holds_sixteen_tokens_of_every_node(env):
    ring = metadata(env).metadata.token_map.token_to_host_owner
    equal(len(ring), 16 * len(env.ring.addresses))
    for host in metadata(env).metadata.all_hosts():
        equal(sum(owner == host for owner in ring.values()), 16, str(host))


@behaviour
def all_nodes_tell_the_same_tokens_of_each(env):
    views = []
    for node in range(1, len(env.ring.addresses) + 1):
        local = dictionaries(env, "SELECT host_id, tokens FROM system.local", node)
        peers = dictionaries(env, "SELECT host_id, tokens FROM system.peers_v2", node)
        views.append({row["host_id"]: tuple(sorted(row["tokens"])) for row in local + peers})
    equal(views, [views[0]] * len(views))


@behaviour
def the_drivers_tokens_are_the_servers(env):
    table = env.table("k text PRIMARY KEY")
    keys = ["", "a", "Murmur", "x" * 100, "\u00e9\u00e8", "\U0001f600"]
    for key in keys[1:]:
        env.execute(f"INSERT INTO {table} (k) VALUES (%s)", (key,))
    for key, token in env.rows(f"SELECT k, token(k) FROM {table}"):
        equal(token, Murmur3Token.from_key(key.encode()).value, key)


@behaviour
@needs(3)
def the_replicas_of_a_key_are_as_many_as_the_replication_factor(env):
    session = metadata(env).connect()
    for factor in (1, 2):
        name = f"conformance_factor_{factor}"
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = "
            f"{{'class': 'SimpleStrategy', 'replication_factor': {factor}}}")
        for key in (b"a", b"b", b"c"):
            equal(len(set(metadata(env).metadata.get_replicas(name, key))), factor)
        session.execute(f"DROP KEYSPACE {name}")


@behaviour
@needs(3)
def a_node_does_not_list_itself_among_its_peers(env):
    for node, address in enumerate(env.ring.addresses, 1):
        peers = dictionaries(env, "SELECT * FROM system.peers_v2", node)
        equal(
            sorted(row["native_address"] for row in peers),
            sorted(set(env.ring.addresses) - {address}))
        for row in peers:
            equal(row["native_port"], env.ring.port)
            true(all(
                row[name] is not None for name in (
                    "host_id", "data_center", "rack", "release_version", "schema_version",
                    "tokens", "peer", "peer_port")), f"a complete row, not {row}")


@behaviour
def the_old_peers_table_holds_the_same_nodes(env):
    for node, address in enumerate(env.ring.addresses, 1):
        peers = dictionaries(env, "SELECT * FROM system.peers", node)
        equal(
            sorted(row["rpc_address"] for row in peers),
            sorted(set(env.ring.addresses) - {address}))
        true(all(row["tokens"] and row["host_id"] for row in peers), "tokens and host ids")


@behaviour
def nodes_of_one_address_are_told_apart_by_their_ports(env):
    folder = os.path.join(env.ring.folder, "of-one-address")
    shutil.rmtree(folder, ignore_errors=True)
    Ring(env.ring.binary, folder).command("up", "--nodes", "3", "--same-address", *free_ports(1, width=3))
    ring = Ring(env.ring.binary, folder)
    # Behind the first one, each node has a port of its own; the driver finds it in peers_v2.
    port = ring.port
    try:
        cluster = env.cluster(contact_points=["127.0.0.1"], port=port)
        cluster.connect().execute("SELECT key FROM system.local")
        hosts = cluster.metadata.all_hosts()
        equal(sorted((host.address, host.endpoint.port) for host in hosts),
              [("127.0.0.1", port + number) for number in range(3)])
        eventually(lambda: true(all(host.is_up for host in hosts), "all are up"))
        equal(len({host.host_id for host in hosts}), 3)
        seen = set()
        for number in range(3):
            with Wire("127.0.0.1", port + number) as connection:
                connection.start()
                seen.add(connection.ask(wire.QUERY, connection.query_body(
                    "SELECT host_id FROM system.local", ONE)).body[-16:])
        equal(seen, {host.host_id.bytes for host in hosts})
    finally:
        ring.down()
        shutil.rmtree(folder, ignore_errors=True)


@behaviour
def the_local_row_is_complete(env):
    row = dictionaries(env, "SELECT * FROM system.local WHERE key = 'local'")[0]
    equal(row["bootstrapped"], "COMPLETED")
    equal(row["rpc_address"], env.ring.addresses[0])
    equal(row["broadcast_address"], env.ring.addresses[0])
    equal(row["rpc_port"], env.ring.port)
    equal(row["native_protocol_version"], "5")
    true(row["cql_version"].startswith("3.4."), row["cql_version"])
    equal(len(row["tokens"]), 16)
    true(row["schema_version"] and row["gossip_generation"], "schema version and generation")
    parts = row["release_version"].split(".")
    true(len(parts) == 3 and all(part.isdigit() for part in parts), row["release_version"])


@behaviour
def all_nodes_agree_on_the_schema(env):
    env.table("k int PRIMARY KEY")

    def check():
        versions = set()
        for node in range(1, len(env.ring.addresses) + 1):
            for table in ("local", "peers_v2"):
                for row in dictionaries(env, f"SELECT schema_version FROM system.{table}", node):
                    versions.add(row["schema_version"])
        equal(len(versions), 1, f"schema versions {versions}")
    eventually(check)


@behaviour
def the_schema_version_changes_with_the_schema(env):
    def version():
        return dictionaries(env, "SELECT schema_version FROM system.local")[0]["schema_version"]
    before = version()
    env.table("k int PRIMARY KEY")
    eventually(lambda: true(version() != before, "the version changed"))


@behaviour
def a_table_shows_its_key_and_columns_in_order(env):
    name = env.table(
        "a int, b text, c int, d timeuuid, s text static, v blob, \"Quoted Name\" double, "
        "PRIMARY KEY ((a, b), c, d)", "WITH CLUSTERING ORDER BY (c DESC, d ASC)")
    table = table_metadata(env, name)
    equal([column.name for column in table.partition_key], ["a", "b"])
    equal([column.name for column in table.clustering_key], ["c", "d"])
    equal([column.is_reversed for column in table.clustering_key], [True, False])
    equal(list(table.columns), ["a", "b", "c", "d", "Quoted Name", "s", "v"])
    equal(table.columns["s"].is_static, True)
    equal(
        {column.name: column.cql_type for column in table.columns.values()},
        {"a": "int", "b": "text", "c": "int", "d": "timeuuid", "s": "text",
         "Quoted Name": "double", "v": "blob"})


@behaviour
def a_table_shows_its_options(env):
    name = env.table(
        "k int PRIMARY KEY",
        "WITH comment = 'it''s' AND gc_grace_seconds = 3600 AND default_time_to_live = 86400 "
        "AND bloom_filter_fp_chance = 0.05 AND speculative_retry = '75p' "
        "AND compaction = {'class': 'SizeTieredCompactionStrategy', 'min_threshold': 6} "
        "AND caching = {'keys': 'ALL', 'rows_per_partition': '10'}")
    options = table_metadata(env, name).options
    equal(options["comment"], "it's")
    equal(options["gc_grace_seconds"], 3600)
    equal(options["default_time_to_live"], 86400)
    equal(options["bloom_filter_fp_chance"], 0.05)
    equal(options["speculative_retry"].lower(), "75p")
    equal(options["compaction"]["min_threshold"], "6")
    true(options["compaction"]["class"].endswith("SizeTieredCompactionStrategy"), "class")
    equal(options["caching"]["rows_per_partition"], "10")


@behaviour
def a_table_without_options_shows_cassandras_defaults(env):
    options = table_metadata(env, env.table("k int PRIMARY KEY")).options
    for name, value in {
        "comment": "", "gc_grace_seconds": 864000, "default_time_to_live": 0,
        "bloom_filter_fp_chance": 0.01, "crc_check_chance": 1.0, "speculative_retry": "99p",
        "additional_write_policy": "99p", "read_repair": "BLOCKING", "min_index_interval": 128,
        "max_index_interval": 2048, "memtable_flush_period_in_ms": 0,
        "caching": {"keys": "ALL", "rows_per_partition": "NONE"},
    }.items():
        equal(options.get(name), value, name)


@behaviour
def the_drivers_export_of_a_table_can_be_executed(env):
    name = env.table(
        "a int, \"B\" text, c int, v frozen<map<text, frozen<list<int>>>>, PRIMARY KEY (a, \"B\", c)",
        "WITH CLUSTERING ORDER BY (\"B\" DESC, c ASC) AND comment = 'to copy'")
    table = table_metadata(env, name)
    text = table.as_cql_query()
    env.execute(f"DROP TABLE {name}")
    env.execute(text)
    again = table_metadata(env, name)
    equal(again.as_cql_query(), text)


@behaviour
def a_keyspace_shows_its_replication(env):
    session = metadata(env).connect()
    session.execute(
        "CREATE KEYSPACE IF NOT EXISTS conformance_simple WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 2} AND durable_writes = false")
    datacenter = metadata(env).metadata.all_hosts()[0].datacenter
    session.execute(
        "CREATE KEYSPACE IF NOT EXISTS conformance_network WITH replication = "
        f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': 3}}")
    keyspaces = metadata(env).metadata.keyspaces
    simple = keyspaces["conformance_simple"]
    true(isinstance(simple.replication_strategy, SimpleStrategy), "SimpleStrategy")
    equal(simple.replication_strategy.replication_factor, 2)
    equal(simple.durable_writes, False)
    network = keyspaces["conformance_network"]
    true(isinstance(network.replication_strategy, NetworkTopologyStrategy), "NetworkTopology")
    equal(network.replication_strategy.dc_replication_factors, {datacenter: 3})
    session.execute("DROP KEYSPACE conformance_simple")
    session.execute("DROP KEYSPACE conformance_network")


@behaviour
def the_drivers_schema_follows_its_own_statements(env):
    cluster = metadata(env)
    session = cluster.connect(env.keyspace)
    session.execute("CREATE TABLE followed (k int PRIMARY KEY)")
    tables = cluster.metadata.keyspaces[env.keyspace].tables
    true("followed" in tables, "created")
    session.execute("ALTER TABLE followed ADD v text")
    equal(list(cluster.metadata.keyspaces[env.keyspace].tables["followed"].columns), ["k", "v"])
    session.execute("DROP TABLE followed")
    true("followed" not in cluster.metadata.keyspaces[env.keyspace].tables, "dropped")


@behaviour
def a_user_defined_type_is_shown(env):
    cluster = metadata(env)
    session = cluster.connect(env.keyspace)
    session.execute("CREATE TYPE shown_address (street text, zip int, tags frozen<set<text>>)")
    shown = cluster.metadata.keyspaces[env.keyspace].user_types["shown_address"]
    equal(shown.field_names, ["street", "zip", "tags"])
    equal(shown.field_types, ["text", "int", "frozen<set<text>>"])
    session.execute("DROP TYPE shown_address")


@behaviour
def the_system_keyspaces_exist(env):
    names = {row[0] for row in env.rows("SELECT keyspace_name FROM system_schema.keyspaces")}
    for name in ("system", "system_schema", "system_traces", "system_auth", "system_distributed"):
        true(name in names, f"{name} is missing among {sorted(names)}")
    names = {
        row[0] for row in env.rows("SELECT keyspace_name FROM system_virtual_schema.keyspaces")}
    true("system_virtual_schema" in names, f"system_virtual_schema is missing in {sorted(names)}")


@behaviour
def tables_of_features_that_are_missing_exist_and_are_empty(env):
    for table in ("functions", "aggregates", "triggers", "indexes", "views"):
        equal(env.rows(
            f"SELECT * FROM system_schema.{table} WHERE keyspace_name = '{env.keyspace}'"), [])
