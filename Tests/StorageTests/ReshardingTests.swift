// Another number of shards: all data is there, each partition in its shard, whatever the crash.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

/// Equal slices of all tokens.
private func slices(_ count: Int) -> [ClosedRange<Int64>] {
    let width = UInt64.max / UInt64(count)
    return (0..<count).map { index in
        let first = Int64(bitPattern: UInt64(index) * width ^ 1 << 63)
        let last =
            index == count - 1
            ? Int64.max : Int64(bitPattern: (UInt64(index + 1) * width ^ 1 << 63) &- 1)
        return first...last
    }
}

private func shards(_ generation: Int, _ count: Int) -> [Resharding.ShardFiles] {
    slices(count).enumerated().map {
        Resharding.ShardFiles(prefix: "g\(generation)s\($0.offset)-", slice: $0.element)
    }
}

@Suite struct ReshardingTests {
    /// Harnesses of all shards of a generation over one folder.
    private func open(
        _ shards: [Resharding.ShardFiles], _ files: MemoryFiles, _ seed: UInt64, _ life: UInt32,
        _ configuration: Configuration.Storage
    ) throws -> [Harness] {
        try shards.map { shard in
            let harness = Harness(
                schema: testSchema { $0.gcGraceSeconds = 1_000_000 }, configuration: configuration,
                random: RandomStream(seed: seed, name: shard.prefix), files: files)
            harness.prefix = shard.prefix
            harness.slice = shard.slice
            harness.incarnation = life
            try harness.open()
            return harness
        }
    }

    @Test(arguments: 0..<5)
    func everyPartitionMovesToItsNewShard(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        var configuration = smallConfiguration(&generator.random)
        configuration.jobStepBytes = 1 << 20
        let files = MemoryFiles()
        var twin = Twin()
        var generation = 1
        var count = Int(1 + generator.random.below(3))
        var life: UInt32 = 1
        for _ in 0..<4 {
            let current = shards(generation, count)
            let harnesses = try open(current, files, UInt64(seed), life, configuration)
            for _ in 0..<80 {
                let mutation = try generator.mutation()
                let token = try mutation.withUnsafeBytes { try MutationView($0).token }
                for harness in harnesses where harness.slice.contains(token) {
                    try harness.apply(mutation)
                    try harness.endTick()
                    if generator.random.chance(1, outOf: 10) { harness.engine?.flush(table: nil) }
                    try harness.work()
                }
                try twin.apply(mutation)
            }
            try check(harnesses, twin, &generator, seed)
            let newCount = Int(1 + generator.random.below(4))
            let next = shards(generation + 1, newCount)
            func reshard() throws {
                try Resharding.reshard(
                    from: current, to: next, configuration: configuration,
                    schema: harnesses[0].schema, incarnation: Incarnation(life + 1),
                    files: files, clock: harnesses[0].clock)
            }
            // A crash anywhere leaves the old generation whole.
            files.operationsLeft = Int(generator.random.below(40))
            do {
                try reshard()
            } catch {
                files.operationsLeft = nil
                let again = try open(current, files, UInt64(seed), life + 2, configuration)
                try check(again, twin, &generator, seed)
            }
            files.operationsLeft = nil
            try reshard()
            for shard in current { try Resharding.removeGeneration(shard.prefix, files: files) }
            generation += 1
            count = newCount
            life += 5
        }
        let last = try open(shards(generation, count), files, UInt64(seed), life, configuration)
        for harness in last { harness.engine?.compact(table: testTable) }
        for harness in last { try harness.settle() }
        try check(last, twin, &generator, seed)
    }

    private func check(
        _ harnesses: [Harness], _ twin: Twin, _ generator: inout Generator, _ seed: Int
    ) throws {
        for key in twin.partitions.keys.sorted() {
            let command = ReadCommand(
                table: testTable, scope: .partition(token: key.token, key: key.key),
                nowInSeconds: generator.now)
            let expected = try twin.read(command, gcGrace: 1_000_000)
            for harness in harnesses where harness.slice.contains(key.token) {
                let found = try harness.read(command)
                let isEqual = found == expected
                #expect(isEqual, "seed \(seed) key \(key) \(describe(found, expected))")
            }
        }
        // A scan of a shard shows its own partitions alone.
        for harness in harnesses {
            let command = ReadCommand(
                table: testTable,
                scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                nowInSeconds: generator.now)
            var own = twin
            own.partitions = twin.partitions.filter { harness.slice.contains($0.key.token) }
            let found = try harness.read(command)
            #expect(found == (try own.read(command, gcGrace: 1_000_000)), "seed \(seed)")
        }
    }
}
