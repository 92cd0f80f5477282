// The memtable's directory and row tree in the shapes that are worst for them, against sorted arrays.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct MemtableTests {
    private func check(
        _ tokens: [Int64], slice: ClosedRange<Int64>, hint: Int = 0, sample: Int = 1
    ) {
        let arena = Arena(pool: ArenaPool(limitBytes: 1 << 20))
        let directory = PartitionDirectory(slice: slice, expectedCount: hint, arena: arena)
        func key(_ token: Int64) -> [UInt8] { withUnsafeBytes(of: token) { [UInt8]($0) } }
        for token in tokens {
            let node = key(token).withUnsafeBytes { directory.findOrInsert(token: token, key: $0) }
            #expect(node.token == token)
        }
        let sorted = Set(tokens).sorted()
        #expect(directory.count == sorted.count)
        var cursor = directory.cursor(from: slice.lowerBound)
        var walked: [Int64] = []
        while let node = cursor.next() { walked.append(node.token) }
        #expect(walked == sorted)
        for index in stride(from: 0, to: sorted.count, by: sample) {
            let token = sorted[index]
            let found = key(token).withUnsafeBytes { directory.find(token: token, key: $0) }
            #expect(found?.token == token)
            let absent = [UInt8(1)].withUnsafeBytes { directory.find(token: token, key: $0) }
            #expect(absent == nil)
            var from = directory.cursor(from: token)
            #expect(from.next()?.token == token)
            if index + 1 < sorted.count {
                var behind = directory.cursor(from: token + 1)
                #expect(behind.next()?.token == sorted[index + 1])
            }
        }
    }

    @Test func evenTokensAreFoundAndWalkedInOrder() {
        var random = RandomStream(seed: 1, name: "even")
        check(
            (0..<60_000).map { _ in Int64(bitPattern: random.next()) }, slice: .min ... .max,
            sample: 97)
    }

    @Test func tokensInOneHundredthOfTheSliceAreFoundAndWalkedInOrder() {
        var random = RandomStream(seed: 2, name: "skew")
        let width = Int64.max / 50
        check(
            (0..<60_000).map { _ in 1_000 + random.within(0...width) }, slice: .min ... .max,
            sample: 97)
    }

    @Test func consecutiveTokensAreFoundAndWalkedInOrder() {
        check((0..<20_000).map { $0 }, slice: .min ... .max, sample: 31)
        check((0..<2_000).map { Int64.max - $0 }, slice: .min ... .max)
        check((0..<2_000).map { Int64.min + $0 }, slice: .min ... .max)
        check((0..<100).map { 5 + $0 % 16 }, slice: 5...20)
        check([7, 7, 7], slice: 7...7)
    }

    @Test func aHintOnlyChangesTheShape() {
        var random = RandomStream(seed: 3, name: "hint")
        check(
            (0..<3_000).map { _ in random.within(-500...900_000) }, slice: -500...900_000,
            hint: 1_000_000, sample: 7)
    }

    @Test func manyKeysOfOneTokenAreAllFound() {
        let arena = Arena(pool: ArenaPool(limitBytes: 1 << 20))
        let directory = PartitionDirectory(slice: .min ... .max, expectedCount: 0, arena: arena)
        var keys: [[UInt8]] = []
        for number in 0..<3_000 {
            let mixed = UInt32(number) &* 2_654_435_761
            keys.append(withUnsafeBytes(of: mixed.bigEndian) { [UInt8]($0) })
        }
        for key in keys { _ = key.withUnsafeBytes { directory.findOrInsert(token: 42, key: $0) } }
        #expect(directory.count == 3_000)
        var cursor = directory.cursor(from: 42)
        var previous: [UInt8] = []
        var count = 0
        while let node = cursor.next() {
            let key = [UInt8](node.key)
            #expect(count == 0 || compareBytes(previous, key) < 0)
            previous = key
            count += 1
        }
        #expect(count == 3_000)
    }

    /// Whatever order they come in, and with tags that tell them apart or do not.
    @Test(arguments: [0, 60_000]) func aPartitionTakesFewBytesOfTheDirectory(hint: Int) {
        let pool = ArenaPool(limitBytes: 1 << 26)
        let arena = Arena(pool: pool)
        var random = RandomStream(seed: 4, name: "bytes")
        let directory = PartitionDirectory(
            slice: .min ... .max, expectedCount: hint, arena: arena)
        for number in 0..<60_000 {
            withUnsafeBytes(of: number) {
                _ = directory.findOrInsert(token: Int64(bitPattern: random.next()), key: $0)
            }
        }
        // 24 are the node's.
        let each = arena.heldBytes / 60_000
        #expect(each <= 24 + (hint == 0 ? 32 : 20), "\(each) bytes")
    }

    @Test func longKeysOfPartitionsAndRowsAreKept() throws {
        for count in [65_534, 65_535, 65_536, 200_000] {
            let arena = Arena(pool: ArenaPool(limitBytes: 1 << 20))
            let key = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let row = [UInt8](repeating: 9, count: 100)
            key.withUnsafeBytes { key in
                row.withUnsafeBytes { row in
                    let node = PartitionNode.make(token: -5, key: key, in: arena)
                    let record = RowRecord.make(key: key, row: row, slack: 30, in: arena)
                    node.set(rows: .one(record))
                    node.set(deletion: Deletion(timestamp: 3, localDeletionTime: 4), in: arena)
                    #expect(node.token == -5 && equalBytes(node.key, key))
                    #expect(node.deletion.timestamp == 3 && node.plainRecord == nil)
                    guard case .one(let found) = node.rows else {
                        Issue.record("the row is lost")
                        return
                    }
                    #expect(equalBytes(found.key, key) && equalBytes(found.row, row))
                    let longer = [UInt8](repeating: 8, count: 130)
                    longer.withUnsafeBytes {
                        #expect(found.replaceInPlace($0) && equalBytes(found.row, $0))
                    }
                    let short = UnsafeRawBufferPointer(rebasing: row[..<7])
                    #expect(found.replaceInPlace(short) && equalBytes(found.row, short))
                    #expect(found.replaceInPlace(row) && equalBytes(found.key, key))
                    #expect(!found.isWide)
                    found.markWide()
                    #expect(found.isWide && equalBytes(found.contents, row))
                }
            }
        }
    }

    @Test func aChunkCountsAsFarAsItIsUsed() {
        let pool = ArenaPool(limitBytes: 64 << 20)
        let arena = Arena(pool: pool)
        var allocated = 0
        var random = RandomStream(seed: 5, name: "sizes")
        while allocated < 6 << 20 {
            let count = Int(random.below(400)) * 8
            _ = arena.allocate(count)
            allocated += count
            // The open window, and what did not fit at the ends of chunks.
            #expect(arena.heldBytes - allocated <= (1 << 16) + 13 * 3_200)
        }
        #expect(pool.usedBytes == arena.heldBytes && pool.heldBytes > 0)
        arena.recycle()
        #expect(pool.usedBytes == 0)
    }

    /// Keys into one partition, in that order of insertion.
    private func checkRows(_ keys: [[UInt8]]) throws {
        let memtable = Memtable(
            slice: .min ... .max, expectedPartitions: 0, pool: ArenaPool(limitBytes: 1 << 20))
        let row = ByteWriter()
        var writer = RowWriter()
        writer.begin(liveness: Liveness(timestamp: 1), deletion: .none, baseTimestamp: 1, into: row)
        let scratch = ByteWriter()
        let partitionKey: [UInt8] = [1]
        for key in keys {
            let partition = ByteWriter()
            PartitionWriter.begin(into: partition)
            key.withUnsafeBytes {
                PartitionWriter.append(key: $0, row: row.bytes, into: partition)
            }
            try partitionKey.withUnsafeBytes {
                try memtable.apply(
                    token: 9, key: $0, try PartitionView(partition.bytes), oldestTimestamp: 1,
                    position: LogPosition(segment: 1, offset: 1), scratch: scratch)
            }
        }
        let sorted = Set(keys).sorted { compareBytes($0, $1) < 0 }
        let node = partitionKey.withUnsafeBytes { memtable.find(token: 9, key: $0) }
        let found = try #require(node)
        #expect(memtable.rowCount == sorted.count)
        let source = MemtableRowSource()
        source.open(found, in: memtable)
        for reversed in [false, true] {
            try source.seek(lower: nil, upper: nil, reversed: reversed)
            var walked: [[UInt8]] = []
            while source.state == .row {
                walked.append([UInt8](source.key))
                try source.advance()
            }
            #expect(walked == (reversed ? sorted.reversed() : sorted))
        }
        for index in stride(from: 0, to: sorted.count, by: max(1, sorted.count / 50)) {
            try source.seek(lower: sorted[index], upper: nil, reversed: false)
            #expect([UInt8](source.key) == sorted[index])
            try source.seek(lower: nil, upper: sorted[index], reversed: true)
            if index == 0 {
                #expect(source.state == .end)
            } else {
                #expect([UInt8](source.key) == sorted[index - 1])
            }
        }
    }

    @Test func rowsOfOnePartitionStaySortedInAnyOrderOfInsertion() throws {
        func key(_ number: Int) -> [UInt8] {
            withUnsafeBytes(of: UInt32(number).bigEndian) { [UInt8]($0) }
        }
        try checkRows((0..<20_000).map(key))
        try checkRows((0..<20_000).reversed().map(key))
        try checkRows((0..<20_000).map { key($0 &* 7_919 % 20_011) })
        for count in 1...70 { try checkRows((0..<count).map { key($0 * 37 % 71) }) }
    }

    @Test func rowsWithEqualPrefixesStaySorted() throws {
        let prefix = [UInt8](repeating: 0x41, count: 40)
        try checkRows(
            (0..<20_000).map { number in
                prefix
                    + withUnsafeBytes(of: UInt32(number &* 7_919 % 20_011).bigEndian) {
                        [UInt8]($0)
                    }
            })
        // Keys that begin with one another.
        try checkRows((0..<300).map { [UInt8](repeating: 0, count: $0 * 7 % 301) })
    }

    /// Shapes that are bad for the directory or the row tree, each with how a number becomes a place.
    enum Shape: CaseIterable {
        case even, oneHundredth, consecutive, oneToken, onePartition, equalPrefixes

        /// Token, partition key and clustering key.
        func place(_ number: UInt64) -> (Int64, [UInt8], [UInt8]) {
            func bytes(_ number: UInt64) -> [UInt8] {
                withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
            }
            let mixed = number &* 0x9E37_79B9_7F4A_7C15
            switch self {
            case .even: return (Int64(bitPattern: mixed), bytes(number), [])
            case .oneHundredth: return (Int64(mixed / 101), bytes(number), [])
            case .consecutive: return (Int64(number), bytes(number), [])
            case .oneToken: return (7, bytes(mixed), [])
            case .onePartition: return (7, [1], bytes(mixed))
            case .equalPrefixes:
                return (7, [1], [UInt8](repeating: 0x41, count: 40) + bytes(mixed))
            }
        }
    }

    /// Most tables: a key of 16 bytes, a row of 112, nothing around it.
    @Test func aPartitionOfOneRowTakesLittleMoreThanItsBytes() throws {
        let count = 140_000
        let memtable = Memtable(
            slice: .min ... .max, expectedPartitions: count,
            pool: ArenaPool(limitBytes: 64 << 20))
        let before = memtable.bytes
        var random = RandomStream(seed: 3, name: "density")
        let scratch = ByteWriter()
        let partition = ByteWriter()
        PartitionWriter.begin(into: partition)
        let row = ByteWriter()
        var writer = RowWriter()
        writer.begin(liveness: .none, deletion: .none, baseTimestamp: 5, into: row)
        [UInt8](repeating: 7, count: 100).withUnsafeBytes {
            writer.append(Cell(column: 3, flags: [], timestamp: 5, value: $0), into: row)
        }
        PartitionWriter.append(
            key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: partition)
        for _ in 0..<count {
            let key = [random.next(), random.next()]
            try key.withUnsafeBytes {
                try memtable.apply(
                    token: Token.of($0).value, key: $0, try PartitionView(partition.bytes),
                    oldestTimestamp: 5, isPlain: true,
                    position: LogPosition(segment: 1, offset: 1), scratch: scratch)
            }
        }
        let each = Double(memtable.bytes - before) / Double(count)
        #expect(each < 175, "\(each) bytes for each")
        #expect(memtable.partitionCount == count)
    }

    @Test(arguments: Shape.allCases)
    func rowsThatGrowAndShrinkAreTheMergeOfTheirVersions(shape: Shape) throws {
        struct Place: Hashable {
            let token: Int64
            let key: [UInt8]
            let clustering: [UInt8]
        }
        let seed: UInt64 = 11
        var random = RandomStream(seed: seed, name: "\(shape)")
        let memtable = Memtable(
            slice: .min ... .max, expectedPartitions: 0, pool: ArenaPool(limitBytes: 1 << 20))
        var twin: [Place: (timestamp: Int64, value: [UInt8])] = [:]
        let scratch = ByteWriter()
        for _ in 0..<12_000 {
            let (token, key, clustering) = shape.place(random.below(3_000))
            let place = Place(token: token, key: key, clustering: clustering)
            let timestamp = random.within(1...1_000_000)
            let value = [UInt8](
                repeating: UInt8(random.below(256)), count: Int(random.below(120)))
            let row = ByteWriter()
            var writer = RowWriter()
            writer.begin(
                liveness: .none, deletion: .none, baseTimestamp: timestamp, into: row)
            value.withUnsafeBytes {
                writer.append(
                    Cell(column: 3, flags: [], timestamp: timestamp, value: $0), into: row)
            }
            let partition = ByteWriter()
            PartitionWriter.begin(into: partition)
            clustering.withUnsafeBytes {
                PartitionWriter.append(key: $0, row: row.bytes, into: partition)
            }
            try key.withUnsafeBytes {
                try memtable.apply(
                    token: token, key: $0, try PartitionView(partition.bytes),
                    oldestTimestamp: timestamp, position: LogPosition(segment: 1, offset: 1),
                    scratch: scratch)
            }
            if let known = twin[place], known.timestamp > timestamp { continue }
            if let known = twin[place], known.timestamp == timestamp,
                compareBytes(known.value, value) > 0
            {
                continue
            }
            twin[place] = (timestamp, value)
        }
        var count = 0
        var cursor = memtable.cursor(from: .min)
        var previous: (token: Int64, key: [UInt8])?
        while let node = cursor.next() {
            let key = [UInt8](node.key)
            if let previous {
                #expect(
                    previous.token < node.token
                        || previous.token == node.token && compareBytes(previous.key, key) < 0)
            }
            previous = (node.token, key)
            let source = MemtableRowSource()
            source.open(node, in: memtable)
            try source.seek(lower: nil, upper: nil, reversed: false)
            while source.state == .row {
                let place = Place(
                    token: node.token, key: key, clustering: [UInt8](source.key))
                let expected = try #require(twin[place], "seed \(seed)")
                var cells = try RowView(source.row).cells
                let cell = try #require(try cells.next())
                #expect(cell.timestamp == expected.timestamp)
                #expect([UInt8](cell.value) == expected.value)
                count += 1
                try source.advance()
            }
        }
        #expect(count == twin.count, "seed \(seed)")
    }

    @Test func aFlushedMemtablesMemoryIsUsedAgain() {
        let pool = ArenaPool(limitBytes: 1 << 20)
        let first = Arena(pool: pool)
        for _ in 0..<1_000 { _ = first.allocate(100) }
        let held = first.heldBytes
        first.recycle()
        let second = Arena(pool: pool)
        for _ in 0..<1_000 { _ = second.allocate(100) }
        #expect(second.heldBytes == held)
        #expect(first.heldBytes == 0)
    }
}
