// The body of ERROR (v5 specification, section 9): code, text, and what the code adds to them.
//
// Versions differ in one thing: a read or write failure counts the replicas that failed in v3 and v4,
// and names each with its reason in v5. v3 does not know failures at all: a server error with the text
// says more of the truth there than the timeout that would be the nearest code. A function that failed is an
// invalid request there.

package import Encoding
package import Model

/// An ERROR as a client reads it.
package struct ErrorAnswer: Error, Equatable, Sendable, CustomStringConvertible {
    /// The code on the wire.
    package let code: Int32
    /// The error, or the nearest one if the code has no case of its own.
    package let error: CQLError

    package init(code: Int32, error: CQLError) {
        self.code = code
        self.error = error
    }

    package var description: String { error.message }
}

/// Encoding and decoding of ERROR's body.
package enum ErrorBody {
    /// The code of `error` on the wire.
    package static func code(_ error: CQLError, _ version: ProtocolVersion) -> Int32 {
        switch error {
        case .serverError: 0x0000
        case .protocolError: 0x000A
        case .badCredentials: 0x0100
        case .unavailable: 0x1000
        case .overloaded: 0x1001
        case .bootstrapping: 0x1002
        case .truncateError: 0x1003
        case .writeTimeout, .conditionalTimeout: 0x1100
        // Before v5 an unknown outcome is a timeout.
        case .conditionalUnknown: version >= .v5 ? 0x1700 : 0x1100
        case .readTimeout: 0x1200
        // v3 knows no failures: Cassandra tells its clients of timeouts, which they know how to retry.
        case .readFailure: version >= .v4 ? 0x1300 : 0x1200
        case .functionFailure: version >= .v4 ? 0x1400 : 0x2200
        case .writeFailure: version >= .v4 ? 0x1500 : 0x1100
        case .syntax: 0x2000
        case .unauthorized: 0x2100
        case .invalid: 0x2200
        case .configuration: 0x2300
        case .alreadyExists: 0x2400
        case .unprepared: 0x2500
        }
    }

    /// Appends the body.
    package static func encode(
        _ error: CQLError, _ version: ProtocolVersion, into writer: ByteWriter
    ) {
        writer.appendBigEndian(code(error, version))
        writer.appendProtocolString(error.message)
        switch error {
        case .serverError, .protocolError, .badCredentials, .overloaded, .bootstrapping,
            .truncateError, .syntax, .unauthorized, .invalid, .configuration:
            break
        case .unavailable(_, let consistency, let required, let alive):
            append(consistency, required, alive, to: writer)
        case .writeTimeout(_, let consistency, let received, let required, let type):
            append(consistency, received, required, to: writer)
            writer.appendProtocolString(type.rawValue)
            if version >= .v5, type == .compareAndSet { writer.appendBigEndian(UInt16(0)) }
        case .conditionalTimeout(
            _, let consistency, let received, let required, let contentions):
            append(consistency, received, required, to: writer)
            writer.appendProtocolString(WriteType.compareAndSet.rawValue)
            // What v5 adds.
            if version >= .v5 { writer.appendBigEndian(UInt16(clamping: contentions)) }
        case .conditionalUnknown(_, let consistency, let received, let required):
            append(consistency, received, required, to: writer)
            if version < .v5 { writer.appendProtocolString(WriteType.compareAndSet.rawValue) }
        case .readTimeout(_, let consistency, let received, let required, let dataPresent):
            append(consistency, received, required, to: writer)
            writer.append(dataPresent ? 1 : 0)
        case .readFailure(_, let consistency, let received, let required, let failures, let data):
            append(consistency, received, required, to: writer)
            if version >= .v4 { append(failures, version, to: writer) }
            writer.append(data ? 1 : 0)
        case .writeFailure(_, let consistency, let received, let required, let failures, let type):
            append(consistency, received, required, to: writer)
            if version >= .v4 { append(failures, version, to: writer) }
            writer.appendProtocolString(type.rawValue)
        case .functionFailure(_, let keyspace, let function, let arguments):
            guard version >= .v4 else { return }
            writer.appendProtocolString(keyspace)
            writer.appendProtocolString(function)
            writer.appendStringList(arguments)
        case .alreadyExists(_, let keyspace, let table):
            writer.appendProtocolString(keyspace)
            writer.appendProtocolString(table)
        case .unprepared(_, let id):
            writer.appendShortBytes(id)
        }
    }

    private static func append(
        _ consistency: ConsistencyLevel, _ first: Int, _ second: Int, to writer: ByteWriter
    ) {
        writer.append(consistency)
        writer.appendBigEndian(Int32(truncatingIfNeeded: first))
        writer.appendBigEndian(Int32(truncatingIfNeeded: second))
    }

    private static func append(
        _ failures: [CQLError.ReplicaFailure], _ version: ProtocolVersion, to writer: ByteWriter
    ) {
        writer.appendBigEndian(Int32(failures.count))
        guard version >= .v5 else { return }
        for failure in failures {
            writer.appendAddress(failure.address)
            writer.appendBigEndian(failure.reason)
        }
    }

    /// Reads the body. A code without a case of its own reads as a server error with its text.
    package static func decode(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) -> ErrorAnswer {
        let code = try reader.readBigEndian(Int32.self)
        let text = try reader.readProtocolString()
        return ErrorAnswer(code: code, error: try error(code, text, &reader, version))
    }

    private static func error(
        _ code: Int32, _ text: String, _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) -> CQLError {
        switch code {
        case 0x000A: return .protocolError(text)
        case 0x0100: return .badCredentials(text)
        case 0x1000:
            let (consistency, required, alive) = try counts(&reader)
            return .unavailable(text, consistency: consistency, required: required, alive: alive)
        case 0x1001: return .overloaded(text)
        case 0x1002: return .bootstrapping(text)
        case 0x1003: return .truncateError(text)
        case 0x1100:
            let (consistency, received, required) = try counts(&reader)
            let type = try writeType(&reader)
            if version >= .v5, type == .compareAndSet {
                return .conditionalTimeout(
                    text, consistency: consistency, received: received, required: required,
                    contentions: Int(try reader.readBigEndian(UInt16.self)))
            }
            return .writeTimeout(
                text, consistency: consistency, received: received, required: required, type: type)
        case 0x1200:
            let (consistency, received, required) = try counts(&reader)
            return .readTimeout(
                text, consistency: consistency, received: received, required: required,
                dataPresent: try reader.readUInt8() != 0)
        case 0x1300:
            let (consistency, received, required) = try counts(&reader)
            let failures = try failures(&reader, version)
            return .readFailure(
                text, consistency: consistency, received: received, required: required,
                failures: failures, dataPresent: try reader.readUInt8() != 0)
        case 0x1400:
            let keyspace = try reader.readProtocolString()
            let function = try reader.readProtocolString()
            return .functionFailure(
                text, keyspace: keyspace, function: function,
                arguments: try reader.readStringList())
        case 0x1500:
            let (consistency, received, required) = try counts(&reader)
            let failures = try failures(&reader, version)
            return .writeFailure(
                text, consistency: consistency, received: received, required: required,
                failures: failures, type: try writeType(&reader))
        case 0x1700:
            let (consistency, received, required) = try counts(&reader)
            return .conditionalUnknown(
                text, consistency: consistency, received: received, required: required)
        case 0x2000: return .syntax(text)
        case 0x2100: return .unauthorized(text)
        case 0x2200: return .invalid(text)
        case 0x2300: return .configuration(text)
        case 0x2400:
            let keyspace = try reader.readProtocolString()
            return .alreadyExists(
                text, keyspace: keyspace, table: try reader.readProtocolString())
        case 0x2500: return .unprepared(text, id: Array(try reader.readShortBytes()))
        default: return .serverError(text)
        }
    }

    private static func counts(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> (ConsistencyLevel, Int, Int) {
        let consistency = try reader.readConsistency()
        let first = Int(try reader.readBigEndian(Int32.self))
        return (consistency, first, Int(try reader.readBigEndian(Int32.self)))
    }

    private static func writeType(_ reader: inout ByteReader) throws(MalformedBytes) -> WriteType {
        WriteType(rawValue: try reader.readProtocolString()) ?? .simple
    }

    /// Before v5 only the number is known: the failures have neither address nor reason.
    private static func failures(
        _ reader: inout ByteReader, _ version: ProtocolVersion
    ) throws(MalformedBytes) -> [CQLError.ReplicaFailure] {
        let start = reader.position
        let count = Int(try reader.readBigEndian(Int32.self))
        guard count >= 0, count <= Int(UInt16.max) else {
            throw MalformedBytes("\(count) failures", offset: start)
        }
        var failures: [CQLError.ReplicaFailure] = []
        for _ in 0..<count {
            guard version >= .v5 else {
                failures.append(.init(address: [], reason: 0))
                continue
            }
            let address = try reader.readAddress()
            failures.append(.init(address: address, reason: try reader.readBigEndian(UInt16.self)))
        }
        return failures
    }
}
