// Takes a snapshot: gives every file a second name, writes what is only in memory into files of its own
// where that is asked for, and at last the manifests.
//
//     links and files -> sync folder -> schema, manifest, synced -> sync folder -> done
//
// Durability: a manifest is written only when all that it names is durable, and it ends with a checksum:
// a crash before its end leaves files that no manifest names, which the next start removes.

internal import Encoding
internal import Environment
internal import Model

/// Snapshots of several tables of one shard. Made by the shard, run by a worker.
final class SnapshotJob: Job {
    /// One table of it. Files and memtables are pinned by whoever made the job.
    struct Group {
        var manifest: SnapshotManifest
        var schemaText: String
        var sstables: [SSTableMetadata]
        /// A table that goes: its memtables become files of the snapshot.
        var flushes: [MergeJob]
    }

    let title: String
    private var groups: [Group]
    private var groupIndex = 0
    private var fileIndex = 0
    private var flushIndex = 0
    private var hasChecked = false
    private let scratch = ByteWriter(capacity: SSTableMetadata.footerBytes)
    private(set) var failure: String?
    private(set) var report = MaintenanceReport()

    init(title: String, _ groups: [Group]) {
        self.title = title
        self.groups = groups
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        if !hasChecked {
            hasChecked = true
            for group in groups {
                let manifest = SnapshotName.file(group.manifest.key, .manifest)
                guard try !exists(manifest, files) else {
                    failure = "Snapshot \(group.manifest.key.tag) already exists."
                    return .done(bytes: 0)
                }
            }
        }
        guard groupIndex < groups.count else {
            try finish(files)
            return .done(bytes: 0)
        }
        if flushIndex < groups[groupIndex].flushes.count {
            return try stepFlush(files, budgetBytes)
        }
        if fileIndex < groups[groupIndex].sstables.count {
            try link(groups[groupIndex].sstables[fileIndex], files)
            fileIndex += 1
            return .more(bytes: SSTableMetadata.footerBytes)
        }
        groupIndex += 1
        fileIndex = 0
        flushIndex = 0
        return .more(bytes: 0)
    }

    private func exists(_ file: FileName, _ files: any FileSystem) throws(DiskFailure) -> Bool {
        do throws(DiskFailure) {
            _ = try files.size(of: file)
            return true
        } catch {
            if error.reason == .notFound { return false }
            throw error
        }
    }

    private func stepFlush(
        _ files: any FileSystem, _ budgetBytes: Int
    ) throws(DiskFailure) -> JobProgress {
        let flush = groups[groupIndex].flushes[flushIndex]
        let progress = try flush.step(files, budgetBytes: budgetBytes)
        guard case .done(let bytes) = progress else { return progress }
        flushIndex += 1
        if let error = flush.failure { failure = failure ?? "\(error)" }
        if let made = flush.outputs.first?.metadata { try note(made.file, source: "", made, files) }
        return .more(bytes: bytes)
    }

    private func link(
        _ sstable: SSTableMetadata, _ files: any FileSystem
    ) throws(DiskFailure) {
        let key = groups[groupIndex].manifest.key
        let number = UInt64(groups[groupIndex].flushes.count + fileIndex + 1)
        let name = SnapshotName.file(key, .data(number))
        try files.link(sstable.file, to: name)
        try note(name, source: sstable.file.text, sstable, files)
    }

    private func note(
        _ name: FileName, source: String, _ sstable: SSTableMetadata, _ files: any FileSystem
    ) throws(DiskFailure) {
        scratch.removeAll()
        try files.read(
            name, at: sstable.bytes - SSTableMetadata.footerBytes,
            count: SSTableMetadata.footerBytes, into: scratch)
        groups[groupIndex].manifest.files.append(
            SnapshotManifest.File(
                name: name, source: source, bytes: sstable.bytes,
                digest: CRC32C.checksum(scratch.bytes),
                partitions: sstable.statistics.partitions))
        report.files += 1
        report.bytesRead += sstable.bytes
    }

    private func finish(_ files: any FileSystem) throws(DiskFailure) {
        guard failure == nil else { return }
        try files.syncFolder()
        for group in groups {
            try write(group.schemaText, SnapshotName.file(group.manifest.key, .schema), files)
            try write(
                group.manifest.text, SnapshotName.file(group.manifest.key, .manifest), files)
        }
        try files.syncFolder()
    }

    private func write(
        _ text: String, _ file: FileName, _ files: any FileSystem
    ) throws(DiskFailure) {
        try files.create(file, preallocate: 0)
        try Array(text.utf8).withBytes { (raw) throws(DiskFailure) in
            try files.write(file, at: 0, raw)
        }
        try files.sync(file)
    }
}
