// Taking SSTables into a running table: from a snapshot of this node or of another cluster.
//
//     the world links or copies the files into the node's folder    import-<id>-<their name>
//     one shard checks them all: manifest, digests, schema, owner   ImportCheckJob
//     every shard takes in those that overlap its slice             ImportJob
//
// A file becomes a link under a name of the shard, and each shard passes over what is not its own, as
// after a change of the shards. Where the columns have other numbers the file is written anew.
//
// A partition that this node does not own would never be read and would go with the next cleanup: so the
// check refuses the whole import and names it, and nothing is lost silently.

internal import Encoding
package import Environment
package import Model

/// A file that waits for its import.
struct StagedFile {
    let name: FileName
    let metadata: SSTableMetadata
    /// nil: the columns have the numbers that they have here.
    let columns: ColumnRenumbering?
}

/// Reads what was staged.
enum StagedImport {
    enum Outcome {
        case files([StagedFile])
        case refused(MaintenanceRefusal)
    }

    /// The files of all manifests for the table, each with its size and digest as the manifest has it.
    static func load(
        _ lead: String, for schema: TableSchema, _ files: any FileSystem
    ) throws(DiskFailure) -> Outcome {
        var manifests: [SnapshotManifest] = []
        var others: Set<String> = []
        for name in try files.list() where name.text.hasPrefix(lead) {
            guard name.text.hasSuffix("-manifest") else { continue }
            let buffer = ByteWriter(capacity: 1 << 10)
            try files.read(name, at: 0, count: try files.size(of: name), into: buffer)
            guard let manifest = SnapshotManifest(buffer.bytes) else {
                return .refused(
                    MaintenanceRefusal("\(name.text.dropFirst(lead.count)) is damaged"))
            }
            if manifest.keyspace == schema.keyspace, manifest.table == schema.name {
                manifests.append(manifest)
            } else {
                others.insert("\(manifest.keyspace).\(manifest.table)")
            }
        }
        guard !manifests.isEmpty else {
            let rest = others.isEmpty ? "" : " (it has \(others.sorted().joined(separator: ", ")))"
            return .refused(
                MaintenanceRefusal(
                    "the folder holds no snapshot of \(schema.keyspace).\(schema.name)\(rest)"))
        }
        do throws(MaintenanceRefusal) {
            var staged: [StagedFile] = []
            for manifest in manifests.sorted(by: { $0.key < $1.key }) {
                let columns = try manifest.renumbering(for: schema)
                for file in manifest.files {
                    staged.append(try load(lead, file, columns.isIdentity ? nil : columns, files))
                }
            }
            return .files(staged)
        } catch {
            return .refused(error)
        }
    }

    private static func load(
        _ lead: String, _ file: SnapshotManifest.File, _ columns: ColumnRenumbering?,
        _ files: any FileSystem
    ) throws(MaintenanceRefusal) -> StagedFile {
        let name = FileName(lead + file.name.text)
        let metadata: SSTableMetadata
        let footer = ByteWriter(capacity: SSTableMetadata.footerBytes)
        do throws(StorageError) {
            metadata = try SSTableMetadata.load(name, from: files)
            try storing { () throws(DiskFailure) in
                try files.read(
                    name, at: metadata.bytes - SSTableMetadata.footerBytes,
                    count: SSTableMetadata.footerBytes, into: footer)
            }
        } catch {
            throw MaintenanceRefusal("\(file.name): \(error)")
        }
        guard metadata.bytes == file.bytes, CRC32C.checksum(footer.bytes) == file.digest else {
            throw MaintenanceRefusal("\(file.name) is not the file that its manifest tells of")
        }
        return StagedFile(name: name, metadata: metadata, columns: columns)
    }
}

/// Looks at all that was staged before any shard takes it in.
package final class ImportCheckJob: Job {
    private let lead: String
    private let schema: TableSchema
    /// The node's tokens for the table; nil: whose they are is not asked.
    private let owned: [ClosedRange<Int64>]?
    private let isExtended: Bool
    private var checks: [VerifyJob]?
    private var index = 0
    /// Why nothing must be taken in; nil if all is well.
    package private(set) var refusal: String?
    /// How many files there are to take in.
    package private(set) var fileCount = 0
    package private(set) var report = MaintenanceReport()

    package init(
        lead: String, schema: TableSchema, owned: [ClosedRange<Int64>]?, isExtended: Bool
    ) {
        self.lead = lead
        self.schema = schema
        self.owned = owned
        self.isExtended = isExtended
    }

    package var title: String { "check import into \(schema.keyspace).\(schema.name)" }

    package func step(
        _ files: any FileSystem, budgetBytes: Int
    ) throws(DiskFailure) -> JobProgress {
        guard let checks else {
            try plan(files)
            return refusal == nil && checks?.isEmpty == false ? .more(bytes: 0) : .done(bytes: 0)
        }
        let check = checks[index]
        let progress = try check.step(files, budgetBytes: budgetBytes)
        guard case .done(let bytes) = progress else { return progress }
        report.add(check.report)
        if let finding = check.report.findings.first { refusal = finding.description }
        if let token = check.firstForeignToken {
            refusal =
                "the snapshot has partitions that this node does not own, for example token "
                + "\(token) (\(check.report.foreignPartitions) in \(check.title)): import it at "
                + "their replicas, or say that tokens are not to be checked"
        }
        index += 1
        return refusal != nil || index == checks.count ? .done(bytes: bytes) : .more(bytes: bytes)
    }

    private func plan(_ files: any FileSystem) throws(DiskFailure) {
        switch try StagedImport.load(lead, for: schema, files) {
        case .refused(let reason): refusal = reason.description
        case .files(let staged):
            fileCount = staged.count
            checks = staged.compactMap { file in
                let statistics = file.metadata.statistics
                let isOwned =
                    owned.map {
                        SortedRanges.cover($0, statistics.minimumToken...statistics.maximumToken)
                    } ?? true
                guard isExtended || !isOwned else { return nil }
                return VerifyJob(title: file.name.text, file.metadata, owned: owned)
            }
        }
    }
}

/// Takes into one shard what was staged and overlaps its slice.
final class ImportJob: Job {
    private let lead: String
    private let schema: TableSchema
    private let slice: ClosedRange<Int64>
    /// What new files are made with, and their numbers; as many as there are staged files.
    private let places: [(number: UInt64, target: MergeJob.Target)]
    private var staged: [StagedFile]?
    private var rewriting: RewriteJob?
    /// The files that are the shard's now, by their numbers.
    private(set) var taken: [(number: UInt64, metadata: SSTableMetadata)] = []
    private(set) var failure: String?
    private(set) var report = MaintenanceReport()

    init(
        lead: String, schema: TableSchema, slice: ClosedRange<Int64>,
        places: [(number: UInt64, target: MergeJob.Target)]
    ) {
        self.lead = lead
        self.schema = schema
        self.slice = slice
        self.places = places
    }

    var title: String { "import into \(schema.keyspace).\(schema.name)" }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        if let rewriting { return try stepRewriting(rewriting, files, budgetBytes) }
        guard let next = try nextFile(files) else {
            if failure == nil { try files.syncFolder() }
            return .done(bytes: 0)
        }
        guard taken.count < places.count else {
            failure = "more files than were counted"
            return .done(bytes: 0)
        }
        let place = places[taken.count].target
        if next.columns == nil {
            try files.link(next.name, to: place.file)
            do throws(StorageError) {
                note(try SSTableMetadata.load(place.file, from: files))
            } catch {
                if case .disk(let failure) = error { throw failure }
                failure = "\(error)"
                return .done(bytes: 0)
            }
            return .more(bytes: SSTableMetadata.footerBytes)
        }
        rewriting = RewriteJob(
            title: title,
            RewriteJob.Plan(
                source: next.metadata, target: place, slice: slice, owned: nil,
                columns: next.columns))
        return .more(bytes: 0)
    }

    private func stepRewriting(
        _ job: RewriteJob, _ files: any FileSystem, _ budgetBytes: Int
    ) throws(DiskFailure) -> JobProgress {
        let progress = try job.step(files, budgetBytes: budgetBytes)
        guard case .done(let bytes) = progress else { return progress }
        rewriting = nil
        if let error = job.failure {
            failure = "\(error)"
            return .done(bytes: bytes)
        }
        if let made = job.result { note(made) }
        return .more(bytes: bytes)
    }

    private func note(_ metadata: SSTableMetadata) {
        taken.append((places[taken.count].number, metadata))
        report.files += 1
        report.partitions += metadata.statistics.partitions
        report.rows += metadata.statistics.rows
        report.bytesRead += metadata.bytes
    }

    /// The next staged file of this shard.
    private func nextFile(_ files: any FileSystem) throws(DiskFailure) -> StagedFile? {
        if staged == nil {
            switch try StagedImport.load(lead, for: schema, files) {
            case .refused(let reason):
                failure = reason.description
                staged = []
            case .files(let all):
                staged = all.filter {
                    $0.metadata.statistics.minimumToken <= slice.upperBound
                        && $0.metadata.statistics.maximumToken >= slice.lowerBound
                }
            }
        }
        guard staged?.isEmpty == false else { return nil }
        return staged?.removeFirst()
    }
}
