// The manifest as the running engine keeps it: edits wait in a queue, one job at a time writes them,
// and when it has ended the engine does what each edit was for.

internal import Environment
internal import Model

/// What the engine does once an edit is durable.
enum ManifestConsequence {
    /// The new SSTable replaces the memtable.
    case flushed(TableState, Memtable, SSTable?, generation: Int)
    /// The new SSTables replace the inputs; there may be none. What was reserved for them goes.
    case compacted(
        TableState, inputs: [SSTable], [SSTable], generation: Int, memory: MemoryReservation?)
    /// The same files, with other entries.
    case changed(TableState, [(sstable: SSTable, entry: ManifestEntry)])
    /// The files are no longer named.
    case released([SSTable])
    case maintenance(MaintenanceConsequence)
}

/// The queue of manifest edits. Owned by the engine.
struct ManifestKeeper {
    private(set) var state: ManifestState
    private let prefix: String
    private var file: FileName
    private var fileNumber: UInt64
    private var size: Int
    private var checkpointSize: Int
    private var queue: [(edits: [ManifestEdit], consequence: ManifestConsequence)] = []
    private var inFlight: [ManifestConsequence] = []
    private var isBusy = false
    /// The bytes that the job under way writes, for another attempt.
    private var written: (offset: Int, bytes: [UInt8], replaced: FileName?)?

    /// Goes on with a manifest of `size` bytes that holds `state` alone.
    init(state: ManifestState, prefix: String, fileNumber: UInt64, size: Int) {
        self.state = state
        self.prefix = prefix
        self.fileNumber = fileNumber
        self.size = size
        checkpointSize = size
        file = ManifestFile.name(prefix, fileNumber)
    }

    var isIdle: Bool { queue.isEmpty && !isBusy }

    /// A number never used for a file of this prefix.
    mutating func takeNumber() -> UInt64 {
        state.nextNumber += 1
        return state.nextNumber - 1
    }

    /// As many numbers that were never used for a file of this prefix.
    mutating func takeNumbers(_ count: Int) -> Range<UInt64> {
        precondition(count > 0)
        let first = state.nextNumber
        state.nextNumber += UInt64(count)
        return first..<state.nextNumber
    }

    /// Changes the state alone: at start, before a checkpoint is written.
    mutating func apply(_ edits: [ManifestEdit]) {
        for edit in edits { state.apply(edit) }
    }

    /// Writes a new manifest with the state, at start only.
    mutating func writeCheckpointNow(_ files: any FileSystem) throws(DiskFailure) {
        precondition(isIdle)
        let old = file
        fileNumber += 1
        file = ManifestFile.name(prefix, fileNumber)
        size = try ManifestFile.writeCheckpoint(state, file, files)
        checkpointSize = size
        try files.remove(old)
    }

    /// Numbers of all files of a table that are named, or will be by edits that wait; sorted.
    func numbers(of table: TableID) -> [UInt64] {
        var numbers = Set(state.entries.values.filter { $0.table == table }.map(\.number))
        for edit in queue.flatMap(\.edits) {
            if case .add(let entry) = edit, entry.table == table { numbers.insert(entry.number) }
        }
        return numbers.sorted()
    }

    mutating func enqueue(_ edits: [ManifestEdit], _ consequence: ManifestConsequence) {
        queue.append((edits, consequence))
    }

    /// The job that writes what waits; nil if there is nothing to do or one is running.
    mutating func nextJob() -> ManifestJob? {
        guard !isBusy, !queue.isEmpty else { return nil }
        var edits: [ManifestEdit] = [.nextNumber(state.nextNumber)]
        for entry in queue {
            edits += entry.edits
            inFlight.append(entry.consequence)
        }
        queue.removeAll()
        for edit in edits { state.apply(edit) }
        isBusy = true
        if size > checkpointSize * 4 + (64 << 10) {
            let old = file
            fileNumber += 1
            file = ManifestFile.name(prefix, fileNumber)
            let bytes = ManifestFile.header(file) + ManifestFile.record(state.checkpoint, file)
            size = bytes.count + LogRecord.headerBytes
            checkpointSize = size
            return job(at: 0, bytes, replacing: old)
        }
        let bytes = ManifestFile.record(edits, file)
        let offset = size
        size += bytes.count + LogRecord.headerBytes
        return job(at: offset, bytes, replacing: nil)
    }

    private mutating func job(
        at offset: Int, _ bytes: [UInt8], replacing replaced: FileName?
    ) -> ManifestJob {
        written = (offset, bytes, replaced)
        return ManifestJob(file: file, offset: offset, bytes: bytes, replacing: replaced)
    }

    /// The job that failed once more: it writes the same bytes to the same place.
    func retriedJob() -> ManifestJob? {
        guard isBusy, let written else { return nil }
        return ManifestJob(
            file: file, offset: written.offset, bytes: written.bytes, replacing: written.replaced)
    }

    /// The job has ended: what its edits were for.
    mutating func jobEnded() -> [ManifestConsequence] {
        isBusy = false
        written = nil
        let done = inFlight
        inFlight.removeAll()
        return done
    }
}
