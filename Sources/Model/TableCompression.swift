// How a table's blocks are compressed: the `compression` option of CREATE and ALTER TABLE, read and
// checked with Cassandra's names, defaults and refusals.
//
//     {'class': 'LZ4Compressor', 'chunk_length_in_kb': '16', 'min_compress_ratio': '0',
//      'lz4_compressor_type': 'fast' | 'high', 'lz4_high_compressor_level': '1'...'17'}
//     {'class': 'ZstdCompressor', 'compression_level': '3'}
//     {'class': 'NoopCompressor'}          {'enabled': 'false'}
//
// Snappy and Deflate have no advantage over LZ4 and Zstd on any measure, so files are not written with
// them: a table that names them gets LZ4 or Zstd in their place, and the client is told.

/// The parsed `compression` option.
package struct TableCompression: Hashable, Sendable {
    package enum Method: Hashable, Sendable {
        case none
        /// The level of the high-compression form; nil for the fast one.
        case lz4(highLevel: Int32?)
        case zstd(level: Int32)
    }

    package var method: Method
    /// The size that a block is filled to before it is compressed. A row is never cut.
    package var chunkBytes: Int
    /// A block is stored compressed only if it shrinks by that factor; 0: our own rule, an eighth.
    package var minimumRatio: Double
    /// The class that the table names, and that this one stands in for.
    package var replacedClass: String?

    package init(
        method: Method, chunkBytes: Int = Self.defaultChunkBytes, minimumRatio: Double = 0
    ) {
        self.method = method
        self.chunkBytes = chunkBytes
        self.minimumRatio = minimumRatio
    }

    /// What a table that says nothing gets.
    package static let defaultChunkBytes = 16 << 10
    private static let classPackage = "org.apache.cassandra.io.compress."

    /// What a stored option means. It was checked when the table was made, so that what cannot be read
    /// was written by another version: such a table gets the default.
    package init(stored map: [String: String]) {
        do throws(CQLError) { self = try Self.read(map).value } catch {
            self.init(method: .lz4(highLevel: nil))
        }
    }

    /// Reads the option as a client gives it; `canonical` is what schema tables show.
    package static func read(
        _ map: [String: String]
    ) throws(CQLError) -> (value: TableCompression, canonical: [String: String]) {
        let disabled = (TableCompression(method: .none), ["enabled": "false"])
        if map.isEmpty { return disabled }
        var rest = map
        if let text = rest.removeValue(forKey: "enabled") {
            switch text.lowercased() {
            case "true": break
            case "false":
                guard rest.isEmpty else {
                    throw .configuration(
                        "If the 'enabled' option is set to false no other options must be specified"
                    )
                }
                return disabled
            default:
                throw .configuration("Invalid value '\(text)' for 'enabled' compression sub-option")
            }
        }
        guard let given = rest.removeValue(forKey: "class") else {
            throw .configuration("Missing sub-option 'class' for the 'compression' option.")
        }
        guard !given.isEmpty else {
            throw .configuration(
                "The 'class' option must not be empty. To disable compression use 'enabled' : false"
            )
        }
        var value = TableCompression(method: .none)
        value.chunkBytes = try chunkBytes(rest.removeValue(forKey: "chunk_length_in_kb"))
        let ratio = rest.removeValue(forKey: "min_compress_ratio")
        value.minimumRatio = try minimumRatio(ratio)
        // A remnant of old schemas: the table's own option of that name counts.
        rest["crc_check_chance"] = nil
        let name = given.contains(".") ? given : classPackage + given
        guard name.hasPrefix(classPackage) else {
            throw .configuration("Could not create Compression for type \(name)")
        }
        let short = String(name.dropFirst(classPackage.count))
        value.method = try method(short, name, rest)
        if short == "SnappyCompressor" || short == "DeflateCompressor" {
            value.replacedClass = short
        }
        var canonical = map
        canonical["enabled"] = nil
        canonical["crc_check_chance"] = nil
        canonical["class"] = name
        canonical["chunk_length_in_kb"] = String(value.chunkBytes >> 10)
        canonical["min_compress_ratio"] =
            value.minimumRatio == 0 ? nil : JavaNumberText.text(value.minimumRatio)
        return (value, canonical)
    }

    private static func method(
        _ short: String, _ name: String, _ options: [String: String]
    ) throws(CQLError) -> Method {
        let known: Set<String>
        let method: Method
        switch short {
        case "LZ4Compressor":
            known = ["lz4_compressor_type", "lz4_high_compressor_level"]
            method = .lz4(highLevel: try highLevel(options))
        case "ZstdCompressor":
            known = ["compression_level"]
            method = .zstd(level: try zstdLevel(options["compression_level"]))
        case "NoopCompressor":
            known = []
            method = .none
        case "SnappyCompressor":
            known = []
            method = .lz4(highLevel: nil)
        case "DeflateCompressor":
            known = []
            method = .zstd(level: 3)
        default: throw .configuration("Could not create Compression for type \(name)")
        }
        if let unknown = options.keys.filter({ !known.contains($0) }).min() {
            throw .configuration("Unknown compression options \(unknown)")
        }
        return method
    }

    private static func highLevel(_ options: [String: String]) throws(CQLError) -> Int32? {
        let type = options["lz4_compressor_type"] ?? "fast"
        guard type == "fast" || type == "high" else {
            throw .configuration(
                "Invalid compressor type '\(type)' specified for LZ4 parameter "
                    + "'lz4_compressor_type'. Valid options are [high, fast].")
        }
        let text = options["lz4_high_compressor_level"] ?? "9"
        guard let level = Int32(text), (1...17).contains(level) else {
            throw .configuration(
                "Invalid value [\(text)] for parameter 'lz4_high_compressor_level'. Value must be "
                    + "between 1 and 17.")
        }
        return type == "high" ? level : nil
    }

    /// Zstd's own bounds of levels.
    private static let zstdLevels: ClosedRange<Int32> = -131_072...22

    private static func zstdLevel(_ text: String?) throws(CQLError) -> Int32 {
        guard let text else { return 3 }
        guard let level = Int32(text), zstdLevels.contains(level) else {
            throw .configuration(
                "ZstdCompressor.create() threw an error: java.lang.IllegalArgumentException "
                    + "compression_level=\(text) is invalid")
        }
        return level
    }

    private static func chunkBytes(_ text: String?) throws(CQLError) -> Int {
        guard let text else { return defaultChunkBytes }
        guard let kilobytes = Int32(text) else {
            throw .configuration("Invalid value for chunk_length_in_kb")
        }
        guard kilobytes <= Int32.max / 1024 else {
            throw .configuration("Value of chunk_length_in_kb is too large (\(kilobytes))")
        }
        guard kilobytes > 0 else {
            throw .configuration("Invalid negative or null chunk_length_in_kb")
        }
        guard kilobytes & (kilobytes - 1) == 0 else {
            throw .configuration("chunk_length_in_kb must be a power of 2")
        }
        return Int(kilobytes) << 10
    }

    private static func minimumRatio(_ text: String?) throws(CQLError) -> Double {
        guard let text else { return 0 }
        guard let ratio = Double(text), !ratio.isNaN else {
            throw .configuration("Invalid value '\(text)' for min_compress_ratio")
        }
        guard ratio >= 0 else { throw .configuration("Invalid negative min_compress_ratio") }
        guard ratio == 0 || ratio >= 1 else {
            throw .configuration(
                "min_compress_ratio can either be 0 or greater than or equal to 1")
        }
        return ratio
    }
}
