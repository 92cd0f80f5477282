// DESCRIBE and back: what is described of random schemas, run statement by statement into an empty cluster,
// gives the same descriptions and the same rows of system_schema.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct DescribeRoundTripTests {
    private static let schemaTables = [
        "keyspaces", "tables", "columns", "dropped_columns", "types", "column_masks", "indexes",
        "views", "triggers", "functions", "aggregates",
    ]

    /// All rows of system_schema about our keyspaces, without the columns of these names.
    private static func schemaRows(
        _ bench: SchemaBench, without hidden: Set<String> = []
    ) throws -> [String] {
        var result: [String] = []
        for name in schemaTables {
            let table = try #require(SystemSchema.table("system_schema", name))
            let rows = try #require(SystemSchema.rows(of: table, describing: bench.snapshot))
            for row in rows {
                let keyspace = String(decoding: row[0] ?? [], as: UTF8.self)
                guard !SystemSchema.isSystem(keyspace) else { continue }
                let values = zip(table.allColumns, row)
                    .filter { !hidden.contains($0.0.name) }
                    .map { column, value in
                        "\(column.name)=\(value.map { value in value.withUnsafeBytes { column.type.display($0) } } ?? "null")"
                    }
                result.append(name + ": " + values.joined(separator: " "))
            }
        }
        return result
    }

    private static func descriptions(_ bench: SchemaBench, _ statement: String) throws -> [String] {
        try describe(bench, statement).filter { !SystemSchema.isSystem($0[0]) }.map { $0[3] }
    }

    /// The statements of a text: they end with a semicolon outside of quotes.
    static func statements(_ text: String) -> [String] {
        var statements: [String] = []
        var current = String.UnicodeScalarView()
        var quote: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if scalar == quote {
                quote = nil
            } else if quote == nil, scalar == "'" || scalar == "\"" {
                quote = scalar
            }
            current.append(scalar)
            if scalar == ";", quote == nil {
                statements.append(String(current))
                current = String.UnicodeScalarView()
            }
        }
        return statements
    }

    private static func copy(
        _ descriptions: [String], _ datacenters: [String], _ seed: UInt64
    ) throws -> SchemaBench {
        var copy = try SchemaBench()
        copy.datacenters = datacenters
        for statement in descriptions.flatMap(statements) {
            #expect(throws: Never.self, "seed \(seed): \(statement)") {
                try copy.apply(statement)
            }
        }
        return copy
    }

    @Test(arguments: 1...150 as ClosedRange<UInt64>)
    func descriptionsOfRandomSchemasRunBack(seed: UInt64) throws {
        var schemas = RandomSchema(random: SplitMix(seed: seed))
        let bench = try schemas.make()
        let whole = try Self.descriptions(bench, "DESCRIBE FULL SCHEMA WITH INTERNALS")
        let again = try Self.copy(whole, bench.datacenters, seed)
        #expect(
            try Self.descriptions(again, "DESCRIBE FULL SCHEMA WITH INTERNALS") == whole,
            "seed \(seed)")
        #expect(try Self.schemaRows(again) == Self.schemaRows(bench), "seed \(seed)")

        let plain = try Self.descriptions(bench, "DESCRIBE SCHEMA")
        let plainAgain = try Self.copy(plain, bench.datacenters, seed)
        #expect(try Self.descriptions(plainAgain, "DESCRIBE SCHEMA") == plain, "seed \(seed)")
        // What was dropped, and when, and under which id, is told by WITH INTERNALS only.
        func visible(_ bench: SchemaBench) throws -> [String] {
            try Self.schemaRows(bench, without: ["id", "flags"])
                .filter { !$0.hasPrefix("dropped_columns") }
        }
        #expect(try visible(plainAgain) == visible(bench), "seed \(seed)")
    }

    @Test func aKeyColumnWithTheNameOfADroppedOneIsDescribed() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int, c text, v blob, PRIMARY KEY (k, c))"
                + " WITH CLUSTERING ORDER BY (c DESC)")
        try bench.apply("ALTER TABLE t DROP v", at: 7)
        try bench.apply("ALTER TABLE t RENAME c TO v")
        let text = try describe(bench, "DESCRIBE TABLE ks.t WITH INTERNALS")[0][3]
        #expect(text.contains("    v_ text,\n    v blob,\n    PRIMARY KEY (k, v_)\n"))
        #expect(text.contains("CLUSTERING ORDER BY (v_ DESC)"))
        #expect(
            text.hasSuffix(
                ";\nALTER TABLE ks.t DROP v USING TIMESTAMP 7;\nALTER TABLE ks.t RENAME v_ TO v;"))
        #expect(
            try describe(bench, "DESCRIBE TABLE ks.t")[0][3].contains("PRIMARY KEY (k, v)\n"))
    }

    @Test func aDroppedColumnsTypeIsDescribedWithoutTypesThatMayBeGone() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TYPE y (a int, b frozen<list<text>>)",
            "CREATE TABLE t (k int PRIMARY KEY, v list<frozen<y>>, w int)")
        try bench.apply("ALTER TABLE t DROP v", at: 7)
        try bench.apply("DROP TYPE y")
        #expect(
            try describe(bench, "DESCRIBE TABLE ks.t WITH INTERNALS")[0][3].contains(
                "    v list<frozen<tuple<int, frozen<list<text>>>>>\n"))
        #expect(
            bench.failure("ALTER TABLE t ADD v list<int>")
                == .invalid(
                    "Cannot re-add previously dropped column 'v' of type list<int>, incompatible"
                        + " with previous type list<frozen<tuple<int, frozen<list<text>>>>>"))
        try bench.apply("ALTER TABLE t ADD v list<frozen<tuple<int, frozen<list<text>>>>>")
    }

    @Test func aTypeThatIsNotFrozenIsNotDropped() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TYPE y (a int)", "CREATE TABLE t (k int PRIMARY KEY, v y)")
        #expect(
            bench.failure("ALTER TABLE t DROP v")
                == .invalid("Cannot drop non-frozen column v of user type y"))
    }

    @Test func aTableOfCountersStaysOneWithoutThem() throws {
        var bench = try SchemaBench.withKeyspace(
            "CREATE TABLE t (k int PRIMARY KEY, c counter)", "CREATE TABLE u (k int PRIMARY KEY)")
        try bench.apply("ALTER TABLE t DROP c", at: 7)
        #expect(bench.failure("ALTER TABLE t ADD v int") != nil)
        #expect(bench.failure("ALTER TABLE u ADD c counter") != nil)
        try bench.apply("ALTER TABLE t ADD d counter")
    }
}

/// Makes schemas of every kind of name, type, key and option.
private struct RandomSchema {
    var random: SplitMix

    private static let scalars = [
        "ascii", "bigint", "blob", "boolean", "date", "decimal", "double", "float", "inet", "int",
        "smallint", "text", "time", "timestamp", "timeuuid", "tinyint", "uuid", "varint",
    ]
    private static let words = [
        "k", "Key", "select", "a b", "a\"b", "é", "type", "ttl", "x1", "_y", "from", "Z", "1st",
        "token", "it's", "\"\u{301}", ";", "duration",
    ]
    private static let compactions = [
        "{'class': 'SizeTieredCompactionStrategy', 'min_threshold': '6', 'max_threshold': '9'}",
        "{'class': 'SizeTieredCompactionStrategy', 'bucket_low': '0.4', 'bucket_high': '2.5', "
            + "'min_sstable_size': '5', 'tombstone_threshold': '0.3', 'enabled': 'false'}",
        "{'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': '32', 'fanout_size': '5', "
            + "'single_sstable_uplevel': 'false'}",
        "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', "
            + "'compaction_window_size': '3', 'expired_sstable_check_frequency_seconds': '7', "
            + "'timestamp_resolution': 'MICROSECONDS'}",
        "{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4, N, L10', "
            + "'target_sstable_size': '100MiB', 'base_shard_count': '2', 'sstable_growth': '0.5'}",
        "{'class': 'LeveledCompactionStrategy', 'tombstone_compaction_interval': '100', "
            + "'unchecked_tombstone_compaction': 'true', 'only_purge_repaired_tombstones': 'true', "
            + "'log_all': 'true'}",
    ]
    private static let compressions = [
        "{'enabled': false}", "{'class': 'NoopCompressor'}", "{}",
        "{'class': 'LZ4Compressor', 'chunk_length_in_kb': '64', 'lz4_compressor_type': 'high', "
            + "'lz4_high_compressor_level': '11'}",
        "{'class': 'ZstdCompressor', 'compression_level': '-3', 'min_compress_ratio': '1.5'}",
        "{'class': 'SnappyCompressor', 'chunk_length_in_kb': 4}", "{'class': 'DeflateCompressor'}",
        "{'class': 'org.apache.cassandra.io.compress.ZstdCompressor'}",
    ]

    private mutating func pick<Item>(_ items: [Item]) -> Item { items[random.below(items.count)] }

    private func quoted(_ name: String) -> String { "\"" + Self.doubled("\"", name) + "\"" }

    private static func doubled(_ mark: Unicode.Scalar, _ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            result.append(contentsOf: scalar == mark ? [scalar, scalar] : [scalar])
        }
        return String(result)
    }

    private mutating func names(_ count: Int) -> [String] {
        Array(Self.words.shuffled(using: &random).prefix(count)).map(quoted)
    }

    private mutating func type(_ types: [String], depth: Int, frozen: Bool) -> String {
        guard depth > 0, random.below(2) == 0 else { return pick(Self.scalars) }
        func wrap(_ text: String) -> String { frozen ? "frozen<\(text)>" : text }
        switch random.below(types.isEmpty ? 6 : 7) {
        case 0: return wrap("list<\(type(types, depth: depth - 1, frozen: true))>")
        case 1: return wrap("set<\(type(types, depth: depth - 1, frozen: true))>")
        case 2:
            return wrap(
                "map<\(pick(Self.scalars)), \(type(types, depth: depth - 1, frozen: true))>")
        case 3:
            return "tuple<int, \(type(types, depth: depth - 1, frozen: true))>"
        case 4:
            let element = pick(["float", "int", "text", "frozen<list<int>>", "tuple<int, blob>"])
            return "vector<\(element), \(random.below(5) + 1)>"
        case 5: return depth == 3 ? "duration" : "'of.another.Kind'"
        default: return wrap(pick(types))
        }
    }

    mutating func make() throws -> SchemaBench {
        var bench = try SchemaBench.withKeyspace()
        bench.datacenters = ["dc1", "Dc 2"]
        let factors = pick(["'dc1': 2, 'Dc 2': 1", "'replication_factor': 2", "'Dc 2': 3"])
        try bench.apply(
            "CREATE KEYSPACE \"Other\" WITH replication = {'class': 'NetworkTopologyStrategy', "
                + "\(factors)} AND durable_writes = \(random.below(2) == 0)")
        var types: [String] = []
        for index in 0..<random.below(4) {
            let name = index == 0 ? "plain" : "\"Type \(4 - index)\""
            let fields = names(random.below(3) + 1)
                .map { "\($0) \(type(types, depth: 2, frozen: true))" }
            try bench.apply("CREATE TYPE \(name) (\(fields.joined(separator: ", ")))")
            types.append(name)
        }
        for index in 0..<(random.below(3) + 1) { try makeTable(index, types, &bench) }
        if random.below(3) == 0 {
            try bench.apply(
                "CREATE TABLE counts (k int, c int, n counter, s counter static, PRIMARY KEY (k, c))"
            )
            if random.below(2) == 0 { try bench.apply("ALTER TABLE counts DROP n", at: 3) }
        }
        return bench
    }

    private mutating func makeTable(
        _ index: Int, _ types: [String], _ bench: inout SchemaBench
    ) throws {
        let name = index == 0 ? "t" : "\"Table\(index)\""
        let columns = names(random.below(6) + 4)
        let partition = random.below(2) + 1
        let clustering = random.below(3)
        var definitions: [String] = []
        for (place, column) in columns.enumerated() {
            if place < partition + clustering {
                definitions.append("\(column) \(pick(Self.scalars))")
            } else {
                let isStatic = clustering > 0 && random.below(4) == 0
                // A collection in a type that is not frozen is refused, and so is dropping such a type.
                definitions.append(
                    "\(column) \(type(types.map { "frozen<\($0)>" }, depth: 3, frozen: random.below(2) == 0))"
                        + (isStatic ? " static" : ""))
            }
        }
        let key = columns[..<partition].joined(separator: ", ")
        let rest = columns[partition..<min(partition + clustering, columns.count)]
        let primaryKey = "PRIMARY KEY (" + (["(\(key))"] + rest).joined(separator: ", ") + ")"
        var options: [String] = []
        if !rest.isEmpty {
            let orders = rest.map { "\($0) \(random.below(2) == 0 ? "ASC" : "DESC")" }
            options.append("CLUSTERING ORDER BY (\(orders.joined(separator: ", ")))")
        }
        options += optionChoices().shuffled(using: &random).prefix(random.below(8))
        let with = options.isEmpty ? "" : " WITH " + options.joined(separator: " AND ")
        try bench.apply(
            "CREATE TABLE \(name) (\((definitions + [primaryKey]).joined(separator: ", ")))\(with)")
        guard columns.count > partition + clustering, let last = columns.last,
            random.below(2) == 0
        else { return }
        try bench.apply("ALTER TABLE \(name) DROP \(last)", at: Int64(random.below(10_000)))
        switch random.below(3) {
        case 0: try bench.apply("ALTER TABLE \(name) ADD \(definitions[columns.count - 1])")
        case 1: try bench.apply("ALTER TABLE \(name) RENAME \(columns[0]) TO \(last)")
        default: break
        }
    }

    private mutating func optionChoices() -> [String] {
        [
            "comment = 'it''s; \"this\" é ''\u{301} $$ -- /* \n'",
            "gc_grace_seconds = \(random.below(1000))",
            "default_time_to_live = \(random.below(1000))",
            "bloom_filter_fp_chance = 0.0\(random.below(9) + 1)",
            "caching = {'keys': 'NONE', 'rows_per_partition': '\(random.below(100))'}",
            "cdc = true", "allow_auto_snapshot = false", "incremental_backups = false",
            "memtable = 'trie'", "memtable_flush_period_in_ms = \(random.below(9))",
            "min_index_interval = 64 AND max_index_interval = \(random.below(99) + 64)",
            "speculative_retry = '\(random.below(90) + 1)p'",
            "additional_write_policy = 'MAX(9\(random.below(9))p,\(random.below(9))ms)'",
            "read_repair = 'NONE'", "crc_check_chance = 0.\(random.below(9))",
            "extensions = {'x': 0xCAFE, 'it''s': 0x}",
            "tombstone_gc = {'mode': '\(pick(["timeout", "repair", "immediate", "disabled"]))'}",
            "compaction = \(pick(Self.compactions))", "compression = \(pick(Self.compressions))",
        ]
    }
}
