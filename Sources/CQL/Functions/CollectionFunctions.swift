// Functions over the parts of one value: of collections, and of vectors.

internal import Model

/// `map_keys`, `map_values` and the `collection_…` functions.
enum CollectionFunctions {
    /// Every part of the value; nil if it does not hold together.
    static func parts(of value: [UInt8], _ type: CQLType) -> [[UInt8]]? {
        value.withUnsafeBytes { raw -> [[UInt8]]? in
            guard var walk = CQLValueParts(type, raw) else { return nil }
            var result: [[UInt8]] = []
            while true {
                switch walk.next() {
                case .part(let part): result.append(Array(part))
                case .end: return result
                case .null, .malformed: return nil
                }
            }
        }
    }

    /// The keys of a map as a set, or its values as a list.
    static func entries(of value: [UInt8], _ type: CQLType, keys: Bool) -> [UInt8]? {
        guard let parts = parts(of: value, type) else { return nil }
        let chosen = stride(from: keys ? 0 : 1, to: parts.count, by: 2).map { parts[$0] }
        return SystemValue.collection(count: chosen.count, chosen)
    }

    /// How many elements or entries there are.
    static func count(of value: [UInt8], _ type: CQLType) -> [UInt8]? {
        value.withUnsafeBytes { raw in
            guard let parts = CQLValueParts(type, raw) else { return nil }
            var count = parts.remaining
            if case .map = type { count /= 2 }
            return SystemValue.bigEndian(Int32(clamping: count))
        }
    }

    static func aggregate(
        _ kind: AggregateKind, _ value: [UInt8], _ type: CQLType
    ) throws(CQLError) -> [UInt8]? {
        guard let parts = parts(of: value, type), let element = type.parts.first else { return nil }
        var accumulator = Accumulator(
            PlannedAggregate(kind: kind, argument: nil, type: element))
        for part in parts { accumulator.add(part) }
        return try accumulator.result()
    }
}

/// How alike two vectors are, from 0 to 1 (for vectors of length one).
enum VectorSimilarity: String, Equatable, Sendable {
    case cosine = "similarity_cosine"
    case euclidean = "similarity_euclidean"
    case dotProduct = "similarity_dot_product"

    /// The similarity of two vectors of floats.
    func evaluate(_ left: [UInt8], _ right: [UInt8]) throws(CQLError) -> [UInt8] {
        guard left.count == right.count, left.count % 4 == 0 else {
            throw .invalid("All arguments must have the same vector dimensions")
        }
        let (a, b) = (Self.floats(left), Self.floats(right))
        var (dot, lengthA, lengthB, distance): (Float, Float, Float, Float) = (0, 0, 0, 0)
        for (x, y) in zip(a, b) {
            dot += x * y
            lengthA += x * x
            lengthB += y * y
            distance += (x - y) * (x - y)
        }
        let result: Float
        switch self {
        case .cosine:
            guard lengthA > 0, lengthB > 0 else {
                throw .invalid("Function system.\(rawValue) doesn't support all-zero vectors.")
            }
            result = (1 + dot / (lengthA * lengthB).squareRoot()) / 2
        case .euclidean: result = 1 / (1 + distance)
        case .dotProduct: result = (1 + dot) / 2
        }
        return SystemValue.bigEndian(result.bitPattern)
    }

    private static func floats(_ bytes: [UInt8]) -> [Float] {
        stride(from: 0, to: bytes.count, by: 4).map { start in
            Float(bitPattern: bytes[start..<(start + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
        }
    }
}
