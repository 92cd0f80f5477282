// The order of values: what `ORDER BY`, `<`, sets and maps go by. Plain and typed; keys that are
// compared often are encoded instead (`ClusteringKey`), in the same order.

internal import Encoding

extension CQLType {
    /// Compares two serialized values: negative, zero or positive. An empty value sorts first.
    ///
    /// The orders are Cassandra's: `uuid` by version, then time for version 1; `timeuuid` by time,
    /// then its other bytes as signed ones; floating point with -0.0 < 0.0 and NaN last; decimals
    /// by number; nested values part by part, null first. A duration is compared byte by byte, as
    /// it has no order.
    package func compare(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        if a.isEmpty || b.isEmpty { return (a.isEmpty ? 0 : 1) - (b.isEmpty ? 0 : 1) }
        switch self {
        case .tinyint: return Self.compareFixed(a, b, Int8.self)
        case .smallint: return Self.compareFixed(a, b, Int16.self)
        case .int: return Self.compareFixed(a, b, Int32.self)
        case .bigint, .counter, .timestamp: return Self.compareFixed(a, b, Int64.self)
        case .boolean: return (a[0] == 0 ? 0 : 1) - (b[0] == 0 ? 0 : 1)
        case .float: return Self.compareFloats(a, b)
        case .double: return Self.compareDoubles(a, b)
        case .uuid, .timeuuid: return compareUUIDs(a, b)
        case .varint: return CQLInteger.compare(a, b)
        case .decimal: return CQLDecimal.compare(CQLDecimal(a), CQLDecimal(b))
        case .list, .set, .map, .vector: return compareParts(a, b)
        case .tuple, .userDefined: return compareFields(a, b)
        case .text, .ascii, .blob, .inet, .date, .time, .duration, .custom:
            return ClusteringKey.compare(a, b)
        }
    }

    private static func compareFixed<T: FixedWidthInteger & BitwiseCopyable>(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ type: T.Type
    ) -> Int {
        let size = MemoryLayout<T>.size
        guard a.count == size, b.count == size else { return ClusteringKey.compare(a, b) }
        let (x, y) = (a.bigEndian(T.self), b.bigEndian(T.self))
        return x == y ? 0 : (x < y ? -1 : 1)
    }

    private static func compareFloats(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
    ) -> Int {
        guard a.count == 4, b.count == 4 else { return ClusteringKey.compare(a, b) }
        return compareNumbers(
            Float(bitPattern: a.bigEndian(UInt32.self)), Float(bitPattern: b.bigEndian(UInt32.self))
        )
    }

    private static func compareDoubles(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
    ) -> Int {
        guard a.count == 8, b.count == 8 else { return ClusteringKey.compare(a, b) }
        return compareNumbers(
            Double(bitPattern: a.bigEndian(UInt64.self)),
            Double(bitPattern: b.bigEndian(UInt64.self)))
    }

    private static func compareNumbers<T: BinaryFloatingPoint>(_ x: T, _ y: T) -> Int {
        if x.isNaN || y.isNaN { return (x.isNaN ? 1 : 0) - (y.isNaN ? 1 : 0) }
        if x < y { return -1 }
        if x > y { return 1 }
        // Equal numbers differ only as the two zeros do.
        return (x.sign == .minus ? 0 : 1) - (y.sign == .minus ? 0 : 1)
    }

    private func compareUUIDs(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        guard a.count == 16, b.count == 16 else { return ClusteringKey.compare(a, b) }
        let (versionA, versionB) = (a[6] >> 4, b[6] >> 4)
        if self == .uuid, versionA != versionB { return Int(versionA) - Int(versionB) }
        let isTimeFirst = self == .timeuuid || versionA == 1
        // Where the most significant bytes of the time are: high, mid, low.
        let order = isTimeFirst ? [6, 7, 4, 5, 0, 1, 2, 3] : [0, 1, 2, 3, 4, 5, 6, 7]
        for index in order where a[index] != b[index] { return Int(a[index]) - Int(b[index]) }
        for index in 8..<16 where a[index] != b[index] {
            return self == .timeuuid
                ? Int(Int8(bitPattern: a[index])) - Int(Int8(bitPattern: b[index]))
                : Int(a[index]) - Int(b[index])
        }
        return 0
    }

    /// Part by part; of two that agree as far as both go, the shorter is first.
    private func compareParts(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        guard var left = CQLValueParts(self, a), var right = CQLValueParts(self, b) else {
            return ClusteringKey.compare(a, b)
        }
        var index = 0
        while true {
            switch (left.next(), right.next()) {
            case (.part(let x), .part(let y)):
                let order = partType(index).compare(x, y)
                if order != 0 { return order }
            case (.null, .null): break
            case (.null, .part): return -1
            case (.part, .null): return 1
            case (.end, .end), (.malformed, .malformed), (.end, .malformed), (.malformed, .end):
                return 0
            case (.end, _), (.malformed, _): return -1
            case (_, .end), (_, .malformed): return 1
            }
            index += 1
        }
    }

    /// Field by field; a field that is absent counts as null.
    private func compareFields(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
        guard var left = CQLValueParts(self, a), var right = CQLValueParts(self, b) else {
            return ClusteringKey.compare(a, b)
        }
        for index in 0..<max(left.remaining, right.remaining) {
            switch (left.next(), right.next()) {
            case (.part(let x), .part(let y)):
                let order = partType(index).compare(x, y)
                if order != 0 { return order }
            case (.part, _): return 1
            case (_, .part): return -1
            default: break
            }
        }
        return 0
    }
}
