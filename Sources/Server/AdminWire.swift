// The bytes of operators' commands (docs/protocols/admin.md).
//
//     frame := magic "CTAD" | version u8 | kind u8 | zero u16 | length u32 | crc u32 | payload
//
// Integers are little-endian; the CRC32C goes over the payload. A connection carries one command: the
// client sends a frame of kind 1, the node answers with one of kind 2 (a value) or 3 (a refusal, its
// reason as text) and ends the connection.

internal import Encoding
internal import Environment

/// Reads and writes frames.
enum AdminWire {
    enum Kind: UInt8 {
        case request = 1
        case value = 2
        case refusal = 3
    }

    static let headerBytes = 16
    static let version: UInt8 = 1
    static let maximumRequestBytes = 64 << 10
    static let maximumAnswerBytes = 64 << 20
    private static let magic = Array("CTAD".utf8)

    static func frame(_ kind: Kind, _ payload: [UInt8]) -> [UInt8] {
        let writer = ByteWriter(capacity: headerBytes + payload.count)
        writer.append(magic)
        writer.append(version)
        writer.append(kind.rawValue)
        writer.appendLittleEndian(UInt16(0))
        writer.appendLittleEndian(UInt32(payload.count))
        writer.appendLittleEndian(CRC32C.checksum(payload))
        writer.append(payload)
        return writer.array
    }

    static func frame(_ request: AdminRequest) -> [UInt8] {
        let writer = ByteWriter()
        request.encode(into: writer)
        return frame(.request, writer.array)
    }

    static func frame(_ answer: AdminAnswer) -> [UInt8] {
        switch answer {
        case .refused(let reason): return frame(.refusal, Array(reason.utf8))
        case .value(let value):
            let writer = ByteWriter()
            value.encode(into: writer)
            guard writer.count <= maximumAnswerBytes else {
                return frame(.refused("the answer has \(writer.count) bytes: ask for less"))
            }
            return frame(.value, writer.array)
        }
    }

    /// The first frame of `bytes`; nil while it is not whole.
    static func read(
        _ bytes: [UInt8], limit: Int
    ) throws(MalformedBytes) -> (kind: Kind, payload: [UInt8])? {
        guard bytes.count >= headerBytes else { return nil }
        return try bytes.withBytes { (raw) throws(MalformedBytes) in
            var reader = ByteReader(raw)
            guard [UInt8](try reader.readBytes(4)) == magic else {
                throw MalformedBytes("not an operator's frame", offset: 0)
            }
            let found = try reader.readUInt8()
            guard found == version else {
                throw MalformedBytes(
                    "version \(found) of the admin protocol; this is version \(version)", offset: 4)
            }
            guard let kind = Kind(rawValue: try reader.readUInt8()) else {
                throw MalformedBytes("unknown kind of frame", offset: 5)
            }
            try reader.skip(2)
            let length = Int(try reader.readLittleEndian(UInt32.self))
            guard length <= limit else {
                throw MalformedBytes("a frame of \(length) bytes", offset: 8)
            }
            let crc = try reader.readLittleEndian(UInt32.self)
            guard reader.remaining >= length else { return nil }
            let payload = [UInt8](try reader.readBytes(length))
            guard CRC32C.checksum(payload) == crc else {
                throw MalformedBytes("checksum", offset: 12)
            }
            return (kind, payload)
        }
    }

    static func request(_ payload: [UInt8]) throws(MalformedBytes) -> AdminRequest {
        try payload.withBytes { (raw) throws(MalformedBytes) in
            var reader = ByteReader(raw)
            return try AdminRequest(from: &reader)
        }
    }

    static func answer(_ kind: Kind, _ payload: [UInt8]) throws(MalformedBytes) -> AdminAnswer {
        switch kind {
        case .request: throw MalformedBytes("a request where an answer is due", offset: 5)
        case .refusal: return .refused(String(decoding: payload, as: UTF8.self))
        case .value:
            return try payload.withBytes { (raw) throws(MalformedBytes) in
                var reader = ByteReader(raw)
                return .value(try AdminValue(from: &reader))
            }
        }
    }
}
