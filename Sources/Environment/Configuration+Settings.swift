// Settings as people write them: `name=value`, with Cassandra's names and units where it has them.
//
// A duration has a unit (`500ms`, `10s`, `3h`), a size too (`16KiB`, `32MiB`), a rate is a size per
// second (`64MiB/s`). A name that does not exist is an error that says which name is near.

/// A setting that cannot be taken, with the reason for a person.
package struct SettingFailure: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
}

extension Configuration {
    /// A name with what it changes and how its value is written.
    package struct Setting {
        package let name: String
        let kind: Kind

        enum Kind {
            case text(WritableKeyPath<Configuration, String>)
            case flag(WritableKeyPath<Configuration, Bool>)
            case number(WritableKeyPath<Configuration, Double>, ClosedRange<Double>)
            case count(WritableKeyPath<Configuration, Int>, ClosedRange<Int>)
            case size(WritableKeyPath<Configuration, Int>, ClosedRange<Int>)
            case rate(WritableKeyPath<Configuration, Int>)
            /// More than nothing, unless `mayBeZero`.
            case duration(WritableKeyPath<Configuration, Instant.Span>, mayBeZero: Bool = false)
            /// More than nothing, or `null`.
            case optionalDuration(WritableKeyPath<Configuration, Instant.Span?>)
            /// One of some words; false for another word.
            case choice([String], (inout Configuration, String) -> Bool)
            /// Words with commas between them, in any case; any words, or some of these.
            case words(WritableKeyPath<Configuration, [String]>, among: [String]?)
        }
    }

    /// All settings, in the order in which a person would look for them.
    package static var settings: [Setting] {
        clusterSettings + storageSettings + requestSettings + hintSettings + memberSettings
            + guardrailSettings
            + authenticationSettings
    }

    private static var clusterSettings: [Setting] {
        [
            Setting(name: "cluster_name", kind: .text(\.cluster.name)),
            Setting(name: "dc", kind: .text(\.cluster.datacenter)),
            Setting(name: "rack", kind: .text(\.cluster.rack)),
            Setting(name: "num_tokens", kind: .count(\.cluster.virtualNodes, 1...1536)),
        ]
    }

    private static var storageSettings: [Setting] {
        [
            Setting(
                name: "disk_access_mode",
                kind: .choice(["auto", "standard", "direct"]) {
                    take(
                        &$0.storage.diskAccessMode,
                        DiskAccessMode(rawValue: $1 == "auto" ? "standard" : $1))
                }),
            Setting(
                name: "commitlog_sync",
                kind: .choice(["periodic", "batch", "group"]) {
                    take(&$0.storage.commitLogSync, CommitLogSync(rawValue: $1))
                }),
            Setting(name: "commitlog_sync_period", kind: .duration(\.storage.commitLogSyncPeriod)),
            Setting(
                name: "commitlog_sync_group_window",
                kind: .duration(\.storage.commitLogSyncGroupWindow)),
            Setting(
                name: "commitlog_segment_size",
                kind: .size(\.storage.commitLogSegmentBytes, (64 << 10)...(1 << 30))),
            Setting(
                name: "commitlog_total_space",
                kind: .size(\.storage.commitLogTotalBytes, (256 << 10)...(1 << 40))),
            Setting(
                name: "commit_failure_policy",
                kind: .choice(["stop", "stop_commit", "ignore", "die"]) {
                    take(&$0.storage.commitFailurePolicy, CommitFailurePolicy(rawValue: $1))
                }),
            Setting(
                name: "disk_failure_policy",
                kind: .choice(["stop", "best_effort", "ignore", "die"]) {
                    take(&$0.storage.diskFailurePolicy, DiskFailurePolicy(rawValue: $1))
                }),
            Setting(
                name: "check_data_resurrection", kind: .flag(\.storage.checkDataResurrection)),
            Setting(
                name: "data_disk_usage_percentage_warn_threshold",
                kind: .count(\.storage.diskUsageWarnPercentage, -1...100)),
            Setting(
                name: "data_disk_usage_percentage_fail_threshold",
                kind: .count(\.storage.diskUsageFailPercentage, -1...100)),
            Setting(
                name: "max_mutation_size",
                kind: .size(\.storage.maximumMutationBytes, 0...(128 << 20))),
            Setting(
                name: "memtable_heap_space",
                kind: .size(\.storage.memtableBytes, (64 << 10)...(1 << 40))),
            Setting(
                name: "sstable_block_size", kind: .size(\.storage.blockBytes, 1024...(1 << 20))),
            Setting(
                name: "file_cache_size", kind: .size(\.storage.blockCacheBytes, 0...(1 << 40))),
            Setting(
                name: "compaction_throughput",
                kind: .rate(\.storage.compactionThroughputBytesPerSecond)),
            Setting(
                name: "concurrent_compactors", kind: .count(\.storage.concurrentCompactors, 1...64)),
            Setting(name: "auto_snapshot", kind: .flag(\.storage.autoSnapshot)),
            Setting(
                name: "job_step_size", kind: .size(\.storage.jobStepBytes, 1024...(64 << 20))),
        ]
    }

    private static var requestSettings: [Setting] {
        [
            Setting(name: "read_request_timeout", kind: .duration(\.requests.readTimeout)),
            Setting(name: "range_request_timeout", kind: .duration(\.requests.rangeTimeout)),
            Setting(name: "write_request_timeout", kind: .duration(\.requests.writeTimeout)),
            Setting(name: "truncate_request_timeout", kind: .duration(\.requests.truncateTimeout)),
            Setting(name: "schema_request_timeout", kind: .duration(\.requests.schemaTimeout)),
            Setting(
                name: "max_requests_in_flight",
                kind: .count(\.requests.maximumInFlight, 1...1_000_000)),
            Setting(
                name: "cas_contention_timeout", kind: .duration(\.requests.conditionalTimeout)),
            Setting(name: "cas_backoff", kind: .duration(\.requests.conditionalBackoff)),
            Setting(name: "serial_read_linger", kind: .duration(\.requests.conditionalLinger)),
            Setting(
                name: "batchlog_replay_interval",
                kind: .duration(\.requests.batchlogReplayInterval)),
            Setting(
                name: "unlogged_batch_across_partitions_warn_threshold",
                kind: .count(\.requests.unloggedBatchWarnPartitions, 0...1_000_000)),
            Setting(
                name: "batch_size_warn_threshold",
                kind: .size(\.requests.batchSizeWarnBytes, 0...(1 << 30))),
            Setting(
                name: "batch_size_fail_threshold",
                kind: .size(\.requests.batchSizeFailBytes, 1...(1 << 30))),
            Setting(
                name: "tombstone_warn_threshold",
                kind: .count(\.requests.tombstoneWarnThreshold, 0...Int.max)),
            Setting(
                name: "tombstone_failure_threshold",
                kind: .count(\.requests.tombstoneFailureThreshold, 1...Int.max)),
            Setting(
                name: "query_tombstone_page_limit",
                kind: .count(\.requests.tombstonePageLimit, 0...Int.max)),
            Setting(
                name: "drop_compact_storage_enabled",
                kind: .flag(\.requests.allowsDropCompactStorage)),
            Setting(name: "max_clock_skew", kind: .duration(\.requests.maximumClockSkew)),
        ]
    }

    private static var hintSettings: [Setting] {
        [
            Setting(name: "hinted_handoff_enabled", kind: .flag(\.requests.hintedHandoffEnabled)),
            Setting(name: "max_hint_window", kind: .duration(\.requests.maximumHintWindow)),
            Setting(
                name: "max_hints_size_per_host",
                kind: .size(\.requests.maximumHintBytesPerHost, 0...(1 << 40))),
            Setting(name: "hints_flush_period", kind: .duration(\.requests.hintFlushPeriod)),
            Setting(name: "hints_replay_interval", kind: .duration(\.requests.hintReplayInterval)),
            Setting(
                name: "hints_replay_batch", kind: .count(\.requests.hintReplayBatch, 1...100_000)),
        ]
    }

    private static var memberSettings: [Setting] {
        [
            Setting(name: "gossip_interval", kind: .duration(\.membership.gossipInterval)),
            Setting(
                name: "phi_convict_threshold", kind: .number(\.membership.phiThreshold, 1...100)),
            Setting(name: "reconnect_delay", kind: .duration(\.membership.reconnectDelay)),
            Setting(
                name: "native_transport_max_frame_size",
                kind: .size(\.clients.maximumFrameBytes, (64 << 10)...(1 << 30))),
            Setting(
                name: "max_prepared_statements",
                kind: .count(\.clients.maximumPreparedStatements, 1...10_000_000)),
            Setting(
                name: "prepared_statements_cache_size",
                kind: .size(\.clients.maximumPreparedBytes, (64 << 10)...(1 << 40))),
            Setting(
                name: "pause_reading_above",
                kind: .size(\.clients.pauseReadingAboveBytes, 1024...(1 << 30))),
            Setting(
                name: "native_transport_max_request_data_in_flight",
                kind: .size(\.clients.maximumRequestBytesInFlight, 1024...(1 << 40))),
            Setting(
                name: "native_transport_max_request_data_in_flight_per_ip",
                kind: .size(
                    \.clients.maximumRequestBytesInFlightPerAddress, 1024...(1 << 40))),
        ]
    }

    /// Takes one setting written as `name=value`.
    package mutating func set(_ assignment: String) throws(SettingFailure) {
        guard let equals = assignment.firstIndex(of: "=") else {
            throw SettingFailure(description: "\(assignment): a setting is written name=value")
        }
        try set(
            String(assignment[..<equals]),
            to: String(assignment[assignment.index(after: equals)...]))
    }

    /// Takes one setting.
    package mutating func set(_ name: String, to value: String) throws(SettingFailure) {
        guard let setting = Self.setting(named: name) else { throw Self.unknown(name) }
        switch setting.kind {
        case .text(let path):
            if value.isEmpty { throw Self.refused(name, value, "must not be empty") }
            self[keyPath: path] = value
        case .flag(let path):
            guard let flag = Bool(value) else { throw Self.refused(name, value, "true or false") }
            self[keyPath: path] = flag
        case .number(let path, let range):
            guard let number = Double(value), range.contains(number) else {
                throw Self.refused(
                    name, value, "a number from \(range.lowerBound) to \(range.upperBound)")
            }
            self[keyPath: path] = number
        case .count(let path, let range):
            guard let number = Int(value), range.contains(number) else {
                throw Self.refused(
                    name, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            self[keyPath: path] = number
        case .size(let path, let range):
            guard let bytes = Self.bytes(value), range.contains(bytes) else {
                throw Self.refused(
                    name, value,
                    "a size with its unit, for example 16KiB or 32MiB, from \(range.lowerBound)B "
                        + "to \(range.upperBound)B")
            }
            self[keyPath: path] = bytes
        case .rate(let path):
            guard value.hasSuffix("/s"), let bytes = Self.bytes(String(value.dropLast(2))) else {
                throw Self.refused(name, value, "a size per second, for example 64MiB/s")
            }
            self[keyPath: path] = bytes
        case .duration(let path, let mayBeZero):
            guard let span = Self.span(value), span.nanoseconds > (mayBeZero ? -1 : 0) else {
                throw Self.refused(
                    name, value, "a duration with its unit, for example 500ms, 10s or 3h")
            }
            self[keyPath: path] = span
        case .optionalDuration(let path):
            // -1 is how it was said before Cassandra 4.1.
            if value == "null" || value == "-1ms" {
                self[keyPath: path] = nil
                return
            }
            guard let span = Self.span(value), span.nanoseconds > 0 else {
                throw Self.refused(
                    name, value, "null, or a duration with its unit, for example 500ms or 10s")
            }
            self[keyPath: path] = span
        case .choice(let words, let take):
            guard take(&self, value) else {
                throw Self.refused(
                    name, value,
                    words.dropLast().joined(separator: ", ") + " or " + (words.last ?? ""))
            }
        case .words(let path, let known):
            let words = Self.words(value).map { known == nil ? $0.lowercased() : $0 }
            if let known, words.contains(where: { !known.contains($0) }) {
                throw Self.refused(
                    name, value, "a list with commas of " + known.joined(separator: ", "))
            }
            self[keyPath: path] = words
        }
    }

    /// `[ONE, two]` and `ONE,two` as words in capitals, each once.
    private static func words(_ text: String) -> [String] {
        var words: [String] = []
        for part in text.split(whereSeparator: { $0 == "," || $0 == " " || $0 == "[" || $0 == "]" })
        {
            let word = part.uppercased()
            if !words.contains(word) { words.append(word) }
        }
        return words
    }

    /// The setting of that name.
    package static func setting(named name: String) -> Setting? {
        settings.first { $0.name == name }
    }

    /// There is no such name: says which one is near, of the settings and of `others`.
    static func unknown(_ name: String, others: [String] = []) -> SettingFailure {
        let nearest = (settings.map(\.name) + others).min {
            distance($0, name) < distance($1, name)
        }
        let hint = nearest.map { "; did you mean \($0)?" } ?? ""
        return SettingFailure(description: "there is no setting \(name)\(hint)")
    }

    private static func take<Word>(_ place: inout Word, _ word: Word?) -> Bool {
        guard let word else { return false }
        place = word
        return true
    }

    private static func refused(_ name: String, _ value: String, _ form: String) -> SettingFailure {
        SettingFailure(description: "\(name)=\(value): the value must be \(form)")
    }

    private static func bytes(_ text: String) -> Int? {
        quantity(text, units: [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)])
    }

    /// A duration with its unit; nil if the text is none.
    package static func span(_ text: String) -> Instant.Span? {
        quantity(
            text,
            units: [
                ("ns", 1), ("us", 1_000), ("µs", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000),
                ("m", 60_000_000_000), ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
            ]
        ).map { Instant.Span(nanoseconds: Int64($0)) }
    }

    /// A whole number right before one of the units, of which the longer ones come first.
    private static func quantity(_ text: String, units: [(suffix: String, factor: Int)]) -> Int? {
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }),
            let number = Int(text.dropLast(unit.suffix.count)), number >= 0
        else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit.factor)
        return overflow ? nil : product
    }

    /// How many letters must change to come from one name to the other (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.utf8), Array(right.utf8.prefix(64)))
        var row = Array(0...right.count)
        for (i, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let substituted = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
