// Reading compaction options out of the map that a client wrote. The texts of refusals are those that
// Cassandra's option classes give, because tools match on them.

extension CompactionOptions {
    private static let common = [
        "enabled", "log_all", "only_purge_repaired_tombstones", "provide_overlapping_tombstones",
        "tombstone_compaction_interval", "tombstone_threshold", "unchecked_tombstone_compaction",
    ]
    private static let tiers = [
        "bucket_high", "bucket_low", "max_threshold", "min_sstable_size", "min_threshold",
    ]

    private static func names(_ name: ClassName) -> [String] {
        switch name {
        case .sizeTiered: tiers
        case .leveled: tiers + ["fanout_size", "single_sstable_uplevel", "sstable_size_in_mb"]
        case .timeWindow:
            tiers + [
                "compaction_window_size", "compaction_window_unit",
                "expired_sstable_check_frequency_seconds", "timestamp_resolution",
                "unsafe_aggressive_sstable_expiration",
            ]
        case .unified:
            [
                "base_shard_count", "expired_sstable_check_frequency_seconds",
                "flush_size_override", "max_sstables_to_compact", "min_sstable_size",
                "overlap_inclusion_method", "scaling_parameters", "sstable_growth",
                "target_sstable_size", "unsafe_aggressive_sstable_expiration",
            ]
        }
    }

    /// Reads and checks the options. Throws `.configuration` with the text that Cassandra gives.
    package init(reading map: [String: String]) throws(CQLError) {
        let name = try Self.className(map)
        let known = Self.names(name) + Self.common
        let unknown = map.keys.filter { $0 != "class" && !known.contains($0) }.sorted()
        guard unknown.isEmpty else {
            throw .configuration(
                "Properties specified [\(unknown.joined(separator: ", "))] are not understood by"
                    + " \(name.rawValue)")
        }
        let reader = OptionReader(map: map)
        try readCommon(reader)
        switch name {
        case .sizeTiered: strategy = .sizeTiered(try Self.sizeTiered(reader))
        case .leveled: strategy = .leveled(try Self.leveled(reader))
        case .timeWindow: strategy = .timeWindow(try Self.timeWindow(reader))
        case .unified: strategy = .unified(try Self.unified(reader))
        }
    }

    /// The map as schema tables show it: the full class name, and the thresholds where the class has
    /// them.
    package static func canonical(
        _ map: [String: String]
    ) throws(CQLError) -> [String: String] {
        let options = try CompactionOptions(reading: map)
        let name = try className(map)
        var result = map
        result["class"] = name.full
        if case .unified = options.strategy { return result }
        result["min_threshold"] = map["min_threshold"] ?? "4"
        result["max_threshold"] = map["max_threshold"] ?? "32"
        return result
    }

    private static func className(_ map: [String: String]) throws(CQLError) -> ClassName {
        guard let given = map["class"], !given.isEmpty else {
            throw .configuration("Missing sub-option 'class' for the 'compaction' option.")
        }
        let full = given.contains(".") ? given : ClassName.package + given
        guard let name = ClassName.allCases.first(where: { $0.full == full }) else {
            throw .configuration("Unable to find compaction strategy class '\(full)'")
        }
        return name
    }

    private mutating func readCommon(_ reader: OptionReader) throws(CQLError) {
        isEnabled =
            try reader.flag("enabled") { name, text in
                "\(name) should either be 'true' or 'false', not \(text)"
            } ?? true
        if let text = reader.text("tombstone_threshold") {
            guard let value = Double(text), value.isFinite else {
                throw .configuration(
                    "\(text) is not a parsable int (base10) for tombstone_threshold")
            }
            guard value >= 0 else {
                throw .configuration(
                    "tombstone_threshold must be greater than 0, but was \(OptionReader.fixed(value))"
                )
            }
            tombstones.threshold = value
        }
        if let value = try reader.long("tombstone_compaction_interval", as: "int") {
            guard value >= 0 else {
                throw .configuration(
                    "tombstone_compaction_interval must be greater than 0, but was \(value)")
            }
            tombstones.intervalSeconds = value
        }
        tombstones.isExplicit =
            reader.text("tombstone_threshold") != nil
            || reader.text("tombstone_compaction_interval") != nil
        tombstones.isUnchecked =
            try reader.flag("unchecked_tombstone_compaction") { name, text in
                "'\(name)' should be either 'true' or 'false', not '\(text)'"
            } ?? false
        _ = try reader.flag("log_all") { name, text in
            "'\(name)' should either be 'true' or 'false', not \(text)"
        }
        tombstones.onlyPurgesRepaired =
            try reader.flag("only_purge_repaired_tombstones") { name, text in
                "'\(name)' should be either 'true' or 'false', not '\(text)'"
            } ?? false
        if let text = reader.text("provide_overlapping_tombstones")?.uppercased() {
            guard ["NONE", "ROW", "CELL"].contains(text) else {
                throw .configuration(
                    "Invalid value \(text) for 'provide_overlapping_tombstones' compaction sub-option"
                        + " - must be one of the following [NONE, ROW, CELL].")
            }
            guard text == "NONE" else {
                throw .configuration(
                    "provide_overlapping_tombstones = '\(text)' is not supported by Coterie yet")
            }
        }
    }

    private static func sizeTiered(_ reader: OptionReader) throws(CQLError) -> SizeTiered {
        var options = SizeTiered()
        if let value = try reader.long("min_sstable_size", as: "int") {
            guard value >= 0 else {
                throw .configuration("min_sstable_size must be non negative: \(value)")
            }
            options.minimumSSTableBytes = Int(value)
        }
        if let value = try reader.double("bucket_low") { options.bucketLow = value }
        if let value = try reader.double("bucket_high") { options.bucketHigh = value }
        guard options.bucketHigh > options.bucketLow else {
            throw .configuration(
                "Bucket high value (\(options.bucketHigh)) is less than or equal bucket low value"
                    + " (\(options.bucketLow))")
        }
        options.minimumThreshold = try threshold("min_threshold", reader) ?? 4
        options.maximumThreshold = try threshold("max_threshold", reader) ?? 32
        guard options.minimumThreshold >= 2 else {
            throw .configuration(
                "Min compaction threshold cannot be less than 2 (got \(options.minimumThreshold))")
        }
        guard options.maximumThreshold >= options.minimumThreshold else {
            throw .configuration(
                "Max compaction threshold (got \(options.maximumThreshold)) cannot be less than min"
                    + " compaction threshold (got \(options.minimumThreshold))")
        }
        return options
    }

    private static func threshold(_ name: String, _ reader: OptionReader) throws(CQLError) -> Int? {
        guard let text = reader.text(name) else { return nil }
        guard let value = Int32(text) else {
            throw .configuration(
                "Invalid value \(text) for '\(name)' compaction sub-option - must be an integer")
        }
        return Int(value)
    }

    private static func leveled(_ reader: OptionReader) throws(CQLError) -> Leveled {
        var options = Leveled()
        options.levelZero = try sizeTiered(reader)
        if let value = try reader.int("sstable_size_in_mb") {
            guard value >= 1 else {
                throw .configuration("sstable_size_in_mb must be larger than 0, but was \(value)")
            }
            options.sstableBytes = value << 20
        }
        if let value = try reader.int("fanout_size") {
            guard value >= 1 else {
                throw .configuration("fanout_size must be larger than 0, but was \(value)")
            }
            options.fanout = value
        }
        // The largest of the nine levels still has to have a size.
        let largest = (0..<8).reduce(WholeNumber(Int64(options.sstableBytes))) { size, _ in
            size * WholeNumber(Int64(options.fanout))
        }
        guard (largest + WholeNumber(Int64.max).negated).isNegative else {
            throw .configuration(
                "At most \(Int64.max) bytes may be in a compaction level; your maxSSTableSize must be"
                    + " absurdly high to compute \(largest.text)")
        }
        if let text = reader.text("single_sstable_uplevel") {
            options.singleSSTableUplevel = text.lowercased() == "true"
        }
        return options
    }

    private static func timeWindow(_ reader: OptionReader) throws(CQLError) -> TimeWindow {
        var options = TimeWindow()
        if let text = reader.text("timestamp_resolution") {
            let units: [String: Int64] = [
                "SECONDS": 1, "MILLISECONDS": 1_000, "MICROSECONDS": 1_000_000,
                "NANOSECONDS": 1_000_000_000,
            ]
            guard let unit = units[text] else {
                throw .configuration("\(text) is not valid for timestamp_resolution")
            }
            options.timestampsPerSecond = unit
        }
        var unit: Int64 = 86_400
        if let text = reader.text("compaction_window_unit") {
            let units: [String: Int64] = ["MINUTES": 60, "HOURS": 3_600, "DAYS": 86_400]
            guard let found = units[text] else {
                throw .configuration("\(text) is not valid for compaction_window_unit")
            }
            unit = found
        }
        let size = try reader.int("compaction_window_size") ?? 1
        guard size >= 1 else {
            throw .configuration("\(size) must be greater than 1 for compaction_window_size")
        }
        options.windowSeconds = Int64(size) * unit
        let frequency = "expired_sstable_check_frequency_seconds"
        if let value = try reader.long(frequency, as: "int") {
            guard value >= 0 else {
                throw .configuration("\(frequency) must not be negative, but was \(value)")
            }
            options.expiredCheckSeconds = value
        }
        options.dropsExpiredUnchecked =
            try reader.flag("unsafe_aggressive_sstable_expiration") { name, text in
                "\(name) is not 'true' or 'false' (\(text))"
            } ?? false
        options.newest = try sizeTiered(reader)
        return options
    }

    private static func unified(_ reader: OptionReader) throws(CQLError) -> Unified {
        var options = Unified()
        func positive(_ name: String, _ value: Int64) throws(CQLError) {
            guard value > 0 else {
                throw .configuration("Invalid configuration, \(name) should be positive: \(value)")
            }
        }
        if let text = reader.text("scaling_parameters") {
            options.scaling = try scaling(text)
        }
        if let value = try reader.int("base_shard_count") {
            try positive("base_shard_count", Int64(value))
            options.baseShardCount = min(value, 1 << 20)
        }
        if let value = try reader.bytes("target_sstable_size") {
            guard value >= 1 << 20 else {
                throw .configuration(
                    "target_sstable_size \(reader.text("target_sstable_size") ?? "") is not"
                        + " acceptable, size must be at least 1.000MiB")
            }
            options.targetSSTableBytes = value
        }
        if let text = reader.text("sstable_growth") {
            guard let value = OptionReader.share(text) else {
                throw .configuration(
                    "sstable_growth is not a valid number between 0 and 1: \(text)")
            }
            guard value >= 0, value <= 1 else {
                throw .configuration("sstable_growth \(text) must be between 0 and 1")
            }
            options.sstableGrowth = value
        }
        // The lower bound of the sizes that a target gives: its root of a half.
        let lowest = Int(Double(options.targetSSTableBytes) * 0.707_106_78)
        if let value = try reader.bytes("min_sstable_size") {
            guard value < max(1, lowest) else {
                throw .configuration(
                    "Invalid configuration, min_sstable_size"
                        + " (\(reader.text("min_sstable_size") ?? "")) should be less than the target"
                        + " size minimum: \(lowest)B")
            }
            options.minimumSSTableBytes = value
        } else {
            options.minimumSSTableBytes = min(options.minimumSSTableBytes, lowest)
        }
        if let value = try reader.bytes("flush_size_override") {
            try positive("flush_size_override", Int64(value))
            options.flushBytes = value
        }
        if let value = try reader.int("max_sstables_to_compact"), value > 0 {
            options.maximumSSTablesToCompact = value
        }
        let frequency = "expired_sstable_check_frequency_seconds"
        if let value = try reader.long(frequency, as: "long") {
            try positive(frequency, value)
            options.expiredCheckSeconds = value
        }
        options.dropsExpiredUnchecked =
            try reader.flag("unsafe_aggressive_sstable_expiration") { name, text in
                "\(name) should either be 'true' or 'false', not \(text)"
            } ?? false
        if let text = reader.text("overlap_inclusion_method") {
            guard let method = OverlapInclusion(rawValue: text.uppercased()) else {
                throw .configuration(
                    "Invalid overlap inclusion method \(text). The valid options are"
                        + " [NONE, SINGLE, TRANSITIVE].")
            }
            options.overlapInclusion = method
        }
        return options
    }

    /// `T4, L10, N, -2`: tiered with that fan-out, levelled with it, the middle, or the number itself.
    private static func scaling(_ text: String) throws(CQLError) -> [Int] {
        var result: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = part.filter { $0 != " " }
            let number: Int?
            switch word.first {
            case "N": number = word == "N" ? 0 : nil
            case "T", "L":
                number = Int(word.dropFirst()).flatMap { $0 >= 0 && $0 < 1 << 20 ? $0 : nil }
                guard let number else { break }
                guard number >= 2 else {
                    throw .configuration("Fan factor cannot be lower than 2 in \(word)")
                }
                result.append(word.first == "T" ? number - 2 : 2 - number)
                continue
            default: number = Int(word).flatMap { abs($0) < 1 << 20 ? $0 : nil }
            }
            guard let number else {
                throw .configuration(
                    "Scaling parameter \(word) must match N|L[0-9]+|T[0-9]+|[+-]?[0-9]+")
            }
            result.append(number)
        }
        return result
    }
}

/// Takes single values out of the map.
private struct OptionReader {
    let map: [String: String]

    func text(_ name: String) -> String? { map[name] }

    func int(_ name: String) throws(CQLError) -> Int? {
        guard let text = map[name] else { return nil }
        guard let value = Int32(text) else {
            throw .configuration("\(text) is not a parsable int (base10) for \(name)")
        }
        return Int(value)
    }

    func long(_ name: String, as kind: String) throws(CQLError) -> Int64? {
        guard let text = map[name] else { return nil }
        guard let value = Int64(text) else {
            throw .configuration("\(text) is not a parsable \(kind) (base10) for \(name)")
        }
        return value
    }

    func double(_ name: String) throws(CQLError) -> Double? {
        guard let text = map[name] else { return nil }
        guard let value = Double(text), value.isFinite else {
            throw .configuration("\(text) is not a parsable float for \(name)")
        }
        return value
    }

    func flag(
        _ name: String, _ refusal: (String, String) -> String
    ) throws(CQLError) -> Bool? {
        guard let text = map[name] else { return nil }
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default: throw .configuration(refusal(name, text))
        }
    }

    /// A size as people write it: `100MiB`, `1.5 GiB`, `512B`, `4096`.
    func bytes(_ name: String) throws(CQLError) -> Int? {
        guard let text = map[name] else { return nil }
        let units: [(suffix: String, factor: Double)] = [
            ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824),
            ("TiB", 1_099_511_627_776), ("B", 1), ("", 1),
        ]
        let compact = text.filter { $0 != " " }
        for unit in units where compact.hasSuffix(unit.suffix) {
            guard let number = Double(compact.dropLast(unit.suffix.count)), number >= 0,
                number * unit.factor < 9e18
            else { break }
            return Int(number * unit.factor)
        }
        throw .configuration("\(name) is not a valid size in bytes: \(text)")
    }

    /// `0.333` or `33.3%`.
    static func share(_ text: String) -> Double? {
        let number = text.hasSuffix("%") ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
        return number.flatMap { $0.isFinite ? $0 : nil }
    }

    /// With six digits behind the point, as Java's `%f`.
    static func fixed(_ value: Double) -> String {
        let scaled = (value * 1_000_000).rounded()
        guard abs(scaled) < 1e15 else { return "\(value)" }
        let digits = String(Int64(abs(scaled)))
        let padded = String(repeating: "0", count: max(0, 7 - digits.count)) + digits
        return (scaled < 0 ? "-" : "") + padded.dropLast(6) + "." + padded.suffix(6)
    }
}
