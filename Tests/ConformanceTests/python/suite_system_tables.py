"""The tables of the system, column by column: names, types, and which of them are the key, as Cassandra 5.0 has them."""

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from harness import behaviour, equal

# Behind the table: partition key, clustering columns, and the others with their types.
OPTIONS = """additional_write_policy text, allow_auto_snapshot boolean, bloom_filter_fp_chance double,
    caching frozen<map<text; text>>, cdc boolean, comment text, compaction frozen<map<text; text>>,
    compression frozen<map<text; text>>, crc_check_chance double, dclocal_read_repair_chance double,
    default_time_to_live int, extensions frozen<map<text; blob>>, gc_grace_seconds int, id uuid,
    incremental_backups boolean, max_index_interval int, memtable text, memtable_flush_period_in_ms int,
    min_index_interval int, read_repair text, read_repair_chance double, speculative_retry text"""
COLUMN = """clustering_order text, column_name_bytes blob, kind text, position int, type text"""
TABLES = {
    "system.local": ("key text", "", """bootstrapped text, broadcast_address inet, broadcast_port int, cluster_name text,
        cql_version text, data_center text, gossip_generation int, host_id uuid, listen_address inet, listen_port int,
        native_protocol_version text, partitioner text, rack text, release_version text, rpc_address inet, rpc_port int,
        schema_version uuid, tokens set<text>, truncated_at map<uuid; blob>"""),
    "system.peers": ("peer inet", "", """data_center text, host_id uuid, preferred_ip inet, rack text,
        release_version text, rpc_address inet, schema_version uuid, tokens set<text>"""),
    "system.peers_v2": ("peer inet", "peer_port int", """data_center text, host_id uuid, native_address inet,
        native_port int, preferred_ip inet, preferred_port int, rack text, release_version text, schema_version uuid,
        tokens set<text>"""),
    "system.peer_events_v2": ("peer inet", "peer_port int", "hints_dropped map<uuid; int>"),
    "system.peer_events": ("peer inet", "", "hints_dropped map<uuid; int>"),
    "system.batches": ("id timeuuid", "", "mutations list<blob>, version int"),
    "system.paxos": ("row_key blob", "cf_id uuid", """in_progress_ballot timeuuid, in_progress_read_ballot timeuuid,
        most_recent_commit blob, most_recent_commit_at timeuuid, most_recent_commit_version int, proposal blob,
        proposal_ballot timeuuid, proposal_version int"""),
    "system.paxos_repair_history": ("keyspace_name text", "table_name text", """paxos_repair_history blob,
        points frozen<list<blob>>"""),
    "system.IndexInfo": ("table_name text", "index_name text", "value blob"),
    "system.compaction_history": ("id uuid", "", """bytes_in bigint, bytes_out bigint, columnfamily_name text,
        compacted_at timestamp, compaction_properties frozen<map<text; text>>, keyspace_name text,
        rows_merged map<int; bigint>"""),
    "system.sstable_activity": ("keyspace_name text, columnfamily_name text, generation int", "",
                                "rate_120m double, rate_15m double"),
    "system.sstable_activity_v2": ("keyspace_name text, table_name text, id text", "", "rate_120m double, rate_15m double"),
    "system.size_estimates": ("keyspace_name text", "table_name text, range_start text, range_end text",
                              "mean_partition_size bigint, partitions_count bigint"),
    "system.table_estimates": ("keyspace_name text", "table_name text, range_type text, range_start text, range_end text",
                               "mean_partition_size bigint, partitions_count bigint"),
    "system.available_ranges": ("keyspace_name text", "", "ranges set<blob>"),
    "system.available_ranges_v2": ("keyspace_name text", "", "full_ranges set<blob>, transient_ranges set<blob>"),
    "system.transferred_ranges": ("operation text, keyspace_name text", "peer inet", "ranges set<blob>"),
    "system.transferred_ranges_v2": ("operation text, keyspace_name text", "peer inet, peer_port int", "ranges set<blob>"),
    "system.view_builds_in_progress": ("keyspace_name text", "view_name text, start_token text, end_token text",
                                       "keys_built bigint, last_token text"),
    "system.built_views": ("keyspace_name text", "view_name text", "status_replicated boolean"),
    "system.prepared_statements": ("prepared_id blob", "", "logged_keyspace text, query_string text"),
    "system.repairs": ("parent_id timeuuid", "", """cfids set<uuid>, coordinator inet, coordinator_port int,
        last_update timestamp, participants set<inet>, participants_wp set<text>, ranges set<blob>,
        repaired_at timestamp, started_at timestamp, state int"""),
    "system.top_partitions": ("keyspace_name text", "table_name text, top_type text",
                              "last_update timestamp, top frozen<list<frozen<tuple<text; bigint>>>>"),
    "system_schema.keyspaces": ("keyspace_name text", "", "durable_writes boolean, replication frozen<map<text; text>>"),
    "system_schema.tables": ("keyspace_name text", "table_name text", "flags frozen<set<text>>, " + OPTIONS),
    "system_schema.columns": ("keyspace_name text", "table_name text, column_name text", COLUMN),
    "system_schema.column_masks": ("keyspace_name text", "table_name text, column_name text",
                                   """function_argument_nulls frozen<list<boolean>>, function_argument_types frozen<list<text>>,
        function_argument_values frozen<list<text>>, function_keyspace text, function_name text"""),
    "system_schema.dropped_columns": ("keyspace_name text", "table_name text, column_name text",
                                      "dropped_time timestamp, kind text, type text"),
    "system_schema.triggers": ("keyspace_name text", "table_name text, trigger_name text", "options frozen<map<text; text>>"),
    "system_schema.views": ("keyspace_name text", "view_name text", """base_table_id uuid, base_table_name text,
        include_all_columns boolean, where_clause text, """ + OPTIONS),
    "system_schema.indexes": ("keyspace_name text", "table_name text, index_name text",
                              "kind text, options frozen<map<text; text>>"),
    "system_schema.types": ("keyspace_name text", "type_name text", "field_names frozen<list<text>>, field_types frozen<list<text>>"),
    "system_schema.functions": ("keyspace_name text", "function_name text, argument_types frozen<list<text>>",
                                """argument_names frozen<list<text>>, body text, called_on_null_input boolean, language text,
        return_type text"""),
    "system_schema.aggregates": ("keyspace_name text", "aggregate_name text, argument_types frozen<list<text>>",
                                 "final_func text, initcond text, return_type text, state_func text, state_type text"),
    "system_virtual_schema.keyspaces": ("keyspace_name text", "", ""),
    "system_virtual_schema.tables": ("keyspace_name text", "table_name text", "comment text"),
    "system_virtual_schema.columns": ("keyspace_name text", "table_name text, column_name text", COLUMN),
    "system_traces.sessions": ("session_id uuid", "", """client inet, command text, coordinator inet, coordinator_port int,
        duration int, parameters map<text; text>, request text, started_at timestamp"""),
    "system_traces.events": ("session_id uuid", "event_id timeuuid",
                             "activity text, source inet, source_elapsed int, source_port int, thread text"),
    "system_auth.roles": ("role text", "", "can_login boolean, is_superuser boolean, member_of set<text>, salted_hash text"),
    "system_auth.role_members": ("role text", "member text", ""),
    "system_auth.role_permissions": ("role text", "resource text", "permissions set<text>"),
    "system_auth.resource_role_permissons_index": ("resource text", "role text", ""),
    "system_auth.network_permissions": ("role text", "", "dcs frozen<set<text>>"),
    "system_auth.cidr_permissions": ("role text", "", "cidr_groups frozen<set<text>>"),
    "system_auth.cidr_groups": ("cidr_group text", "", "cidrs frozen<set<frozen<tuple<inet; smallint>>>>"),
    "system_auth.identity_to_role": ("identity text", "", "role text"),
    "system_distributed.repair_history": ("keyspace_name text, columnfamily_name text", "id timeuuid",
                                          """coordinator inet, coordinator_port int, exception_message text,
        exception_stacktrace text, finished_at timestamp, parent_id timeuuid, participants set<inet>,
        participants_v2 set<text>, range_begin text, range_end text, started_at timestamp, status text"""),
    "system_distributed.parent_repair_history": ("parent_id timeuuid", "", """columnfamily_names set<text>,
        exception_message text, exception_stacktrace text, finished_at timestamp, keyspace_name text,
        options map<text; text>, requested_ranges set<text>, started_at timestamp, successful_ranges set<text>"""),
    "system_distributed.view_build_status": ("keyspace_name text, view_name text", "host_id uuid", "status text"),
    "system_distributed.partition_denylist": ("ks_name text, table_name text", "key blob", ""),
}


def parts(text):
    pairs = [part.split(None, 1) for part in text.replace("\n", " ").split(",") if part.strip()]
    return [(name, " ".join(kind.split()).replace(";", ",")) for name, kind in pairs]


def has_columns(table, key, clustering, others):
    def check(env):
        keyspace, name = table.split(".")
        expected = {}
        for kind, text in (("partition_key", key), ("clustering", clustering), ("regular", others)):
            for place, (column, type_name) in enumerate(parts(text)):
                expected[column] = (type_name, kind, -1 if kind == "regular" else place,
                                    "asc" if kind == "clustering" else "none")
        schema = "system_virtual_schema" if keyspace == "system_virtual_schema" else "system_schema"
        found = {row[0]: row[1:] for row in env.rows(
            f"SELECT column_name, type, kind, position, clustering_order FROM {schema}.columns "
            "WHERE keyspace_name = %s AND table_name = %s", (keyspace, name))}
        equal(found, expected)
        answer = env.session.execute(SimpleStatement(
            f'SELECT * FROM {keyspace}."{name}"', consistency_level=ConsistencyLevel.ONE))
        equal(sorted(answer.column_names), sorted(expected))
        # Key columns come first, in their order, as a driver expects of `*`.
        leading = [column for column, _ in parts(key) + parts(clustering)]
        equal(answer.column_names[:len(leading)], leading)
    check.__name__ = f"{table} has its columns and its key"
    return behaviour(check)


for _table, _columns in TABLES.items():
    has_columns(_table, *_columns)


@behaviour
def the_system_has_no_other_tables(env):
    """What is not listed above would be an addition: none may surprise a tool that reads all of them."""
    listed = {tuple(name.split(".")) for name in TABLES}
    found = {row for row in env.rows("SELECT keyspace_name, table_name FROM system_schema.tables")
             if row[0] in ("system", "system_schema", "system_traces", "system_auth", "system_distributed")}
    equal(found, {name for name in listed if name[0] != "system_virtual_schema"})
