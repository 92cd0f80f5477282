// What can go wrong in the engine, by what a caller does about it.

package import Encoding
package import Environment
package import Model

/// Bytes on the disk are not what was written there.
package struct CorruptionError: Error, Equatable, Sendable, CustomStringConvertible {
    package let file: FileName
    package let offset: Int
    package let detail: String

    package init(file: FileName, offset: Int, detail: String) {
        self.file = file
        self.offset = offset
        self.detail = detail
    }

    package var description: String { "\(file) at byte \(offset): \(detail)" }
}

/// A row, with the static row and the range deletions that have to stand beside it, that no block can hold.
package struct OversizedPartition: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was to be written.
    package let file: FileName
    package let table: TableID
    package let key: [UInt8]
    /// The row's encoded clustering key; empty for a partition without clustering columns.
    package let clustering: [UInt8]
    package let bytes: Int
    package let limit: Int

    package init(
        file: FileName, table: TableID, key: [UInt8], clustering: [UInt8], bytes: Int, limit: Int
    ) {
        self.file = file
        self.table = table
        self.key = key
        self.clustering = clustering
        self.bytes = bytes
        self.limit = limit
    }

    package var description: String {
        let row = clustering.isEmpty ? "" : ", row \(Self.text(clustering))"
        return
            "partition \(Self.text(key))\(row) of table \(table) has \(bytes) bytes that must lie in "
            + "one block of \(file): the limit is \(limit)"
    }

    private static func text(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        var text = "0x"
        for byte in bytes.prefix(64) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return bytes.count > 64 ? text + "..." : text
    }
}

/// Why the engine could not do what it was asked.
package indirect enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The disk failed: writes must stop.
    case disk(DiskFailure)
    /// A file is damaged: that read fails, other replicas may answer.
    case corruption(CorruptionError)
    /// A file was written by a newer version.
    case newerFormat(file: FileName, version: UInt32)
    /// The mutation's or command's bytes are malformed; nothing was applied.
    case malformed(MalformedBytes)
    case unknownTable(TableID)
    /// The token belongs to another shard.
    case outsideSlice(token: Int64)
    /// A part of a partition is larger than a block can be; nothing of it was written, and what it was made of
    /// stays as it is.
    case oversized(OversizedPartition)
    /// The mutation does not fit into the commit log; nothing was applied.
    case mutationTooLarge(bytes: Int, limit: Int)
    /// No write is taken for now; nothing was applied. Reads go on.
    case refused(WriteRefusal)
    /// The read passed more deletions than `tombstone_failure_threshold`.
    case tooManyTombstones(Int)
    /// The read needed more rounds of block reads than is allowed.
    case tooManyRounds(Int)

    package var description: String {
        switch self {
        case .disk(let failure): "disk: \(failure)"
        case .corruption(let error): "corruption: \(error)"
        case .newerFormat(let file, let version):
            "\(file) was written by a newer version of Coterie (its format is \(version)): start "
                + "that version again, or one that knows the format"
        case .malformed(let error): "malformed bytes: \(error)"
        case .unknownTable(let table): "unknown table \(table)"
        case .outsideSlice(let token): "token \(token) is not of this shard"
        case .oversized(let partition): "\(partition)"
        case .mutationTooLarge(let bytes, let limit):
            "mutation of \(bytes) bytes, the limit is \(limit) (max_mutation_size)"
        case .refused(let refusal): "writes are refused: \(refusal)"
        case .tooManyTombstones(let count):
            "gave up after \(count) tombstones (see tombstone_failure_threshold)"
        case .tooManyRounds(let rounds): "gave up after \(rounds) rounds of block reads"
        }
    }
}

/// Why an engine takes no writes although it serves reads.
package enum WriteRefusal: Equatable, Sendable, CustomStringConvertible {
    /// The disk had no room for a file that writing needs. Goes when a later attempt succeeds.
    case diskFull(DiskFailure)
    /// The volume is fuller than `data_disk_usage_percentage_fail_threshold` allows.
    case diskUsage(percentage: Int, limit: Int)
    /// A flush fails again and again, and the memory for memtables is used up.
    case flushFailing(StorageError)
    /// The commit log was damaged, and the policy is `stop_commit`. Stays until the next start.
    case damagedLog(CorruptionError)

    package var description: String {
        switch self {
        case .diskFull(let failure): "the disk is full (\(failure))"
        case .diskUsage(let percentage, let limit):
            "the disk is \(percentage) % full, the limit is \(limit) %"
        case .flushFailing(let error): "memtables cannot be flushed (\(error))"
        case .damagedLog(let error): "the commit log is damaged (\(error))"
        }
    }
}

/// Runs `body` and translates its error.
@inline(__always)
func storing<Result>(
    _ body: () throws(DiskFailure) -> Result
) throws(StorageError) -> Result {
    do { return try body() } catch { throw .disk(error) }
}
