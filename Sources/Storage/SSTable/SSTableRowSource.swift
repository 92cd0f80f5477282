// The rows of one partition of an SSTable, as a source of a read.

internal import Encoding
internal import Model

/// Reads a partition's fragments block by block through a `ReadContext`. Pooled: `open` begins anew.
final class SSTableRowSource: RowSource {
    private var sstable: SSTable?
    private var context: ReadContext?
    private var startBlock = 0
    private var startIndex = 0
    private var lastBlock = 0
    private var current = 0
    private let cursor = FragmentCursor()
    private var block: Block?
    private var lower: [UInt8]?
    private var upper: [UInt8]?
    private var isReversed = false

    /// The partition begins with that fragment of that block.
    func open(
        _ sstable: SSTable, _ context: ReadContext, startBlock: Int, startIndex: Int,
        _ fragment: Fragment, token: Int64
    ) {
        self.sstable = sstable
        self.context = context
        self.startBlock = startBlock
        self.startIndex = startIndex
        lastBlock =
            fragment.flags.contains(.continues)
            ? sstable.metadata.blocks.lastBlock(ofPartitionFrom: startBlock, token: token)
            : startBlock
        state = .end
    }

    func close() {
        sstable = nil
        context = nil
        block = nil
        cursor.close()
    }

    override func seek(
        lower: [UInt8]?, upper: [UInt8]?, reversed: Bool
    ) throws(StorageError) {
        self.lower = lower
        self.upper = upper
        isReversed = reversed
        if !ranges.isEmpty { ranges.removeAll(keepingCapacity: true) }
        state = .end
        current = startBlock
        if lastBlock > startBlock {
            if reversed {
                current = upper.map { lastSpan(before: $0, orAt: false) } ?? lastBlock
            } else if let lower {
                current = lastSpan(before: lower, orAt: true)
            }
        }
        if try enter() { try settle() }
    }

    override func advance() throws(StorageError) {
        guard let block else { return }
        do throws(MalformedBytes) {
            if isReversed { try cursor.previous() } else { try cursor.next() }
        } catch {
            throw block.damaged(error)
        }
        try settle()
    }

    /// The last block whose stretch begins before `bound` (or at it).
    private func lastSpan(before bound: [UInt8], orAt: Bool) -> Int {
        guard let blocks = sstable?.metadata.blocks else { return startBlock }
        var low = startBlock + 1
        var high = lastBlock + 1
        while low < high {
            let middle = (low + high) >> 1
            let order = blocks.compareSpanStart(middle, to: bound)
            if order < 0 || orAt && order == 0 { low = middle + 1 } else { high = middle }
        }
        return low - 1
    }

    /// Opens the fragment of the current block; false if the block is missing.
    private func enter() throws(StorageError) -> Bool {
        guard let sstable, let context else { return false }
        guard let block = context.block(sstable, current) else {
            expectMore(sstable, context)
            state = .missing
            return false
        }
        self.block = block
        let fragment = try block.fragment(current == startBlock ? startIndex : 0)
        do throws(MalformedBytes) {
            guard current == startBlock || fragment.flags.contains(.continued) else {
                throw MalformedBytes("partition does not go on here", offset: 0)
            }
            if fragment.flags.contains(.hasRanges) {
                ranges = RangeTombstones.merged(ranges, try fragment.ranges)
            }
            if isReversed {
                try cursor.seekBackward(fragment, upper)
            } else {
                try cursor.seekForward(fragment, lower)
            }
        } catch {
            throw block.damaged(error)
        }
        return true
    }

    /// Asks for what follows the missing block too, as far as the bounds go.
    private func expectMore(_ sstable: SSTable, _ context: ReadContext) {
        var index = current
        for _ in 0..<context.readAhead {
            index += isReversed ? -1 : 1
            guard index >= startBlock, index <= lastBlock else { return }
            if !isReversed, let upper,
                sstable.metadata.blocks.compareSpanStart(index, to: upper) >= 0
            {
                return
            }
            if isReversed, let lower, index + 1 <= lastBlock,
                sstable.metadata.blocks.compareSpanStart(index + 1, to: lower) <= 0
            {
                return
            }
            context.expect(sstable, index)
        }
    }

    /// Shows the cursor's row, or goes on to the next fragment inside the bounds.
    private func settle() throws(StorageError) {
        while cursor.isAtEnd {
            guard let blocks = sstable?.metadata.blocks else { return }
            if isReversed {
                if current == startBlock { return stop() }
                if let lower, blocks.compareSpanStart(current, to: lower) <= 0 { return stop() }
                current -= 1
            } else {
                if current == lastBlock { return stop() }
                if let upper, blocks.compareSpanStart(current + 1, to: upper) >= 0 {
                    return stop()
                }
                current += 1
            }
            guard try enter() else { return }
        }
        if isReversed, let lower, compare(cursor.key, lower) < 0 { return stop() }
        if !isReversed, let upper, compare(cursor.key, upper) >= 0 { return stop() }
        key = cursor.key
        row = cursor.row
        state = .row
    }

    private func stop() { state = .end }
}
