// What one walk over a row's cells finds: for taking in a mutation, and for the statistics of a file.
//
// Both need the same few facts of every row that is written or moved, and most rows are plain. The walk is
// here, beside the types that it reads, because nothing that is `package` is inlined into another module.
//
// Cost: some ten loads and comparisons for each cell, one call for each row.

package import Encoding

/// Facts about one row, or about several.
package struct RowSummary: Equatable, Sendable {
    /// No cell, marker, deletion or clock of a count is older, or newer.
    package var oldestTimestamp = Int64.max
    package var newestTimestamp = Int64.min
    /// Nothing is deleted and nothing expires.
    package var isPlain = true
    /// There is a marker or a value that neither expires nor is a deletion.
    package var hasLasting = false
    /// There are counts, or deletions of such.
    package var hasCounters = false
    /// There are clustering values as first written.
    package var hasOriginalKeys = false

    package init() {}

    /// Takes in a deletion around rows.
    package mutating func add(_ deletion: Deletion) {
        guard !deletion.isNone else { return }
        add(timestamp: deletion.timestamp)
        isPlain = false
    }

    @inline(__always)
    private mutating func add(timestamp: Int64) {
        oldestTimestamp = min(oldestTimestamp, timestamp)
        newestTimestamp = max(newestTimestamp, timestamp)
    }

    /// Takes in a row that was checked when it was written.
    package mutating func add(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        try add(bytes, isChecked: true)
    }

    /// Takes in a row and throws unless it is well-formed and its cells are sorted.
    package mutating func addChecking(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        try add(bytes, isChecked: false)
    }

    @inline(__always)
    private mutating func add(
        _ bytes: UnsafeRawBufferPointer, isChecked: Bool
    ) throws(MalformedBytes) {
        let row = try RowView(bytes)
        if !row.liveness.isNone {
            add(timestamp: row.liveness.timestamp)
            if row.liveness.isExpiring { isPlain = false } else { hasLasting = true }
        }
        add(row.deletion)
        if row.originalKey.count > 0 { hasOriginalKeys = true }
        var cells = row.cells
        var previous: Cell?
        while let cell = try cells.next() {
            if !isChecked {
                if let previous, previous.position(comparedTo: cell) >= 0 {
                    throw MalformedBytes("cells out of order", offset: cells.reader.position)
                }
                previous = cell
            }
            add(timestamp: cell.timestamp)
            if cell.flags.isDisjoint(with: .dated) { hasLasting = true } else { isPlain = false }
            if cell.flags.contains(.counter) {
                hasCounters = true
                if cell.isCount { try add(CounterShards(cell.value), cell.timestamp, isChecked) }
            }
        }
    }

    private mutating func add(
        _ shards: CounterShards, _ timestamp: Int64, _ isChecked: Bool
    ) throws(MalformedBytes) {
        if !isChecked { try shards.validate(timestamp: timestamp) }
        if let clocks = shards.clocks { add(timestamp: clocks.lowerBound) }
    }
}
