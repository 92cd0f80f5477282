// A 128-bit identifier: a UUID without Foundation.

/// A UUID: the identity of hosts, tables and clusters. Ordered as unsigned bytes.
package struct UniqueID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static let zero = UniqueID(high: 0, low: 0)

    /// A version 4 (random) UUID from 128 bits of the caller's randomness.
    package init(randomHigh: UInt64, low randomLow: UInt64) {
        high = (randomHigh & ~0xF000) | 0x4000
        low = (randomLow & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    }

    /// A version 3 (name-based, MD5) UUID of `name`, as java.util.UUID.nameUUIDFromBytes makes it.
    package init(name: [UInt8]) {
        var digest = MD5.digest(name)
        digest[6] = (digest[6] & 0x0F) | 0x30
        digest[8] = (digest[8] & 0x3F) | 0x80
        self = digest.withUnsafeBytes { raw in
            UniqueID(
                high: UInt64(bigEndian: raw.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    /// Reads the textual form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, in either case.
    package init?(_ text: some StringProtocol) {
        var digits: [UInt64] = []
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return nil }
        for (index, byte) in bytes.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits.append(UInt64(byte - UInt8(ascii: "0")))
            case UInt8(ascii: "a")...UInt8(ascii: "f"):
                digits.append(UInt64(byte - UInt8(ascii: "a") + 10))
            case UInt8(ascii: "A")...UInt8(ascii: "F"):
                digits.append(UInt64(byte - UInt8(ascii: "A") + 10))
            default: return nil
            }
        }
        high = digits[0..<16].reduce(0) { $0 << 4 | $1 }
        low = digits[16..<32].reduce(0) { $0 << 4 | $1 }
    }

    package static func < (left: UniqueID, right: UniqueID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// The sixteen bytes, most significant first, as CQL's `uuid` has them.
    package var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> UInt64(56 - $0 * 8)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> UInt64(56 - $0 * 8)) }
    }

    package var description: String {
        var text = ""
        text.reserveCapacity(36)
        for (index, byte) in bytes.enumerated() {
            if index == 4 || index == 6 || index == 8 || index == 10 { text += "-" }
            text += HexText.digits(byte)
        }
        return text
    }
}

/// Hexadecimal text, lower case.
package enum HexText {
    private static let alphabet = Array("0123456789abcdef")

    package static func digits(_ byte: UInt8) -> String {
        String([alphabet[Int(byte >> 4)], alphabet[Int(byte & 15)]])
    }

    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        bytes.reduce(into: "") { $0 += digits($1) }
    }
}

extension ByteReader {
    /// Sixteen bytes of a UUID, most significant first.
    package mutating func readUniqueID() throws(MalformedBytes) -> UniqueID {
        let high = try readBigEndian(UInt64.self)
        return UniqueID(high: high, low: try readBigEndian(UInt64.self))
    }
}

extension ByteWriter {
    /// Sixteen bytes of a UUID, most significant first.
    package func append(_ id: UniqueID) {
        appendBigEndian(id.high)
        appendBigEndian(id.low)
    }
}
