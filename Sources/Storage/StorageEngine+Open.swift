// Opening: what the disk holds becomes an engine.

internal import Encoding
package import Environment
internal import Model

extension StorageEngine {
    /// Opens the files of `start.prefix`, replays the log and is ready to write. Blocks: at start only.
    package static func open(
        _ start: StorageStart, files: any FileSystem, clock: ClockReading
    ) throws(StorageError) -> StorageEngine {
        var replay = try CommitLogReplay(prefix: start.prefix, files: files)
        let number = replay.highestNumber + 1
        let segment = CommitLog.segment(start.prefix, number, incarnation: start.incarnation)
        let engine = StorageEngine(
            start,
            log: CommitLog(
                start.configuration, prefix: start.prefix, effectIDs: start.effectIDs,
                active: segment, closed: []))
        engine.install(start.schema)
        var skipped = 0
        try replay.run { (bytes, position, file) throws(StorageError) in
            do throws(MalformedBytes) {
                let mutation = try MutationView(bytes)
                guard let table = engine.table(mutation.table), position > table.flushedPosition,
                    position > start.truncations[mutation.table] ?? .zero
                else {
                    skipped += 1
                    return
                }
                let partition = try PartitionView(mutation.partition)
                try table.live.apply(
                    token: mutation.token, key: mutation.key, partition,
                    oldestTimestamp: try check(partition), position: position,
                    scratch: engine.mergeScratch)
            } catch {
                throw .corruption(
                    CorruptionError(
                        file: file, offset: Int(position.offset), detail: "mutation: \(error)"))
            }
        }
        for file in replay.emptyFiles {
            try storing { () throws(DiskFailure) in try files.remove(file) }
        }
        let job = SegmentJob(
            file: segment.file, recycling: nil,
            header: CommitLog.header(
                number: number,
                identity: CommitLog.identity(start.prefix, number, start.incarnation)),
            bytes: start.configuration.commitLogSegmentBytes)
        try storing { () throws(DiskFailure) in
            _ = try job.step(files, budgetBytes: .max)
        }
        engine.log = CommitLog(
            start.configuration, prefix: start.prefix, effectIDs: start.effectIDs, active: segment,
            closed: replay.closed)
        var report = replay.report
        report.skipped = skipped
        engine.replayReport = report
        return engine
    }
}
