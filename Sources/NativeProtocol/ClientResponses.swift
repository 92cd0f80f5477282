// The responses as a client reads them, owned copies of what the frame held (v5 specification,
// section 4.2). Convenient rather than fast: shell, lab and tests use them, no server does.

package import Encoding
package import Model

/// One page of rows: all values in one array of bytes, and where each lies.
package struct ResultRows: Sendable {
    /// Nil if the server left them out because the client knows them.
    package let columns: [ColumnSpecification]?
    package let columnCount: Int
    package let rowCount: Int
    /// What to send for the next page; nil on the last one.
    package let pagingState: [UInt8]?
    /// The new id of a prepared statement's columns, if they changed (v5).
    package let newMetadataID: [UInt8]?
    private let bytes: [UInt8]
    // Row by row; a negative count is null.
    private let ranges: [ByteRange]

    /// The serialized value, or nil for null. Row and column must exist.
    package func value(row: Int, column: Int) -> [UInt8]? {
        withValue(row: row, column: column) { $0.map { Array($0) } }
    }

    /// Gives the serialized value, or nil for null, to `body`, not copied.
    package func withValue<Result>(
        row: Int, column: Int, _ body: (UnsafeRawBufferPointer?) -> Result
    ) -> Result {
        precondition(row >= 0 && row < rowCount && column >= 0 && column < columnCount)
        let range = ranges[row * columnCount + column]
        guard range.count >= 0 else { return body(nil) }
        return bytes.withUnsafeBytes { all in
            body(UnsafeRawBufferPointer(rebasing: all[range.offset..<range.end]))
        }
    }

    fileprivate init(_ reader: inout ByteReader, _ version: ProtocolVersion) throws(MalformedBytes)
    {
        let metadata = try ResultMetadata(&reader, version)
        columns = metadata.columns
        columnCount = metadata.columnCount
        pagingState = metadata.pagingState
        newMetadataID = metadata.newMetadataID
        let start = reader.position
        let count = Int(try reader.readBigEndian(Int32.self))
        // Each value has at least its length, so a count that cannot be there is refused here.
        guard count >= 0, columnCount > 0 || count == 0,
            count <= reader.remaining / max(4 * columnCount, 1)
        else { throw MalformedBytes("\(count) rows do not fit", offset: start) }
        rowCount = count
        let base = reader.position
        var ranges: [ByteRange] = []
        ranges.reserveCapacity(count * columnCount)
        for _ in 0..<(count * columnCount) {
            let length = Int(try reader.readBigEndian(Int32.self))
            ranges.append(ByteRange(offset: reader.position - base, count: length))
            if length > 0 { try reader.skip(length) }
        }
        self.ranges = ranges
        bytes = Array(reader.bytes[base..<reader.position])
    }
}

/// <metadata> of rows and of prepared statements' results.
private struct ResultMetadata {
    var columns: [ColumnSpecification]?
    var columnCount: Int
    var pagingState: [UInt8]?
    var newMetadataID: [UInt8]?

    init(_ reader: inout ByteReader, _ version: ProtocolVersion) throws(MalformedBytes) {
        let flags = RowsFlags(rawValue: try reader.readBigEndian(Int32.self))
        columnCount = try Self.count(&reader)
        if flags.contains(.hasMorePages) {
            pagingState = try reader.readOptionalBytes().map { Array($0) }
        }
        if version >= .v5, flags.contains(.metadataChanged) {
            newMetadataID = Array(try reader.readShortBytes())
        }
        if !flags.contains(.noMetadata) {
            columns = try Self.columns(
                &reader, count: columnCount, isGlobal: flags.contains(.globalTable))
        }
    }

    static func count(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        let start = reader.position
        let count = Int(try reader.readBigEndian(Int32.self))
        guard count >= 0, count <= Int(UInt16.max) else {
            throw MalformedBytes("\(count) columns", offset: start)
        }
        return count
    }

    static func columns(
        _ reader: inout ByteReader, count: Int, isGlobal: Bool
    ) throws(MalformedBytes) -> [ColumnSpecification] {
        var keyspace = ""
        var table = ""
        if isGlobal {
            keyspace = try reader.readProtocolString()
            table = try reader.readProtocolString()
        }
        var columns: [ColumnSpecification] = []
        for _ in 0..<count {
            if !isGlobal {
                keyspace = try reader.readProtocolString()
                table = try reader.readProtocolString()
            }
            let name = try reader.readProtocolString()
            columns.append(
                ColumnSpecification(
                    keyspace: keyspace, table: table, name: name, type: try reader.readType()))
        }
        return columns
    }
}

/// What PREPARE gave a client.
package struct PreparedStatement: Equatable, Sendable {
    package let id: [UInt8]
    /// Empty before v5.
    package let resultMetadataID: [UInt8]
    package let markers: [ColumnSpecification]
    /// Which markers hold the partition key, in key order (v4 and later).
    package let partitionKeyMarkers: [Int]
    /// The result's columns; empty if there is none or they are unknown.
    package let columns: [ColumnSpecification]

    fileprivate init(_ reader: inout ByteReader, _ version: ProtocolVersion) throws(MalformedBytes)
    {
        id = Array(try reader.readShortBytes())
        resultMetadataID = version >= .v5 ? Array(try reader.readShortBytes()) : []
        let flags = RowsFlags(rawValue: try reader.readBigEndian(Int32.self))
        let count = try ResultMetadata.count(&reader)
        var indexes: [Int] = []
        if version >= .v4 {
            let keys = try ResultMetadata.count(&reader)
            for _ in 0..<keys { indexes.append(try reader.readShort()) }
        }
        partitionKeyMarkers = indexes
        markers =
            flags.contains(.noMetadata)
            ? []
            : try ResultMetadata.columns(
                &reader, count: count, isGlobal: flags.contains(.globalTable))
        columns = try ResultMetadata(&reader, version).columns ?? []
    }
}

/// A decoded message of the server.
package enum ResponseMessage: Sendable {
    case error(ErrorAnswer)
    case ready
    case authenticate(String)
    case supported([(key: String, values: [String])])
    case void
    case rows(ResultRows)
    case setKeyspace(String)
    case prepared(PreparedStatement)
    case schemaChange(SchemaChange)
    case event(ServerEvent)
    case authChallenge([UInt8]?)
    case authSuccess([UInt8]?)
}

/// A response with what came before its message.
package struct Response: Sendable {
    package let prefix: ResponsePrefix
    package let message: ResponseMessage

    /// Decodes a frame that a server sent.
    package init(_ frame: Frame) throws(MalformedBytes) {
        var reader = ByteReader(frame.body)
        let version = frame.header.version
        let flags = frame.header.flags
        // In this order.
        let tracingID = flags.contains(.tracing) ? try reader.readUniqueID() : nil
        let warnings = flags.contains(.warning) ? try reader.readStringList() : []
        let customPayload = flags.contains(.customPayload) ? try reader.readBytesMap() : []
        prefix = ResponsePrefix(
            tracingID: tracingID, warnings: warnings, customPayload: customPayload)
        message = try Self.message(frame.header.opcode, &reader, version)
    }

    private static func message(
        _ opcode: Opcode, _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) -> ResponseMessage {
        switch opcode {
        case .error: return .error(try ErrorBody.decode(&reader, version))
        case .ready: return .ready
        case .authenticate: return .authenticate(try reader.readProtocolString())
        case .supported: return .supported(try reader.readStringMultimap())
        case .result: return try result(&reader, version)
        case .event: return .event(try event(&reader))
        case .authChallenge: return .authChallenge(try reader.readOptionalBytes().map { Array($0) })
        case .authSuccess: return .authSuccess(try reader.readOptionalBytes().map { Array($0) })
        case .startup, .options, .query, .prepare, .execute, .register, .batch, .authResponse:
            throw MalformedBytes("a request where a response belongs", offset: 0)
        }
    }

    private static func result(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) -> ResponseMessage {
        let number = try reader.readBigEndian(Int32.self)
        switch ResultKind(rawValue: number) {
        case .void: return .void
        case .rows: return .rows(try ResultRows(&reader, version))
        case .setKeyspace: return .setKeyspace(try reader.readProtocolString())
        case .prepared: return .prepared(try PreparedStatement(&reader, version))
        case .schemaChange: return .schemaChange(try schemaChange(&reader))
        case nil: throw MalformedBytes("unknown kind of result \(number)", offset: 0)
        }
    }

    private static func event(_ reader: inout ByteReader) throws(MalformedBytes) -> ServerEvent {
        let name = try reader.readProtocolString()
        switch EventType(rawValue: name) {
        case .schemaChange: return .schema(try schemaChange(&reader))
        case .topologyChange:
            let text = try reader.readProtocolString()
            guard let change = ServerEvent.Topology(rawValue: text) else {
                throw MalformedBytes("unknown topology change \(text)", offset: 0)
            }
            let address = try reader.readAddress()
            return .topology(
                change, address: address, port: Int(try reader.readBigEndian(Int32.self)))
        case .statusChange:
            let text = try reader.readProtocolString()
            guard let change = ServerEvent.Status(rawValue: text) else {
                throw MalformedBytes("unknown status change \(text)", offset: 0)
            }
            let address = try reader.readAddress()
            return .status(
                change, address: address, port: Int(try reader.readBigEndian(Int32.self)))
        case nil: throw MalformedBytes("unknown event \(name)", offset: 0)
        }
    }

    private static func schemaChange(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> SchemaChange {
        let changeName = try reader.readProtocolString()
        guard let change = SchemaChange.Change(rawValue: changeName) else {
            throw MalformedBytes("unknown schema change \(changeName)", offset: 0)
        }
        let target = try reader.readProtocolString()
        let keyspace = try reader.readProtocolString()
        switch target {
        case "KEYSPACE": return SchemaChange(change, keyspace: keyspace, .keyspace)
        case "TABLE":
            return SchemaChange(change, keyspace: keyspace, .table(try reader.readProtocolString()))
        case "TYPE":
            return SchemaChange(change, keyspace: keyspace, .type(try reader.readProtocolString()))
        case "FUNCTION":
            let name = try reader.readProtocolString()
            return SchemaChange(
                change, keyspace: keyspace, .function(name, arguments: try reader.readStringList()))
        case "AGGREGATE":
            let name = try reader.readProtocolString()
            return SchemaChange(
                change, keyspace: keyspace, .aggregate(name, arguments: try reader.readStringList())
            )
        default: throw MalformedBytes("unknown schema target \(target)", offset: 0)
        }
    }
}
