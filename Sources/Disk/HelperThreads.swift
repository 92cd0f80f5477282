// The threads that do what an event loop must not: wait for a disk, and run long jobs.
//
// Three kinds, so that none waits behind another: a block read takes microseconds, a log sync may take
// 340 ms, a compaction minutes.
//   - syncs: one thread per node. Requests that wait for the same file share one `fdatasync`.
//   - reads: a few threads, so that a device can work on several blocks at once; only where there is no
//     io_uring (`BlockReader`).
//   - jobs: a few threads that take turns: a job makes one step and goes to the end of the line, so a
//     flush does not wait until a compaction has ended.
//
// Ordering: a request's completion is delivered by calling its `deliver`, on the helper's thread. Two
// syncs of the same file complete in the order asked; nothing else is ordered.
// Ownership: a job belongs to its shard before `run` and after its completion, in between to the
// thread that steps it; the line's lock orders the hand-overs.

internal import CUring
package import Environment

/// What a helper thread has finished.
package enum HelperCompletion {
    /// With a failure the node must end: what the kernel dropped after a failed sync is unknown.
    case logSynced(EffectID, DiskFailure?)
    case blockRead(EffectID, BlockRead)
    case jobEnded(EffectID, any Job, DiskFailure?)
}

/// The helper threads of one node.
package final class HelperThreads: Sendable {
    /// Called once for each request, on a helper's thread.
    package typealias Deliver = @Sendable (HelperCompletion) -> Void

    private struct SyncRequest {
        let id: EffectID
        let file: FileName
        let files: RealFileSystem
        let deliver: Deliver
    }

    private struct ReadRequest {
        let id: EffectID
        let file: FileName
        let offset: Int
        let count: Int
        let mode: Configuration.DiskAccessMode
        let files: RealFileSystem
        let deliver: Deliver
    }

    private struct JobRun {
        let id: EffectID
        let job: any Job
        let budgetBytes: Int
        let files: StreamingFiles
        let deliver: Deliver
    }

    private let syncs = WorkQueue<SyncRequest>()
    private let reads = WorkQueue<ReadRequest>()
    private let jobs = WorkQueue<JobRun>()
    private let threads: [OwnThread]

    /// Starts the threads; `stop` ends them.
    package init(readers: Int, jobRunners: Int) {
        precondition(readers > 0 && jobRunners > 0)
        let (syncs, reads, jobs) = (syncs, reads, jobs)
        var threads = [OwnThread(name: "log-sync") { Self.runSyncs(syncs) }]
        for index in 0..<readers {
            threads.append(OwnThread(name: "read-\(index)") { Self.runReads(reads) })
        }
        for index in 0..<jobRunners {
            threads.append(OwnThread(name: "job-\(index)") { Self.runJobs(jobs) })
        }
        self.threads = threads
    }

    /// Syncs what was written to `file` so far.
    package func sync(
        _ id: EffectID, _ file: FileName, of files: RealFileSystem, deliver: @escaping Deliver
    ) {
        syncs.push(SyncRequest(id: id, file: file, files: files, deliver: deliver))
    }

    /// Reads a block; fewer bytes than asked for only at the file's end.
    package func read(
        _ id: EffectID, _ file: FileName, offset: Int, count: Int,
        mode: Configuration.DiskAccessMode = .standard,
        of files: RealFileSystem, deliver: @escaping Deliver
    ) {
        reads.push(
            ReadRequest(
                id: id, file: file, offset: offset, count: count, mode: mode, files: files,
                deliver: deliver))
    }

    /// Steps `job` until it has ended. The caller must not touch it until it comes back.
    package func run(
        _ id: EffectID, _ job: any Job, budgetBytes: Int, of files: RealFileSystem,
        deliver: @escaping Deliver
    ) {
        jobs.push(
            JobRun(
                id: id, job: job, budgetBytes: budgetBytes, files: StreamingFiles(files),
                deliver: deliver))
    }

    /// Finishes the syncs and reads that were asked for, leaves jobs where they are (they start again
    /// with the node, as after a crash), and ends the threads.
    package func stop() {
        jobs.close()
        reads.close()
        syncs.close()
        for thread in threads { thread.join() }
    }

    private static func runSyncs(_ queue: WorkQueue<SyncRequest>) {
        while let requests = queue.popAll() {
            // One sync for all that wait for the same file of the same folder.
            var done: [(files: RealFileSystem, file: FileName, failure: DiskFailure?)] = []
            for request in requests {
                let earlier = done.first { $0.files === request.files && $0.file == request.file }
                if let earlier {
                    request.deliver(.logSynced(request.id, earlier.failure))
                    continue
                }
                var failure: DiskFailure?
                do { try request.files.sync(request.file) } catch { failure = error }
                done.append((request.files, request.file, failure))
                request.deliver(.logSynced(request.id, failure))
            }
        }
    }

    private static func runReads(_ queue: WorkQueue<ReadRequest>) {
        while let request = queue.pop() {
            do throws(DiskFailure) {
                let bytes = try request.files.readBlock(
                    request.file, at: request.offset, count: request.count, mode: request.mode)
                request.deliver(.blockRead(request.id, .bytes(bytes)))
            } catch {
                request.deliver(.blockRead(request.id, .failed(error)))
            }
        }
    }

    /// A thread without a job for so long gives back the memory that jobs have left behind: each thread's
    /// allocator keeps what its jobs have freed, some megabytes after a large merge.
    private static let idleMilliseconds = 50

    private static func runJobs(_ queue: WorkQueue<JobRun>) {
        while let run = queue.pop(idleAfter: idleMilliseconds, curing_give_memory_back) {
            do {
                switch try run.job.step(run.files, budgetBytes: run.budgetBytes) {
                case .more:
                    // A closed line means that the node stops: the job is dropped like in a crash.
                    queue.push(run)
                case .done:
                    run.deliver(.jobEnded(run.id, run.job, nil))
                }
            } catch {
                run.deliver(.jobEnded(run.id, run.job, error))
            }
        }
    }
}

/// One thread that runs closures in the order given, for the metadata store.
package final class SerialThread: Sendable {
    private let queue = WorkQueue<@Sendable () -> Void>()
    private let thread: OwnThread

    package init(name: String) {
        let queue = queue
        thread = OwnThread(name: name) { while let work = queue.pop() { work() } }
    }

    /// Runs `work` after all that was given before.
    package func run(_ work: @escaping @Sendable () -> Void) {
        queue.push(work)
    }

    /// Finishes what was given, then ends the thread.
    package func stop() {
        queue.close()
        thread.join()
    }
}
