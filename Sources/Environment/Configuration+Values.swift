// Settings as `system_views.settings` shows them, which of them a running node takes, and what must hold
// among several of them.

extension Configuration.Setting {
    /// Whether a node that runs acts upon a change at once: its shards read the value each time that they
    /// need it. The others are read when a shard, its files or its membership begin.
    package var isHot: Bool {
        Self.hotNames.contains(name)
            || Configuration.guardrailSettings.contains { $0.name == name }
    }

    private static let hotNames: Set<String> = [
        "read_request_timeout", "range_request_timeout", "write_request_timeout",
        "truncate_request_timeout", "schema_request_timeout", "max_requests_in_flight",
        "cas_contention_timeout", "cas_backoff", "serial_read_linger", "batchlog_replay_interval",
        "unlogged_batch_across_partitions_warn_threshold", "batch_size_warn_threshold",
        "batch_size_fail_threshold", "tombstone_warn_threshold", "tombstone_failure_threshold",
        "query_tombstone_page_limit", "drop_compact_storage_enabled",
        "hinted_handoff_enabled", "max_hint_window", "hints_replay_interval", "hints_replay_batch",
        "compaction_throughput", "file_cache_size", "auto_snapshot", "pause_reading_above",
        "native_transport_max_request_data_in_flight",
        "native_transport_max_request_data_in_flight_per_ip", "max_prepared_statements",
        "prepared_statements_cache_size",
        "roles_validity", "permissions_validity", "credentials_validity",
        "roles_update_interval", "permissions_update_interval", "credentials_update_interval",
        "roles_cache_active_update", "permissions_cache_active_update",
        "credentials_cache_active_update",
    ]
}

extension Configuration {
    /// A setting's value as it would be written.
    package func text(of setting: Setting) -> String {
        switch setting.kind {
        case .text(let path): self[keyPath: path]
        case .flag(let path): String(self[keyPath: path])
        case .number(let path, _): String(self[keyPath: path])
        case .count(let path, _): String(self[keyPath: path])
        case .size(let path, _): Self.sizeText(self[keyPath: path])
        case .rate(let path): Self.sizeText(self[keyPath: path]) + "/s"
        case .duration(let path, _): Self.durationText(self[keyPath: path])
        case .optionalDuration(let path): self[keyPath: path].map(Self.durationText) ?? "null"
        // The word that would change nothing is the one that holds.
        case .choice(let words, let take):
            words.first { word in
                var other = self
                return take(&other, word) && other == self
            } ?? ""
        case .words(let path, _): "[" + self[keyPath: path].joined(separator: ", ") + "]"
        }
    }

    private static func sizeText(_ bytes: Int) -> String {
        for (unit, factor) in [("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes > 0 && bytes % factor == 0 {
            return "\(bytes / factor)\(unit)"
        }
        return "\(bytes)B"
    }

    private static func durationText(_ span: Instant.Span) -> String {
        let units: [(String, Int64)] = [
            ("h", 3_600_000_000_000), ("ms", 1_000_000), ("us", 1_000),
        ]
        for (unit, factor) in units where span.nanoseconds % factor == 0 && span.nanoseconds > 0 {
            return "\(span.nanoseconds / factor)\(unit)"
        }
        return "\(span.nanoseconds)ns"
    }

    /// Refuses settings that contradict each other.
    package func check() throws(SettingFailure) {
        if let conflict = authentication.conflict { throw SettingFailure(description: conflict) }
        let rails = guardrails
        let rising: [(name: String, threshold: Guardrails.Threshold)] = [
            ("keyspaces", rails.keyspaces), ("tables", rails.tables),
            ("columns_per_table", rails.columnsPerTable), ("fields_per_udt", rails.fieldsPerType),
            ("page_size", rails.pageSize),
            ("partition_keys_in_select", rails.partitionKeysInSelect),
            ("in_select_cartesian_product", rails.cartesianProduct),
            ("maximum_replication_factor", rails.maximumReplicationFactor),
        ]
        for (name, threshold) in rising
        where threshold.warn >= 0 && threshold.fail >= 0 && threshold.warn > threshold.fail {
            throw SettingFailure(
                description: "The warn threshold \(threshold.warn) for \(name)_warn_threshold "
                    + "should be lower than the fail threshold \(threshold.fail)")
        }
        let minimum = rails.minimumReplicationFactor
        if minimum.warn >= 0, minimum.fail >= 0, minimum.warn < minimum.fail {
            throw SettingFailure(
                description: "The warn threshold \(minimum.warn) for "
                    + "minimum_replication_factor_warn_threshold should be greater than the fail "
                    + "threshold \(minimum.fail)")
        }
        if rails.maximumReplicationFactor.fail >= 0,
            minimum.fail > rails.maximumReplicationFactor.fail
        {
            throw SettingFailure(
                description: "minimum_replication_factor_fail_threshold \(minimum.fail) is above "
                    + "maximum_replication_factor_fail_threshold "
                    + "\(rails.maximumReplicationFactor.fail)")
        }
    }
}

extension Configuration {
    private static let levels = [
        "ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL",
        "LOCAL_SERIAL", "LOCAL_ONE",
    ]

    static var guardrailSettings: [Setting] {
        thresholds("keyspaces", \.guardrails.keyspaces)
            + thresholds("tables", \.guardrails.tables)
            + thresholds("columns_per_table", \.guardrails.columnsPerTable)
            + thresholds("fields_per_udt", \.guardrails.fieldsPerType)
            + thresholds("page_size", \.guardrails.pageSize)
            + thresholds("partition_keys_in_select", \.guardrails.partitionKeysInSelect)
            + thresholds("in_select_cartesian_product", \.guardrails.cartesianProduct)
            + thresholds("minimum_replication_factor", \.guardrails.minimumReplicationFactor)
            + thresholds("maximum_replication_factor", \.guardrails.maximumReplicationFactor)
            + [
                Setting(name: "allow_filtering_enabled", kind: .flag(\.guardrails.allowsFiltering)),
                Setting(name: "group_by_enabled", kind: .flag(\.guardrails.allowsGroupBy)),
                Setting(
                    name: "user_timestamps_enabled", kind: .flag(\.guardrails.allowsUserTimestamps)),
                Setting(name: "alter_table_enabled", kind: .flag(\.guardrails.allowsAlterTable)),
                Setting(
                    name: "drop_truncate_table_enabled",
                    kind: .flag(\.guardrails.allowsDropTruncateTable)),
                Setting(
                    name: "drop_keyspace_enabled", kind: .flag(\.guardrails.allowsDropKeyspace)),
                Setting(
                    name: "uncompressed_tables_enabled",
                    kind: .flag(\.guardrails.allowsUncompressedTables)),
                Setting(
                    name: "compact_tables_enabled",
                    kind: .flag(\.guardrails.allowsCompactTables)),
                Setting(
                    name: "read_before_write_list_operations_enabled",
                    kind: .flag(\.guardrails.allowsListReads)),
                Setting(
                    name: "simplestrategy_enabled", kind: .flag(\.guardrails.allowsSimpleStrategy)),
                levels("read_consistency_levels_warned", \.guardrails.readLevelsWarned),
                levels("read_consistency_levels_disallowed", \.guardrails.readLevelsDisallowed),
                levels("write_consistency_levels_warned", \.guardrails.writeLevelsWarned),
                levels("write_consistency_levels_disallowed", \.guardrails.writeLevelsDisallowed),
                Setting(
                    name: "table_properties_warned",
                    kind: .words(\.guardrails.tablePropertiesWarned, among: nil)),
                Setting(
                    name: "table_properties_disallowed",
                    kind: .words(\.guardrails.tablePropertiesDisallowed, among: nil)),
            ]
    }

    private static func levels(
        _ name: String, _ path: WritableKeyPath<Configuration, [String]>
    ) -> Setting {
        Setting(name: name, kind: .words(path, among: levels))
    }

    private static func thresholds(
        _ name: String, _ path: WritableKeyPath<Configuration, Guardrails.Threshold>
    ) -> [Setting] {
        [
            Setting(
                name: name + "_warn_threshold",
                kind: .count(path.appending(path: \.warn), -1...Int(Int32.max))),
            Setting(
                name: name + "_fail_threshold",
                kind: .count(path.appending(path: \.fail), -1...Int(Int32.max))),
        ]
    }
}
