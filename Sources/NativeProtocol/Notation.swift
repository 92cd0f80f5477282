// The notations of the native protocol specification (section 3), read and written.
//
// A reader throws `MalformedBytes`, which the messages turn into one protocol error; counts are never
// trusted for an allocation, since each element is read before the next one is believed.

package import Encoding
package import Model

extension ByteReader {
    /// A [short] as a count.
    package mutating func readShort() throws(MalformedBytes) -> Int {
        Int(try readBigEndian(UInt16.self))
    }

    /// The bytes of a [string], not copied and not checked to be UTF-8.
    package mutating func readRawString() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let count = try readShort()
        return try readBytes(count)
    }

    /// A [string].
    package mutating func readProtocolString() throws(MalformedBytes) -> String {
        let start = position
        return try text(try readRawString(), at: start)
    }

    /// The bytes of a [long string], not copied and not checked to be UTF-8.
    package mutating func readRawLongString() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let start = position
        let count = Int(try readBigEndian(Int32.self))
        guard count >= 0 else {
            throw MalformedBytes("negative length \(count) of a long string", offset: start)
        }
        return try readBytes(count)
    }

    private func text(
        _ raw: UnsafeRawBufferPointer, at offset: Int
    ) throws(MalformedBytes) -> String {
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw MalformedBytes("text is not UTF-8", offset: offset)
        }
        return text
    }

    /// A [bytes], nil for a negative length; not copied.
    package mutating func readOptionalBytes() throws(MalformedBytes) -> UnsafeRawBufferPointer? {
        let count = Int(try readBigEndian(Int32.self))
        guard count >= 0 else { return nil }
        return try readBytes(count)
    }

    /// A [short bytes], not copied.
    package mutating func readShortBytes() throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let count = try readShort()
        return try readBytes(count)
    }

    /// A [string list].
    package mutating func readStringList() throws(MalformedBytes) -> [String] {
        let count = try readShort()
        var list: [String] = []
        for _ in 0..<count { list.append(try readProtocolString()) }
        return list
    }

    /// A [string map] in its order on the wire.
    package mutating func readStringMap() throws(MalformedBytes) -> [(key: String, value: String)] {
        let count = try readShort()
        var map: [(key: String, value: String)] = []
        for _ in 0..<count {
            let key = try readProtocolString()
            map.append((key, try readProtocolString()))
        }
        return map
    }

    /// A [string multimap] in its order on the wire.
    package mutating func readStringMultimap() throws(MalformedBytes) -> [(
        key: String, values: [String]
    )] {
        let count = try readShort()
        var map: [(key: String, values: [String])] = []
        for _ in 0..<count {
            let key = try readProtocolString()
            map.append((key, try readStringList()))
        }
        return map
    }

    /// A [bytes map] in its order on the wire, copied.
    package mutating func readBytesMap() throws(MalformedBytes) -> [(key: String, value: [UInt8]?)]
    {
        let count = try readShort()
        var map: [(key: String, value: [UInt8]?)] = []
        for _ in 0..<count {
            let key = try readProtocolString()
            map.append((key, try readOptionalBytes().map { Array($0) }))
        }
        return map
    }

    /// Moves over a [bytes map].
    package mutating func skipBytesMap() throws(MalformedBytes) {
        let count = try readShort()
        for _ in 0..<count {
            _ = try readRawString()
            _ = try readOptionalBytes()
        }
    }

    /// A [consistency].
    package mutating func readConsistency() throws(MalformedBytes) -> ConsistencyLevel {
        let start = position
        let code = try readBigEndian(UInt16.self)
        guard let level = ConsistencyLevel(rawValue: code) else {
            throw MalformedBytes("Unknown code \(code) for a consistency level", offset: start)
        }
        return level
    }

    /// An [inetaddr]: four or sixteen bytes.
    package mutating func readAddress() throws(MalformedBytes) -> [UInt8] {
        let start = position
        let count = Int(try readUInt8())
        guard count == 4 || count == 16 else {
            throw MalformedBytes("an address of \(count) bytes", offset: start)
        }
        return Array(try readBytes(count))
    }
}

extension ByteWriter {
    /// A [string]; text over 65,535 bytes is cut at a character, since errors quote statements.
    package func appendProtocolString(_ text: String) {
        var text = text
        let limit = Int(UInt16.max)
        if text.utf8.count > limit {
            var end = text.utf8.index(text.utf8.startIndex, offsetBy: limit)
            while end.samePosition(in: text.unicodeScalars) == nil {
                end = text.utf8.index(before: end)
            }
            text = String(text[..<end])
        }
        text.withUTF8 { utf8 in
            appendBigEndian(UInt16(utf8.count))
            append(UnsafeRawBufferPointer(utf8))
        }
    }

    /// A [long string].
    package func appendLongString(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            appendBigEndian(Int32(utf8.count))
            append(UnsafeRawBufferPointer(utf8))
        }
    }

    /// A [bytes]; nil is null.
    package func appendValue(_ bytes: UnsafeRawBufferPointer?) {
        guard let bytes else {
            appendBigEndian(Int32(-1))
            return
        }
        appendBigEndian(Int32(truncatingIfNeeded: bytes.count))
        append(bytes)
    }

    /// A [bytes]; nil is null.
    package func appendValue(_ bytes: [UInt8]?) {
        guard let bytes else {
            appendBigEndian(Int32(-1))
            return
        }
        bytes.withUnsafeBytes { appendValue($0) }
    }

    /// Leaves room for the length of a [bytes] that is generated in place; give the result to
    /// `endValue`.
    package func beginValue() -> Int {
        appendBigEndian(Int32(0))
        return count
    }

    /// Fills in the length of the value begun at `start`.
    package func endValue(_ start: Int) {
        overwriteBigEndian(at: start - 4, Int32(truncatingIfNeeded: count - start))
    }

    /// A [short bytes] of at most 65,535 bytes.
    package func appendShortBytes(_ bytes: [UInt8]) {
        appendBigEndian(UInt16(bytes.count))
        append(bytes)
    }

    /// A [string list] of at most 65,535 elements.
    package func appendStringList(_ list: [String]) {
        appendBigEndian(UInt16(list.count))
        for text in list { appendProtocolString(text) }
    }

    /// A [string map].
    package func appendStringMap(_ map: [(key: String, value: String)]) {
        appendBigEndian(UInt16(map.count))
        for (key, value) in map {
            appendProtocolString(key)
            appendProtocolString(value)
        }
    }

    /// A [string multimap].
    package func appendStringMultimap(_ map: [(key: String, values: [String])]) {
        appendBigEndian(UInt16(map.count))
        for (key, values) in map {
            appendProtocolString(key)
            appendStringList(values)
        }
    }

    /// A [bytes map].
    package func appendBytesMap(_ map: [(key: String, value: [UInt8]?)]) {
        appendBigEndian(UInt16(map.count))
        for (key, value) in map {
            appendProtocolString(key)
            appendValue(value)
        }
    }

    /// A [consistency].
    package func append(_ consistency: ConsistencyLevel) {
        appendBigEndian(consistency.rawValue)
    }

    /// An [inetaddr] of four or sixteen bytes.
    package func appendAddress(_ address: [UInt8]) {
        precondition(address.count == 4 || address.count == 16, "an address has 4 or 16 bytes")
        append(UInt8(address.count))
        append(address)
    }
}
