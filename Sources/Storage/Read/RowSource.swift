// Where the rows of one partition come from: a memtable, or an SSTable's blocks.
//
// A merge holds one source for each memtable and SSTable that has the partition, and takes the smallest
// key again and again. A class with two overridden methods: a virtual call costs less than the
// comparison that follows it, and sources are pooled.

internal import Model

/// One source of a merge. The current row is valid until the next call.
class RowSource {
    enum State {
        /// `key` and `row` are the current row.
        case row
        /// No more rows inside the bounds.
        case end
        /// The next row lies in a block that is not in memory; it has been asked for.
        case missing
    }

    @exclusivity(unchecked) final var state = State.end
    @exclusivity(unchecked) final var key = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) final var row = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Range deletions that cover at least all that was passed over since `seek`, up to the current
    /// row; sorted, not overlapping. They may reach outside the bounds.
    final var ranges: [RangeTombstone] = []

    init() {}

    /// Goes to the first row with `lower <= key < upper`, or the last one if reversed; nil is no bound.
    func seek(lower: [UInt8]?, upper: [UInt8]?, reversed: Bool) throws(StorageError) {
        preconditionFailure("abstract")
    }

    /// Goes to the next row in the direction of the seek.
    func advance() throws(StorageError) { preconditionFailure("abstract") }
}
