// The snapshots of a node, as they lie in its folder: listing, removing, and what a start clears away.
//
// Nothing of it is kept in memory: the names and the manifests say it all, so that snapshots outlive
// tables, shards and layouts. A snapshot is removed manifest first: a crash in between leaves files that
// no manifest names, which the next start removes.

internal import Encoding
package import Environment

/// Which snapshots are meant.
package struct SnapshotSelection: Equatable, Sendable {
    /// nil: every tag, keyspace or age.
    package var tag: String?
    package var keyspaces: Set<String>?
    package var createdBefore: WallTime?
    package var expiredAt: WallTime?
    package var onlyEphemeral = false

    package init() {}

    func contains(_ manifest: SnapshotManifest) -> Bool {
        if let tag, manifest.key.tag != tag { return false }
        if let keyspaces, !keyspaces.contains(manifest.keyspace) { return false }
        if let createdBefore, manifest.createdAt >= createdBefore { return false }
        if let expiredAt {
            guard let expiresAt = manifest.expiresAt, expiresAt <= expiredAt else { return false }
        }
        return !onlyEphemeral || manifest.isEphemeral
    }
}

/// A snapshot of a table with the room that it takes.
package struct SnapshotSummary: Equatable, Sendable {
    package let manifest: SnapshotManifest
    /// Of the files that no table uses any more: what removing it would give back.
    package let trueBytes: Int
}

/// Reads and removes snapshots.
package enum SnapshotFolder {
    /// Files of an import that is under way begin with it.
    static let stagingLead = "import-"

    /// All whole snapshots, sorted by tag, table and part.
    package static func list(
        _ files: any FileSystem
    ) throws(DiskFailure) -> [SnapshotSummary] {
        let names = try files.list()
        let present = Set(names.map(\.text))
        var found: [SnapshotSummary] = []
        for name in names {
            guard let (key, content) = SnapshotName.parse(name), content == .manifest,
                let manifest = try read(name, key, files)
            else { continue }
            let alone = manifest.files.filter { !present.contains($0.source) }
            found.append(
                SnapshotSummary(
                    manifest: manifest, trueBytes: alone.reduce(0) { $0 + $1.bytes }))
        }
        return found.sorted { $0.manifest.key < $1.manifest.key }
    }

    private static func read(
        _ name: FileName, _ key: SnapshotKey, _ files: any FileSystem
    ) throws(DiskFailure) -> SnapshotManifest? {
        let buffer = ByteWriter(capacity: 1 << 10)
        try files.read(name, at: 0, count: try files.size(of: name), into: buffer)
        guard let manifest = SnapshotManifest(buffer.bytes), manifest.key == key else { return nil }
        return manifest
    }

    /// Removes what `selection` means; returns how many tables' snapshots went.
    package static func clear(
        _ selection: SnapshotSelection, _ files: any FileSystem
    ) throws(DiskFailure) -> Int {
        let doomed = try list(files).filter { selection.contains($0.manifest) }
        guard !doomed.isEmpty else { return 0 }
        let keys = Set(doomed.map(\.manifest.key))
        for key in keys.sorted() { try files.remove(SnapshotName.file(key, .manifest)) }
        try files.syncFolder()
        for name in try files.list() {
            if let (key, _) = SnapshotName.parse(name), keys.contains(key) {
                try files.remove(name)
            }
        }
        try files.syncFolder()
        return keys.count
    }

    /// The snapshots whose manifest was written to its end: those that can be read, and those that a newer
    /// version has made or whose manifest is damaged. They are somebody's backup.
    private static func finished(
        _ files: any FileSystem
    ) throws(DiskFailure) -> Set<SnapshotKey> {
        var keys: Set<SnapshotKey> = []
        for name in try files.list() {
            guard let (key, content) = SnapshotName.parse(name), content == .manifest else {
                continue
            }
            let buffer = ByteWriter(capacity: 1 << 10)
            try files.read(name, at: 0, count: try files.size(of: name), into: buffer)
            if SnapshotManifest.isFinished(buffer.bytes) { keys.insert(key) }
        }
        return keys
    }

    /// Before the first step of a node: removes what a crash left half made, ephemeral snapshots, those
    /// whose time has come, and files of imports that did not end. Returns when the next one's comes.
    package static func recover(
        _ files: any FileSystem, now: WallTime
    ) throws(DiskFailure) -> WallTime? {
        let finished = try finished(files)
        var hasChanged = false
        for name in try files.list() {
            var isRest = name.text.hasPrefix(stagingLead)
            if let (key, _) = SnapshotName.parse(name), !finished.contains(key) { isRest = true }
            guard isRest else { continue }
            try files.remove(name)
            hasChanged = true
        }
        if hasChanged { try files.syncFolder() }
        var selection = SnapshotSelection()
        selection.onlyEphemeral = true
        _ = try clear(selection, files)
        selection = SnapshotSelection()
        selection.expiredAt = now
        _ = try clear(selection, files)
        return try nextExpiry(files)
    }

    /// When the next snapshot goes by itself.
    static func nextExpiry(_ files: any FileSystem) throws(DiskFailure) -> WallTime? {
        try list(files).compactMap(\.manifest.expiresAt).min()
    }
}

/// Lists or removes snapshots on a worker: reading a folder takes its time.
package final class SnapshotFolderJob: Job {
    package enum Task: Sendable {
        case list
        case clear(SnapshotSelection)
        /// Removes the staged files of an import.
        case unstage(String)
    }

    private let task: Task
    package private(set) var snapshots: [SnapshotSummary] = []
    package private(set) var removed = 0
    /// After a removal: when the next one's time comes.
    package private(set) var nextExpiry: WallTime?

    package init(_ task: Task) { self.task = task }

    package var title: String { "snapshots" }

    package func step(
        _ files: any FileSystem, budgetBytes: Int
    ) throws(DiskFailure) -> JobProgress {
        switch task {
        case .list: snapshots = try SnapshotFolder.list(files)
        case .clear(let selection):
            removed = try SnapshotFolder.clear(selection, files)
            nextExpiry = try SnapshotFolder.nextExpiry(files)
        case .unstage(let lead):
            for name in try files.list() where name.text.hasPrefix(lead) {
                try files.remove(name)
                removed += 1
            }
            try files.syncFolder()
        }
        return .done(bytes: 0)
    }
}
