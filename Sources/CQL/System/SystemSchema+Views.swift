// The virtual tables of `system_views`, column by column as in Cassandra 5.0. Their rows are made when
// they are asked for, out of what the shards of the node know.

extension SystemSchema {
    static let views =
        latencyViews + histogramViews + sizeViews + [
            """
            batch_metrics (name text PRIMARY KEY, max bigint, p50th double, p999th double,
            p99th double) WITH comment = 'Metrics specific to batch statements'
            """,
            """
            caches (name text PRIMARY KEY, capacity_bytes bigint, entry_count int, hit_count bigint,
            hit_ratio double, recent_hit_rate_per_second bigint,
            recent_request_rate_per_second bigint, request_count bigint, size_bytes bigint)
            WITH comment = 'system caches'
            """,
            """
            clients (address inet, port int, client_options frozen<map<text, text>>,
            connection_stage text, driver_name text, driver_version text, hostname text,
            keyspace_name text, protocol_version int, request_count bigint, ssl_cipher_suite text,
            ssl_enabled boolean, ssl_protocol text, username text, PRIMARY KEY (address, port))
            WITH comment = 'currently connected clients'
            """,
            """
            cql_metrics (name text PRIMARY KEY, value double)
            WITH comment = 'Metrics specific to CQL prepared statement caching'
            """,
            gossipInfo,
            """
            internode_inbound (address inet, port int, dc text, rack text,
            corrupt_frames_recovered bigint, corrupt_frames_unrecovered bigint, error_bytes bigint,
            error_count bigint, expired_bytes bigint, expired_count bigint, processed_bytes bigint,
            processed_count bigint, received_bytes bigint, received_count bigint,
            scheduled_bytes bigint, scheduled_count bigint, throttled_count bigint,
            throttled_nanos bigint, using_bytes bigint, using_reserve_bytes bigint,
            PRIMARY KEY ((address, port), dc, rack))
            """,
            """
            internode_outbound (address inet, port int, dc text, rack text, active_connections bigint,
            connection_attempts bigint, error_bytes bigint, error_count bigint, expired_bytes bigint,
            expired_count bigint, overload_bytes bigint, overload_count bigint, pending_bytes bigint,
            pending_count bigint, sent_bytes bigint, sent_count bigint,
            successful_connection_attempts bigint, using_bytes bigint, using_reserve_bytes bigint,
            PRIMARY KEY ((address, port), dc, rack))
            """,
            """
            pending_hints (host_id uuid PRIMARY KEY, address inet, dc text, files int,
            newest timestamp, oldest timestamp, port int, rack text, status text)
            WITH comment = 'Pending hints that this node has for other nodes'
            """,
            """
            queries (thread_id text PRIMARY KEY, queued_micros bigint, running_micros bigint,
            task text) WITH comment = 'Lists currently running queries'
            """,
            """
            settings (name text PRIMARY KEY, value text) WITH comment = 'current settings'
            """,
            """
            snapshots (name text, keyspace_name text, table_name text, created_at timestamp,
            ephemeral boolean, expires_at timestamp, size_on_disk bigint, true_size bigint,
            PRIMARY KEY (name, keyspace_name, table_name)) WITH comment = 'available snapshots'
            """,
            """
            sstable_tasks (keyspace_name text, table_name text, task_id timeuuid,
            completion_ratio double, kind text, progress bigint, sstables int, total bigint,
            unit text, PRIMARY KEY (keyspace_name, table_name, task_id))
            WITH comment = 'current sstable tasks'
            """,
            streaming,
            """
            system_properties (name text PRIMARY KEY, value text)
            WITH comment = 'Cassandra relevant system properties'
            """,
            """
            thread_pools (name text PRIMARY KEY, active_tasks int, active_tasks_limit int,
            blocked_tasks bigint, blocked_tasks_all_time bigint, completed_tasks bigint,
            core_pool_size int, max_pool_size int, max_tasks_queued int, pending_tasks int)
            """,
        ]

    private static let latencyViews = [
        "coordinator_read_latency", "coordinator_scan_latency", "coordinator_write_latency",
        "local_read_latency", "local_scan_latency", "local_write_latency",
    ].map { name in
        """
        \(name) (keyspace_name text, table_name text, count bigint, max_ms double, p50th_ms double,
        p99th_ms double, per_second double, PRIMARY KEY ((keyspace_name, table_name)))
        """
    }

    private static let histogramViews = ["rows_per_read", "tombstones_per_read"].map { name in
        """
        \(name) (keyspace_name text, table_name text, count bigint, max double, p50th double,
        p99th double, PRIMARY KEY ((keyspace_name, table_name)))
        """
    }

    private static let sizeViews = [
        "disk_usage", "max_partition_size", "max_sstable_size",
    ].map { name in
        """
        \(name) (keyspace_name text, table_name text, mebibytes bigint,
        PRIMARY KEY ((keyspace_name, table_name)))
        """
    }

    /// What gossip tells of a node, by the names of Cassandra's states.
    package static let gossipStates = [
        "dc", "disk_usage", "host_id", "index_status", "internal_address_and_port", "internal_ip",
        "load", "native_address_and_port", "net_version", "rack", "release_version",
        "removal_coordinator", "rpc_address", "rpc_ready", "schema", "severity",
        "sstable_versions", "status", "status_with_port", "tokens",
    ]

    private static let gossipInfo: String = {
        let states = gossipStates.map { "\"\($0)\" text, \($0)_version int" }.joined(
            separator: ", ")
        return """
            gossip_info (address inet, port int, hostname text, generation int, heartbeat int,
            \(states), PRIMARY KEY ((address, port))) WITH comment = 'lists the gossip info for the cluster'
            """
    }()

    private static let streaming = """
        streaming (id timeuuid PRIMARY KEY, bytes_received bigint, bytes_sent bigint,
        bytes_to_receive bigint, bytes_to_send bigint, duration_millis bigint, failure_cause text,
        files_received bigint, files_sent bigint, files_to_receive bigint, files_to_send bigint,
        follower boolean, last_updated_at timestamp, operation text, peers frozen<list<text>>,
        progress_percentage float, status text, status_failure_timestamp timestamp,
        status_init_timestamp timestamp, status_start_timestamp timestamp,
        status_success_timestamp timestamp, success_message text)
        """
}
