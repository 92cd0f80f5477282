// The options of CREATE and ALTER TABLE: all of Cassandra 5.0's and ScyllaDB's `tombstone_gc`, checked
// and brought into their canonical form (full class names, `99p`), which is what schema tables and
// DESCRIBE show.

internal import Encoding
internal import Model

/// Reads table options.
enum TableProperties {
    static let known = [
        "additional_write_policy", "allow_auto_snapshot", "bloom_filter_fp_chance", "caching",
        "cdc",
        "comment", "compaction", "compression", "crc_check_chance", "default_time_to_live",
        "extensions", "gc_grace_seconds", "id", "incremental_backups", "max_index_interval",
        "memtable", "memtable_flush_period_in_ms", "min_index_interval", "read_repair",
        "speculative_retry", "tombstone_gc",
    ]

    /// `options` with the given properties in place of its own. `id` is read by the caller.
    static func apply(
        _ properties: [Property], to options: TableOptions
    ) throws(CQLError) -> TableOptions {
        let reader = try PropertyReader(properties, known: known)
        var options = options
        if let text = try reader.text("additional_write_policy") {
            options.additionalWritePolicy = try SpeculativeRetry(text).description
        }
        if let text = try reader.text("speculative_retry") {
            options.speculativeRetry = try SpeculativeRetry(text).description
        }
        if let flag = try reader.boolean("allow_auto_snapshot") { options.allowAutoSnapshot = flag }
        if let flag = try reader.boolean("incremental_backups") {
            options.incrementalBackups = flag
        }
        if let flag = try reader.boolean("cdc") { options.cdc = flag }
        if let text = try reader.text("comment") { options.comment = text }
        if let map = try reader.map("caching") { options.caching = try caching(map) }
        if let map = try reader.map("compaction") {
            options.compaction = try CompactionOptions.canonical(map)
            if !reader.has("bloom_filter_fp_chance") {
                options.bloomFilterFalsePositiveChance =
                    options.compaction["class"]?.hasSuffix(".LeveledCompactionStrategy") == true
                    ? 0.1 : 0.01
            }
        }
        if let map = try reader.map("compression") {
            options.compression = try TableCompression.read(map).canonical
        }
        if let map = try reader.map("extensions") { options.extensions = try extensions(map) }
        if let map = try reader.map("tombstone_gc") {
            options.tombstoneGC = try TombstoneGC(reading: map)
        }
        if let text = try reader.text("memtable") { options.memtable = try memtable(text) }
        if let text = try reader.text("read_repair") { options.readRepair = try readRepair(text) }
        try numbers(reader, &options)
        return options
    }

    private static func numbers(
        _ reader: PropertyReader, _ options: inout TableOptions
    ) throws(CQLError) {
        if let value = try reader.double("bloom_filter_fp_chance") {
            let smallest = 6.71e-5
            guard value > smallest, value <= 1 else {
                throw .configuration(
                    "bloom_filter_fp_chance must be larger than \(smallest) and less than or equal to"
                        + " 1.0 (got \(value))")
            }
            options.bloomFilterFalsePositiveChance = value
        }
        if let value = try reader.double("crc_check_chance") {
            guard value >= 0, value <= 1 else {
                throw .configuration(
                    "crc_check_chance must be larger than or equal to 0 and smaller than or equal to"
                        + " 1.0 (got \(value))")
            }
            options.crcCheckChance = value
        }
        if let value = try atLeast(0, "default_time_to_live", reader) {
            guard value <= TimeToLive.maximum else {
                throw .configuration(
                    "default_time_to_live must be less than or equal to \(TimeToLive.maximum)"
                        + " (got \(value))")
            }
            options.defaultTimeToLive = value
        }
        if let value = try atLeast(0, "gc_grace_seconds", reader) { options.gcGraceSeconds = value }
        if let value = try atLeast(0, "memtable_flush_period_in_ms", reader) {
            options.memtableFlushPeriodMilliseconds = value
        }
        if let value = try atLeast(1, "min_index_interval", reader) {
            options.minIndexInterval = value
        }
        if let value = try reader.integer("max_index_interval") { options.maxIndexInterval = value }
        guard options.maxIndexInterval >= options.minIndexInterval else {
            throw .configuration(
                "max_index_interval must be greater than or equal to min_index_interval"
                    + " (\(options.minIndexInterval)) (got \(options.maxIndexInterval))")
        }
    }

    private static func atLeast(
        _ minimum: Int32, _ name: String, _ reader: PropertyReader
    ) throws(CQLError) -> Int32? {
        guard let value = try reader.integer(name) else { return nil }
        guard value >= minimum else {
            throw .configuration(
                "\(name) must be greater than or equal to \(minimum) (got \(value))")
        }
        return value
    }

    // MARK: Maps

    private static func caching(_ map: [String: String]) throws(CQLError) -> [String: String] {
        var result = ["keys": "ALL", "rows_per_partition": "NONE"]
        for key in map.keys.sorted() {
            let value = map[key] ?? ""
            let upper = value.uppercased()
            switch key {
            case "keys":
                guard upper == "ALL" || upper == "NONE" else {
                    throw .configuration(
                        "Invalid value for 'keys' caching sub-option '\(value)': only 'ALL' and"
                            + " 'NONE' are allowed.")
                }
                result[key] = upper
            case "rows_per_partition":
                guard upper == "ALL" || upper == "NONE" || (Int32(value) ?? -1) >= 0 else {
                    throw .configuration(
                        "Invalid value for 'rows_per_partition' caching sub-option '\(value)':"
                            + " only 'ALL', 'NONE', and integer values are allowed.")
                }
                result[key] = upper
            default:
                throw .configuration(
                    "Invalid caching sub-option '\(key)': only 'keys' and 'rows_per_partition' are"
                        + " allowed")
            }
        }
        return result
    }

    private static func extensions(_ map: [String: String]) throws(CQLError) -> [String: [UInt8]] {
        var result: [String: [UInt8]] = [:]
        for key in map.keys.sorted() {
            let text = map[key] ?? ""
            do throws(CQLValueError) {
                result[key] = try CQLType.blob.parse(text)
            } catch {
                throw .configuration("Invalid value for extension '\(key)': \(error.message)")
            }
        }
        return result
    }

    // MARK: Words

    private static func memtable(_ text: String) throws(CQLError) -> String {
        guard ["default", "skiplist", "trie"].contains(text) else {
            throw .configuration("Memtable configuration \"\(text)\" not found.")
        }
        return text
    }

    private static func readRepair(_ text: String) throws(CQLError) -> String {
        let upper = text.uppercased()
        guard upper == "BLOCKING" || upper == "NONE" else {
            throw .configuration(
                "Invalid value '\(text)' for 'read_repair': only 'BLOCKING' and 'NONE' are allowed")
        }
        return upper
    }
}

/// Time to live, in seconds.
enum TimeToLive {
    /// Twenty years.
    static let maximum: Int32 = 20 * 365 * 24 * 60 * 60
}

/// Numbers as Java prints them, because DESCRIBE shows them so.
enum JavaText {
    static func double(_ value: Double) -> String {
        let magnitude = abs(value)
        guard value.isFinite, magnitude != 0, magnitude < 1e-3 || magnitude >= 1e7 else {
            return value.isNaN ? "NaN" : value.description
        }
        // Swift writes the same shortest digits, with another exponent threshold.
        var digits = value.description.lowercased()
        var exponent = 0
        if let mark = digits.firstIndex(of: "e") {
            exponent = Int(digits[digits.index(after: mark)...]) ?? 0
            digits = String(digits[..<mark])
        }
        let sign = digits.hasPrefix("-") ? "-" : ""
        let parts = digits.drop { $0 == "-" }.split(
            separator: ".", omittingEmptySubsequences: false)
        let whole = String(parts[0])
        let fraction = parts.count > 1 ? String(parts[1]) : ""
        exponent += whole.count - 1
        var mantissa = Array(whole + fraction)
        while mantissa.count > 1, mantissa[0] == "0" {
            mantissa.removeFirst()
            exponent -= 1
        }
        while mantissa.count > 1, mantissa[mantissa.count - 1] == "0" { mantissa.removeLast() }
        let rest = mantissa.count > 1 ? String(mantissa[1...]) : "0"
        return "\(sign)\(mantissa[0]).\(rest)E\(exponent)"
    }
}
