// What a client is told when it asks for a table option that is kept and shown but does not act here as
// it does in Cassandra. The statement succeeds: a schema made for Cassandra must not fail on them.

internal import CQL
internal import Model

extension CQL.SchemaChange {
    /// Warnings about storage options of CREATE and ALTER TABLE.
    var storageNotices: [String] {
        let properties: [Property]
        switch statement {
        case .createTable(let table): properties = table.properties
        case .alterTable(let alteration):
            guard case .options(let options) = alteration.change else { return [] }
            properties = options
        default: return []
        }
        return properties.compactMap { property in
            switch property.name {
            case "compaction": Self.compactionNotice(property)
            case "compression": Self.compressionNotice(property)
            case "caching": Self.cachingNotice(property)
            case "crc_check_chance": Self.checkNotice(property)
            default: nil
            }
        }
    }

    private static func map(_ property: Property) -> [String: String] {
        guard case .map(let entries) = property.value else { return [:] }
        return Dictionary(entries.map { ($0.key, $0.value) }) { _, last in last }
    }

    private static func compactionNotice(_ property: Property) -> String? {
        guard map(property)["log_all"]?.lowercased() == "true" else { return nil }
        return "log_all is kept with the table, but Coterie writes no compaction log"
    }

    private static func compressionNotice(_ property: Property) -> String? {
        let compression = TableCompression(stored: map(property))
        guard let replaced = compression.replacedClass else { return nil }
        let own = if case .zstd = compression.method { "ZstdCompressor" } else { "LZ4Compressor" }
        return
            "\(replaced) is kept with the table, but Coterie compresses its blocks as \(own) does"
    }

    private static func cachingNotice(_ property: Property) -> String? {
        let rows = map(property)["rows_per_partition"] ?? "NONE"
        guard rows.uppercased() != "NONE", rows != "0" else { return nil }
        return
            "rows_per_partition is kept with the table, but Coterie caches blocks and has no row "
            + "cache"
    }

    private static func checkNotice(_ property: Property) -> String? {
        guard case .text(let text) = property.value, let chance = Double(text), chance < 1
        else {
            return nil
        }
        return
            "crc_check_chance is kept with the table, but Coterie checks every block that it reads"
    }
}
