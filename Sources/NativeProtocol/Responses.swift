// What the server sends (v5 specification, section 4.2), written into a `FrameEncoder`.
//
//     encoder.beginResponse(version, stream: stream, .result)
//     encoder.appendPrepared(...)                             one body
//     encoder.end()
//
// The bodies that are written whole have one call for all three. Rows are streamed: `RowsWriter`.

package import Encoding
package import Model

/// What comes before a response's message (section 4): each part sets its header flag.
///
/// A class: nearly no response has one, and to pass on and forget that there is none is cheap of a reference.
package final class ResponsePrefix: Sendable {
    package let tracingID: UniqueID?
    /// Shown to the user; dropped in v3, which has no place for them.
    package let warnings: [String]
    package let customPayload: [(key: String, value: [UInt8]?)]

    /// Nothing before the message.
    package static let none = ResponsePrefix()

    package init(
        tracingID: UniqueID? = nil, warnings: [String] = [],
        customPayload: [(key: String, value: [UInt8]?)] = []
    ) {
        self.tracingID = tracingID
        self.warnings = warnings
        self.customPayload = customPayload
    }
}

/// What a statement did to the schema (section 4.2.6).
package struct SchemaChange: Hashable, Sendable {
    package enum Change: String, Sendable {
        case created = "CREATED"
        case updated = "UPDATED"
        case dropped = "DROPPED"
    }

    package enum Target: Hashable, Sendable {
        case keyspace
        case table(String)
        case type(String)
        case function(String, arguments: [String])
        case aggregate(String, arguments: [String])
    }

    package let change: Change
    package let keyspace: String
    package let target: Target

    package init(_ change: Change, keyspace: String, _ target: Target) {
        self.change = change
        self.keyspace = keyspace
        self.target = target
    }
}

/// What the server tells connections that registered for it (section 4.2.6).
package enum ServerEvent: Hashable, Sendable {
    package enum Topology: String, Sendable {
        case newNode = "NEW_NODE"
        case removedNode = "REMOVED_NODE"
        case movedNode = "MOVED_NODE"
    }

    package enum Status: String, Sendable {
        case up = "UP"
        case down = "DOWN"
    }

    /// `address` has four or sixteen bytes.
    case topology(Topology, address: [UInt8], port: Int)
    case status(Status, address: [UInt8], port: Int)
    case schema(SchemaChange)

    package var type: EventType {
        switch self {
        case .topology: .topologyChange
        case .status: .statusChange
        case .schema: .schemaChange
        }
    }
}

/// What PREPARE answers (section 4.2.5.4).
package struct PreparedAnswer: Sendable {
    package let id: [UInt8]
    /// The bind markers.
    package let markers: RowsMetadata
    /// Which markers hold the partition key, in key order; empty if some part has none.
    package let partitionKeyMarkers: [Int]
    /// Empty for statements that are no SELECT.
    package let columns: RowsMetadata

    package init(
        id: [UInt8], markers: RowsMetadata, partitionKeyMarkers: [Int], columns: RowsMetadata
    ) {
        self.id = id
        self.markers = markers
        self.partitionKeyMarkers = partitionKeyMarkers
        self.columns = columns
    }
}

package enum ResultKind: Int32, Sendable {
    case void = 1
    case rows = 2
    case setKeyspace = 3
    case prepared = 4
    case schemaChange = 5
}

extension FrameEncoder {
    /// Starts a response and writes what comes before its message.
    package func beginResponse(
        _ version: ProtocolVersion, stream: Int16, _ opcode: Opcode,
        prefix: ResponsePrefix? = nil
    ) {
        guard let prefix else {
            begin(version, stream: stream, opcode)
            return
        }
        let hasWarnings = version >= .v4 && !prefix.warnings.isEmpty
        let hasPayload = version >= .v4 && !prefix.customPayload.isEmpty
        var flags = FrameFlags()
        if prefix.tracingID != nil { flags.insert(.tracing) }
        if hasWarnings { flags.insert(.warning) }
        if hasPayload { flags.insert(.customPayload) }
        begin(version, flags: flags, stream: stream, opcode)
        if let id = prefix.tracingID { frames.append(id) }
        if hasWarnings { frames.appendStringList(prefix.warnings) }
        if hasPayload { frames.appendBytesMap(prefix.customPayload) }
    }

    /// READY.
    package func ready(_ version: ProtocolVersion, stream: Int16) {
        begin(version, stream: stream, .ready)
        end()
    }

    /// AUTHENTICATE with the class name that tells drivers how.
    package func authenticate(
        _ version: ProtocolVersion, stream: Int16,
        authenticator: String = "org.apache.cassandra.auth.PasswordAuthenticator"
    ) {
        begin(version, stream: stream, .authenticate)
        frames.appendProtocolString(authenticator)
        end()
    }

    /// AUTH_SUCCESS.
    package func authSuccess(_ version: ProtocolVersion, stream: Int16, token: [UInt8]? = nil) {
        begin(version, stream: stream, .authSuccess)
        frames.appendValue(token)
        end()
    }

    /// SUPPORTED with these options; COMPRESSION must be among them even if empty.
    package func supported(
        _ version: ProtocolVersion, stream: Int16, _ options: [(key: String, values: [String])]
    ) {
        begin(version, stream: stream, .supported)
        frames.appendStringMultimap(options)
        end()
    }

    /// RESULT void.
    package func void(
        _ version: ProtocolVersion, stream: Int16, prefix: ResponsePrefix? = nil
    ) {
        beginResponse(version, stream: stream, .result, prefix: prefix)
        frames.appendBigEndian(ResultKind.void.rawValue)
        end()
    }

    /// RESULT set_keyspace.
    package func setKeyspace(
        _ version: ProtocolVersion, stream: Int16, _ keyspace: String,
        prefix: ResponsePrefix? = nil
    ) {
        beginResponse(version, stream: stream, .result, prefix: prefix)
        frames.appendBigEndian(ResultKind.setKeyspace.rawValue)
        frames.appendProtocolString(keyspace)
        end()
    }

    /// RESULT schema_change.
    package func schemaChange(
        _ version: ProtocolVersion, stream: Int16, _ change: SchemaChange,
        prefix: ResponsePrefix? = nil
    ) {
        beginResponse(version, stream: stream, .result, prefix: prefix)
        frames.appendBigEndian(ResultKind.schemaChange.rawValue)
        append(change)
        end()
    }

    /// RESULT prepared.
    package func prepared(
        _ version: ProtocolVersion, stream: Int16, _ answer: PreparedAnswer,
        prefix: ResponsePrefix? = nil
    ) {
        beginResponse(version, stream: stream, .result, prefix: prefix)
        frames.appendBigEndian(ResultKind.prepared.rawValue)
        frames.appendShortBytes(answer.id)
        if version >= .v5 { frames.appendShortBytes(answer.columns.id) }
        let markers = answer.markers
        frames.appendBigEndian(markers.hasGlobalTable ? RowsFlags.globalTable.rawValue : 0)
        frames.appendBigEndian(Int32(markers.columns.count))
        if version >= .v4 {
            frames.appendBigEndian(Int32(answer.partitionKeyMarkers.count))
            for index in answer.partitionKeyMarkers { frames.appendBigEndian(UInt16(index)) }
        }
        frames.append(markers.specifications(version))
        let columns = answer.columns
        var flags: RowsFlags = columns.hasGlobalTable ? .globalTable : RowsFlags()
        if columns.columns.isEmpty { flags = .noMetadata }
        frames.appendBigEndian(flags.rawValue)
        frames.appendBigEndian(Int32(columns.columns.count))
        frames.append(columns.specifications(version))
        end()
    }

    /// EVENT, on the stream of events.
    package func event(_ version: ProtocolVersion, _ event: ServerEvent) {
        begin(version, stream: FrameHeader.eventStream, .event)
        frames.appendProtocolString(event.type.rawValue)
        switch event {
        case .topology(let change, let address, let port):
            frames.appendProtocolString(change.rawValue)
            frames.appendAddress(address)
            frames.appendBigEndian(Int32(port))
        case .status(let change, let address, let port):
            frames.appendProtocolString(change.rawValue)
            frames.appendAddress(address)
            frames.appendBigEndian(Int32(port))
        case .schema(let change): append(change)
        }
        end()
    }

    /// <change_type><target><options>.
    private func append(_ change: SchemaChange) {
        frames.appendProtocolString(change.change.rawValue)
        switch change.target {
        case .keyspace:
            frames.appendProtocolString("KEYSPACE")
            frames.appendProtocolString(change.keyspace)
        case .table(let name): append("TABLE", change.keyspace, name)
        case .type(let name): append("TYPE", change.keyspace, name)
        case .function(let name, let arguments):
            append("FUNCTION", change.keyspace, name)
            frames.appendStringList(arguments)
        case .aggregate(let name, let arguments):
            append("AGGREGATE", change.keyspace, name)
            frames.appendStringList(arguments)
        }
    }

    private func append(_ target: String, _ keyspace: String, _ name: String) {
        frames.appendProtocolString(target)
        frames.appendProtocolString(keyspace)
        frames.appendProtocolString(name)
    }

    /// ERROR for a request.
    package func error(
        _ version: ProtocolVersion, stream: Int16, _ error: CQLError,
        prefix: ResponsePrefix? = nil
    ) {
        beginResponse(version, stream: stream, .error, prefix: prefix)
        ErrorBody.encode(error, version, into: frames)
        end()
    }

    /// ERROR for bytes that are no frame; close the connection after it.
    package func error(_ error: FrameError) {
        self.error(error.version, stream: error.stream, error.error)
    }
}
