// Clustering keys as bytes whose order is the order of the keys (docs/formats/clustering-key.md).
//
//     key    = { mark value }... 38          bound = { mark value }... 20 | 60
//
// **Invariants.** No key is a prefix of another key. A bound is never equal to a key. The value of
// a descending column is inverted byte for byte, its mark is another one.
//
// Cost: a component of a fixed length is one store; text is copied in stretches between its zeros.
// Nothing is allocated but the writer's memory, except for decimals.

package import Encoding

/// Encodes, compares and decodes clustering keys.
package enum ClusteringKey {
    /// Which side of the keys that continue its prefix a bound lies on.
    package enum Bound: Sendable {
        case below, above
    }

    /// The bytes that structure a key. All lie in 0x10...0xEF, which the escapes of values rely on.
    enum Mark {
        static let below: UInt8 = 0x20
        static let end: UInt8 = 0x38
        static let null: UInt8 = 0x3E
        static let empty: UInt8 = 0x3F
        static let value: UInt8 = 0x40
        static let descendingEmpty: UInt8 = 0x41
        static let descendingNull: UInt8 = 0x42
        static let above: UInt8 = 0x60
    }

    /// Appends one component, the serialized value `value` (nil for null), with its leading mark.
    package static func appendComponent(
        _ value: UnsafeRawBufferPointer?, type: CQLType, order: ClusteringOrder,
        into writer: ByteWriter
    ) {
        switch order {
        case .ascending:
            appendPart(value, type, into: writer)
        case .descending:
            guard let value else { return writer.append(Mark.descendingNull) }
            guard !value.isEmpty else { return writer.append(Mark.descendingEmpty) }
            writer.append(Mark.value)
            let start = writer.count
            appendValue(value, type, into: writer)
            writer.invert(from: start)
        }
    }

    /// Appends a component of an ascending column, or a part of a nested value.
    static func appendPart(
        _ value: UnsafeRawBufferPointer?, _ type: CQLType, into writer: ByteWriter
    ) {
        guard let value else { return writer.append(Mark.null) }
        guard !value.isEmpty else { return writer.append(Mark.empty) }
        writer.append(Mark.value)
        appendValue(value, type, into: writer)
    }

    /// Ends a complete key.
    package static func appendTerminator(into writer: ByteWriter) {
        writer.append(Mark.end)
    }

    /// Ends a prefix as a bound: it sorts below or above all keys that continue the prefix, and is
    /// never equal to a key. An empty prefix gives the lowest or the highest bound of all.
    package static func appendBound(_ bound: Bound, into writer: ByteWriter) {
        writer.append(bound == .below ? Mark.below : Mark.above)
    }

    /// The order of two keys or bounds: the first different byte decides, then the length.
    /// Negative, zero or positive.
    package static func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        compareBytes(a, b)
    }

    /// Decodes a complete key into serialized values, one entry per column (nil = null). Where a
    /// type's encoding is not injective, the canonical value comes back.
    ///
    /// - Throws: `MalformedBytes` if these are not the bytes of a complete key of these columns.
    package static func decode(
        _ key: UnsafeRawBufferPointer, columns: [ColumnSchema]
    ) throws(MalformedBytes) -> [[UInt8]?] {
        let writer = ByteWriter(capacity: key.count)
        var ranges: [ByteRange] = []
        try decode(key, columns: columns, into: writer, ranges: &ranges)
        return ranges.map { range in range.count < 0 ? nil : Array(writer[range]) }
    }

    /// Decodes a complete key as the other `decode` does, without allocation for each component:
    /// appends the serialized values to `writer`, and one range of it per column (count -1 for
    /// null) to `ranges`.
    package static func decode(
        _ key: UnsafeRawBufferPointer, columns: [ColumnSchema], into writer: ByteWriter,
        ranges: inout [ByteRange]
    ) throws(MalformedBytes) {
        var reader = KeyReader(key)
        for index in columns.indices {
            try decodeComponent(
                &reader, columns[index].type, columns[index].isDescending, into: writer,
                ranges: &ranges)
        }
        guard try reader.readByte() == Mark.end, reader.isAtEnd else {
            throw MalformedBytes(
                "clustering key does not end after its columns", offset: reader.position)
        }
    }

    /// The length of the first `count` components of a key or bound, as bytes: what `appendBound`
    /// would continue.
    ///
    /// - Throws: `MalformedBytes` if there are not as many.
    package static func prefixLength(
        of key: UnsafeRawBufferPointer, columns: [ColumnSchema], count: Int
    ) throws(MalformedBytes) -> Int {
        let writer = ByteWriter(capacity: key.count)
        var ranges: [ByteRange] = []
        var reader = KeyReader(key)
        for index in 0..<min(count, columns.count) {
            try decodeComponent(
                &reader, columns[index].type, columns[index].isDescending, into: writer,
                ranges: &ranges)
        }
        return reader.position
    }

    /// Decodes the component at the reader's place: appends its value to `writer`, and its range.
    static func decodeComponent(
        _ reader: inout KeyReader, _ type: CQLType, _ isDescending: Bool, into writer: ByteWriter,
        ranges: inout [ByteRange]
    ) throws(MalformedBytes) {
        let start = writer.count
        switch (try reader.readByte(), isDescending) {
        case (Mark.value, _):
            reader.mask = isDescending ? 0xFF : 0
            try decodeValue(&reader, type, into: writer)
            reader.mask = 0
            ranges.append(ByteRange(offset: start, count: writer.count - start))
        case (Mark.null, false), (Mark.descendingNull, true):
            ranges.append(ByteRange(offset: start, count: -1))
        case (Mark.empty, false), (Mark.descendingEmpty, true):
            ranges.append(ByteRange(offset: start, count: 0))
        default:
            throw MalformedBytes("no component of a clustering key", offset: reader.position - 1)
        }
    }
}

extension ColumnSchema {
    var isDescending: Bool {
        if case .clustering(_, .descending) = kind { true } else { false }
    }
}

extension CQLType {
    /// Whether a value's bytes can be read back from its place in a clustering key. Where not, the
    /// original bytes must travel beside the key (see `ClusteringKey.isCanonical`).
    package var isClusteringEncodingInjective: Bool {
        !contains { type in
            switch type {
            case .varint, .decimal, .float, .double: true
            default: false
            }
        }
    }
}
