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

/// Why the engine could not do what it was asked.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
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
    /// The read needed more rounds of block reads than is allowed.
    case tooManyRounds(Int)

    package var description: String {
        switch self {
        case .disk(let failure): "disk: \(failure)"
        case .corruption(let error): "corruption: \(error)"
        case .newerFormat(let file, let version): "\(file) has the newer format \(version)"
        case .malformed(let error): "malformed bytes: \(error)"
        case .unknownTable(let table): "unknown table \(table)"
        case .outsideSlice(let token): "token \(token) is not of this shard"
        case .tooManyRounds(let rounds): "gave up after \(rounds) rounds of block reads"
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
