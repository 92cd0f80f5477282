// The promises of docs/formats/clustering-key.md, checked with random types and values against the
// plain typed order.

import Encoding
import Model
import Testing

private func sign(_ value: Int) -> Int { value.signum() }

/// A clustering key's columns, with values; and the dumb twin's order of two keys.
private struct Table {
    let columns: [ColumnSchema]

    init(_ types: [(CQLType, ClusteringOrder)]) {
        columns = types.enumerated().map { index, column in
            ColumnSchema(
                id: ColumnID(UInt32(index)), name: "c\(index)", type: column.0,
                kind: .clustering(position: index, order: column.1))
        }
    }

    func order(_ index: Int) -> ClusteringOrder {
        if case .clustering(_, let order) = columns[index].kind { order } else { .ascending }
    }

    func prefix(_ values: [[UInt8]?], into writer: ByteWriter) {
        for (index, value) in values.enumerated() {
            if let value {
                value.withUnsafeBytes {
                    ClusteringKey.appendComponent(
                        $0, type: columns[index].type, order: order(index), into: writer)
                }
            } else {
                ClusteringKey.appendComponent(
                    nil, type: columns[index].type, order: order(index), into: writer)
            }
        }
    }

    func key(_ values: [[UInt8]?]) -> [UInt8] {
        let writer = ByteWriter()
        prefix(values, into: writer)
        ClusteringKey.appendTerminator(into: writer)
        return writer.array
    }

    func bound(_ values: [[UInt8]?], _ bound: ClusteringKey.Bound) -> [UInt8] {
        let writer = ByteWriter()
        prefix(values, into: writer)
        ClusteringKey.appendBound(bound, into: writer)
        return writer.array
    }

    /// The typed order of the first `count` components.
    func compare(_ a: [[UInt8]?], _ b: [[UInt8]?], count: Int) -> Int {
        for index in 0..<count {
            let result =
                switch (a[index], b[index]) {
                case (nil, nil): 0
                case (nil, _): -1
                case (_, nil): 1
                case (let x?, let y?):
                    x.withUnsafeBytes { x in
                        y.withUnsafeBytes { y in columns[index].type.compare(x, y) }
                    }
                }
            if result != 0 { return order(index) == .ascending ? sign(result) : -sign(result) }
        }
        return 0
    }
}

private func compareBytes(_ a: [UInt8], _ b: [UInt8]) -> Int {
    a.withUnsafeBytes { a in b.withUnsafeBytes { b in sign(ClusteringKey.compare(a, b)) } }
}

private func show(_ values: [[UInt8]?]) -> String {
    values.map { $0.map(hex) ?? "null" }.joined(separator: ", ")
}

private func hex(_ bytes: [UInt8]) -> String { HexText.text(bytes) }

@Suite struct ClusteringKeyPropertyTests {
    /// How often each property is tried.
    static let rounds = 12_000

    private func isValid(_ type: CQLType, _ value: [UInt8]) -> Bool {
        value.withUnsafeBytes { bytes in (try? type.validate(bytes)) != nil }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func bytesHaveTheOrderOfTheTypes(seed: UInt64) throws {
        var generator = CQLValueGenerator(seed: seed)
        var equal = 0
        for round in 0..<(Self.rounds / 3) {
            let columns = (0...generator.random.below(2)).map { _ in
                (
                    generator.type(depth: 2),
                    generator.random.chance(50) ? ClusteringOrder.ascending : .descending
                )
            }
            let table = Table(columns)
            func values(_ generator: inout CQLValueGenerator) -> [[UInt8]?] {
                columns.map { type, _ in
                    generator.random.chance(6) ? nil : generator.value(of: type)
                }
            }
            let a = values(&generator)
            let b: [[UInt8]?] = a.enumerated().map { index, value in
                if generator.random.chance(40) { return value }
                if generator.random.chance(8) { return nil }
                return value.map { generator.neighbour(of: $0, columns[index].0) }
                    ?? generator.value(of: columns[index].0)
            }
            for (index, value) in a.enumerated() {
                if let value {
                    #expect(
                        isValid(columns[index].0, value),
                        "\(columns[index].0.cqlName) \(hex(value))")
                }
            }
            let (x, y) = (table.key(a), table.key(b))
            let expected = table.compare(a, b, count: columns.count)
            func context() -> Comment {
                let names = columns.map { "\($0.0.cqlName) \($0.1)" }
                return
                    "seed \(seed) round \(round): \(names) \(show(a)) \(show(b)) -> \(hex(x)) \(hex(y))"
            }
            #expect(compareBytes(x, y) == expected, context())
            #expect(compareBytes(y, x) == -expected, context())
            if expected == 0 {
                equal += 1
                #expect(x == y, context())
            } else {
                #expect(!x.starts(with: y) && !y.starts(with: x), context())
            }

            // Bounds of every prefix of a, against both keys.
            for count in 0...columns.count {
                let prefix = Array(a.prefix(count))
                let (below, above) = (table.bound(prefix, .below), table.bound(prefix, .above))
                #expect(compareBytes(below, x) == -1 && compareBytes(above, x) == 1, context())
                let relation = table.compare(a, b, count: count)
                #expect(compareBytes(below, y) == (relation == 0 ? -1 : relation), context())
                #expect(compareBytes(above, y) == (relation == 0 ? 1 : relation), context())
            }
        }
        #expect(equal > 100, "too few equal keys were tried: \(equal)")
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func decodingGivesTheValuesBack(seed: UInt64) throws {
        var generator = CQLValueGenerator(seed: seed)
        for round in 0..<(Self.rounds / 3) {
            let type = generator.type(depth: 3)
            let order: ClusteringOrder = generator.random.chance(50) ? .ascending : .descending
            let table = Table([(type, order)])
            let value: [UInt8]? = generator.random.chance(5) ? nil : generator.value(of: type)
            let key = table.key([value])
            let context: Comment =
                "seed \(seed) round \(round): \(type.cqlName) \(order) \(value.map(hex) ?? "null") -> \(hex(key))"
            let decoded = try key.withUnsafeBytes {
                try ClusteringKey.decode($0, columns: table.columns)
            }
            try #require(decoded.count == 1)
            // What comes back has the same place in the order, and is the same where it can be.
            #expect(table.key(decoded) == key, context)
            #expect((decoded[0] == nil) == (value == nil), context)
            guard let value, let result = decoded[0] else { continue }
            #expect(isValid(type, result), context)
            let isCanonical = value.withUnsafeBytes { ClusteringKey.isCanonical($0, type: type) }
            if !type.isClusteringEncodingInjective {
                #expect(isCanonical == (result == value), context)
            } else if !type.contains(where: { $0.isTupleLike }) {
                #expect(result == value, context)
            }
        }
    }

    @Test func everyNativeTypeIsOrderedInBothDirections() throws {
        for (index, type) in CQLValueGenerator.natives.enumerated() {
            var generator = CQLValueGenerator(seed: UInt64(100 + index))
            for order in [ClusteringOrder.ascending, .descending] {
                let table = Table([(type, order)])
                var values: [[UInt8]?] = [nil]
                if isValid(type, []) { values.append([]) }
                for _ in 0..<60 { values.append(generator.value(of: type)) }
                for a in values {
                    for b in values {
                        #expect(
                            compareBytes(table.key([a]), table.key([b]))
                                == table.compare([a], [b], count: 1),
                            "\(type.cqlName) \(order) \(a.map(hex) ?? "null") \(b.map(hex) ?? "null")"
                        )
                    }
                }
            }
        }
    }

    @Test(arguments: [21, 22] as [UInt64])
    func damagedKeysAreDecodedOrRefusedButNeverTrap(seed: UInt64) {
        var generator = CQLValueGenerator(seed: seed)
        var refused = 0
        for _ in 0..<(Self.rounds / 2) {
            let type = generator.type(depth: 2)
            let table = Table([(type, generator.random.chance(50) ? .ascending : .descending)])
            var key = table.key([generator.value(of: type)])
            switch generator.random.below(3) {
            case 0: key.removeLast(generator.random.below(key.count) + 1)
            case 1: key[generator.random.below(key.count)] = generator.random.next8()
            default: key.append(generator.random.next8())
            }
            key.withUnsafeBytes { bytes in
                if (try? ClusteringKey.decode(bytes, columns: table.columns)) == nil {
                    refused += 1
                }
            }
        }
        #expect(refused > Self.rounds / 6)
    }

    @Test(arguments: [31, 32] as [UInt64])
    func invalidValuesAreEncodedAndComparedWithoutATrap(seed: UInt64) {
        var generator = CQLValueGenerator(seed: seed)
        for _ in 0..<(Self.rounds / 2) {
            let type = generator.type(depth: 2)
            let table = Table([(type, generator.random.chance(50) ? .ascending : .descending)])
            let a = (0..<generator.random.below(20)).map { _ in generator.random.next8() }
            let b = (0..<generator.random.below(20)).map { _ in UInt8(generator.random.below(4)) }
            let (x, y) = (table.key([a]), table.key([b]))
            #expect(x.last == 0x38 && y.last == 0x38)
            _ = table.compare([a], [b], count: 1)
            a.withUnsafeBytes { bytes in
                _ = try? type.validate(bytes)
                _ = type.format(bytes)
                _ = type.display(bytes)
                _ = ClusteringKey.isCanonical(bytes, type: type)
            }
        }
    }
}

extension CQLType {
    /// A type whose trailing null fields may be absent.
    fileprivate var isTupleLike: Bool {
        switch self {
        case .tuple, .userDefined: true
        default: false
        }
    }
}
