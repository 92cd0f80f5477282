"""The statements that drivers and tools send while they connect, each as it is sent: none may be refused, and what
the driver reads by name must be among the columns. Drivers that are run here send their own besides."""

from cassandra import ConsistencyLevel, InvalidRequest
from cassandra.query import SimpleStatement

from harness import behaviour, equal, refusals, true

TABLES = (
    "keyspace_name, table_name, bloom_filter_fp_chance, caching, comment, compaction, compression, crc_check_chance, "
    "default_time_to_live, extensions, flags, gc_grace_seconds, id, max_index_interval, memtable_flush_period_in_ms, "
    "min_index_interval, speculative_retry")
SCHEMA = ["keyspaces", "tables", "columns", "types", "functions", "aggregates", "triggers", "indexes", "views"]

# (who sends it, statement, columns that it reads by name)
STATEMENTS = [
    ("python", "SELECT * FROM system.peers_v2",
     "peer peer_port data_center rack host_id tokens schema_version native_address native_port release_version"),
    ("python", "SELECT * FROM system.peers", "peer rpc_address data_center rack host_id tokens schema_version release_version"),
    ("python", "SELECT * FROM system.local WHERE key='local'",
     "cluster_name partitioner tokens data_center rack host_id listen_address broadcast_address rpc_address rpc_port "
     "release_version schema_version"),
    ("python", "SELECT host_id, cluster_name, data_center, rack, partitioner, release_version, schema_version, rpc_address "
     "FROM system.local WHERE key='local'", ""),
    ("python", "SELECT host_id, peer, peer_port, data_center, rack, native_address, native_port, release_version, "
     "schema_version FROM system.peers_v2", ""),
    ("python", "SELECT schema_version FROM system.local WHERE key='local'", "schema_version"),
    ("python", "SELECT host_id, peer, peer_port, native_address, native_port, schema_version FROM system.peers_v2", ""),
    ("python", "SELECT peer, host_id, rpc_address, schema_version FROM system.peers", ""),
    ("python", "SELECT * FROM system_traces.sessions WHERE session_id = 00000000-0000-1000-8000-000000000000",
     "session_id request coordinator parameters started_at duration client"),
    ("python", "SELECT * FROM system_traces.events WHERE session_id = 00000000-0000-1000-8000-000000000000",
     "activity source source_elapsed thread event_id"),
    ("java", "SELECT cluster_name FROM system.local", "cluster_name"),
    ("java", "SELECT * FROM system.local", "key host_id rack data_center tokens schema_version rpc_address"),
    ("java", "SELECT prepared_id FROM system.prepared_statements", "prepared_id"),
    ("java", "SELECT * FROM system_virtual_schema.keyspaces", "keyspace_name"),
    ("java", "SELECT * FROM system_virtual_schema.tables", "keyspace_name table_name comment"),
    ("java", "SELECT * FROM system_virtual_schema.columns",
     "keyspace_name table_name column_name clustering_order kind position type"),
    ("gocql", "SELECT * FROM system.local WHERE key='local'", "release_version partitioner tokens"),
    ("gocql", "SELECT * FROM system_schema.keyspaces", "keyspace_name durable_writes replication"),
    ("gocql", "SELECT durable_writes, replication FROM system_schema.keyspaces WHERE keyspace_name = 'system'", ""),
    ("gocql", f"SELECT {TABLES} FROM system_schema.tables WHERE keyspace_name = 'system'", ""),
    ("gocql", "SELECT view_name, base_table_name, where_clause, include_all_columns, id FROM system_schema.views "
     "WHERE keyspace_name = 'system'", ""),
    ("gocql", "SELECT table_name, column_name, clustering_order, type, kind, position FROM system_schema.columns "
     "WHERE keyspace_name = 'system'", ""),
    ("gocql", "SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = 'system'", ""),
    ("gocql", "SELECT function_name, argument_types, argument_names, body, called_on_null_input, language, return_type "
     "FROM system_schema.functions WHERE keyspace_name = 'system'", ""),
    ("gocql", "SELECT aggregate_name, argument_types, state_func, state_type, final_func, initcond, return_type "
     "FROM system_schema.aggregates WHERE keyspace_name = 'system'", ""),
    ("cqlsh", "select * from system.local where key = 'local'", "release_version cql_version"),
    ("cqlsh", "DESCRIBE CLUSTER", "cluster partitioner snitch"),
    ("cqlsh", "SELECT role, is_superuser, can_login FROM system_auth.roles", ""),
    ("cqlsh", "SELECT role, resource, permissions FROM system_auth.role_permissions", ""),
    ("C++", "SELECT * FROM system.local WHERE key='local'", "host_id listen_address rpc_address tokens"),
    ("C++", "SELECT * FROM system.peers", "peer rpc_address host_id tokens"),
    ("C++", "SELECT session_id FROM system_traces.sessions WHERE session_id = 00000000-0000-1000-8000-000000000000", ""),
    ("Spark", "SELECT range_start, range_end, partitions_count, mean_partition_size FROM system.size_estimates "
     "WHERE keyspace_name = 'system' AND table_name = 'local'", ""),
    ("Spark", "SELECT range_start, range_end, partitions_count, mean_partition_size FROM system.table_estimates "
     "WHERE keyspace_name = 'system' AND table_name = 'local' AND range_type = 'primary'", ""),
] + [("every driver", f"SELECT * FROM system_schema.{name}", "keyspace_name") for name in SCHEMA]


def sent(client, statement, columns):
    def check(env):
        for version in (3, 4, 5):
            session = env.shared(f"version {version}", lambda: env.cluster(
                protocol_version=version, schema_metadata_enabled=False, token_metadata_enabled=False).connect())
            found = session.execute(SimpleStatement(statement, consistency_level=ConsistencyLevel.ONE))
            equal(sorted(set(columns.split()) - set(found.column_names)), [], f"missing columns in version {version}")
            list(found)
    check.__name__ = f"{client} sends: {statement}"
    return behaviour(check)


for _sent in STATEMENTS:
    sent(*_sent)


@behaviour
def the_statements_of_a_driver_may_come_all_at_once(env):
    env.session
    session = env.shared("version 5", lambda: env.cluster(protocol_version=5).connect())
    futures = [session.execute_async(SimpleStatement(
        f"SELECT * FROM system_schema.{name}", consistency_level=ConsistencyLevel.ONE)) for name in SCHEMA * 5]
    true(all(list(future.result()) is not None for future in futures), "all are answered")


refusals([
    ("a table that an older server lacks, by a driver that then asks for another", "SELECT * FROM system.peers_v3",
     InvalidRequest, "table peers_v3 does not exist"),
    ("a keyspace that an older server lacks", "SELECT * FROM system_virtual.keyspaces", InvalidRequest,
     "keyspace system_virtual does not exist"),
], lambda env: env.session and {})
