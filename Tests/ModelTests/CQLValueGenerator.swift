// Random types and values for property tests: many small ones, edges often, so that equal values
// and shared prefixes come up.

import Encoding
import Model

/// A small generator of random numbers (SplitMix64); the seed is all its state.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
}

/// Big-endian bytes of an integer.
func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    stride(from: T.bitWidth - 8, through: 0, by: -8).map {
        UInt8(truncatingIfNeeded: value >> T($0))
    }
}

struct CQLValueGenerator {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    static let natives: [CQLType] = [
        .ascii, .bigint, .blob, .boolean, .counter, .date, .decimal, .double, .float, .inet, .int,
        .smallint, .text, .time, .timestamp, .timeuuid, .tinyint, .uuid, .varint,
    ]

    /// A type that has an order, nested at most `depth` deep.
    mutating func type(depth: Int) -> CQLType {
        if depth == 0 || random.chance(40) { return random.pick(Self.natives) }
        switch random.below(6) {
        case 0: return .list(type(depth: depth - 1), frozen: true)
        case 1: return .set(type(depth: depth - 1), frozen: true)
        case 2: return .map(type(depth: depth - 1), type(depth: depth - 1), frozen: true)
        case 3: return .tuple((0...random.below(3)).map { _ in type(depth: depth - 1) })
        case 4: return .vector(type(depth: depth - 1), dimensions: 1 + random.below(3))
        default:
            let fields = (0...random.below(3)).map { index in
                UserDefinedType.Field(name: "f\(index)", type: type(depth: depth - 1))
            }
            return .userDefined(
                UserDefinedType(keyspace: "ks", name: "t", fields: fields), frozen: true)
        }
    }

    private mutating func edgeBytes(_ count: Int) -> [UInt8] {
        let alphabet: [UInt8] = [0, 0, 1, 0x38, 0x40, 0x61, 0x7F, 0x80, 0xFE, 0xFF, 0xFF]
        return (0..<count).map { _ in random.chance(85) ? random.pick(alphabet) : random.next8() }
    }

    /// A valid serialized value of `type`, sometimes empty where that is allowed.
    mutating func value(of type: CQLType) -> [UInt8] {
        if random.chance(4), (try? Array<UInt8>().withUnsafeBytes({ try type.validate($0) })) != nil
        {
            return []
        }
        switch type {
        case .ascii: return edgeBytes(random.below(6)).map { $0 & 0x7F }
        case .text:
            let scalars: [Unicode.Scalar] = [
                "\0", "\0", "\u{1}", "a", "b", "\u{7F}", "é", "日", "😀",
            ]
            var text = ""
            for _ in 0..<random.below(12) { text.unicodeScalars.append(random.pick(scalars)) }
            return Array(text.utf8)
        case .blob, .custom:
            return edgeBytes(random.chance(10) ? random.below(40) : random.below(6))
        case .tinyint: return edgeBytes(1)
        case .smallint: return edgeBytes(2)
        case .int, .date: return edgeBytes(4)
        case .bigint, .counter, .timestamp, .time: return edgeBytes(8)
        case .boolean: return [UInt8(random.below(2))]
        case .float:
            let edges: [Float] = [
                0, -0.0, 1, -1, 1.5, .infinity, -.infinity, .nan, .leastNonzeroMagnitude,
            ]
            return random.chance(60) ? bigEndian(random.pick(edges).bitPattern) : edgeBytes(4)
        case .double:
            let edges: [Double] = [0, -0.0, 1, -1, 1.5, .infinity, -.infinity, .nan, -.ulpOfOne]
            return random.chance(60) ? bigEndian(random.pick(edges).bitPattern) : edgeBytes(8)
        case .uuid, .timeuuid:
            var bytes = edgeBytes(16)
            let version: UInt8 = type == .timeuuid || random.chance(40) ? 1 : UInt8(random.below(8))
            bytes[6] = bytes[6] & 0x0F | version << 4
            return bytes
        case .inet: return edgeBytes(random.chance(50) ? 4 : 16)
        case .varint: return integer()
        case .decimal:
            let scale: Int32 =
                random.chance(80)
                ? Int32(random.below(7)) - 3 : random.pick([.min, .max, 1000, -1000])
            let unscaled =
                random.chance(50)
                ? bigEndian(
                    random.pick([0, 1, -1, 10, -10, 100, 99, 1000, 12345, -12345] as [Int32]))
                : integer()
            return bigEndian(scale) + (unscaled.isEmpty ? [0] : unscaled)
        case .duration:
            return CQLDuration(months: 1, days: Int32(random.below(3)), nanoseconds: 5).bytes
        case .list(let element, _), .set(let element, _):
            let count = random.below(4)
            return bigEndian(Int32(count)) + (0..<count).flatMap { _ in sized(value(of: element)) }
        case .map(let key, let element, _):
            let count = random.below(3)
            return bigEndian(Int32(count))
                + (0..<count).flatMap { _ in sized(value(of: key)) + sized(value(of: element)) }
        case .tuple(let types): return fields(types)
        case .userDefined(let definition, _): return fields(definition.fields.map(\.type))
        case .vector(let element, let dimensions):
            var bytes: [UInt8] = []
            let writer = ByteWriter()
            for _ in 0..<dimensions {
                var part = value(of: element)
                if element.fixedLength != nil { while part.isEmpty { part = value(of: element) } }
                if !Self.isPlainInVector(element) {
                    bytes.append(contentsOf: Self.vint(part.count))
                }
                bytes += part
            }
            _ = writer
            return bytes
        }
    }

    /// Whether elements of the type stand in a vector without a length, by Cassandra's rule.
    private static func isPlainInVector(_ type: CQLType) -> Bool {
        switch type {
        case .boolean, .int, .float, .bigint, .double, .timestamp, .uuid, .timeuuid: true
        case .vector(let element, _): isPlainInVector(element)
        default: false
        }
    }

    /// Cassandra's unsigned vint for lengths below 2^14.
    private static func vint(_ value: Int) -> [UInt8] {
        value < 128 ? [UInt8(value)] : [0x80 | UInt8(value >> 8), UInt8(value & 0xFF)]
    }

    private mutating func integer() -> [UInt8] {
        var bytes = edgeBytes(1 + random.below(random.chance(10) ? 300 : 5))
        if random.chance(30) { bytes.insert(bytes[0] & 0x80 == 0 ? 0 : 0xFF, at: 0) }
        return bytes
    }

    private func sized(_ bytes: [UInt8]) -> [UInt8] { bigEndian(Int32(bytes.count)) + bytes }

    private mutating func fields(_ types: [CQLType]) -> [UInt8] {
        var bytes: [UInt8] = []
        for type in types {
            if random.chance(10) { return bytes }
            bytes += random.chance(25) ? bigEndian(Int32(-1)) : sized(value(of: type))
        }
        return bytes
    }

    /// A value that is `value` with a small change, or another value.
    mutating func neighbour(of value: [UInt8], _ type: CQLType) -> [UInt8] {
        for _ in 0..<4 {
            var changed = value
            switch random.below(4) {
            case 0 where !changed.isEmpty:
                changed[random.below(changed.count)] ^= 1 << UInt8(random.below(8))
            case 1: changed.append(random.pick([0, 0xFF, 0x61]))
            case 2 where !changed.isEmpty: changed.removeLast()
            default: break
            }
            if changed.withUnsafeBytes({ bytes in (try? type.validate(bytes)) != nil }) {
                return changed
            }
        }
        return self.value(of: type)
    }
}

extension SeededRandom {
    mutating func next8() -> UInt8 { UInt8(truncatingIfNeeded: next() >> 32) }
}
