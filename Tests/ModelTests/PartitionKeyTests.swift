import Encoding
import Model
import Testing

private func serialize(_ components: [[UInt8]]) -> [UInt8] {
    let writer = ByteWriter()
    var buffers: [UnsafeRawBufferPointer] = []
    let storage = ByteWriter()
    var ranges: [ByteRange] = []
    for component in components {
        ranges.append(ByteRange(offset: storage.count, count: component.count))
        storage.append(component)
    }
    for range in ranges { buffers.append(storage[range]) }
    PartitionKey.serialize(buffers, into: writer)
    return writer.array
}

@Suite struct PartitionKeyTests {
    @Test func oneComponentIsTheKeyItself() {
        #expect(serialize([[1, 2, 3]]) == [1, 2, 3])
        #expect(serialize([[]]) == [])
    }

    @Test func severalComponentsHaveLengthsAndZeros() {
        #expect(serialize([[1], [], [2, 3]]) == [0, 1, 1, 0, 0, 0, 0, 0, 2, 2, 3, 0])
        let long = [UInt8](repeating: 9, count: 65_535)
        #expect(Array(serialize([[1], long]).prefix(6)) == [0, 1, 1, 0, 0xFF, 0xFF])
    }

    @Test func componentsAreFoundAgain() throws {
        for components: [[UInt8]] in [[[1]], [[1], []], [[1], [2, 3], [0, 0, 0]]] {
            let key = serialize(components)
            try key.withUnsafeBytes { raw in
                let ranges = try PartitionKey.components(of: raw, count: components.count)
                #expect(ranges.map { Array(raw[$0.offset..<$0.end]) } == components)
            }
        }
    }

    @Test func malformedKeysAreRefused() {
        let good = serialize([[1], [2, 3]])
        var bad: [[UInt8]] = (0..<good.count).map { Array(good.prefix($0)) }
        bad.append(good + [0])
        bad.append([0, 1, 1, 1, 0, 0, 0])
        for key in bad {
            key.withUnsafeBytes { raw in
                _ = #expect(throws: MalformedBytes.self) {
                    try PartitionKey.components(of: raw, count: 2)
                }
            }
        }
    }

    @Test func aKeyTooLongIsRefusedInCassandrasWords() throws {
        try PartitionKey.checkLength(65_535)
        #expect(throws: CQLValueError("Key length of 65536 is longer than maximum of 65535")) {
            try PartitionKey.checkLength(65_536)
        }
    }

    @Test func tokensOfSeveralComponentsAreTheDrivers() {
        // Statement.routing_key of the Python driver for (int 1, text 'ab'), and Murmur3Token of
        // it.
        let key = serialize([[0, 0, 0, 1], Array("ab".utf8)])
        #expect(HexText.text(key) == "000400000001000002616200")
        #expect(key.withUnsafeBytes { Murmur3.cassandraToken($0) } == 4996121422650625275)
    }
}
