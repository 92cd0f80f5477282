// Sets and maps come in any order and leave in one.

import Encoding
import Model
import Testing

private func normalized(_ type: CQLType, _ bytes: [UInt8]) -> [UInt8]? {
    bytes.withUnsafeBytes { type.normalized($0) }
}

private func collection(_ parts: [[UInt8]], perEntry: Int = 1) -> [UInt8] {
    bigEndian(Int32(parts.count / perEntry))
        + parts.flatMap { bigEndian(Int32($0.count)) + $0 }
}

@Suite struct CQLValueNormalizationTests {
    private let a = bigEndian(Int32(-5))
    private let b = bigEndian(Int32(3))

    @Test func elementsAreSortedByTheirTypeAndOnce() {
        let set = CQLType.set(.int, frozen: true)
        #expect(normalized(set, collection([b, a, b])) == collection([a, b]))
        #expect(normalized(set, collection([a, b])) == nil)
        #expect(normalized(set, collection([])) == nil)
        #expect(normalized(.list(.int, frozen: true), collection([b, a, b])) == nil)
    }

    @Test func whatIsNoValueStaysAsItIs() {
        let set = CQLType.set(.boolean, frozen: true)
        // Of two bytes, which a boolean has not: it is not taken for the true one beside it.
        #expect(normalized(set, collection([[1], [1, 2]])) == nil)
        #expect(normalized(set, collection([[1], [0]])) == collection([[0], [1]]))
        let cut = Array(collection([b, a]).dropLast())
        #expect(normalized(.set(.int, frozen: true), cut) == nil)
    }

    @Test func theLastOfSeveralEntriesWithOneKeyStays() {
        let map = CQLType.map(.int, .text, frozen: true)
        let entries = [b, [1], a, [2], b, [3]]
        #expect(
            normalized(map, collection(entries, perEntry: 2))
                == collection([a, [2], b, [3]], perEntry: 2))
    }

    @Test func setsInsideOfOtherValuesAreSortedToo() {
        let tuple = CQLType.tuple([.set(.int, frozen: true), .int])
        let unsorted = collection([b, a])
        let value = bigEndian(Int32(unsorted.count)) + unsorted + bigEndian(Int32(-1))
        let sorted = bigEndian(Int32(unsorted.count)) + collection([a, b]) + bigEndian(Int32(-1))
        #expect(normalized(tuple, value) == sorted)
        let vector = CQLType.vector(.set(.int, frozen: true), dimensions: 1)
        let prefix = [UInt8(unsorted.count)]
        #expect(normalized(vector, prefix + unsorted) == prefix + collection([a, b]))
    }

    @Test(arguments: [51, 52] as [UInt64])
    func theNormalFormIsValidAndItsOwn(seed: UInt64) {
        var generator = CQLValueGenerator(seed: seed)
        var changed = 0
        for round in 0..<3_000 {
            let type = generator.type(depth: 3)
            let value = generator.value(of: type)
            guard let normal = normalized(type, value) else { continue }
            changed += 1
            #expect(normalized(type, normal) == nil, "seed \(seed) round \(round)")
            #expect(
                normal.withUnsafeBytes { bytes in (try? type.validate(bytes)) != nil },
                "seed \(seed) round \(round): \(type.cqlName)")
        }
        #expect(changed > 50)
    }
}
