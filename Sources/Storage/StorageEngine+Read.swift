// The read path: runs, and the parking of those that lack blocks.
//
// Cost of a point read out of memtables: one directory lookup for each, one walk over the rows' cells,
// one copy. Each SSTable costs a filter probe; one that passes costs two binary searches and the block.

package import Encoding
package import Environment
package import Model

extension StorageEngine {
    /// More rounds of block reads than this and the read fails: with the ahead-reading doubled each
    /// time, a partition's answer never needs as many.
    private static var maximumRounds: Int { 4_096 }

    /// Answers a read. `.done`: the bytes of a `ReadResultView` were appended to `into`. `.parked`:
    /// blocks are being read, and the answer comes as a `CompletedRead` with this tag.
    ///
    /// A scan that goes on inside a partition (its position names a row) shows the partition's
    /// deletion and static row again; the static row does not count as a row then.
    ///
    /// `pinned`: the view to read at; without one the table as it is now. `isWriterKept`: the caller
    /// leaves the writer alone until the read has ended; then a parked read's answer is in it as well,
    /// and the `CompletedRead` has no bytes. `mayBeSimple`: false where `readSimply` was asked before.
    package func read(
        _ command: ReadCommand, at pinned: PinnedView? = nil, tag: UInt64, clock: ClockReading,
        outbox: Outbox, into writer: ByteWriter, isWriterKept: Bool = false,
        mayBeSimple: Bool = true
    ) throws(StorageError) -> ReadStatus {
        guard let table = table(command.table) else { throw .unknownTable(command.table) }
        precondition(pinned == nil || pinned?.table == command.table)
        if mayBeSimple, case .done = readSimply(command, at: pinned, into: writer) {
            return .done
        }
        let view = pinned?.view ?? table.view
        let start = writer.count
        let rule = table.purgeRule(nowInSeconds: command.nowInSeconds)
        let fragmentsOf = command.showsFragments ? table.schema : nil
        let run: ReadRun
        if let idle = idleRun {
            idleRun = nil
            run = idle
            run.begin(
                command, view: view, rule: rule, fragmentsOf: fragmentsOf, output: writer)
        } else {
            run = ReadRun(
                command, view: view, rule: rule, fragmentsOf: fragmentsOf, output: writer)
        }
        do throws(StorageError) {
            if try runner.run(run) == .done {
                idleRun = run
                return .done
            }
        } catch {
            writer.truncate(to: start)
            note(error)
            throw error
        }
        if isWriterKept {
            run.park(tag: tag)
        } else {
            // What was finished moves along with the read.
            let own = ByteWriter(capacity: max(256, writer.count - start))
            own.append(writer[ByteRange(offset: start, count: writer.count - start)])
            writer.truncate(to: start)
            run.park(tag: tag, output: own)
        }
        pin(run.view)
        askForMissing(run, outbox)
        return .parked
    }

    /// What the last read that ended with `.done` has passed.
    package var lastRead: ReadFigures { runner.figures }

    /// A read that passes more deletions than these is given up.
    package var tombstoneFailureThreshold: Int {
        get { runner.tombstoneLimit }
        set { runner.tombstoneLimit = newValue }
    }

    func pin(_ view: TableView) {
        for memtable in view.memtables { memtable.pins += 1 }
        for sstable in view.sstables { sstable.pins += 1 }
    }

    func unpin(_ view: TableView) {
        for memtable in view.memtables {
            memtable.pins -= 1
            if memtable.isRetired, memtable.pins == 0 { memtable.recycle() }
        }
        for sstable in view.sstables {
            sstable.pins -= 1
            releaseIfUnused(sstable)
        }
    }

    /// Asks the world for all blocks that the run lacks; a block under way is waited for, not read twice.
    private func askForMissing(_ run: ReadRun, _ outbox: Outbox) {
        precondition(!runner.context.missing.isEmpty)
        for (sstable, index) in runner.context.missing {
            let key = BlockKey(number: sstable.number, index: index)
            run.outstanding += 1
            if let id = blockRequests[key] {
                blockReads[id]?.waiting.append(run)
                continue
            }
            let id = effectIDs.next()
            blockRequests[key] = id
            blockReads[id] = BlockRequest(sstable: sstable, index: index, waiting: [run])
            let entry = sstable.metadata.blocks[index]
            outbox.effects.append(
                .readBlock(id, sstable.metadata.file, offset: entry.offset, count: entry.length))
        }
    }

    /// Changes the size of the block cache, which takes effect at once.
    package func resizeBlockCache(to bytes: Int) { cache.resize(to: bytes) }

    /// The most bytes that the block cache takes, and how many blocks are in it.
    package var blockCacheLimit: Int { cache.limitBytes }
    package var cachedBlocks: Int { cache.count }

    /// Bytes in the block cache, and how often blocks were found in it and not.
    package var blockCacheUse: (bytes: Int, hits: Int, misses: Int) {
        (cache.bytes, cache.hits, cache.misses)
    }

    /// Takes a block out of the caller's memory: what the event `blockRead` does, without an array in
    /// between.
    package func receiveBlock(
        _ id: EffectID, _ bytes: UnsafeRawBufferPointer, clock: ClockReading, outbox: Outbox
    ) {
        lastTick = clock.monotonic
        guard let request = blockReads.removeValue(forKey: id) else { return }
        take(bytes, of: request, outbox)
    }

    /// Takes a block; false if nobody of the engine asked for it.
    func receiveBlock(_ id: EffectID, _ result: BlockRead, outbox: Outbox) -> Bool {
        guard let request = blockReads.removeValue(forKey: id) else { return false }
        switch result {
        case .failed(let error): finish(request, nil, .disk(error), outbox)
        case .bytes(let bytes): bytes.withUnsafeBytes { take($0, of: request, outbox) }
        }
        return true
    }

    /// Blocks take new memory until the cache is full, and that of others from then on.
    func decode(
        _ bytes: UnsafeRawBufferPointer, _ index: Int, _ metadata: SSTableMetadata
    ) throws(StorageError) -> Block {
        try Block.decode(
            bytes, metadata.blocks[index], metadata,
            isFresh: cache.hasRoom(for: configuration.blockBytes))
    }

    private func take(
        _ bytes: UnsafeRawBufferPointer, of request: BlockRequest, _ outbox: Outbox
    ) {
        let metadata = request.sstable.metadata
        do throws(StorageError) {
            let block = try decode(bytes, request.index, metadata)
            cache.insert(block, request.sstable, request.index)
            finish(request, block, nil, outbox)
        } catch {
            finish(request, nil, error, outbox)
        }
    }

    /// Lets the reads go on that waited for the block.
    private func finish(
        _ request: BlockRequest, _ block: Block?, _ failure: StorageError?, _ outbox: Outbox
    ) {
        let key = BlockKey(number: request.sstable.number, index: request.index)
        blockRequests[key] = nil
        for run in request.waiting {
            run.outstanding -= 1
            if let block { run.held[key] = block }
            if let failure { run.failure = failure }
            if run.outstanding == 0 { goOn(run, outbox) }
        }
    }

    private func goOn(_ run: ReadRun, _ outbox: Outbox) {
        run.rounds += 1
        do throws(StorageError) {
            if let failure = run.failure { throw failure }
            guard run.rounds <= Self.maximumRounds else { throw .tooManyRounds(run.rounds) }
            let written = run.output.count
            if try runner.run(run) == .missing {
                // What was finished needs its blocks no more.
                if run.output.count > written { run.keepOnlyMissing() }
                askForMissing(run, outbox)
                return
            }
            let answer = run.hasOwnOutput ? run.output.array : []
            completedReads.append(
                CompletedRead(tag: run.tag, result: .success(answer), figures: runner.figures))
        } catch {
            if !run.hasOwnOutput { run.output.truncate(to: run.outputStart) }
            note(error)
            completedReads.append(CompletedRead(tag: run.tag, result: .failure(error)))
        }
        unpin(run.view)
    }
}
