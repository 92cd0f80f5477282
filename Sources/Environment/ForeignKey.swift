// Cassandra's keys that are no settings of ours, each with what is done about it, so that an unmodified
// `cassandra.yaml` starts a node, and one that asks for what is not there does not.

/// A key of Cassandra's that is no setting of ours.
enum ForeignKey: Equatable {
    /// Left out with a warning: no answer depends on it.
    case ignored(String)
    /// Accepted with these values (in small letters): they ask for what is so anyway.
    case only([String], String)
    /// A map, accepted when its key `inner` has one of these values or is not there.
    case off(inner: String, [String], String)
    /// What it asks for is not there.
    case refused(String)

    private static let pools = "a shard has one thread, and files are read by io_uring"
    private static let caches = "there is one block cache (file_cache_size)"
    private static let hints = "hints are sent in batches, and as fast as they are acknowledged"
    private static let roles = "what has expired is read again when it is needed"
    private static let sockets = "the operating system's defaults hold"
    private static let members =
        "a node finds its cluster in the metadata log of its folder, and its peers by it"
    private static let noGuardrail = "Coterie has no such guardrail yet"
    private static let nowhere = "all of a node's files lie in its data folder"

    static let all: [String: ForeignKey] = {
        var keys = special
        for (reason, names) in ignored + moot {
            for name in names { keys[name] = .ignored(reason) }
        }
        for (reason, names) in refused {
            // -1 and an empty list switch a guardrail or a limit off.
            for name in names { keys[name] = .only(["-1", "", "false"], reason) }
        }
        return keys
    }()

    private static let special: [String: ForeignKey] = [
        "partitioner": .only(["murmur3partitioner"], "Murmur3Partitioner is the only one"),
        "role_manager": .only(["cassandrarolemanager"], "there is no other role manager"),
        "network_authorizer": .only(
            ["allowallnetworkauthorizer"], "there is no other network authorizer"),
        "cidr_authorizer": .only(["allowallcidrauthorizer"], "there is no other CIDR authorizer"),
        "internode_authenticator": .only(
            ["allowallinternodeauthenticator"], "there is no other internode authenticator"),
        "endpoint_snitch": .only(
            ["simplesnitch", "gossipingpropertyfilesnitch"],
            "datacenter and rack are the settings dc and rack"),
        "start_native_transport": .only(["true"], "a node serves clients; see disablebinary"),
        "cdc_enabled": .only(["false"], "there is no change data capture"),
        "incremental_backups": .only(["false"], "there are snapshots only"),
        "snapshot_before_compaction": .only(["false"], "there are snapshots on command only"),
        "materialized_views_enabled": .only(["false"], "there are no materialized views"),
        "sasi_indexes_enabled": .only(["false"], "there are no SASI indexes"),
        "transient_replication_enabled": .only(["false"], "every replica is a full one"),
        "user_defined_functions_enabled": .only(["false"], "there are no user-defined functions"),
        "scripted_user_defined_functions_enabled": .only(
            ["false"], "there are no user-defined functions"),
        "row_cache_size": .only(["0mib", "0"], "there is no row cache"),
        "diagnostic_events_enabled": .only(["false"], "there are no diagnostic events"),
        "partition_denylist_enabled": .only(["false"], "there is no list of denied partitions"),
        "read_thresholds_enabled": .only(["false"], noGuardrail),
        "zero_ttl_on_twcs_enabled": .only(["true"], noGuardrail),
        "use_statements_enabled": .only(["true"], "USE is always allowed"),
        "vector_type_enabled": .only(["true"], "vectors are always allowed"),
        "hinted_handoff_disabled_datacenters": .only(
            [""], "hints are kept for every datacenter"),
        "auto_snapshot_ttl": .refused("automatic snapshots stay until they are cleared"),
        "client_encryption_options": .off(
            inner: "enabled", ["false"], "clients are not encrypted"),
        "server_encryption_options": .off(
            inner: "internode_encryption", ["none"], "links between nodes are not encrypted"),
        "audit_logging_options": .off(inner: "enabled", ["false"], "there is no audit log"),
        "full_query_logging_options": .off(
            inner: "log_dir", [""], "there is no log of all queries"),
        "transparent_data_encryption_options": .off(
            inner: "enabled", ["false"], "files are not encrypted"),
        "commitlog_compression": .refused("the commit log is not compressed"),
        "hints_compression": .refused("hints are not compressed"),
        "initial_token": .refused("tokens are allocated when the cluster is founded"),
        "broadcast_address": .refused("peers find a node at its listen_address"),
        "broadcast_rpc_address": .refused("clients find a node at its rpc_address"),
        "listen_interface": .refused("give listen_address"),
        "rpc_interface": .refused("give rpc_address"),
        "native_transport_port_ssl": .refused("clients are not encrypted"),
    ]

    private static let ignored: [(reason: String, names: [String])] = [
        (
            pools,
            [
                "concurrent_reads", "concurrent_writes", "concurrent_counter_writes",
                "concurrent_materialized_view_writes", "concurrent_materialized_view_builders",
                "concurrent_validations", "memtable_flush_writers", "native_transport_max_threads",
                "native_transport_max_auth_threads", "networking_cache_size",
                "available_processors",
            ]
        ),
        (
            caches,
            [
                "key_cache_size", "key_cache_save_period", "key_cache_keys_to_save",
                "row_cache_save_period", "row_cache_keys_to_save", "row_cache_class_name",
                "counter_cache_size", "counter_cache_save_period", "counter_cache_keys_to_save",
                "column_index_cache_size",
                "index_summary_capacity", "index_summary_resize_interval", "file_cache_enabled",
                "file_cache_round_up", "buffer_pool_use_heap_if_exhausted",
                "cache_load_timeout",
            ]
        ),
        (
            hints,
            [
                "hinted_handoff_throttle", "max_hints_delivery_threads", "max_hints_file_size",
                "auto_hints_cleanup_enabled", "hint_window_persistent_enabled",
                "transfer_hints_on_decommission", "batchlog_replay_throttle",
                "batchlog_endpoint_strategy",
            ]
        ),
        (
            roles,
            [
                "traverse_auth_from_root", "auth_cache_warming_enabled",
            ]
        ),
        (
            sockets,
            [
                "rpc_keepalive", "internode_socket_send_buffer_size",
                "internode_socket_receive_buffer_size", "inter_dc_tcp_nodelay",
                "internode_compression", "internode_tcp_connect_timeout",
                "internode_tcp_user_timeout", "internode_streaming_tcp_user_timeout",
                "ssl_storage_port", "listen_on_broadcast_address",
                "native_transport_idle_timeout", "streaming_keep_alive_period",
                "streaming_connections_per_host", "streaming_state_expires",
                "streaming_state_size", "streaming_stats_enabled", "stream_transfer_task_timeout",
                "repair_request_timeout", "internode_timeout",
                "internode_application_send_queue_capacity",
                "internode_application_send_queue_reserve_endpoint_capacity",
                "internode_application_send_queue_reserve_global_capacity",
                "internode_application_receive_queue_capacity",
                "internode_application_receive_queue_reserve_endpoint_capacity",
                "internode_application_receive_queue_reserve_global_capacity",
                "native_transport_flush_in_batches_legacy", "consecutive_message_errors_threshold",
                "listen_interface_prefer_ipv6", "rpc_interface_prefer_ipv6",
            ]
        ),
        (
            members,
            [
                "seed_provider", "seeds", "auto_bootstrap",
                "allocate_tokens_for_local_replication_factor", "allocate_tokens_for_keyspace",
            ]
        ),
        (
            nowhere,
            [
                "commitlog_directory", "hints_directory", "saved_caches_directory",
                "cdc_raw_directory", "local_system_data_file_directory", "heap_dump_path",
            ]
        ),
        (
            "Coterie works otherwise here, and no answer depends on it",
            [
                "memtable", "memtable_allocation_type", "memtable_cleanup_threshold",
                "memtable_offheap_space", "sstable", "trickle_fsync", "trickle_fsync_interval",
                "column_index_size", "sstable_preemptive_open_interval",
                "uuid_sstable_identifiers_enabled", "stream_entire_sstables",
                "stream_throughput_outbound", "inter_dc_stream_throughput_outbound",
                "entire_sstable_stream_throughput_outbound",
                "entire_sstable_inter_dc_stream_throughput_outbound",
                "snapshot_links_per_second", "default_compaction", "disk_optimization_strategy",
                "commitlog_disk_access_mode", "flush_compression", "crypto_provider",
                "storage_compatibility_mode", "sai_options", "default_secondary_index",
                "default_secondary_index_enabled", "dynamic_data_masking_enabled",
                "replica_filtering_protection", "repair_session_space",
                "repaired_data_tracking_for_range_reads_enabled",
                "repaired_data_tracking_for_partition_reads_enabled",
                "report_unconfirmed_repaired_data_mismatches", "repair",
                "request_timeout", "counter_write_request_timeout", "slow_query_log_timeout",
                "native_transport_allow_older_protocols", "dump_heap_on_uncaught_exception",
                "dynamic_snitch", "dynamic_snitch_update_interval",
                "dynamic_snitch_reset_interval", "dynamic_snitch_badness_threshold",
                "ideal_consistency_level", "automatic_sstable_upgrade",
                "max_concurrent_automatic_sstable_upgrades", "gc_log_threshold",
                "gc_warn_threshold", "otc_coalescing_strategy", "trace_type_query_ttl",
                "trace_type_repair_ttl", "tracetype_query_ttl", "tracetype_repair_ttl",
                "startup_checks", "failure_detector", "compressed_read_ahead_buffer_size",
                "cms_default_max_retries", "periodic_commitlog_sync_lag_block",
                "concurrent_merkle_tree_requests", "sstables_per_read_log_threshold",
                "gc_concurrent_phase_log_threshold", "gc_concurrent_phase_warn_threshold",
                "max_value_size", "corrupted_tombstone_strategy",
                "client_error_reporting_exclusions", "check_for_duplicate_rows_during_reads",
                "check_for_duplicate_rows_during_compaction", "auto_repair",
                "auto_optimise_full_repair_streams", "auto_optimise_inc_repair_streams",
                "auto_optimise_preview_repair_streams", "reject_repair_compaction_threshold",
                "compaction_tombstone_warning_threshold",
                "compaction_large_partition_warning_threshold",
                "force_new_prepared_statement_behaviour", "bulk_load_enabled",
                "zero_ttl_on_twcs_warned",
            ]
        ),
    ]

    /// Of features that are not there: what would govern them governs nothing.
    private static let moot: [(reason: String, names: [String])] = [
        (
            "there is no change data capture",
            [
                "cdc_block_writes", "cdc_on_repair_enabled", "cdc_total_space",
                "cdc_free_space_check_interval",
            ]
        ),
        (
            "there are no materialized views, indexes, functions or triggers",
            [
                "materialized_views_on_repair_enabled", "secondary_indexes_enabled",
                "non_partition_restricted_index_query_enabled", "intersect_filtering_query_warned",
                "intersect_filtering_query_enabled", "sai_string_term_size_warn_threshold",
                "sai_string_term_size_fail_threshold", "sai_frozen_term_size_warn_threshold",
                "sai_frozen_term_size_fail_threshold", "sai_vector_term_size_warn_threshold",
                "sai_vector_term_size_fail_threshold", "user_defined_functions_warn_timeout",
                "user_defined_functions_fail_timeout", "user_function_timeout_policy",
                "user_defined_functions_threads_enabled", "allow_insecure_udfs",
                "allow_extra_insecure_udfs", "triggers_policy",
            ]
        ),
        (
            "there is no list of denied partitions",
            [
                "denylist_writes_enabled", "denylist_reads_enabled", "denylist_range_reads_enabled",
                "denylist_refresh", "denylist_initial_load_retry", "denylist_max_keys_per_table",
                "denylist_max_keys_total", "denylist_consistency_level",
            ]
        ),
        (
            "partitions are not sampled",
            [
                "top_partitions_enabled", "max_top_size_partition_count",
                "max_top_tombstone_partition_count", "min_tracked_partition_size",
                "min_tracked_partition_tombstone_count", "sstable_read_rate_persistence_enabled",
            ]
        ),
        (
            "Coterie's conditional writes are linearizable, in a way of their own",
            [
                "paxos_variant", "paxos_state_purging", "paxos_purge_grace_period",
                "paxos_on_linearizability_violations", "paxos_cache_size",
                "paxos_contention_wait_randomizer", "skip_paxos_repair_on_topology_change",
            ]
        ),
    ]

    private static let refused: [(reason: String, names: [String])] = [
        (
            noGuardrail,
            [
                "secondary_indexes_per_table_warn_threshold",
                "secondary_indexes_per_table_fail_threshold",
                "materialized_views_per_table_warn_threshold",
                "materialized_views_per_table_fail_threshold", "table_properties_ignored",
                "partition_size_warn_threshold", "partition_size_fail_threshold",
                "partition_tombstones_warn_threshold", "partition_tombstones_fail_threshold",
                "column_value_size_warn_threshold", "column_value_size_fail_threshold",
                "collection_size_warn_threshold", "collection_size_fail_threshold",
                "items_per_collection_warn_threshold", "items_per_collection_fail_threshold",
                "vector_dimensions_warn_threshold", "vector_dimensions_fail_threshold",
                "data_disk_usage_max_disk_size", "minimum_timestamp_warn_threshold",
                "minimum_timestamp_fail_threshold", "maximum_timestamp_warn_threshold",
                "maximum_timestamp_fail_threshold", "sai_sstable_indexes_per_query_warn_threshold",
                "sai_sstable_indexes_per_query_fail_threshold", "password_validator",
                "role_name_policy", "coordinator_read_size_warn_threshold",
                "coordinator_read_size_fail_threshold", "local_read_size_warn_threshold",
                "local_read_size_fail_threshold", "row_index_read_size_warn_threshold",
                "row_index_read_size_fail_threshold", "default_keyspace_rf",
                "minimum_client_driver_versions_warned",
                "minimum_client_driver_versions_disallowed",
            ]
        ),
        (
            "requests are bounded by the bytes that they hold: "
                + "native_transport_max_request_data_in_flight",
            [
                "native_transport_rate_limiting_enabled",
                "native_transport_max_requests_per_second",
                "native_transport_max_concurrent_connections",
                "native_transport_max_concurrent_connections_per_ip",
                "native_transport_max_message_size",
            ]
        ),
    ]
}
