// What the engine does when the disk says no, or is nearly full.
//
//     a full disk           -> writes are refused, what failed is tried again every `diskRetryDelay`,
//                              reads go on; the first attempt that succeeds ends it
//     other failures        -> `disk_failure_policy`: the node ends (stop, die), or goes on without the
//                              compaction, and tries the flush again (best_effort, ignore)
//     the volume is filling -> above `data_disk_usage_percentage_fail_threshold` writes are refused,
//                              above the warn threshold the shard warns clients
//
// A manifest or a log segment that cannot be written ends the node under every policy (unless the disk
// is only full): without them nothing could be made durable any more. So does every failed sync of
// the log, which the world sees to. Failed reads of blocks are no matter of this file: they fail the
// read, and other replicas answer.

internal import Encoding
internal import Environment
internal import Model

extension StorageEngine {
    // MARK: Refusing writes

    /// Works out anew whether writes are refused.
    func updateRefusal() {
        let refusal: WriteRefusal?
        if let damagedLog {
            refusal = .damagedLog(damagedLog)
        } else if let failure = segmentFailure ?? manifestFailure {
            refusal = .diskFull(failure)
        } else if case .disk(let failure) = flushFailure, failure.reason == .full {
            refusal = .diskFull(failure)
        } else if let flushFailure {
            refusal = .flushFailing(flushFailure)
        } else if let percentage = diskUsage, diskUsageLimit >= 0, percentage >= diskUsageLimit {
            refusal = .diskUsage(percentage: percentage, limit: diskUsageLimit)
        } else {
            refusal = nil
        }
        writeRefusal = refusal.map { .refused($0) }
    }

    private var diskUsageLimit: Int { configuration.diskUsageFailPercentage }

    /// The volume is fuller than the threshold for warnings.
    package var isDiskFilling: Bool {
        let threshold = configuration.diskUsageWarnPercentage
        guard threshold >= 0, let diskUsage else { return false }
        return diskUsage >= threshold
    }

    // MARK: Failures

    /// A job could not read or write. Throws if the engine cannot go on.
    func jobFailed(_ job: RunningJob, _ failure: DiskFailure, now: Instant) throws(StorageError) {
        guard failure.reason != .crashed else { throw .disk(failure) }
        switch job {
        case .flush(_, let table, let memtable, let generation, let number):
            try check(failure)
            table.isFlushing = false
            table.flushMemory = nil
            mayFlush = true
            obsoleteFiles.append(Self.sstableName(prefix, number))
            if table.generation == generation {
                memtable.pins -= 1
            } else {
                unpin(memtable)
            }
            flushFailure = .disk(failure)
            flushRetry = now + configuration.diskRetryDelay
            updateRefusal()
        case .compaction(let compaction):
            try check(failure)
            compactionFailed(compaction)
        case .manifest:
            guard failure.reason == .full, configuration.diskFailurePolicy != .die else {
                throw .disk(failure)
            }
            manifestFailure = failure
            manifestRetry = now + configuration.diskRetryDelay
            updateRefusal()
        case .removal:
            // The next start removes what nobody names.
            isRemovingFiles = false
            try check(failure)
        case .maintenance(let task, let run): try maintenanceEnded(task, run, failure)
        case .usage:
            // Nothing is known then; whoever needs the disk will see for himself.
            diskUsage = nil
            nextUsageCheck = now + configuration.diskUsageCheckInterval
            updateRefusal()
        }
    }

    /// Throws unless the policy lets the node live with it.
    private func check(_ failure: DiskFailure) throws(StorageError) {
        switch configuration.diskFailurePolicy {
        case .die: throw .disk(failure)
        case .stop: if failure.reason != .full { throw .disk(failure) }
        case .bestEffort, .ignore: break
        }
    }

    /// The next segment of the log could not be made.
    func preparationFailed(_ failure: DiskFailure, now: Instant) throws(StorageError) {
        guard failure.reason == .full, configuration.diskFailurePolicy != .die else {
            throw .disk(failure)
        }
        log.preparationFailed(retryAt: now + configuration.diskRetryDelay)
        segmentFailure = failure
        updateRefusal()
    }

    /// The next segment of the log stands.
    func preparationSucceeded() {
        guard segmentFailure != nil else { return }
        segmentFailure = nil
        updateRefusal()
    }

    func flushSucceeded() {
        guard flushFailure != nil else { return }
        flushFailure = nil
        flushRetry = nil
        updateRefusal()
    }

    func manifestSucceeded() {
        guard manifestFailure != nil else { return }
        manifestFailure = nil
        updateRefusal()
    }

    /// Starts again what was put off.
    func retryFailed(_ now: Instant, _ outbox: Outbox) {
        if let retry = flushRetry, retry <= now {
            flushRetry = nil
            mayFlush = true
        }
        if let retry = manifestRetry, retry <= now, let job = manifest.retriedJob() {
            manifestRetry = nil
            start(job, .manifest, outbox)
        }
    }

    // MARK: How full the volume is

    /// Looks at the volume from time to time, if a threshold is set.
    func watchDiskUsage(_ now: Instant, _ outbox: Outbox) {
        guard let due = nextUsageCheck, due <= now else { return }
        nextUsageCheck = nil
        let job = DiskUsageJob()
        start(job, .usage(job), outbox)
    }

    func usageChecked(_ job: DiskUsageJob, now: Instant) {
        diskUsage = job.percentage
        nextUsageCheck = now + configuration.diskUsageCheckInterval
        updateRefusal()
    }

    /// At the start, before the first step: the first look, if a threshold is set.
    func beginDiskState(_ files: any FileSystem, now: Instant) throws(StorageError) {
        if configuration.diskUsageWarnPercentage >= 0 || diskUsageLimit >= 0 {
            let space = try storing { () throws(DiskFailure) in try files.space() }
            diskUsage = space.usedPercentage
            nextUsageCheck = now + configuration.diskUsageCheckInterval
        }
        updateRefusal()
    }
}

extension VolumeSpace {
    /// How full it is, rounded down.
    var usedPercentage: Int {
        guard totalBytes > 0 else { return 0 }
        return Int(Double(max(0, totalBytes - freeBytes)) * 100 / Double(totalBytes))
    }
}

/// Asks how full the volume is.
final class DiskUsageJob: Job {
    private(set) var percentage: Int?

    var title: String { "disk usage" }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        percentage = try files.space().usedPercentage
        return .done(bytes: 0)
    }
}
