// The segments that carry v5 frames (v5 specification, section 2.2).
//
//     plain:      | length 17, self-contained 1, zero 6 | CRC24 |  payload  | CRC32 |
//                 |<------------- 3 bytes ------------->|<- 3 ->|           |<- 4 ->|
//     compressed: | length 17, uncompressed length 17, self-contained 1, zero 5 | CRC24 | ...
//                 |<----------------------- 5 bytes -------------------------->|<- 3 ->|
//
// All little-endian. An uncompressed length of 0 says that the payload is stored as it is.

package import Encoding

/// The header of a segment.
package struct SegmentHeader: Equatable {
    /// The longest payload.
    package static let maximumPayloadBytes = 131_071

    /// The bytes of the payload as they are stored.
    package var payloadBytes: Int
    /// The bytes of the payload before compression; 0 if it is not compressed.
    package var uncompressedBytes: Int
    package var isSelfContained: Bool
    /// Whether the connection uses the longer header.
    package var isCompressedForm: Bool

    package init(
        payloadBytes: Int, uncompressedBytes: Int = 0, isSelfContained: Bool, isCompressedForm: Bool
    ) {
        self.payloadBytes = payloadBytes
        self.uncompressedBytes = uncompressedBytes
        self.isSelfContained = isSelfContained
        self.isCompressedForm = isCompressedForm
    }

    /// Reads the header at `start`; nil if its checksum does not match.
    package init?(_ start: UnsafeRawPointer, compressed: Bool) {
        let count = compressed ? 5 : 3
        var bits: UInt64 = 0
        for index in 0..<count {
            bits |= UInt64(start.load(fromByteOffset: index, as: UInt8.self)) << UInt64(8 * index)
        }
        var checksum: UInt32 = 0
        for index in 0..<3 {
            let byte = start.load(fromByteOffset: count + index, as: UInt8.self)
            checksum |= UInt32(byte) << UInt32(8 * index)
        }
        guard SegmentChecksum.header(bits, count: count) == checksum else { return nil }
        payloadBytes = Int(bits & 0x1FFFF)
        uncompressedBytes = compressed ? Int(bits >> 17 & 0x1FFFF) : 0
        isSelfContained = bits >> (compressed ? 34 : 17) & 1 == 1
        isCompressedForm = compressed
    }

    /// How many bytes a header takes, its checksum included.
    package static func size(compressed: Bool) -> Int { compressed ? 8 : 6 }

    /// How many bytes this header takes.
    package var headerBytes: Int { Self.size(compressed: isCompressedForm) }

    /// The whole segment: header, payload and the payload's checksum.
    package var totalBytes: Int { headerBytes + payloadBytes + 4 }

    /// Appends the header and its checksum.
    package func encode(into writer: ByteWriter) {
        precondition(
            payloadBytes <= Self.maximumPayloadBytes
                && uncompressedBytes <= Self.maximumPayloadBytes)
        var bits = UInt64(payloadBytes)
        let count: Int
        if isCompressedForm {
            bits |= UInt64(uncompressedBytes) << 17 | (isSelfContained ? 1 << 34 : 0)
            count = 5
        } else {
            bits |= isSelfContained ? 1 << 17 : 0
            count = 3
        }
        for index in 0..<count {
            writer.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * index)))
        }
        let checksum = SegmentChecksum.header(bits, count: count)
        for index in 0..<3 {
            writer.append(UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)))
        }
    }
}
