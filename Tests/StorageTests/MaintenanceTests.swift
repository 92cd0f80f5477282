// Snapshots, verify, scrub, cleanup, rewriting and import of one engine, on files in memory.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct MaintenanceTests {
    private let everything = ReadCommand(
        table: testTable, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
        nowInSeconds: 1_000, byteLimit: 1 << 28)

    private func harness(
        seed: Int = 1, _ change: (inout Configuration.Storage) -> Void = { _ in }
    ) throws -> Harness {
        var random = RandomStream(seed: UInt64(seed), name: "configuration")
        var configuration = smallConfiguration(&random)
        change(&configuration)
        let harness = Harness(
            schema: testSchema { $0.compaction["enabled"] = "false" },
            configuration: configuration,
            random: RandomStream(seed: UInt64(seed), name: "harness"))
        try harness.open()
        return harness
    }

    private func fill(
        _ harness: Harness, _ count: Int, seed: UInt64 = 3, table: TableID = testTable
    ) throws {
        var generator = Generator(seed: seed)
        for _ in 0..<count {
            try harness.apply(try generator.mutation(table: table))
            try harness.endTick()
        }
    }

    private func flush(_ harness: Harness) throws {
        harness.engine?.flush(table: nil)
        try harness.settle()
    }

    /// Works until the task has ended.
    private func finish(_ harness: Harness, _ id: MaintenanceID) throws -> MaintenanceReport {
        for _ in 0..<100_000 {
            if let ended = harness.engine?.completedMaintenance.first(where: { $0.id == id }) {
                return ended.report
            }
            if try !harness.work() { try harness.endTick() }
        }
        throw MaintenanceRefusal("the task never ends")
    }

    private func request(_ tag: String, tables: [TableID] = [testTable]) -> SnapshotRequest {
        SnapshotRequest(
            tag: tag, tables: tables.map { .init(id: $0, schemaText: "CREATE TABLE ...") },
            parts: 1, createdAt: WallTime(microseconds: 5))
    }

    private func snapshots(_ harness: Harness) throws -> [SnapshotSummary] {
        try SnapshotFolder.list(harness.files)
    }

    /// What the folder's snapshot files give in an engine of their own.
    private func restored(
        _ harness: Harness, _ tag: String, schema: SchemaSnapshot? = nil
    ) throws -> Harness {
        let target = Harness(
            schema: schema ?? harness.schema, configuration: harness.configuration,
            random: RandomStream(seed: 9, name: "restored"))
        try target.open()
        for (name, inode) in harness.files.names where name.text.hasPrefix("snapshot-\(tag)-") {
            target.files.names[FileName("import-1-" + name.text)] = inode
        }
        let table = try #require(target.schema.table("ks", "t"))
        let check = ImportCheckJob(
            lead: "import-1-", schema: table, owned: [.min ... .max], isExtended: true)
        while case .more = try check.step(target.files, budgetBytes: 100) {}
        try #require(check.refusal == nil, "\(check.refusal ?? "")")
        let engine = try #require(target.engine)
        let id = try engine.startImport(
            table.id, lead: "import-1-", fileCount: check.fileCount)
        #expect(try finish(target, id).failure == nil)
        return target
    }

    // MARK: Snapshots

    @Test(arguments: 0..<6) func aSnapshotHoldsWhatWasThereAndGivesItBack(seed: Int) throws {
        let harness = try harness(seed: seed)
        try fill(harness, 80, seed: UInt64(seed))
        try flush(harness)
        try fill(harness, 40, seed: UInt64(seed) + 100)
        let before = try harness.read(everything)
        let id = try #require(harness.engine?.startSnapshot(request("before")))
        #expect(try finish(harness, id).failure == nil)
        try fill(harness, 60, seed: UInt64(seed) + 200)
        harness.engine?.compact(table: testTable)
        try harness.settle()
        let target = try restored(harness, "before")
        #expect(try target.read(everything) == before)
        try target.open()
        #expect(try target.read(everything) == before, "after a restart")
    }

    @Test func aSnapshotWithoutAFlushLeavesOutWhatIsInMemory() throws {
        let harness = try harness()
        try fill(harness, 30)
        try flush(harness)
        let before = try harness.read(everything)
        try fill(harness, 30, seed: 4)
        var wanted = request("files")
        wanted.skipsFlush = true
        _ = try finish(harness, try #require(harness.engine?.startSnapshot(wanted)))
        #expect(try restored(harness, "files").read(everything) == before)
    }

    @Test func aTagIsTakenOnce() throws {
        let harness = try harness()
        try fill(harness, 10)
        let engine = try #require(harness.engine)
        #expect(try finish(harness, engine.startSnapshot(request("twice"))).failure == nil)
        let second = try finish(harness, engine.startSnapshot(request("twice")))
        #expect(second.failure == "Snapshot twice already exists.")
        #expect(try snapshots(harness).count == 1)
    }

    @Test func sizesTellWhatRemovingWouldGiveBack() throws {
        let harness = try harness()
        try fill(harness, 60)
        try flush(harness)
        let engine = try #require(harness.engine)
        _ = try finish(harness, engine.startSnapshot(request("a")))
        #expect(try snapshots(harness).map(\.trueBytes) == [0])
        _ = try finish(harness, engine.startFiles(.upgrade(all: true), nil))
        try harness.settle()
        let found = try snapshots(harness)
        #expect(found.map(\.trueBytes) == found.map(\.manifest.bytes))
        #expect(found[0].trueBytes > 0)
        var selection = SnapshotSelection()
        selection.tag = "a"
        #expect(try SnapshotFolder.clear(selection, harness.files) == 1)
        #expect(!harness.files.names.keys.contains { $0.text.hasPrefix("snapshot-") })
    }

    @Test func namesOfSnapshotsReadBack() throws {
        for tag in ["plain", "with-dash-1", "übung 7/8", "a%2Fb", "..", "1700000000000-t"] {
            let key = SnapshotKey(tag: tag, table: testTable, part: "g1s0")
            for content in [SnapshotName.Content.data(17), .schema, .manifest] {
                let name = SnapshotName.file(key, content)
                #expect(!name.text.contains("/"))
                let parsed = try #require(SnapshotName.parse(name))
                #expect(parsed.key == key)
                #expect(parsed.content == content)
            }
        }
        #expect(SnapshotName.parse(FileName("g1s0-sst-1.db")) == nil)
        #expect(SnapshotName.parse(FileName("snapshot-a-b-c")) == nil)
    }

    @Test func aDamagedManifestIsNone() throws {
        let manifest = SnapshotManifest(
            key: SnapshotKey(tag: "a b", table: testTable, part: "g1s0"), keyspace: "Ks",
            table: "t", parts: 2, createdAt: WallTime(microseconds: 7),
            expiresAt: WallTime(microseconds: 9), isEphemeral: true,
            columns: SnapshotManifest.columns(of: try #require(testSchema().table("ks", "t"))),
            files: [
                .init(name: FileName("x.db"), source: "", bytes: 1, digest: 2, partitions: 3)
            ])
        let bytes = Array(manifest.text.utf8)
        #expect(bytes.withUnsafeBytes { SnapshotManifest($0) } == manifest)
        for count in 0..<bytes.count {
            #expect(bytes[..<count].withUnsafeBytes { SnapshotManifest($0) } == nil)
        }
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 0x10
            #expect(flipped.withUnsafeBytes { SnapshotManifest($0) } == nil)
        }
    }

    /// A start removes what a crash left half made, not a backup that it cannot read.
    @Test func aStartKeepsSnapshotsOfANewerVersionAndDamagedOnes() throws {
        let files = MemoryFiles()
        func put(_ tag: String, _ manifest: String?) {
            let key = SnapshotKey(tag: tag, table: testTable, part: "g1s0")
            for content in [SnapshotName.Content.data(1), .manifest] {
                if content == .manifest, manifest == nil { continue }
                let inode = MemoryFiles.Inode()
                inode.bytes = content == .manifest ? Array((manifest ?? "").utf8) : [1]
                files.names[SnapshotName.file(key, content)] = inode
            }
        }
        put("newer", "coterie-snapshot 2\nshards 7\ncrc32c 12\n")
        put("damaged", "coterie-snapshot 1\ntag x\ncrc32c 12\n")
        put("torn", "coterie-snapshot 1\ntag torn\ncrc32c 1")
        put("headless", nil)
        _ = try SnapshotFolder.recover(files, now: WallTime(microseconds: 0))
        let left = Set(files.names.keys.compactMap { SnapshotName.parse($0)?.key.tag })
        #expect(left == ["newer", "damaged"])
        #expect(files.names.count == 4)
        #expect(try SnapshotFolder.list(files).isEmpty)
    }

    @Test func truncationAndDropLeaveSnapshotsOfFilesAndMemory() throws {
        let harness = try harness()
        try fill(harness, 60)
        try flush(harness)
        try fill(harness, 40, seed: 5)
        let before = try harness.read(everything)
        let engine = try #require(harness.engine)
        let id = try engine.truncate(testTable, snapshot: request("truncated"))
        #expect(try harness.read(everything) == [1], "empty at once")
        try fill(harness, 5, seed: 6)
        let after = try harness.read(everything)
        #expect(try finish(harness, id).failure == nil)
        try harness.settle()
        #expect(try harness.read(everything) == after)
        #expect(try restored(harness, "truncated").read(everything) == before)
        let schema = harness.schema
        let other = try #require(schema.keyspaces.first?.tables.filter { $0.id != testTable })
        engine.install(
            SnapshotSchema.with(other, like: schema), snapshots: [testTable: request("dropped")])
        try harness.settle()
        #expect(engine.isIdle)
        #expect(try restored(harness, "dropped").read(everything) == after)
        #expect(!harness.files.names.keys.contains { $0.text.contains("sst-") })
    }

    // MARK: Crashes

    /// Dies at each operation in turn, while `work` is under way, and checks what the next start finds.
    private func dieEverywhere(
        seed: Int, prepare: (Harness) throws -> Void, work: (Harness) throws -> Void,
        check: (Harness, _ hasEnded: Bool, _ step: Int) throws -> Void
    ) throws {
        for losesPower in [false, true] {
            var step = 0
            while true {
                let harness = try harness(seed: seed) { $0.jobStepBytes = 600 }
                var random = RandomStream(seed: UInt64(seed * 1_000 + step), name: "power")
                try prepare(harness)
                for _ in 0..<4 {
                    harness.engine?.requestSync()
                    harness.nanoseconds += 20_000_000_000
                    try harness.settle()
                }
                let engine = try #require(harness.engine)
                try #require(engine.syncedPosition >= engine.log.nextPosition, "not synced")
                harness.files.operationsLeft = step
                var hasEnded = false
                do {
                    try work(harness)
                    hasEnded = true
                } catch {
                    #expect("\(error)".contains("crash"), "step \(step): \(error)")
                }
                harness.files.operationsLeft = nil
                if losesPower { harness.files.losePower(&random) }
                _ = try SnapshotFolder.recover(harness.files, now: WallTime(microseconds: 0))
                try harness.open()
                try harness.settle()
                try check(harness, hasEnded, step)
                if hasEnded { break }
                step += 1
            }
            #expect(step > 3, "the work has too few steps to die in")
        }
    }

    @Test func deathsDuringASnapshotLeaveAWholeOneOrNone() throws {
        var before: [UInt8] = []
        try dieEverywhere(
            seed: 1,
            prepare: { harness in
                try fill(harness, 30)
                try flush(harness)
                try fill(harness, 10, seed: 8)
                before = try harness.read(everything)
            },
            work: { harness in
                let id = try #require(harness.engine?.startSnapshot(request("s")))
                _ = try finish(harness, id)
            },
            check: { harness, hasEnded, step in
                let found = try snapshots(harness)
                if hasEnded { #expect(found.count == 1) }
                if found.isEmpty {
                    #expect(
                        !harness.files.names.keys.contains { $0.text.hasPrefix("snapshot-") },
                        "step \(step)")
                } else {
                    #expect(try restored(harness, "s").read(everything) == before, "step \(step)")
                }
                #expect(try harness.read(everything) == before, "step \(step)")
            })
    }

    /// A flush or a compaction may have ended without being in the manifest when the table is emptied, and the
    /// node may die before the truncation is committed: then all is there, or nothing.
    @Test(arguments: 0..<200)
    func aTruncationBesideAFlushIsWholeOrNotAtAll(seed: Int) throws {
        let harness = try harness(seed: seed)
        var random = RandomStream(seed: UInt64(seed), name: "truncation")
        for part in 0..<3 {
            try fill(harness, 12, seed: UInt64(seed * 10 + part))
            try flush(harness)
        }
        try fill(harness, 12, seed: UInt64(seed) + 1_000)
        let before = try harness.read(everything)
        let engine = try #require(harness.engine)
        // While the manifest is busy with another table, what ends of this one waits with the truncation.
        try fill(harness, 2, table: otherTable)
        engine.flush(table: otherTable)
        try harness.endTick()
        for _ in 0..<random.below(4) { try harness.work() }
        if seed % 3 != 0 { engine.flush(table: testTable) }
        if seed % 3 != 1 { engine.compact(table: testTable) }
        try harness.endTick()
        for _ in 0..<random.below(12) { try harness.work() }
        _ = try engine.truncate(testTable, snapshot: nil)
        try harness.endTick()
        #expect(try harness.read(everything) == [1])
        for _ in 0..<random.below(12) { try harness.work() }
        try harness.open()
        let now = try harness.read(everything)
        #expect(now == before || now == [1], "\(before.count) bytes before, \(now.count) now")
    }

    @Test func deathsDuringATruncationLoseNothingWithoutASnapshot() throws {
        var before: [UInt8] = []
        try dieEverywhere(
            seed: 2,
            prepare: { harness in
                try fill(harness, 30)
                try flush(harness)
                try fill(harness, 10, seed: 8)
                before = try harness.read(everything)
            },
            work: { harness in
                let engine = try #require(harness.engine)
                let id = try engine.truncate(testTable, snapshot: request("t"))
                _ = try finish(harness, id)
            },
            check: { harness, hasEnded, step in
                let now = try harness.read(everything)
                #expect(
                    now == before || now == [1],
                    "step \(step): \(before.count) bytes before, \(now.count) now")
                if hasEnded { #expect(now == [1]) }
                if now == [1] {
                    #expect(try restored(harness, "t").read(everything) == before, "step \(step)")
                }
            })
    }

    @Test(arguments: [
        FileMaintenance.scrub, .upgrade(all: true), .cleanup([0 ... .max]), .garbage(.cell),
    ])
    func deathsDuringRewritingLeaveTheOldFilesOrTheNew(kind: FileMaintenance) throws {
        var before: [UInt8] = []
        var owned: [UInt8] = []
        var half = everything
        half.scope = .range(ReadCommand.TokenScope(start: -1, end: .max))
        try dieEverywhere(
            seed: 3,
            prepare: { harness in
                try fill(harness, 30)
                try flush(harness)
                try fill(harness, 20, seed: 8)
                try flush(harness)
                before = try harness.read(everything)
                owned = try harness.read(half)
            },
            work: { harness in
                _ = try finish(harness, try #require(harness.engine?.startFiles(kind, nil)))
            },
            check: { harness, hasEnded, step in
                let upper = try harness.read(half)
                let all = try harness.read(everything)
                #expect(upper == owned, "step \(step)")
                if case .cleanup = kind {
                    if hasEnded { #expect(all == owned) }
                } else {
                    #expect(all == before, "step \(step)")
                }
            })
    }

    /// A task goes through what its files have become, whoever has written that.
    @Test(arguments: 1...8, [true, false])
    func filesThatAreCompactedMeanwhileAreCleanedUpToo(seed: Int, compactsFirst: Bool) throws {
        let harness = try harness(seed: seed)
        for part in 0..<4 {
            try fill(harness, 20, seed: UInt64(10 * seed + part))
            try flush(harness)
        }
        let engine = try #require(harness.engine)
        var half = everything
        half.scope = .range(ReadCommand.TokenScope(start: -1, end: .max))
        let owned = try harness.read(half)
        #expect(try harness.read(everything) != owned)
        if compactsFirst { engine.compact(table: testTable) }
        let upgrade = engine.startFiles(.upgrade(all: true), nil)
        let cleanup = engine.startFiles(.cleanup([0 ... .max]), nil)
        if !compactsFirst {
            for _ in 0..<seed where try !harness.work() { try harness.endTick() }
            engine.compact(table: testTable)
        }
        #expect(try finish(harness, upgrade).rewritten > 0)
        #expect(try finish(harness, cleanup).rewritten > 0)
        try harness.settle()
        #expect(try harness.read(everything) == owned)
    }

    @Test func deathsDuringAnImportTakeInAllOrNothing() throws {
        let source = try harness(seed: 5)
        try fill(source, 40)
        try flush(source)
        try fill(source, 20, seed: 6)
        let expected = try source.read(everything)
        _ = try finish(source, try #require(source.engine?.startSnapshot(request("i"))))
        try dieEverywhere(
            seed: 4, prepare: { _ in },
            work: { harness in
                for (name, inode) in source.files.names where name.text.hasPrefix("snapshot-i-") {
                    let copy = MemoryFiles.Inode()
                    copy.bytes = inode.bytes
                    copy.durable = inode.bytes
                    harness.files.names[FileName("import-1-" + name.text)] = copy
                }
                try harness.files.syncFolder()
                let engine = try #require(harness.engine)
                let id = try engine.startImport(testTable, lead: "import-1-", fileCount: 20)
                #expect(try finish(harness, id).failure == nil)
            },
            check: { harness, hasEnded, step in
                let now = try harness.read(everything)
                #expect(now == expected || now == [1], "step \(step)")
                if hasEnded { #expect(now == expected) }
                #expect(!harness.files.names.keys.contains { $0.text.hasPrefix("import-") })
            })
    }

    // MARK: Damage

    /// Flips a byte of each block in turn; the file is whole again after each.
    private func damageEachBlock(
        _ harness: Harness, _ body: (SSTable, Int) throws -> Void
    ) throws {
        let table = try #require(harness.engine?.table(testTable))
        let sstable = try #require(table.sstables.first)
        let inode = try #require(harness.files.names[sstable.metadata.file])
        for (index, block) in sstable.metadata.blocks.enumerated() {
            inode.bytes[block.offset + block.length / 2] ^= 0x40
            try body(sstable, index)
            inode.bytes[block.offset + block.length / 2] ^= 0x40
        }
    }

    @Test func verifyNamesFileAndPlaceOfEachDamagedBlock() throws {
        let harness = try harness { $0.blockBytes = 256 }
        try fill(harness, 120)
        try flush(harness)
        let engine = try #require(harness.engine)
        let sound = try finish(harness, engine.startFiles(.verify, nil))
        #expect(sound.findings == [])
        #expect(sound.partitions > 0)
        var count = 0
        try damageEachBlock(harness) { sstable, index in
            let report = try finish(harness, engine.startFiles(.verify, nil))
            #expect(report.findings.map(\.file) == [sstable.metadata.file])
            #expect(report.findings.map(\.offset) == [sstable.metadata.blocks[index].offset])
            count += 1
        }
        #expect(count > 5)
    }

    @Test func verifySeesDamageOfHeaderAndTail() throws {
        let harness = try harness()
        try fill(harness, 40)
        try flush(harness)
        let engine = try #require(harness.engine)
        let sstable = try #require(engine.table(testTable)?.sstables.first)
        let inode = try #require(harness.files.names[sstable.metadata.file])
        let tail = try #require(sstable.metadata.blocks.last.map { $0.offset + $0.length })
        for offset in Array(0..<SSTableMetadata.headerBytes) + Array(tail..<inode.bytes.count) {
            inode.bytes[offset] ^= 1
            let report = try finish(harness, engine.startFiles(.verify, nil))
            #expect(report.findings.map(\.file) == [sstable.metadata.file], "byte \(offset)")
            inode.bytes[offset] ^= 1
        }
    }

    @Test func scrubWithEachBlockDamagedInTurnKeepsAllOtherRows() throws {
        let source = try harness { $0.blockBytes = 256 }
        try fill(source, 160)
        try flush(source)
        let all = try rows(source)
        let table = try #require(source.engine?.table(testTable))
        let sstable = try #require(table.sstables.first)
        var dropped = 0
        try damageEachBlock(source) { _, index in
            let plan = RewriteJob.Plan(
                source: sstable.metadata,
                target: try #require(source.engine).target(table, 9_000 + UInt64(index)),
                slice: .min ... .max, skipsDamage: true)
            let job = RewriteJob(title: "scrub", plan)
            while case .more = try job.step(source.files, budgetBytes: 500) {}
            #expect(job.failure == nil)
            #expect(job.report.droppedBlocks == 1)
            #expect(
                job.report.findings.map(\.offset) == [sstable.metadata.blocks[index].offset])
            let kept = try rows(of: job.result, source)
            let lost = try rowKeys(ofBlock: index, sstable, source)
            #expect(kept == all.filter { !lost.contains($0.key) }, "block \(index)")
            // What comes out is sound.
            if let result = job.result {
                let check = VerifyJob(title: "", result)
                while case .more = try check.step(source.files, budgetBytes: .max) {}
                #expect(check.report.findings == [])
            }
            dropped += lost.count
        }
        #expect(dropped == all.count)
    }

    private struct RowID: Hashable {
        let token: Int64
        let key: [UInt8]
        let clustering: [UInt8]
    }

    private func rows(_ harness: Harness) throws -> [RowID: [UInt8]] {
        try rows(of: harness.engine?.table(testTable)?.sstables.first?.metadata, harness)
    }

    private func rows(
        of metadata: SSTableMetadata?, _ harness: Harness
    ) throws -> [RowID: [UInt8]] {
        var found: [RowID: [UInt8]] = [:]
        guard let metadata else { return found }
        let scan = SSTableScan(metadata, slice: .min ... .max)
        scan.setFiles(harness.files)
        try scan.nextPartition(harness.files)
        while !scan.isAtEnd {
            while scan.rows.state == .row {
                let id = RowID(
                    token: scan.token, key: [UInt8](scan.key), clustering: [UInt8](scan.rows.key))
                found[id] = [UInt8](scan.rows.row)
                try scan.rows.advance()
            }
            try scan.nextPartition(harness.files)
        }
        return found
    }

    /// The rows of one block, read from the sound file.
    private func rowKeys(
        ofBlock index: Int, _ sstable: SSTable, _ harness: Harness
    ) throws -> Set<RowID> {
        let entry = sstable.metadata.blocks[index]
        let inode = try #require(harness.files.names[sstable.metadata.file])
        var bytes = Array(inode.bytes[entry.offset..<entry.offset + entry.length])
        bytes[entry.length / 2] ^= 0x40
        let block = try bytes.withUnsafeBytes { try Block.decode($0, entry, sstable.metadata) }
        var found: Set<RowID> = []
        let cursor = FragmentCursor()
        for number in 0..<block.count {
            let fragment = try block.fragment(number)
            try cursor.seekForward(fragment, nil)
            while !cursor.isAtEnd {
                found.insert(
                    RowID(
                        token: block.token(number), key: [UInt8](fragment.key),
                        clustering: [UInt8](cursor.key)))
                try cursor.next()
            }
        }
        return found
    }

    @Test(arguments: 0..<8) func rewritingChangesNothingThatIsRead(seed: Int) throws {
        let harness = try harness(seed: seed)
        try fill(harness, 150, seed: UInt64(seed))
        try flush(harness)
        try fill(harness, 50, seed: UInt64(seed) + 50)
        try flush(harness)
        let before = try harness.read(everything)
        let engine = try #require(harness.engine)
        for kind in [FileMaintenance.scrub, .upgrade(all: true)] {
            let report = try finish(harness, engine.startFiles(kind, nil))
            #expect(report.rewritten > 0)
            #expect(report.findings == [])
            #expect(report.droppedRows == 0)
            #expect(try harness.read(everything) == before, "seed \(seed)")
        }
    }

    @Test func scrubOfADamagedFileMakesReadingPossibleAgain() throws {
        let harness = try harness {
            $0.blockBytes = 256
            $0.blockCacheBytes = 0
        }
        try fill(harness, 120)
        try flush(harness)
        let engine = try #require(harness.engine)
        let sstable = try #require(engine.table(testTable)?.sstables.first)
        let block = sstable.metadata.blocks[3]
        try #require(harness.files.names[sstable.metadata.file]).bytes[block.offset + 9] ^= 1
        #expect(throws: StorageError.self) { try harness.read(everything) }
        let report = try finish(harness, engine.startFiles(.scrub, [testTable]))
        #expect(report.droppedBlocks == 1)
        #expect(report.findings.map(\.offset) == [block.offset])
        #expect(try harness.read(everything).count > 100)
        #expect(try finish(harness, engine.startFiles(.verify, nil)).findings == [])
    }

    // MARK: Import

    @Test func columnsWithOtherNumbersAreRenumbered() throws {
        let source = try harness()
        try fill(source, 60)
        _ = try finish(source, try #require(source.engine?.startSnapshot(request("n"))))
        let manifest = try #require(try snapshots(source).first?.manifest)
        let table = try #require(source.schema.table("ks", "t"))
        let columns = table.allColumns.map { column in
            ColumnSchema(
                id: ColumnID(20 - column.id.value), name: column.name, type: column.type,
                kind: column.kind)
        }
        let moved = TableSchema(
            id: testTable, keyspace: "ks", name: "t", columns: columns, options: table.options,
            nextColumnID: 30)
        let renumbering = try manifest.renumbering(for: moved)
        #expect(!renumbering.isIdentity)
        let target = try restored(
            source, "n", schema: SnapshotSchema.with([moved], like: source.schema))
        let there = try rows(of: target.engine?.table(testTable)?.sstables.first?.metadata, target)
        let here = try rows(source)
        #expect(there.keys.allSatisfy { here[$0] != nil })
        for (id, row) in there {
            let back = ByteWriter()
            let inverse = ColumnRenumbering(
                Dictionary(
                    uniqueKeysWithValues: table.allColumns.map { (20 - $0.id.value, $0.id.value) }))
            try row.withUnsafeBytes { _ = try inverse.rewrite(try RowView($0), into: back) }
            let forth = ByteWriter()
            try #require(here[id]).withUnsafeBytes { raw in
                let known = ColumnRenumbering(
                    Dictionary(
                        uniqueKeysWithValues: table.allColumns.map { ($0.id.value, $0.id.value) }))
                _ = try known.rewrite(try RowView(raw), into: forth)
            }
            #expect(back.array == forth.array)
        }
    }

    @Test func whatIsImportedAfterATruncationOutlivesARestart() throws {
        let source = try harness()
        try fill(source, 30)
        let before = try source.read(everything)
        _ = try finish(source, try #require(source.engine?.startSnapshot(request("x"))))
        let engine = try #require(source.engine)
        let position = engine.log.nextPosition
        _ = try finish(source, engine.truncate(testTable, snapshot: nil))
        for (name, inode) in source.files.names where name.text.hasPrefix("snapshot-x-") {
            source.files.names[FileName("import-1-" + name.text)] = inode
        }
        let id = try engine.startImport(testTable, lead: "import-1-", fileCount: 20)
        #expect(try finish(source, id).failure == nil)
        #expect(try source.read(everything) == before)
        source.truncations = [testTable: position]
        try source.open()
        #expect(try source.read(everything) == before)
        // A change of the shards makes positions void: zero means no truncation.
        source.truncations = [testTable: .zero]
        try source.open()
        #expect(try source.read(everything) == before)
    }

    @Test func importRefusesWhatDoesNotFit() throws {
        let source = try harness()
        try fill(source, 60)
        _ = try finish(source, try #require(source.engine?.startSnapshot(request("r"))))
        for (name, inode) in source.files.names where name.text.hasPrefix("snapshot-") {
            source.files.names[FileName("import-1-" + name.text)] = inode
        }
        let table = try #require(source.schema.table("ks", "t"))
        func refusal(_ schema: TableSchema, _ owned: [ClosedRange<Int64>]?) throws -> String? {
            let job = ImportCheckJob(
                lead: "import-1-", schema: schema, owned: owned, isExtended: false)
            while case .more = try job.step(source.files, budgetBytes: 1_000) {}
            return job.refusal
        }
        #expect(try refusal(table, nil) == nil)
        #expect(try refusal(table, [.min ... .max]) == nil)
        let foreign = try #require(try refusal(table, [0 ... .max]))
        #expect(foreign.contains("does not own"))
        let other = try #require(source.schema.table("ks", "u"))
        #expect(try refusal(other, nil) == "the folder holds no snapshot of ks.u (it has ks.t)")
        let fewer = TableSchema(
            id: testTable, keyspace: "ks", name: "t",
            columns: table.partitionKey + table.clustering + table.statics, nextColumnID: 9)
        #expect(try #require(try refusal(fewer, nil)).contains("has no regular column v"))
        let keyless = TableSchema(
            id: testTable, keyspace: "ks", name: "t", columns: table.partitionKey + table.regulars,
            nextColumnID: 9)
        #expect(try #require(try refusal(keyless, nil)).contains("key"))
        // A file that is not the one that was snapshot.
        let data = try #require(
            source.files.names.first {
                $0.key.text.hasPrefix("import-1-") && $0.key.text.hasSuffix(".db")
            })
        let copy = MemoryFiles.Inode()
        copy.bytes = data.value.bytes + [0]
        source.files.names[data.key] = copy
        #expect(try refusal(table, nil) != nil)
    }

    @Test func aStoppedTaskEndsAfterTheFileAtHand() throws {
        let harness = try harness()
        for seed in 1...4 {
            try fill(harness, 20, seed: UInt64(seed))
            try flush(harness)
        }
        let engine = try #require(harness.engine)
        let before = try harness.read(everything)
        let id = engine.startFiles(.scrub, nil)
        try harness.endTick()
        #expect(engine.stopMaintenance { $0 == .scrub || $0 == .verify } == 1)
        let report = try finish(harness, id)
        #expect(report.isStopped)
        #expect(report.files == 1)
        #expect(try harness.read(everything) == before)
    }
}

/// Schemas with other tables.
enum SnapshotSchema {
    static func with(_ tables: [TableSchema], like schema: SchemaSnapshot) -> SchemaSnapshot {
        SchemaSnapshot(
            epoch: schema.epoch + 1, version: schema.version,
            keyspaces: schema.keyspaces.map {
                KeyspaceSchema(name: $0.name, replication: $0.replication, tables: tables)
            })
    }
}
