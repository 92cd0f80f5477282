// The examples of docs/formats/clustering-key.md, and what a reader would try by hand.

import Encoding
import Foundation
import Model
import Testing

private let repository = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

private func component(_ value: [UInt8]?, _ type: CQLType, _ order: ClusteringOrder) -> [UInt8] {
    let writer = ByteWriter()
    if let value {
        value.withUnsafeBytes {
            ClusteringKey.appendComponent($0, type: type, order: order, into: writer)
        }
    } else {
        ClusteringKey.appendComponent(nil, type: type, order: order, into: writer)
    }
    return writer.array
}

private func column(_ type: CQLType, _ order: ClusteringOrder, _ position: Int = 0) -> ColumnSchema
{
    ColumnSchema(
        id: ColumnID(UInt32(position)), name: "c\(position)", type: type,
        kind: .clustering(position: position, order: order))
}

private func compare(_ a: [UInt8], _ b: [UInt8]) -> Int {
    a.withUnsafeBytes { a in b.withUnsafeBytes { b in ClusteringKey.compare(a, b).signum() } }
}

@Suite struct ClusteringKeyTests {
    @Test func theExamplesOfTheFormatPageHold() throws {
        let page = try String(
            contentsOf: repository.appending(path: "docs/formats/clustering-key.md"),
            encoding: .utf8)
        let examples = try #require(page.range(of: "## Examples"))
        var checked = 0
        for line in page[examples.upperBound...].split(separator: "\n") where line.hasPrefix("| ") {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 6, cells[1] != "type" else { continue }
            let type = try #require(nativeTypes[cells[1]], "\(line)")
            let order: ClusteringOrder = cells[2] == "asc" ? .ascending : .descending
            let value = cells[3] == "null" ? nil : try type.parse(cells[3])
            let expected = cells[4].filter { $0.isHexDigit }.lowercased()
            #expect(HexText.text(component(value, type, order) + [0x38]) == expected, "\(line)")
            checked += 1
        }
        #expect(checked > 35)
    }

    @Test func theKeyThatThePageWalksThroughIsRight() throws {
        let columns = [column(.text, .ascending), column(.int, .descending, 1)]
        let key =
            component(Array("ab".utf8), .text, .ascending)
            + component([0, 0, 0, 1], .int, .descending) + [0x38]
        #expect(HexText.text(key) == "40616200407ffffffe38")
        let values = try key.withUnsafeBytes { try ClusteringKey.decode($0, columns: columns) }
        #expect(values == [Array("ab".utf8), [0, 0, 0, 1]])
        let length = try key.withUnsafeBytes {
            try ClusteringKey.prefixLength(of: $0, columns: columns, count: 1)
        }
        #expect(length == 4)
    }

    @Test func nestedValuesAreSequences() throws {
        let list = CQLType.list(.int, frozen: true)
        let one: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 7]
        #expect(HexText.text(component(one, list, .ascending)) == "40408000000738")
        #expect(HexText.text(component([0, 0, 0, 0], list, .ascending)) == "4038")
        let tuple = CQLType.tuple([.int, .text, .int])
        let absent: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 7]
        let nulls = absent + [255, 255, 255, 255, 255, 255, 255, 255]
        #expect(component(absent, tuple, .ascending) == component(nulls, tuple, .ascending))
        #expect(HexText.text(component(nulls, tuple, .descending)) == "40bf7ffffff8c7")
        let decoded = try (component(absent, tuple, .ascending) + [0x38]).withUnsafeBytes {
            try ClusteringKey.decode($0, columns: [column(tuple, .ascending)])
        }
        #expect(decoded == [nulls])
    }

    @Test func boundsOfNoColumnsEncloseEverything() {
        let keys = [
            [0x38], component(nil, .int, .ascending) + [0x38],
            component(nil, .int, .descending) + [0x38],
            component([0xFF, 0xFF], .blob, .ascending) + [0x38],
        ]
        for key in keys {
            #expect(compare([0x20], key) == -1)
            #expect(compare([0x60], key) == 1)
        }
    }

    @Test func comparisonDecidesAtEveryOffset() {
        for length in 0..<40 {
            let base = (0..<length).map { UInt8($0) }
            #expect(compare(base, base) == 0)
            #expect(compare(base, base + [0]) == -1)
            for index in 0..<length {
                var other = base
                other[index] = 0xF0
                #expect(compare(base, other) == -1)
                #expect(compare(other, base) == 1)
            }
        }
    }

    @Test func decimalsAtTheEdgeOfTheirScaleComeBack() throws {
        for scale in [Int32.min, .min + 1, .max, .max - 1] {
            for number: [UInt8] in [[10], [1], [0x9C], [0x03, 0xE8]] {
                let value = bigEndian(scale) + number
                let key = component(value, .decimal, .ascending) + [0x38]
                let back = try key.withUnsafeBytes {
                    try ClusteringKey.decode($0, columns: [column(.decimal, .ascending)])
                }
                #expect((component(back[0], .decimal, .ascending) + [0x38]) == key)
            }
        }
    }

    @Test func onlyComparableFrozenTypesMayCluster() {
        #expect(CQLType.int.refusalAsClusteringKey == nil)
        #expect(CQLType.list(.int, frozen: true).refusalAsClusteringKey == nil)
        #expect(CQLType.list(.int, frozen: false).refusalAsClusteringKey != nil)
        #expect(CQLType.duration.refusalAsClusteringKey != nil)
        #expect(CQLType.tuple([.int, .duration]).refusalAsClusteringKey != nil)
        #expect(CQLType.counter.refusalAsClusteringKey != nil)
    }
}

/// The native types by their names.
let nativeTypes: [String: CQLType] = Dictionary(
    uniqueKeysWithValues: (CQLValueGenerator.natives + [.duration]).map { ($0.cqlName, $0) })
