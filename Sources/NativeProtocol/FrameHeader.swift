// The nine bytes before every message (native protocol specification, section 2).
//
//     0        1        2                 4        5                                   9
//     +--------+--------+-----------------+--------+-----------------------------------+
//     | version| flags  | stream          | opcode | body length                       |
//     +--------+--------+-----------------+--------+-----------------------------------+
//
// Integers are big-endian. The high bit of the version byte is set in responses.

package import Encoding
package import Model

/// A version of the native protocol that we speak.
package enum ProtocolVersion: UInt8, Sendable, CaseIterable, Comparable, CustomStringConvertible {
    case v3 = 3
    case v4 = 4
    case v5 = 5

    package static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool {
        left.rawValue < right.rawValue
    }

    /// As in SUPPORTED, for example `4/v4`.
    package var description: String { "\(rawValue)/v\(rawValue)" }

    /// The list in SUPPORTED's PROTOCOL_VERSIONS.
    package static var supported: [String] { allCases.map(\.description) }
}

/// What a frame carries (section 2.4).
package enum Opcode: UInt8, Sendable {
    case error = 0x00
    case startup = 0x01
    case ready = 0x02
    case authenticate = 0x03
    case options = 0x05
    case supported = 0x06
    case query = 0x07
    case result = 0x08
    case prepare = 0x09
    case execute = 0x0A
    case register = 0x0B
    case event = 0x0C
    case batch = 0x0D
    case authChallenge = 0x0E
    case authResponse = 0x0F
    case authSuccess = 0x10

    /// Whether a client sends it.
    package var isRequest: Bool {
        switch self {
        case .startup, .options, .query, .prepare, .execute, .register, .batch, .authResponse: true
        case .error, .ready, .authenticate, .supported, .result, .event, .authChallenge,
            .authSuccess:
            false
        }
    }
}

/// The bits of a frame's flag byte (section 2.2).
package struct FrameFlags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The body is compressed; v3 and v4 only.
    package static let compressed = FrameFlags(rawValue: 0x01)
    /// A request asks for a trace; a response carries its id.
    package static let tracing = FrameFlags(rawValue: 0x02)
    package static let customPayload = FrameFlags(rawValue: 0x04)
    package static let warning = FrameFlags(rawValue: 0x08)
    package static let useBeta = FrameFlags(rawValue: 0x10)
}

/// Which end of a connection one is.
package enum ConnectionSide: Sendable {
    case server
    case client
}

/// The decoded header of a frame.
package struct FrameHeader: Equatable, Sendable {
    /// How many bytes a header takes.
    package static let size = 9
    /// The protocol's own limit on a body (section 2.5).
    package static let maximumBodyBytes = 256 * 1024 * 1024
    /// The stream of events that the server pushes (section 2.3).
    package static let eventStream: Int16 = -1

    package var version: ProtocolVersion
    package var flags: FrameFlags
    package var stream: Int16
    package var opcode: Opcode
    package var bodyLength: Int

    package init(
        version: ProtocolVersion, flags: FrameFlags = FrameFlags(), stream: Int16, opcode: Opcode,
        bodyLength: Int
    ) {
        self.version = version
        self.flags = flags
        self.stream = stream
        self.opcode = opcode
        self.bodyLength = bodyLength
    }

    /// Reads the nine bytes at `start` as `side` receives them.
    @inlinable
    package static func decode(
        _ start: UnsafeRawPointer, receivedBy side: ConnectionSide, maximumBodyBytes: Int
    ) throws(FrameError) -> FrameHeader {
        let versionByte = start.load(as: UInt8.self)
        let flags = FrameFlags(rawValue: start.load(fromByteOffset: 1, as: UInt8.self))
        let stream = Int16(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: Int16.self))
        let rawOpcode = start.load(fromByteOffset: 4, as: UInt8.self)
        let length = Int(Int32(bigEndian: start.loadUnaligned(fromByteOffset: 5, as: Int32.self)))
        guard let version = ProtocolVersion(rawValue: versionByte & 0x7F) else {
            throw .unsupportedVersion(versionByte & 0x7F, stream: stream)
        }
        guard (versionByte & 0x80 != 0) == (side == .client) else {
            throw .wrongDirection(version, stream: stream, side: side)
        }
        guard let opcode = Opcode(rawValue: rawOpcode), opcode.isRequest == (side == .server) else {
            throw .unexpectedOpcode(rawOpcode, version, stream: stream)
        }
        guard side == .client || stream >= 0 else {
            throw .negativeStream(stream, version)
        }
        guard length >= 0, length <= maximumBodyBytes else {
            throw .badLength(length, limit: maximumBodyBytes, version, stream: stream)
        }
        return FrameHeader(
            version: version, flags: flags, stream: stream, opcode: opcode, bodyLength: length)
    }

    /// Appends the nine bytes as `side` sends them.
    @inlinable
    package func encode(into writer: ByteWriter, sentBy side: ConnectionSide) {
        let versionByte = version.rawValue | (side == .server ? 0x80 : 0)
        let length = UInt32(truncatingIfNeeded: bodyLength)
        // Eight of them at once, and the last one.
        var head = UInt64(versionByte) << 56 | UInt64(flags.rawValue) << 48
        head |= UInt64(UInt16(bitPattern: stream)) << 32 | UInt64(opcode.rawValue) << 24
        writer.appendBigEndian(head | UInt64(length >> 8))
        writer.append(UInt8(truncatingIfNeeded: length))
    }
}

/// Bytes that are no frame. The connection answers with `error` and closes: what follows such bytes
/// cannot be trusted to be framed as we think.
package struct FrameError: Error, Equatable {
    /// Always a protocol error.
    package let error: CQLError
    /// The header version of the answer: one that the client knows (v4 where its own is unknown).
    package let version: ProtocolVersion
    /// The stream of the answer; the request's own where it could be read, else 0.
    package let stream: Int16

    package init(_ text: String, version: ProtocolVersion, stream: Int16 = 0) {
        error = .protocolError(text)
        self.version = version
        // A negative stream is the server's own: an answer on it would look like an event.
        self.stream = max(stream, 0)
    }

    // Drivers step down on exactly this text.
    @usableFromInline
    static func unsupportedVersion(_ version: UInt8, stream: Int16) -> FrameError {
        let supported = ProtocolVersion.supported.joined(separator: ", ")
        return FrameError(
            "Invalid or unsupported protocol version (\(version)); "
                + "supported versions are (\(supported))",
            version: .v4, stream: stream)
    }

    @usableFromInline
    static func wrongDirection(
        _ version: ProtocolVersion, stream: Int16, side: ConnectionSide
    ) -> FrameError {
        let (found, wanted) =
            side == .server ? ("response", "request") : ("request", "response")
        return FrameError(
            "Wrong protocol direction: expected a \(wanted), got a \(found)", version: version,
            stream: stream)
    }

    @usableFromInline
    static func unexpectedOpcode(
        _ opcode: UInt8, _ version: ProtocolVersion, stream: Int16
    ) -> FrameError {
        FrameError(
            "Unexpected opcode 0x\(HexText.digits(opcode))", version: version, stream: stream)
    }

    @usableFromInline
    static func negativeStream(_ stream: Int16, _ version: ProtocolVersion) -> FrameError {
        FrameError(
            "Invalid stream id \(stream): a request's must not be negative", version: version)
    }

    @usableFromInline
    static func badLength(
        _ length: Int, limit: Int, _ version: ProtocolVersion, stream: Int16
    ) -> FrameError {
        FrameError(
            "Request is too big: length \(length) exceeds maximum allowed length \(limit)",
            version: version, stream: stream)
    }
}
