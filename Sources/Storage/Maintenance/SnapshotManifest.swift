// A snapshot of one table in one shard: what it is called in the node's folder, and the text that says
// what it holds (docs/formats/snapshot.md).
//
//     snapshot-<tag>-<table id>-<part>-<number>.db      hard links to SSTables
//     snapshot-<tag>-<table id>-<part>-schema.cql       the statements that make the table again
//     snapshot-<tag>-<table id>-<part>-manifest         written last: without it there is no snapshot
//
// `part` is the shard whose files they are, for example `g1s0`. Letters of the tag that could be taken
// for something else are written as `%` and two hexadecimal digits.
//
// The digest of a file is the CRC32C of its last 64 bytes. The footer holds the file's identity and the
// checksum of its index, the index the place of every block, and each block its own checksum, seeded
// with identity and place: so the digest fixes the whole file, and taking it reads none of the data.

internal import Encoding
package import Environment
package import Model

/// Which snapshot of which table, by which shard.
package struct SnapshotKey: Hashable, Comparable, Sendable {
    package let tag: String
    package let table: TableID
    package let part: String

    package init(tag: String, table: TableID, part: String) {
        self.tag = tag
        self.table = table
        self.part = part
    }

    package static func < (left: SnapshotKey, right: SnapshotKey) -> Bool {
        if left.tag != right.tag { return left.tag < right.tag }
        return left.table == right.table ? left.part < right.part : left.table < right.table
    }
}

/// What a file name of a snapshot says.
enum SnapshotName {
    enum Content: Equatable {
        case data(UInt64)
        case schema
        case manifest
    }

    static let lead = "snapshot-"

    static func lead(_ key: SnapshotKey) -> String {
        "\(lead)\(EscapedText.escape(key.tag))-\(hex(key.table))-\(key.part)-"
    }

    static func file(_ key: SnapshotKey, _ content: Content) -> FileName {
        switch content {
        case .data(let number): FileName("\(lead(key))\(number).db")
        case .schema: FileName("\(lead(key))schema.cql")
        case .manifest: FileName("\(lead(key))manifest")
        }
    }

    /// Reads a name from its right end; nil if it is no snapshot's.
    static func parse(_ file: FileName) -> (key: SnapshotKey, content: Content)? {
        guard file.text.hasPrefix(lead) else { return nil }
        let words = file.text.dropFirst(lead.count).split(
            separator: "-", omittingEmptySubsequences: false)
        guard words.count >= 4, let table = UniqueID(dashed(words[words.count - 3])),
            let tag = EscapedText.unescape(words.dropLast(3).joined(separator: "-"))
        else { return nil }
        let key = SnapshotKey(
            tag: tag, table: TableID(table), part: String(words[words.count - 2]))
        switch words[words.count - 1] {
        case "manifest": return (key, .manifest)
        case "schema.cql": return (key, .schema)
        case let last:
            guard last.hasSuffix(".db"), let number = UInt64(last.dropLast(3)) else { return nil }
            return (key, .data(number))
        }
    }

    private static func hex(_ table: TableID) -> String {
        String(table.description.filter { $0 != "-" })
    }

    private static func dashed(_ hex: Substring) -> String {
        guard hex.utf8.count == 32 else { return "" }
        var text = ""
        for (index, letter) in hex.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(letter)
        }
        return text
    }
}

/// Words without spaces, dashes at the end of names, or what a file name must not hold.
enum EscapedText {
    static func escape(_ text: String) -> String {
        var escaped = ""
        for byte in text.utf8 {
            let letter = Character(UnicodeScalar(byte))
            let isPlain =
                byte < 0x80 && (letter.isLetter || letter.isNumber || "_.-".contains(letter))
            if isPlain {
                escaped.append(letter)
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                escaped += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return escaped
    }

    static func unescape(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// What a snapshot of one table in one shard holds.
package struct SnapshotManifest: Equatable, Sendable {
    package struct File: Equatable, Sendable {
        /// In the snapshot.
        package var name: FileName
        /// The SSTable that it is a link to; empty for rows that were only in memory.
        package var source: String
        package var bytes: Int
        package var digest: UInt32
        package var partitions: Int
    }

    package struct Column: Equatable, Sendable {
        package var number: UInt32
        /// `partition_key`, `clustering`, `static`, `regular`.
        package var kind: String
        package var name: String
        package var type: String
    }

    package var key: SnapshotKey
    package var keyspace: String
    package var table: String
    /// How many shards the node had.
    package var parts: Int
    package var createdAt: WallTime
    /// When it goes by itself.
    package var expiresAt: WallTime?
    /// Goes with the next start of the node.
    package var isEphemeral: Bool
    package var columns: [Column]
    package var files: [File]

    /// All bytes of its files.
    package var bytes: Int { files.reduce(0) { $0 + $1.bytes } }

    private static let firstLine = "coterie-snapshot 1"

    /// The manifest's text, its last line a checksum over those before.
    package var text: String {
        var lines = [
            Self.firstLine, "tag \(EscapedText.escape(key.tag))",
            "table \(key.table) \(EscapedText.escape(keyspace)) \(EscapedText.escape(table))",
            "part \(key.part) \(parts)", "created_at \(createdAt.microseconds)",
        ]
        if let expiresAt { lines.append("expires_at \(expiresAt.microseconds)") }
        if isEphemeral { lines.append("ephemeral") }
        for column in columns {
            lines.append(
                "column \(column.number) \(column.kind) \(EscapedText.escape(column.name)) "
                    + EscapedText.escape(column.type))
        }
        for file in files {
            lines.append(
                "file \(file.name) \(file.source.isEmpty ? "-" : file.source) \(file.bytes) "
                    + "\(file.digest) \(file.partitions)")
        }
        let body = lines.joined(separator: "\n") + "\n"
        return body + "crc32c \(CRC32C.checksum(Array(body.utf8)))\n"
    }

    package init(
        key: SnapshotKey, keyspace: String, table: String, parts: Int, createdAt: WallTime,
        expiresAt: WallTime? = nil, isEphemeral: Bool = false, columns: [Column], files: [File]
    ) {
        self.key = key
        self.keyspace = keyspace
        self.table = table
        self.parts = parts
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.isEphemeral = isEphemeral
        self.columns = columns
        self.files = files
    }

    /// Whether a manifest of any version was written to its end: its last line is a checksum, right or not.
    static func isFinished(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let newline = UInt8(ascii: "\n")
        guard bytes.last == newline else { return false }
        let body = bytes.dropLast()
        let last = body.suffix(from: (body.lastIndex(of: newline) ?? -1) + 1)
        return last.starts(with: "crc32c ".utf8)
    }

    /// Reads a manifest; nil if it is not whole, because a node died while it wrote it.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard let text = String(validating: bytes, as: UTF8.self), text.hasSuffix("\n"),
            let end = text.dropLast().lastIndex(of: "\n")
        else { return nil }
        let body = text[...end]
        let last = text[text.index(after: end)...].dropLast()
        guard last == "crc32c \(CRC32C.checksum(Array(body.utf8)))" else { return nil }
        var tag: String?
        var names: (id: TableID, keyspace: String, table: String)?
        var part: (String, Int)?
        self.init(
            key: SnapshotKey(tag: "", table: TableID(.zero), part: ""), keyspace: "", table: "",
            parts: 0, createdAt: WallTime(microseconds: 0), columns: [], files: [])
        for (index, line) in body.split(separator: "\n").enumerated() {
            if index == 0 {
                guard line == Self.firstLine else { return nil }
                continue
            }
            let words = line.split(separator: " ")
            switch (words.first, words.count) {
            case ("tag", 2): tag = EscapedText.unescape(words[1])
            case ("table", 4):
                guard let id = UniqueID(words[1]), let keyspace = EscapedText.unescape(words[2]),
                    let table = EscapedText.unescape(words[3])
                else { return nil }
                names = (TableID(id), keyspace, table)
            case ("part", 3):
                guard let count = Int(words[2]) else { return nil }
                part = (String(words[1]), count)
            case ("created_at", 2):
                guard let value = Int64(words[1]) else { return nil }
                createdAt = WallTime(microseconds: value)
            case ("expires_at", 2):
                guard let value = Int64(words[1]) else { return nil }
                expiresAt = WallTime(microseconds: value)
            case ("ephemeral", 1): isEphemeral = true
            case ("column", 5):
                guard let number = UInt32(words[1]), let name = EscapedText.unescape(words[3]),
                    let type = EscapedText.unescape(words[4])
                else { return nil }
                columns.append(
                    Column(number: number, kind: String(words[2]), name: name, type: type))
            case ("file", 6):
                guard let bytes = Int(words[3]), let digest = UInt32(words[4]),
                    let partitions = Int(words[5])
                else { return nil }
                files.append(
                    File(
                        name: FileName(String(words[1])),
                        source: words[2] == "-" ? "" : String(words[2]), bytes: bytes,
                        digest: digest, partitions: partitions))
            default: return nil
            }
        }
        guard let tag, let names, let part else { return nil }
        key = SnapshotKey(tag: tag, table: names.id, part: part.0)
        parts = part.1
        keyspace = names.keyspace
        table = names.table
    }

    /// The columns of a table as a manifest names them.
    package static func columns(of schema: TableSchema) -> [Column] {
        schema.allColumns.map { column in
            let kind =
                switch column.kind {
                case .partitionKey: "partition_key"
                case .clustering: "clustering"
                case .static: "static"
                case .regular: "regular"
                }
            return Column(
                number: column.id.value, kind: kind, name: column.name, type: column.type.cqlName)
        }
    }

    /// How the files' column numbers become those of `schema`. Throws what does not fit: keys must be
    /// equal, and every other column must be there with its type.
    package func renumbering(
        for schema: TableSchema
    ) throws(MaintenanceRefusal) -> ColumnRenumbering {
        let own = Self.columns(of: schema)
        for kind in ["partition_key", "clustering"] {
            let theirs = columns.filter { $0.kind == kind }.map { "\($0.name) \($0.type)" }
            let ours = own.filter { $0.kind == kind }.map { "\($0.name) \($0.type)" }
            guard theirs == ours else {
                throw MaintenanceRefusal(
                    "the snapshot's key (\(theirs.joined(separator: ", "))) is not that of "
                        + "\(schema.keyspace).\(schema.name) (\(ours.joined(separator: ", ")))")
            }
        }
        var numbers: [UInt32: UInt32] = [:]
        for column in columns where column.kind == "static" || column.kind == "regular" {
            guard let target = own.first(where: { $0.name == column.name }),
                target.kind == column.kind, target.type == column.type
            else {
                throw MaintenanceRefusal(
                    "\(schema.keyspace).\(schema.name) has no \(column.kind) column \(column.name) "
                        + "of type \(column.type), which the snapshot has")
            }
            numbers[column.number] = target.number
        }
        return ColumnRenumbering(numbers)
    }
}

/// A task of maintenance that is not possible, with the reason for a person.
package struct MaintenanceRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
