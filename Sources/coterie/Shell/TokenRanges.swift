// Which token belongs to which replicas, and how a table is cut into ranges of tokens.
//
// The server tells the ownership of a keyspace's ranges with DESCRIBE CLUSTER, so that nothing about
// replication strategies has to be known here.

internal import Encoding
internal import Model
internal import NativeClient
internal import NativeProtocol

/// The ends of the ranges of the ring, in order, each with its replicas.
struct TokenRanges: Equatable {
    struct Entry: Equatable {
        /// The last token of the range.
        let end: Int64
        let replicas: [String]
    }

    private(set) var entries: [Entry]

    init(_ entries: [Entry]) { self.entries = entries.sorted { $0.end < $1.end } }

    /// The replicas of a token: of the first range that does not end before it, around the ring.
    func replicas(of token: Int64) -> [String] {
        (entries.first { $0.end >= token } ?? entries.first)?.replicas ?? []
    }

    /// Asks the server for the ranges of the keyspace that `connection` uses.
    static func ownership(_ connection: ShellConnection) throws -> TokenRanges {
        let rows = try connection.rows("DESCRIBE CLUSTER")
        guard !entries(rows).isEmpty else {
            throw ShellFailure("The server tells no owners of this keyspace's ranges.")
        }
        return TokenRanges(
            entries(rows).compactMap { entry in
                Int64(entry.token).map { Entry(end: $0, replicas: entry.replicas) }
            })
    }

    /// The column `range_ownership` of DESCRIBE CLUSTER, a map from tokens to lists of addresses; empty
    /// without it.
    static func entries(_ page: ResultRows) -> [(token: String, replicas: [String])] {
        guard page.rowCount > 0,
            let column = page.columns?.firstIndex(where: { $0.name == "range_ownership" })
        else { return [] }
        return page.withValue(row: 0, column: column) { value in
            var entries: [(token: String, replicas: [String])] = []
            var reader = ByteReader(value ?? UnsafeRawBufferPointer(start: nil, count: 0))
            do throws(MalformedBytes) {
                let count = try reader.readBigEndian(Int32.self)
                for _ in 0..<max(count, 0) {
                    let token = try text(&reader)
                    var list = ByteReader(
                        try reader.readOptionalBytes()
                            ?? UnsafeRawBufferPointer(start: nil, count: 0))
                    var replicas: [String] = []
                    let replicaCount = try list.readBigEndian(Int32.self)
                    for _ in 0..<max(replicaCount, 0) { replicas.append(try text(&list)) }
                    entries.append((token, replicas))
                }
            } catch {
                return []
            }
            return entries
        }
    }

    private static func text(_ reader: inout ByteReader) throws(MalformedBytes) -> String {
        String(
            decoding: try reader.readOptionalBytes() ?? .init(start: nil, count: 0), as: UTF8.self)
    }

    /// The ranges (start, end] between the tokens of the ring that hold what lies between `begin`,
    /// which is not part of it, and `end`; nil is the end of the token space.
    static func cut(
        _ tokens: [Int64], begin: Int64?, end: Int64?
    ) -> [(start: Int64?, end: Int64?)] {
        var ranges: [(start: Int64?, end: Int64?)] = []
        var start = begin
        for token in tokens.sorted() {
            if token == .min { continue }
            if let start, token <= start { continue }
            if let end, token >= end { break }
            ranges.append((start, token))
            start = token
        }
        ranges.append((start, end))
        return ranges
    }

    /// All tokens of the nodes, as one of them knows them.
    static func tokens(_ connection: ShellConnection) throws -> [Int64] {
        var tokens: [Int64] = []
        for table in ["local", "peers"] {
            let rows = try connection.rows("SELECT tokens FROM system.\(table)")
            for row in 0..<rows.rowCount {
                rows.withValue(row: row, column: 0) { value in
                    guard let value, let type = rows.columns?.first?.type,
                        var parts = CQLValueParts(type, value)
                    else { return }
                    while case .part(let part) = parts.next() {
                        if let token = Int64(String(decoding: part, as: UTF8.self)) {
                            tokens.append(token)
                        }
                    }
                }
            }
        }
        return tokens
    }
}
