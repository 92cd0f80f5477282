// Reads an SSTable from its first byte to its last and says what is not as it should be.
//
//     tail on the disk = tail in memory -> header -> for each block: checksum, index, order of tokens,
//     order of rows, well-formed cells, filter -> the figures of the statistics
//
// It changes nothing, and it goes on behind what it finds, so that one run names every damaged block.

internal import Encoding
internal import Environment
internal import Model

/// The check of one file. Made by the shard, run by a worker, read by the shard at its end.
final class VerifyJob: Job {
    let title: String
    private let metadata: SSTableMetadata
    private var blockIndex = 0
    private var hasBegun = false
    private let stored = ByteWriter(capacity: 1 << 15)
    private let cursor = FragmentCursor()
    private var token = Int64.min
    private var key: [UInt8]?
    private var lastRow: [UInt8]?
    /// The last fragment said that its partition goes on.
    private var isContinued = false
    /// Tokens of partitions, for whoever asks whose they are; the first that is not owned.
    private let owned: [ClosedRange<Int64>]?
    private(set) var firstForeignToken: Int64?
    private(set) var report = MaintenanceReport()

    /// `owned`: the node's tokens, to count the partitions that are others'.
    init(title: String, _ metadata: SSTableMetadata, owned: [ClosedRange<Int64>]? = nil) {
        self.title = title
        self.metadata = metadata
        self.owned = owned
        report.files = 1
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        let before = report.bytesRead
        if !hasBegun {
            hasBegun = true
            try checkEnds(files)
        }
        while blockIndex < metadata.blocks.count {
            try checkBlock(files)
            blockIndex += 1
            if report.bytesRead - before >= budgetBytes {
                return .more(bytes: report.bytesRead - before)
            }
        }
        checkFigures()
        return .done(bytes: report.bytesRead - before)
    }

    private func note(_ detail: String, at offset: Int) {
        report.add(MaintenanceFinding(file: metadata.file, offset: offset, detail: detail))
    }

    /// Notes damage; a disk that died is thrown.
    private func note(_ error: StorageError, at offset: Int) throws(DiskFailure) {
        switch error {
        case .corruption(let corruption): report.add(MaintenanceFinding(corruption))
        case .disk(let failure):
            guard failure.reason == .inputOutput else { throw failure }
            note(failure.detail, at: offset)
        default: note("\(error)", at: offset)
        }
    }

    // MARK: Header and tail

    private func checkEnds(_ files: any FileSystem) throws(DiskFailure) {
        do throws(StorageError) {
            let loaded = try SSTableMetadata.load(metadata.file, from: files)
            if loaded.identity != metadata.identity || loaded.blocks != metadata.blocks
                || loaded.statistics != metadata.statistics
            {
                note("the tail is another one than at the start", at: metadata.bytes)
            }
            report.bytesRead += max(0, loaded.bytes - (loaded.blocks.last.map { $0.offset } ?? 0))
        } catch {
            try note(error, at: metadata.bytes)
        }
        stored.removeAll()
        do throws(DiskFailure) {
            try files.read(
                metadata.file, at: 0, count: SSTableMetadata.headerBytes, into: stored)
        } catch {
            return try note(.disk(error), at: 0)
        }
        let expected = ByteWriter(capacity: SSTableMetadata.headerBytes)
        expected.appendLittleEndian(SSTableMetadata.magic)
        expected.appendLittleEndian(SSTableMetadata.formatVersion)
        expected.appendLittleEndian(metadata.identity)
        if !equalBytes(stored.bytes, expected.bytes) { note("header", at: 0) }
    }

    // MARK: Blocks

    private func checkBlock(_ files: any FileSystem) throws(DiskFailure) {
        let entry = metadata.blocks[blockIndex]
        stored.removeAll()
        do throws(StorageError) {
            try storing { () throws(DiskFailure) in
                try files.read(metadata.file, at: entry.offset, count: entry.length, into: stored)
            }
            report.bytesRead += stored.count
            let block = try Block.decode(stored.bytes, entry, metadata)
            if block.token(0) != entry.firstToken || block.token(block.count - 1) != entry.lastToken
            {
                note("the index has other tokens than the block", at: entry.offset)
            }
            for index in 0..<block.count {
                try check(try block.fragment(index), block.token(index), block, entry)
            }
        } catch {
            try note(error, at: entry.offset)
            // What stands behind cannot be held against what was not read.
            key = nil
            lastRow = nil
            isContinued = false
        }
    }

    private func check(
        _ fragment: Fragment, _ fragmentToken: Int64, _ block: Block, _ entry: BlockEntry
    ) throws(StorageError) {
        let goesOn = fragment.flags.contains(.continued)
        if let key {
            let order =
                fragmentToken != token
                ? (fragmentToken > token ? 1 : -1)
                : key.withUnsafeBytes { compareBytes(fragment.key, $0) }
            if goesOn != isContinued || (goesOn ? order != 0 : order <= 0) {
                note("partitions out of order", at: entry.offset)
            }
        }
        if !goesOn {
            report.partitions += 1
            lastRow = nil
            if let owned, !SortedRanges.contain(owned, fragmentToken) {
                report.foreignPartitions += 1
                firstForeignToken = firstForeignToken ?? fragmentToken
            }
            if !metadata.mayContain(fragmentToken) {
                note("the filter or the bounds deny token \(fragmentToken)", at: entry.offset)
            }
        }
        token = fragmentToken
        key = [UInt8](fragment.key)
        isContinued = fragment.flags.contains(.continues)
        do throws(MalformedBytes) {
            _ = try fragment.ranges
            if !fragment.staticRow.isEmpty { try RowView(fragment.staticRow).validate() }
            try cursor.seekForward(fragment, nil)
            while !cursor.isAtEnd {
                if let lastRow, lastRow.withUnsafeBytes({ compareBytes($0, cursor.key) >= 0 }) {
                    throw MalformedBytes("rows out of order", offset: 0)
                }
                lastRow = [UInt8](cursor.key)
                try RowView(cursor.row).validate()
                report.rows += 1
                try cursor.next()
            }
        } catch {
            throw block.damaged(error)
        }
    }

    /// Only what was read without a finding can be counted.
    private func checkFigures() {
        guard report.findings.isEmpty else { return }
        let statistics = metadata.statistics
        if report.partitions != statistics.partitions || report.rows != statistics.rows {
            note(
                "the statistics tell of \(statistics.partitions) partitions and \(statistics.rows) "
                    + "rows, there are \(report.partitions) and \(report.rows)", at: metadata.bytes)
        }
    }
}
