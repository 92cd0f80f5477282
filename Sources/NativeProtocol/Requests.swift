// What clients send (v5 specification, section 4.1), decoded as views over the frame.
//
// The dispatcher looks at the frame's opcode, calls `requestBody()` to get behind a custom payload,
// and decodes with the type of that name. Every failure is one `CQLError.protocolError` that says
// which message was malformed, where and how; it concerns that request only, the connection goes on.
//
// Query texts, prepared ids and values are pointers into the frame and die with it.

internal import Encoding
package import Model

extension Frame {
    /// The message behind the custom payload, which is accepted and ignored (v4 and later).
    package func requestBody() throws(CQLError) -> UnsafeRawBufferPointer {
        guard header.flags.contains(.customPayload), header.version >= .v4 else { return body }
        var reader = ByteReader(body)
        do {
            try reader.skipBytesMap()
        } catch {
            throw .protocolError("Malformed custom payload: \(error)")
        }
        return UnsafeRawBufferPointer(rebasing: body[reader.position...])
    }
}

private func malformed(_ message: String, _ error: MalformedBytes) -> CQLError {
    .protocolError("Malformed \(message) message: \(error)")
}

/// A statement's text as it lies in the frame.
package struct StatementText {
    /// UTF-8, if the client keeps to the rules.
    package let bytes: UnsafeRawBufferPointer

    @inlinable
    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// A copy, checked to be UTF-8.
    package func string() throws(CQLError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Self.notUTF8 }
        return text
    }

    package static let notUTF8 = CQLError.protocolError(
        "Cannot decode string as UTF8: the statement is not UTF-8")
}

/// STARTUP: the connection's options.
package struct StartupRequest: Sendable {
    /// As the client gave them, in order.
    package let options: [(key: String, value: String)]

    package init(_ body: UnsafeRawBufferPointer) throws(CQLError) {
        var reader = ByteReader(body)
        do {
            options = try reader.readStringMap()
        } catch {
            throw malformed("STARTUP", error)
        }
    }

    /// The option of that name; names are upper case on the wire.
    package subscript(name: String) -> String? {
        options.last { $0.key == name }?.value
    }

    /// The algorithm that COMPRESSION names, nil for none; an unknown one, or snappy in v5, whose
    /// segments have only lz4, is a protocol error.
    package func compression(_ version: ProtocolVersion) throws(CQLError) -> CompressionAlgorithm? {
        guard let name = self["COMPRESSION"], !name.isEmpty, name.lowercased() != "none" else {
            return nil
        }
        guard let algorithm = CompressionAlgorithm(name: name) else {
            throw .protocolError("Unknown compression algorithm: \(name)")
        }
        guard version < .v5 || algorithm == .lz4 else {
            throw .protocolError(
                "Compression type \(name) is not supported with protocol version \(version)")
        }
        return algorithm
    }
}

/// AUTH_RESPONSE: what the client says to prove who it is.
package struct AuthResponseRequest {
    package let token: UnsafeRawBufferPointer?

    package init(_ body: UnsafeRawBufferPointer) throws(CQLError) {
        var reader = ByteReader(body)
        do {
            token = try reader.readOptionalBytes()
        } catch {
            throw malformed("AUTH_RESPONSE", error)
        }
    }

    /// User and password of a SASL PLAIN token (RFC 4616): `authorization NUL user NUL password`.
    package func plainCredentials() throws(CQLError) -> (user: String, password: String) {
        let parts = token?.split(separator: 0, omittingEmptySubsequences: false) ?? []
        guard parts.count <= 3 else {
            throw .badCredentials(
                "Credential format error: username or password is empty or contains NUL(\\0)"
                    + " character")
        }
        guard parts.count > 1, let last = parts.last, !last.isEmpty else {
            throw .badCredentials("Password must not be null")
        }
        guard parts.count == 3, !parts[1].isEmpty else {
            throw .badCredentials("Authentication ID must not be null")
        }
        guard let user = String(validating: parts[1], as: UTF8.self),
            let password = String(validating: last, as: UTF8.self)
        else { throw .badCredentials("User and password must be UTF-8") }
        return (user, password)
    }
}

/// The events that a client may register for.
package enum EventType: String, Sendable, CaseIterable {
    case topologyChange = "TOPOLOGY_CHANGE"
    case statusChange = "STATUS_CHANGE"
    case schemaChange = "SCHEMA_CHANGE"
}

/// REGISTER: which events the connection wants.
package struct RegisterRequest: Sendable {
    package let events: [EventType]

    package init(_ body: UnsafeRawBufferPointer) throws(CQLError) {
        var reader = ByteReader(body)
        let names: [String]
        do {
            names = try reader.readStringList()
        } catch {
            throw malformed("REGISTER", error)
        }
        var events: [EventType] = []
        for name in names {
            guard let event = EventType(rawValue: name) else {
                throw .protocolError("Invalid value '\(name)' for Type")
            }
            if !events.contains(event) { events.append(event) }
        }
        self.events = events
    }
}

/// QUERY: a statement's text to execute at once.
package struct QueryRequest {
    package let text: StatementText

    /// Reads the body; its parameters go to `parameters`.
    package init(
        _ body: UnsafeRawBufferPointer, _ version: ProtocolVersion,
        parameters: inout QueryParameters
    ) throws(CQLError) {
        var reader = ByteReader(body)
        do throws(MalformedBytes) {
            text = StatementText(try reader.readRawLongString())
            try parameters.decode(&reader, version)
        } catch {
            throw malformed("QUERY", error)
        }
    }
}

/// PREPARE: a statement's text to keep.
package struct PrepareRequest {
    package let text: StatementText
    /// The keyspace for this statement alone (v5).
    package let keyspace: String?

    package init(_ body: UnsafeRawBufferPointer, _ version: ProtocolVersion) throws(CQLError) {
        var reader = ByteReader(body)
        do throws(MalformedBytes) {
            text = StatementText(try reader.readRawLongString())
            guard version >= .v5 else {
                keyspace = nil
                return
            }
            let start = reader.position
            let flags = try reader.readBigEndian(UInt32.self)
            guard flags & ~1 == 0 else {
                throw MalformedBytes("unknown flags 0x\(String(flags, radix: 16))", offset: start)
            }
            keyspace = flags & 1 == 1 ? try reader.readProtocolString() : nil
        } catch {
            throw malformed("PREPARE", error)
        }
    }
}

/// EXECUTE: a prepared statement with its values.
package struct ExecuteRequest {
    package let preparedID: UnsafeRawBufferPointer
    /// Which columns the client expects in the result (v5).
    package let resultMetadataID: UnsafeRawBufferPointer?

    /// Reads the body; its parameters go to `parameters`.
    package init(
        _ body: UnsafeRawBufferPointer, _ version: ProtocolVersion,
        parameters: inout QueryParameters
    ) throws(CQLError) {
        var reader = ByteReader(body)
        do throws(MalformedBytes) {
            preparedID = try reader.readShortBytes()
            resultMetadataID = version >= .v5 ? try reader.readShortBytes() : nil
            try parameters.decode(&reader, version)
        } catch {
            throw malformed("EXECUTE", error)
        }
    }
}

/// The kinds of BATCH.
package enum BatchKind: UInt8, Sendable {
    case logged = 0
    case unlogged = 1
    case counter = 2
}

/// One statement of a batch.
package struct BatchStatement {
    package enum Statement {
        case text(StatementText)
        case prepared(id: UnsafeRawBufferPointer)
    }

    package let statement: Statement
    /// Its values in `QueryParameters.values`.
    package let values: Range<Int>
}

/// BATCH: several statements to apply together.
package struct BatchRequest {
    package let kind: BatchKind
    package let statements: [BatchStatement]

    /// The texts among its statements.
    package var texts: [StatementText] {
        statements.compactMap { part in
            if case .text(let text) = part.statement { text } else { nil }
        }
    }

    /// The ids of the prepared ones among its statements.
    package var preparedIDs: [UnsafeRawBufferPointer] {
        statements.compactMap { part in
            if case .prepared(let id) = part.statement { id } else { nil }
        }
    }

    /// Reads the body; all values and the parameters of the whole go to `parameters`.
    package init(
        _ body: UnsafeRawBufferPointer, _ version: ProtocolVersion,
        parameters: inout QueryParameters
    ) throws(CQLError) {
        var reader = ByteReader(body)
        do throws(MalformedBytes) {
            let type = try reader.readUInt8()
            guard let kind = BatchKind(rawValue: type) else {
                throw MalformedBytes("Invalid BATCH message type \(type)", offset: 0)
            }
            self.kind = kind
            parameters.reset(frame: body.baseAddress)
            let count = try reader.readShort()
            var statements: [BatchStatement] = []
            for _ in 0..<count {
                statements.append(try Self.statement(&reader, version, &parameters))
            }
            self.statements = statements
            try parameters.decodeBatchTail(&reader, version)
        } catch {
            throw malformed("BATCH", error)
        }
    }

    private static func statement(
        _ reader: inout ByteReader, _ version: ProtocolVersion, _ parameters: inout QueryParameters
    ) throws(MalformedBytes) -> BatchStatement {
        let start = reader.position
        let statement: BatchStatement.Statement
        switch try reader.readUInt8() {
        case 0: statement = .text(StatementText(try reader.readRawLongString()))
        case 1: statement = .prepared(id: try reader.readShortBytes())
        case let kind:
            throw MalformedBytes(
                "Invalid query kind in BATCH messages. Must be 0 or 1 but got \(kind)",
                offset: start)
        }
        let first = parameters.values.count
        let count = try reader.readShort()
        try parameters.decodeValues(&reader, version, count: count, named: false)
        return BatchStatement(statement: statement, values: first..<first + count)
    }
}
