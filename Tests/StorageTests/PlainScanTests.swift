// Scans of tables whose partitions are single rows, in files in which nothing is deleted or expires: they go
// over the blocks without taking rows apart. The twin knows nothing of that.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct PlainScanTests {
    private func mutation(_ random: inout RandomStream, keys: Int) -> (key: [UInt8], bytes: [UInt8])
    {
        let number = random.below(UInt64(keys))
        // Lengths of one byte and of two, and whole partitions on both sides of that.
        let key = [UInt8](repeating: UInt8(number), count: number % 9 == 0 ? 130 : 3)
        let timestamp = random.within(1...6)
        let row = ByteWriter()
        var writer = RowWriter()
        writer.begin(
            liveness: random.chance(1, outOf: 3) ? Liveness(timestamp: timestamp) : .none,
            deletion: .none, baseTimestamp: timestamp, into: row)
        let all = random.chance(2, outOf: 3)
        var columns: [UInt32] = []
        for column: UInt32 in [3, 4] where all || random.chance(1, outOf: 2) {
            columns.append(column)
        }
        if columns.isEmpty { columns = [5] }
        let isTombstone = random.chance(1, outOf: 60)
        for column in columns {
            let length = [0, 5, 50, 104, 105, 110, 118, 119, 120, 300][Int(random.below(10))]
            let value = [UInt8](repeating: UInt8(random.below(3)), count: isTombstone ? 0 : length)
            value.withUnsafeBytes {
                writer.append(
                    Cell(
                        column: column, flags: isTombstone ? .tombstone : [],
                        timestamp: timestamp, localDeletionTime: isTombstone ? 990 : 0, value: $0),
                    into: row)
            }
        }
        let mutation = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of($0).value, key: $0, into: mutation)
        }
        PartitionWriter.begin(into: mutation)
        PartitionWriter.append(
            key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: mutation)
        return (key, mutation.array)
    }

    private func command(_ random: inout RandomStream, _ keys: [[UInt8]]) -> ReadCommand {
        var range = ReadCommand.TokenScope(start: .min, end: .max)
        func token(_ key: [UInt8]) -> Int64 { key.withUnsafeBytes { Token.of($0).value } }
        let key = keys[Int(random.below(UInt64(keys.count)))]
        switch random.below(4) {
        case 0:
            range.after = ReadCommand.Position(token: token(key), key: key, clustering: nil)
        case 1: range.end = token(key)
        default: break
        }
        return ReadCommand(
            table: testTable, scope: .range(range), nowInSeconds: 1_000,
            rowLimit: random.chance(1, outOf: 2) ? .max : Int(1 + random.below(20)),
            byteLimit: random.chance(1, outOf: 2) ? 1 << 20 : Int(1 + random.below(3_000)))
    }

    @Test(arguments: 0..<24) func scansAnswerLikeTheTwin(seed: Int) throws {
        var random = RandomStream(seed: UInt64(seed), name: "plain")
        var configuration = smallConfiguration(&random)
        configuration.memtableBytes = 1 << 20
        let harness = Harness(
            schema: testSchema(isClustered: false) {
                $0.gcGraceSeconds = 1_000_000
                $0.compaction["enabled"] = "false"
            }, configuration: configuration,
            random: RandomStream(seed: UInt64(seed), name: "harness"))
        try harness.open()
        var twin = Twin()
        var keys: [[UInt8]] = []
        let files = 1 + random.below(4)
        for file in 0...files {
            for _ in 0..<(20 + random.below(60)) {
                let (key, bytes) = mutation(&random, keys: 60)
                keys.append(key)
                try harness.apply(bytes)
                try twin.apply(bytes)
            }
            if file < files {
                harness.engine?.flush(table: testTable)
                try harness.settle()
            } else if seed % 2 == 0 {
                harness.engine?.flush(table: testTable)
                try harness.settle()
            }
            for _ in 0..<12 {
                let command = command(&random, keys)
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: 1_000_000)
                #expect(found == expected, "seed \(seed) \(describe(found, expected))")
            }
        }
    }
}
