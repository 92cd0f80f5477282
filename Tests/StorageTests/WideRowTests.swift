// Rows that lie in pieces, against rows merged as one stretch of bytes.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct WideRowTests {
    /// One partition with one row, written again and again.
    private struct OneRow {
        let memtable: Memtable
        let pool: ArenaPool
        private let scratch = ByteWriter()
        private let key: [UInt8] = [1]
        /// The row as whole merges make it.
        var twin: [UInt8] = []
        private let hasTwin: Bool

        init(hasTwin: Bool = true) {
            self.hasTwin = hasTwin
            pool = ArenaPool(limitBytes: 1 << 26)
            memtable = Memtable(slice: .min ... .max, expectedPartitions: 0, pool: pool)
        }

        mutating func write(_ row: [UInt8]) throws {
            let partition = ByteWriter()
            PartitionWriter.begin(into: partition)
            let rowKey: [UInt8] = [0x40, 5, 0x38]
            rowKey.withUnsafeBytes { rowKey in
                row.withUnsafeBytes {
                    PartitionWriter.append(key: rowKey, row: $0, into: partition)
                }
            }
            try key.withUnsafeBytes {
                try memtable.apply(
                    token: 9, key: $0, try PartitionView(partition.bytes), oldestTimestamp: 1,
                    position: LogPosition(segment: 1, offset: 1), scratch: scratch)
            }
            guard hasTwin else { return }
            if twin.isEmpty {
                twin = row
                return
            }
            let merged = ByteWriter()
            let isThere = try twin.withUnsafeBytes { a in
                try row.withUnsafeBytes { b in
                    try RowMerge.merge(try RowView(a), try RowView(b), into: merged)
                }
            }
            if isThere { twin = merged.array }
        }

        var record: RowRecord {
            get throws {
                let node = key.withUnsafeBytes { memtable.find(token: 9, key: $0) }
                guard case .one(let record) = try #require(node).rows else {
                    throw MalformedBytes("not one row", offset: 0)
                }
                return record
            }
        }

        func read() throws -> [UInt8] {
            let node = key.withUnsafeBytes { memtable.find(token: 9, key: $0) }
            let source = MemtableRowSource()
            source.open(try #require(node), in: memtable)
            try source.seek(lower: nil, upper: nil, reversed: false)
            #expect(source.state == .row)
            return [UInt8](source.row)
        }
    }

    /// A row with elements of column 6, each eight bytes of value.
    private func map(
        _ paths: some Sequence<Int>, timestamp: Int64, deletedUpTo: Int64? = nil
    ) -> [UInt8] {
        let bytes = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: .none, deletion: .none, baseTimestamp: deletedUpTo ?? timestamp, into: bytes)
        if let deletedUpTo {
            writer.append(
                Cell(
                    column: 6, flags: .complexDeletion, timestamp: deletedUpTo,
                    localDeletionTime: 5), into: bytes)
        }
        for path in paths {
            withUnsafeBytes(of: UInt64(path).bigEndian) { path in
                writer.append(
                    Cell(
                        column: 6, flags: .hasPath, timestamp: timestamp, path: path, value: path),
                    into: bytes)
            }
        }
        return bytes.array
    }

    @Test(arguments: 0..<12)
    func aRowInPiecesHasTheBytesOfARowInOne(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        generator.elements = [400, 5_000][seed % 2]
        generator.moreColumns = [0, 120, 400][seed % 3]
        generator.timestamps = [60, 100_000][seed / 2 % 2]
        var row = OneRow()
        var wide = 0
        for step in 0..<200 {
            // Deletions are rare, or nothing would grow.
            var bytes = try generator.row(isStatic: step % 4 == 0)
            if bytes.isEmpty { continue }
            if try hasDeletion(bytes), generator.random.chance(9, outOf: 10) { continue }
            if generator.random.chance(1, outOf: 10) {
                bytes = try withOriginalKey(bytes, [UInt8(generator.random.below(200))])
            }
            try row.write(bytes)
            if try row.record.isWide { wide += 1 }
            let found = try row.read()
            let isEqual = found == row.twin
            #expect(isEqual, "seed \(seed) step \(step) \(describe(found, row.twin))")
            if !isEqual { return }
        }
        #expect(wide > 20, "seed \(seed) had a wide row in \(wide) steps only")
    }

    private func hasDeletion(_ row: [UInt8]) throws -> Bool {
        try row.withUnsafeBytes {
            let view = try RowView($0)
            if !view.deletion.isNone { return true }
            var cells = view.cells
            while let cell = try cells.next() { if cell.isComplexDeletion { return true } }
            return false
        }
    }

    private func withOriginalKey(_ row: [UInt8], _ key: [UInt8]) throws -> [UInt8] {
        let writer = ByteWriter()
        try row.withUnsafeBytes { bytes in
            try key.withUnsafeBytes { key in
                let view = try RowView(bytes)
                var join = RowJoin(
                    liveness: view.liveness, deletion: view.deletion, originalKey: key,
                    into: writer)
                try join.append(view)
                #expect(join.finish())
            }
        }
        return writer.array
    }

    /// What it cost before: a copy of the whole row for each element, so 4 GB here.
    @Test(arguments: [true, false])
    func aMapThatGrowsByOneElementTakesMemoryForItsElementsAlone(inOrder: Bool) throws {
        var row = OneRow(hasTwin: false)
        let count = 20_000
        for number in 0..<count {
            let path = inOrder ? number : number &* 7_919 % count
            try row.write(map(CollectionOfOne(path), timestamp: Int64(1_000 + number)))
        }
        #expect(try row.record.isWide)
        // An element has 8 + 8 bytes, a timestamp, flags and lengths: 28.
        #expect(row.memtable.bytes < count * 28 * (inOrder ? 5 : 3))
        let bytes = try row.read()
        let cells = try bytes.withUnsafeBytes { raw in
            var cells = try RowView(raw).cells
            var count = 0
            while try cells.next() != nil { count += 1 }
            return count
        }
        #expect(cells == count)
    }

    @Test func aWideRowOfWhichADeletionLeavesLittleIsOneStretchAgain() throws {
        var row = OneRow()
        try row.write(map(0..<200, timestamp: 10))
        #expect(try !row.record.isWide, "nothing was merged yet")
        try row.write(map(200..<201, timestamp: 11))
        #expect(try row.record.isWide)
        try row.write(map(500..<503, timestamp: 13, deletedUpTo: 12))
        #expect(try !row.record.isWide)
        #expect(try row.read() == row.twin)
    }

    @Test func anOverwrittenMapDoesNotGrow() throws {
        var row = OneRow()
        try row.write(map(0..<400, timestamp: 1))
        try row.write(map(400..<401, timestamp: 2))
        var bytesBefore = 0
        for round in 1..<60 {
            let timestamp = Int64(round * 10)
            try row.write(
                map(
                    round % 2 == 0 ? 0..<400 : 1_000..<1_400, timestamp: timestamp,
                    deletedUpTo: timestamp - 1))
            #expect(try row.read() == row.twin)
            if round == 20 { bytesBefore = row.memtable.bytes }
        }
        #expect(row.memtable.bytes <= bytesBefore * 4)
    }

    @Test func aRowOfFewLargeCellsStaysInOneStretch() throws {
        var row = OneRow()
        let value = [UInt8](repeating: 7, count: 3_000)
        for round in 0..<20 {
            let bytes = ByteWriter()
            var writer = RowWriter()
            writer.begin(
                liveness: .none, deletion: .none, baseTimestamp: Int64(round), into: bytes)
            value.withUnsafeBytes {
                writer.append(
                    Cell(
                        column: UInt32(round), flags: [], timestamp: Int64(round), value: $0),
                    into: bytes)
            }
            try row.write(bytes.array)
        }
        #expect(try !row.record.isWide)
        #expect(try row.read() == row.twin)
    }

    @Test func anElementLargerThanAPieceHasOneOfItsOwn() throws {
        var row = OneRow()
        try row.write(map(0..<300, timestamp: 1))
        for round in 0..<40 {
            let bytes = ByteWriter()
            var writer = RowWriter()
            writer.begin(liveness: .none, deletion: .none, baseTimestamp: 5, into: bytes)
            let value = [UInt8](repeating: UInt8(round), count: round * 200)
            withUnsafeBytes(of: UInt64(round % 8 * 30).bigEndian) { path in
                value.withUnsafeBytes {
                    writer.append(
                        Cell(
                            column: 6, flags: .hasPath, timestamp: Int64(5 + round), path: path,
                            value: $0), into: bytes)
                }
            }
            try row.write(bytes.array)
            #expect(try row.read() == row.twin)
        }
        #expect(try row.record.isWide)
    }
}
