// What can go wrong with an engine, by what its user does about it.

internal import Environment
internal import Storage

/// Why the engine could not do what it was asked.
public enum EngineError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The folder is in use by another process, or by another engine of this one.
    case locked(String)
    /// There is no such table; nothing was done.
    case unknownTable(String)
    /// The call's arguments cannot be; nothing was done.
    case invalid(String)
    /// No writes are taken for now, mostly because the disk is full; nothing was written. Reads go on.
    case refused(String)
    /// The disk failed. The engine takes no more calls: close it, and open it again when the cause is
    /// gone. What was written since the last call that succeeded may be there or not.
    case disk(String)
    /// A file is damaged: this read cannot be answered, others may.
    case corruption(String)
    /// The engine was closed, or has failed before for this reason.
    case closed(String)

    /// The reason, for a person.
    public var description: String {
        switch self {
        case .locked(let text), .unknownTable(let text), .invalid(let text), .refused(let text),
            .disk(let text), .corruption(let text), .closed(let text):
            text
        }
    }

    init(_ error: StorageError) {
        switch error {
        case .disk: self = .disk("\(error)")
        case .corruption, .newerFormat, .malformed, .tooManyRounds, .tooManyTombstones:
            self = .corruption("\(error)")
        case .unknownTable: self = .unknownTable("\(error)")
        case .refused: self = .refused("\(error)")
        case .outsideSlice, .mutationTooLarge, .oversized: self = .invalid("\(error)")
        }
    }
}

/// Runs `body` and translates the storage room's error.
@inline(__always)
func translated<Result>(
    _ body: () throws(StorageError) -> Result
) throws(EngineError) -> Result {
    do { return try body() } catch { throw EngineError(error) }
}

/// Runs `body` and translates the disk's error.
@inline(__always)
func onDisk<Result>(
    _ body: () throws(DiskFailure) -> Result
) throws(EngineError) -> Result {
    do { return try body() } catch { throw .disk("\(error)") }
}
