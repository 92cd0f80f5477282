// Deaths at any operation: what was appended survives a kill, what was synced survives a power loss,
// and the engine always opens again.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct CrashTests {
    private struct Planned: Error {}

    /// What must be there and what may be there too.
    private struct Promise {
        /// Mutations in order, with their positions.
        var written: [(mutation: [UInt8], position: LogPosition)] = []
        /// All of them up to here must come back.
        var kept = 0

        func check(
            _ harness: Harness, seed: Int, _ generator: inout Generator
        ) throws {
            // Each partition must be the merge of the promised mutations and any subset of the rest;
            // counting rows of a write-once workload decides it.
            var sure: Set<[UInt8]> = []
            var possible: Set<[UInt8]> = []
            for (index, entry) in written.enumerated() {
                if index < kept { sure.insert(entry.mutation) }
                possible.insert(entry.mutation)
            }
            for mutation in possible.sorted(by: { compareBytes($0, $1) < 0 }) {
                let (token, key, expected) = try mutation.withUnsafeBytes { raw in
                    let view = try MutationView(raw)
                    return (view.token, [UInt8](view.key), [UInt8](view.partition))
                }
                let answer = try harness.read(
                    ReadCommand(
                        table: testTable, scope: .partition(token: token, key: key),
                        nowInSeconds: generator.now))
                let found: [UInt8]? = try answer.withUnsafeBytes { raw in
                    var cursor = try ReadResultView(raw).partitions
                    return try cursor.next().map { [UInt8]($0.partition) }
                }
                if sure.contains(mutation) {
                    #expect(found == expected, "seed \(seed): a promised write is lost")
                } else {
                    #expect(found == nil || found == expected, "seed \(seed): a write is damaged")
                }
            }
        }
    }

    /// A write of one row to a partition of its own.
    private func mutation(_ number: Int, _ generator: inout Generator) -> [UInt8] {
        let key = withUnsafeBytes(of: UInt32(number).bigEndian) { [UInt8]($0) }
        let writer = ByteWriter()
        key.withUnsafeBytes {
            MutationWriter.begin(
                table: testTable, token: Token.of(key).value, key: $0, into: writer)
        }
        PartitionWriter.begin(into: writer)
        let row = ByteWriter()
        let rowWriter = RowWriter()
        var begun = rowWriter
        begun.begin(
            liveness: Liveness(timestamp: Int64(number + 1)), deletion: .none, baseTimestamp: 0,
            into: row)
        let value = (0..<Int(generator.random.below(200))).map { UInt8(truncatingIfNeeded: $0) }
        value.withUnsafeBytes {
            begun.append(
                Cell(column: 3, flags: [], timestamp: Int64(number + 1), value: $0), into: row)
        }
        PartitionWriter.append(
            key: UnsafeRawBufferPointer(start: nil, count: 0), row: row.bytes, into: writer)
        return writer.array
    }

    private func run(seed: Int, losesPower: Bool) throws {
        var generator = Generator(seed: UInt64(seed))
        let harness = Harness(
            schema: testSchema { $0.compaction["min_threshold"] = "2" },
            configuration: smallConfiguration(&generator.random),
            random: RandomStream(seed: UInt64(seed), name: "harness"))
        harness.seconds = generator.now
        harness.configuration.jobStepBytes = 4_096
        var promise = Promise()
        var number = 0
        for _ in 0..<8 {
            harness.files.operationsLeft = Int(generator.random.below(200))
            var ticked = promise.kept
            do {
                try harness.open()
                while true {
                    for _ in 0..<(1 + generator.random.below(4)) {
                        let bytes = mutation(number, &generator)
                        number += 1
                        try harness.apply(bytes)
                        guard let engine = harness.engine else { return }
                        promise.written.append((bytes, engine.log.nextPosition))
                    }
                    if generator.random.chance(1, outOf: 3) { harness.engine?.requestSync() }
                    if generator.random.chance(1, outOf: 20) { harness.engine?.flush(table: nil) }
                    harness.nanoseconds += 100_000_000
                    try harness.endTick()
                    ticked = promise.written.count
                    if losesPower, let engine = harness.engine {
                        while promise.kept < promise.written.count,
                            promise.written[promise.kept].position <= engine.syncedPosition
                        { promise.kept += 1 }
                    }
                    try harness.work()
                    try harness.work()
                }
            } catch {
                // The planned crash.
            }
            harness.files.operationsLeft = nil
            if losesPower {
                harness.files.losePower(&generator.random)
            } else {
                promise.kept = ticked
            }
            try harness.open()
            try promise.check(harness, seed: seed, &generator)
            // What came back once is promised from now on: the start synced it.
            try keepWhatIsThere(harness, &promise, generator.now)
        }
    }

    /// After a start all that was found is durable.
    private func keepWhatIsThere(
        _ harness: Harness, _ promise: inout Promise, _ now: Int64
    ) throws {
        var there: [(mutation: [UInt8], position: LogPosition)] = []
        for entry in promise.written {
            let (token, key) = try entry.mutation.withUnsafeBytes { raw in
                let view = try MutationView(raw)
                return (view.token, [UInt8](view.key))
            }
            let answer = try harness.read(
                ReadCommand(
                    table: testTable, scope: .partition(token: token, key: key), nowInSeconds: now))
            if answer.count > 1 { there.append((entry.mutation, .zero)) }
        }
        promise.written = there
        promise.kept = there.count
    }

    @Test(arguments: 0..<10)
    func killLosesNothingThatWasAppended(seed: Int) throws {
        try run(seed: seed, losesPower: false)
    }

    @Test(arguments: 0..<10)
    func powerLossLosesNothingThatWasSynced(seed: Int) throws {
        try run(seed: seed, losesPower: true)
    }
}

extension CrashTests {
    private func truncating() throws -> (Harness, [UInt8], LogPosition) {
        var generator = Generator(seed: 5)
        var configuration = Configuration.Storage()
        configuration.commitLogSegmentBytes = 2_000
        let harness = Harness(
            schema: testSchema(), configuration: configuration,
            random: RandomStream(seed: 5, name: "harness"))
        try harness.open()
        let first = mutation(0, &generator)
        try harness.apply(first)
        harness.engine?.flush(table: nil)
        try harness.settle()
        // More of them than a segment holds, in the log only.
        for number in 1..<60 {
            try harness.apply(mutation(number, &generator))
            harness.engine?.requestSync()
            try harness.settle()
        }
        let position = try #require(
            try harness.engine?.truncate(testTable, clock: harness.clock))
        try harness.endTick()
        return (harness, first, position)
    }

    private func rows(_ harness: Harness) throws -> Int {
        let answer = try harness.read(
            ReadCommand(
                table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                nowInSeconds: 1_000))
        return try answer.withUnsafeBytes { raw in
            var cursor = try ReadResultView(raw).partitions
            var count = 0
            while try cursor.next() != nil { count += 1 }
            return count
        }
    }

    @Test func aTruncationThatIsCommittedStaysThoughItsManifestIsNotWritten() throws {
        let (harness, _, position) = try truncating()
        harness.truncations[testTable] = position
        try harness.open()
        #expect(try rows(harness) == 0)
    }

    /// Else a deletion in the log would be gone, and what it shadowed in an SSTable back.
    @Test func aTruncationThatWasNotCommittedHasLostNothing() throws {
        let (harness, _, _) = try truncating()
        // All that may go before the manifest is written has gone.
        for (id, job) in harness.jobs where job.title != "manifest" {
            while case .more = try job.step(harness.files, budgetBytes: 1 << 20) {}
            harness.jobs.removeAll { $0.0 == id }
            guard let engine = harness.engine else { return }
            try engine.receive(
                .jobEnded(id, job, nil), clock: harness.clock, outbox: harness.outbox)
        }
        try harness.open()
        #expect(try rows(harness) == 60)
    }
}
