// The partitions of a memtable by token: a trie over the shard's own token slice, with small sorted
// leaves.
//
//     root (2^4 ... 2^16 slots) -> leaf of up to 32 sorted (token, node) pairs
//                               -> branch of 16 slots -> leaf | branch ...
//
// Tokens of a slice are spread evenly, so a root with about as many slots as there are sixteens of
// partitions finds a leaf in one step; the root grows by 16 when it is full and starts at the size
// that the table's last memtable ended with. Skewed tokens (all in 1 % of the slice, or consecutive
// ones) only make the trie deeper there: each level takes four bits, so a path has at most 15 branches,
// and the upper ones of a hot region stay in the cache. Equal tokens of different keys end in a leaf
// that grows without splitting.
//
// Cost of a lookup: one miss for the root's slot, one or two for the leaf, one for the node.
// Many lookups at once cost less: `prefetch` asks for the lines of all of them, level by level, so that
// their misses overlap.
// Cost of growing the root: one pass over its slots, each copied or split into 16 (under 1 ms).
//
// Invariants: leaves are sorted by (token, key); a slot's low bit tells a branch from a leaf.

internal import CMemory
internal import Encoding

/// Finds partition nodes by token and key, in order. Not thread-safe while it grows.
final class PartitionDirectory {
    private let arena: Arena
    /// The slice's first token, and how far offsets from it are shifted up to fill 64 bits.
    private let firstToken: Int64
    private let shift: UInt64
    private var root: UnsafeMutablePointer<UInt>
    private(set) var rootBits: Int
    private(set) var count = 0
    /// Leaves given back when they grew or split, by capacity class (4, 8, 16, 32).
    private var freeLeaves: (UInt, UInt, UInt, UInt) = (0, 0, 0, 0)

    private static let leafCapacity = 32
    private static let maximumRootBits = 16

    /// `expectedCount`: how many partitions the table's last memtable had.
    init(slice: ClosedRange<Int64>, expectedCount: Int, arena: Arena) {
        self.arena = arena
        firstToken = slice.lowerBound
        let width = UInt64(bitPattern: slice.upperBound &- slice.lowerBound)
        shift = width == 0 ? 63 : UInt64(width.leadingZeroBitCount)
        var bits = 4
        while bits < Self.maximumRootBits, expectedCount > 16 << bits { bits += 4 }
        rootBits = bits
        root = .allocate(capacity: 1 << bits)
        root.initialize(repeating: 0, count: 1 << bits)
        arena.charge(MemoryLayout<UInt>.size << bits)
    }

    deinit { root.deallocate() }

    @inline(__always)
    private func place(_ token: Int64) -> UInt64 {
        UInt64(bitPattern: token &- firstToken) << shift
    }

    // MARK: Lookup

    /// The node of that partition, or nil.
    func find(token: Int64, key: UnsafeRawBufferPointer) -> PartitionNode? {
        let place = place(token)
        var slot = root[Int(place >> UInt64(64 - rootBits))]
        var consumed = rootBits
        while slot & 1 == 1 {
            slot = Branch(slot)[Int((place << UInt64(consumed)) >> 60)].pointee
            consumed += 4
        }
        guard slot != 0 else { return nil }
        let leaf = Leaf(slot)
        var index = leaf.lowerBound(token)
        while index < leaf.count, leaf.tokens[index] == token {
            let node = leaf.node(index)
            if equalBytes(node.key, key) { return node }
            index += 1
        }
        return nil
    }

    /// Has the processor load what the lookups or insertions of these tokens will touch. A hint: nothing
    /// depends on it.
    func prefetch(_ tokens: UnsafeBufferPointer<Int64>) {
        let shift = UInt64(64 - rootBits)
        for token in tokens { coterie_prefetch(root + Int(place(token) >> shift)) }
        for token in tokens {
            // A leaf's head and its first tokens; a branch is left to the lookup.
            let slot = root[Int(place(token) >> shift)]
            if slot != 0, slot & 1 == 0, let leaf = UnsafeRawPointer(bitPattern: slot) {
                coterie_prefetch(leaf)
                coterie_prefetch(leaf + 64)
                coterie_prefetch(leaf + 128)
            }
        }
        for token in tokens {
            let slot = root[Int(place(token) >> shift)]
            guard slot != 0, slot & 1 == 0 else { continue }
            let leaf = Leaf(slot)
            let index = leaf.lowerBound(token)
            if index < leaf.count, leaf.tokens[index] == token {
                let node = leaf.node(index).base
                coterie_prefetch(node)
                coterie_prefetch(node + 64)
            }
        }
    }

    /// The first level of `prefetch` for one token.
    @inline(__always)
    func prefetchSlot(_ token: Int64) {
        coterie_prefetch(root + Int(place(token) >> UInt64(64 - rootBits)))
    }

    /// The second level of `prefetch` for one token.
    @inline(__always)
    func prefetchLeaf(_ token: Int64) {
        let slot = root[Int(place(token) >> UInt64(64 - rootBits))]
        guard slot != 0, slot & 1 == 0, let leaf = UnsafeRawPointer(bitPattern: slot) else {
            return
        }
        coterie_prefetch(leaf)
        coterie_prefetch(leaf + 64)
    }

    // MARK: Insertion

    /// The node of that partition, made if it is new.
    func findOrInsert(token: Int64, key: UnsafeRawBufferPointer) -> PartitionNode {
        if count >= 16 << rootBits, rootBits < Self.maximumRootBits { growRoot() }
        let place = place(token)
        var slot = root + Int(place >> UInt64(64 - rootBits))
        var consumed = rootBits
        while true {
            let value = slot.pointee
            if value & 1 == 1 {
                slot = Branch(value)[Int((place << UInt64(consumed)) >> 60)]
                consumed += 4
                continue
            }
            if value == 0 {
                let leaf = makeLeaf(capacity: 4)
                let node = PartitionNode.make(token: token, key: key, in: arena)
                leaf.insert(token, node, at: 0)
                slot.pointee = leaf.slot
                count += 1
                return node
            }
            let leaf = Leaf(value)
            var index = leaf.lowerBound(token)
            while index < leaf.count, leaf.tokens[index] == token {
                let node = leaf.node(index)
                let order = compareBytes(node.key, key)
                if order == 0 { return node }
                if order > 0 { break }
                index += 1
            }
            if leaf.count < leaf.capacity {
                let node = PartitionNode.make(token: token, key: key, in: arena)
                leaf.insert(token, node, at: index)
                count += 1
                return node
            }
            if leaf.capacity >= Self.leafCapacity && consumed < 64 {
                slot.pointee = split(leaf, consumed: consumed)
            } else {
                slot.pointee = grown(leaf).slot
            }
        }
    }

    private func makeLeaf(capacity: Int) -> Leaf {
        let popped: UInt
        switch capacity {
        case 4: popped = freeLeaves.0
        case 8: popped = freeLeaves.1
        case 16: popped = freeLeaves.2
        case 32: popped = freeLeaves.3
        default: popped = 0
        }
        guard popped == 0 else {
            let leaf = Leaf(popped)
            let next = UInt(UInt64(bitPattern: leaf.tokens[0]))
            switch capacity {
            case 4: freeLeaves.0 = next
            case 8: freeLeaves.1 = next
            case 16: freeLeaves.2 = next
            default: freeLeaves.3 = next
            }
            leaf.count = 0
            return leaf
        }
        return Leaf.make(capacity: capacity, in: arena)
    }

    private func release(_ leaf: Leaf) {
        switch leaf.capacity {
        case 4:
            leaf.tokens[0] = Int64(bitPattern: UInt64(freeLeaves.0))
            freeLeaves.0 = leaf.slot
        case 8:
            leaf.tokens[0] = Int64(bitPattern: UInt64(freeLeaves.1))
            freeLeaves.1 = leaf.slot
        case 16:
            leaf.tokens[0] = Int64(bitPattern: UInt64(freeLeaves.2))
            freeLeaves.2 = leaf.slot
        case 32:
            leaf.tokens[0] = Int64(bitPattern: UInt64(freeLeaves.3))
            freeLeaves.3 = leaf.slot
        default: break
        }
    }

    private func grown(_ leaf: Leaf) -> Leaf {
        let larger = makeLeaf(capacity: leaf.capacity * 2)
        larger.tokens.update(from: leaf.tokens, count: leaf.count)
        larger.nodes.update(from: leaf.nodes, count: leaf.count)
        larger.count = leaf.count
        release(leaf)
        return larger
    }

    /// Spreads a leaf over the sixteen slots of a new branch.
    private func split(_ leaf: Leaf, consumed: Int) -> UInt {
        let branch = Branch.make(in: arena)
        distribute(leaf, consumed: consumed) { branch[$0].pointee = $1 }
        return branch.slot
    }

    /// Makes leaves for the sixteen parts of a leaf and releases it.
    private func distribute(_ leaf: Leaf, consumed: Int, _ store: (Int, UInt) -> Void) {
        var start = 0
        while start < leaf.count {
            let digit = Int((place(leaf.tokens[start]) << UInt64(consumed)) >> 60)
            var end = start + 1
            while end < leaf.count,
                Int((place(leaf.tokens[end]) << UInt64(consumed)) >> 60) == digit
            { end += 1 }
            var capacity = 4
            while capacity < end - start { capacity *= 2 }
            let part = makeLeaf(capacity: capacity)
            part.tokens.update(from: leaf.tokens + start, count: end - start)
            part.nodes.update(from: leaf.nodes + start, count: end - start)
            part.count = end - start
            store(digit, part.slot)
            start = end
        }
        release(leaf)
    }

    /// Makes the root sixteen times larger: each slot becomes sixteen.
    private func growRoot() {
        let larger = UnsafeMutablePointer<UInt>.allocate(capacity: 16 << rootBits)
        larger.initialize(repeating: 0, count: 16 << rootBits)
        for index in 0..<(1 << rootBits) {
            let value = root[index]
            let target = larger + index * 16
            if value & 1 == 1 {
                for digit in 0..<16 { target[digit] = Branch(value)[digit].pointee }
            } else if value != 0 {
                distribute(Leaf(value), consumed: rootBits) { target[$0] = $1 }
            }
        }
        root.deallocate()
        root = larger
        arena.charge(
            (MemoryLayout<UInt>.size << (rootBits + 4)) - (MemoryLayout<UInt>.size << rootBits))
        rootBits += 4
    }

    // MARK: Iteration

    /// A cursor before the first partition whose token is at least `token`. It is valid until the next
    /// insertion.
    func cursor(from token: Int64) -> Cursor {
        let start = max(token, firstToken)
        return Cursor(root: root, rootBits: rootBits, place: place(start), token: start)
    }

    /// Walks over partitions in order.
    struct Cursor {
        /// Slots still to be visited, the next one last.
        private var stack: [(slots: UnsafeMutablePointer<UInt>, next: Int, end: Int)] = []
        private var leaf: Leaf?
        private var index = 0

        fileprivate init(
            root: UnsafeMutablePointer<UInt>, rootBits: Int, place: UInt64, token: Int64
        ) {
            stack.reserveCapacity(8)
            var slots = root
            var digit = Int(place >> UInt64(64 - rootBits))
            var width = 1 << rootBits
            var consumed = rootBits
            while true {
                stack.append((slots, digit + 1, width))
                let value = slots[digit]
                guard value & 1 == 1 else {
                    if value != 0 {
                        let leaf = Leaf(value)
                        self.leaf = leaf
                        index = leaf.lowerBound(token)
                    }
                    return
                }
                slots = Branch(value)[0]
                digit = Int((place << UInt64(consumed)) >> 60)
                width = 16
                consumed += 4
            }
        }

        /// The next partition. The one that comes `ahead` later is prefetched with its first row, if
        /// the leaf knows it already: nodes lie in the order of their arrival, and each is a miss.
        mutating func next(ahead: Int = 0) -> PartitionNode? {
            while true {
                if let leaf, index < leaf.count {
                    if ahead > 0, index + ahead < leaf.count {
                        PartitionDirectory.prefetchNode(leaf.nodes[index + ahead])
                    }
                    index += 1
                    return leaf.node(index - 1)
                }
                leaf = nil
                guard let top = stack.last else { return nil }
                var next = top.next
                while next < top.end, top.slots[next] == 0 { next += 1 }
                guard next < top.end else {
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].next = next + 1
                let value = top.slots[next]
                if value & 1 == 1 {
                    stack.append((Branch(value)[0], 0, 16))
                } else {
                    let found = Leaf(value)
                    leaf = found
                    index = 0
                    for place in 0..<min(ahead, found.count) {
                        PartitionDirectory.prefetchNode(found.nodes[place])
                    }
                }
            }
        }
    }

    /// Has the processor load a node and what was made right behind it, mostly its first row.
    @inline(__always)
    fileprivate static func prefetchNode(_ node: UInt) {
        guard let node = UnsafeRawPointer(bitPattern: node) else { return }
        coterie_prefetch(node)
        coterie_prefetch(node + 64)
        coterie_prefetch(node + 128)
        coterie_prefetch(node + 192)
    }
}

/// Sixteen slots.
private struct Branch {
    let slots: UnsafeMutablePointer<UInt>

    @inline(__always)
    init(_ slot: UInt) {
        guard let slots = UnsafeMutablePointer<UInt>(bitPattern: slot & ~1) else {
            preconditionFailure("empty branch")
        }
        self.slots = slots
    }

    static func make(in arena: Arena) -> Branch {
        let memory = arena.allocate(16 * MemoryLayout<UInt>.size)
            .bindMemory(to: UInt.self, capacity: 16)
        memory.initialize(repeating: 0, count: 16)
        return Branch(UInt(bitPattern: memory))
    }

    var slot: UInt { UInt(bitPattern: slots) | 1 }

    @inline(__always)
    subscript(digit: Int) -> UnsafeMutablePointer<UInt> { slots + digit }
}

/// `count u32 | capacity u32 | tokens | node pointers`.
private struct Leaf {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ slot: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: slot) else {
            preconditionFailure("empty leaf")
        }
        self.base = base
    }

    static func make(capacity: Int, in arena: Arena) -> Leaf {
        let memory = arena.allocate(8 + capacity * 16)
        memory.storeBytes(of: 0, as: UInt32.self)
        memory.storeBytes(of: UInt32(capacity), toByteOffset: 4, as: UInt32.self)
        return Leaf(UInt(bitPattern: memory))
    }

    var slot: UInt { UInt(bitPattern: base) }
    var capacity: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
    var count: Int {
        get { Int(base.load(as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), as: UInt32.self) }
    }
    var tokens: UnsafeMutablePointer<Int64> { (base + 8).assumingMemoryBound(to: Int64.self) }
    var nodes: UnsafeMutablePointer<UInt> {
        (base + 8 + capacity * 8).assumingMemoryBound(to: UInt.self)
    }

    @inline(__always)
    func node(_ index: Int) -> PartitionNode {
        guard let node = UnsafeMutableRawPointer(bitPattern: nodes[index]) else {
            preconditionFailure("leaf without a node")
        }
        return PartitionNode(node)
    }

    /// The first index whose token is at least `token`.
    @inline(__always)
    func lowerBound(_ token: Int64) -> Int {
        let tokens = tokens
        var low = 0
        var length = count
        while length > 0 {
            let half = length >> 1
            if tokens[low + half] < token {
                low += half + 1
                length -= half + 1
            } else {
                length = half
            }
        }
        return low
    }

    func insert(_ token: Int64, _ node: PartitionNode, at index: Int) {
        let count = count
        precondition(count < capacity && index <= count)
        let tokens = tokens
        let nodes = nodes
        var position = count
        while position > index {
            tokens[position] = tokens[position - 1]
            nodes[position] = nodes[position - 1]
            position -= 1
        }
        tokens[index] = token
        nodes[index] = UInt(bitPattern: node.base)
        self.count = count + 1
    }
}
