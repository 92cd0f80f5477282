// The requests as a client writes them, into a `FrameEncoder` (v5 specification, section 4.1).
//
// The shell, the lab, the tests and the simulator's scripted clients speak through these.

internal import Encoding
package import Model

/// A value to bind, owned.
package enum BindValue: Equatable, Sendable {
    case null
    /// Leave the column as it is (v4 and later).
    case unset
    /// In CQL's serialized form.
    case bytes([UInt8])
}

/// How a client wants a statement executed.
package struct QueryOptions: Equatable, Sendable {
    package var consistency: ConsistencyLevel
    package var serialConsistency: ConsistencyLevel?
    package var values: [BindValue]
    /// One name for each value, or nil to bind by position.
    package var names: [String]?
    package var pageSize: Int?
    package var pagingState: [UInt8]?
    package var timestamp: Int64?
    /// v5 only; earlier versions leave it out.
    package var keyspace: String?
    /// v5 only; earlier versions leave it out.
    package var nowInSeconds: Int32?
    package var skipMetadata: Bool

    package init(
        consistency: ConsistencyLevel = .one, serialConsistency: ConsistencyLevel? = nil,
        values: [BindValue] = [], names: [String]? = nil, pageSize: Int? = nil,
        pagingState: [UInt8]? = nil, timestamp: Int64? = nil, keyspace: String? = nil,
        nowInSeconds: Int32? = nil, skipMetadata: Bool = false
    ) {
        self.consistency = consistency
        self.serialConsistency = serialConsistency
        self.values = values
        self.names = names
        self.pageSize = pageSize
        self.pagingState = pagingState
        self.timestamp = timestamp
        self.keyspace = keyspace
        self.nowInSeconds = nowInSeconds
        self.skipMetadata = skipMetadata
    }
}

/// One statement of a batch that a client sends.
package struct BatchItem: Equatable, Sendable {
    package enum Statement: Equatable, Sendable {
        case text(String)
        case prepared(id: [UInt8])
    }

    package let statement: Statement
    package let values: [BindValue]

    package init(_ statement: Statement, values: [BindValue] = []) {
        self.statement = statement
        self.values = values
    }
}

extension FrameEncoder {
    /// OPTIONS.
    package func options(_ version: ProtocolVersion, stream: Int16) {
        begin(version, stream: stream, .options)
        end()
    }

    /// STARTUP.
    package func startup(
        _ version: ProtocolVersion, stream: Int16, _ options: [(key: String, value: String)]
    ) {
        begin(version, stream: stream, .startup)
        frames.appendStringMap(options)
        end()
    }

    /// AUTH_RESPONSE.
    package func authResponse(_ version: ProtocolVersion, stream: Int16, token: [UInt8]?) {
        begin(version, stream: stream, .authResponse)
        frames.appendValue(token)
        end()
    }

    /// REGISTER.
    package func register(_ version: ProtocolVersion, stream: Int16, _ events: [EventType]) {
        begin(version, stream: stream, .register)
        frames.appendStringList(events.map(\.rawValue))
        end()
    }

    /// QUERY.
    package func query(
        _ version: ProtocolVersion, flags: FrameFlags = [], stream: Int16, _ text: String,
        _ options: QueryOptions = QueryOptions()
    ) {
        begin(version, flags: flags, stream: stream, .query)
        frames.appendLongString(text)
        append(options, version)
        end()
    }

    /// PREPARE; the keyspace is for v5 only.
    package func prepare(
        _ version: ProtocolVersion, stream: Int16, _ text: String, keyspace: String? = nil
    ) {
        begin(version, stream: stream, .prepare)
        frames.appendLongString(text)
        if version >= .v5 {
            frames.appendBigEndian(UInt32(keyspace == nil ? 0 : 1))
            if let keyspace { frames.appendProtocolString(keyspace) }
        }
        end()
    }

    /// EXECUTE; `resultMetadataID` is for v5 only, which must have it.
    package func execute(
        _ version: ProtocolVersion, flags: FrameFlags = [], stream: Int16, preparedID: [UInt8],
        resultMetadataID: [UInt8], _ options: QueryOptions
    ) {
        begin(version, flags: flags, stream: stream, .execute)
        frames.appendShortBytes(preparedID)
        if version >= .v5 { frames.appendShortBytes(resultMetadataID) }
        append(options, version)
        end()
    }

    /// BATCH. Of the options only the consistencies, timestamp, keyspace and now count.
    package func batch(
        _ version: ProtocolVersion, flags: FrameFlags = [], stream: Int16, _ kind: BatchKind,
        _ items: [BatchItem], _ options: QueryOptions
    ) {
        begin(version, flags: flags, stream: stream, .batch)
        frames.append(kind.rawValue)
        frames.appendBigEndian(UInt16(items.count))
        for item in items {
            switch item.statement {
            case .text(let text):
                frames.append(0)
                frames.appendLongString(text)
            case .prepared(let id):
                frames.append(1)
                frames.appendShortBytes(id)
            }
            frames.appendBigEndian(UInt16(item.values.count))
            for value in item.values { append(value) }
        }
        var tail = options
        tail.values = []
        tail.names = nil
        tail.pageSize = nil
        tail.pagingState = nil
        tail.skipMetadata = false
        append(tail, version)
        end()
    }

    private func append(_ value: BindValue) {
        switch value {
        case .null: frames.appendBigEndian(Int32(-1))
        case .unset: frames.appendBigEndian(Int32(-2))
        case .bytes(let bytes): frames.appendValue(bytes)
        }
    }

    private func append(_ options: QueryOptions, _ version: ProtocolVersion) {
        frames.append(options.consistency)
        var flags: QueryFlags = []
        if !options.values.isEmpty { flags.insert(.values) }
        if !options.values.isEmpty, options.names != nil { flags.insert(.names) }
        if options.skipMetadata { flags.insert(.skipMetadata) }
        if options.pageSize != nil { flags.insert(.pageSize) }
        if options.pagingState != nil { flags.insert(.pagingState) }
        if options.serialConsistency != nil { flags.insert(.serialConsistency) }
        if options.timestamp != nil { flags.insert(.timestamp) }
        if version >= .v5, options.keyspace != nil { flags.insert(.keyspace) }
        if version >= .v5, options.nowInSeconds != nil { flags.insert(.nowInSeconds) }
        if version >= .v5 {
            frames.appendBigEndian(flags.rawValue)
        } else {
            frames.append(UInt8(truncatingIfNeeded: flags.rawValue))
        }
        if flags.contains(.values) {
            precondition(options.names.map { $0.count == options.values.count } ?? true)
            frames.appendBigEndian(UInt16(options.values.count))
            for (index, value) in options.values.enumerated() {
                if let names = options.names { frames.appendProtocolString(names[index]) }
                append(value)
            }
        }
        if let size = options.pageSize { frames.appendBigEndian(Int32(truncatingIfNeeded: size)) }
        if let state = options.pagingState { frames.appendValue(state) }
        if let serial = options.serialConsistency { frames.append(serial) }
        if let timestamp = options.timestamp { frames.appendBigEndian(timestamp) }
        if flags.contains(.keyspace), let keyspace = options.keyspace {
            frames.appendProtocolString(keyspace)
        }
        if flags.contains(.nowInSeconds), let now = options.nowInSeconds {
            frames.appendBigEndian(now)
        }
    }
}
