// The partitions of a memtable by token: a trie over the shard's own token slice, with small sorted
// leaves.
//
//     root (2^4 ... 2^16 slots) -> leaf of up to 31 sorted places of nodes
//                               -> branch of 16 slots -> leaf | branch ...
//     leaf  := count u32 | capacity u32 | place u64 x capacity
//     place := tag u16 | address of the node, 48 bits
//
// A tag is the first sixteen bits of the token behind those that the way to the leaf has used up: nearly
// always it tells a leaf's nodes apart without a look at them.
//
// Tokens of a slice are spread evenly, so a root with a slot for every four to eight partitions finds a
// leaf of one or two cache lines in one step. It begins with what the table's last memtable ended with; one
// that knows nothing begins small and grows by 16 when there are sixteen for each slot. Skewed tokens (all in 1 % of the slice, or consecutive
// ones) only make the trie deeper there: each level takes four bits, so a path has at most 15 branches,
// and the upper ones of a hot region stay in the cache. Equal tokens of different keys end in a leaf
// that grows without splitting.
//
// Cost of a lookup: one miss for the root's slot, one or two for the leaf, one for the node. Cost of a
// partition: some 14 bytes, as leaves have room for up to four more, and those that they grew out of lie idle.
// Many lookups at once cost less: `prefetch` asks for the lines of all of them, level by level, so that
// their misses overlap.
// Cost of growing the root: one pass over its slots, each copied or split into 16, and a look at all
// nodes for their new tags (a few milliseconds at the last time).
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
    /// Leaves given back when they grew or split, linked, by their capacity in fours.
    private var freeLeaves = [UInt](repeating: 0, count: Leaf.largest / 4 + 1)
    /// What a slot's first leaf has room for.
    private let firstCapacity: Int

    private static let maximumRootBits = 16

    /// `expectedCount`: how many partitions the table's last memtable had.
    init(slice: ClosedRange<Int64>, expectedCount: Int, arena: Arena) {
        self.arena = arena
        firstToken = slice.lowerBound
        let width = UInt64(bitPattern: slice.upperBound &- slice.lowerBound)
        shift = width == 0 ? 63 : UInt64(width.leadingZeroBitCount)
        var bits = 4
        while bits < Self.maximumRootBits, expectedCount > 8 << bits { bits += 1 }
        rootBits = bits
        firstCapacity = Leaf.capacity(for: expectedCount > 3 << bits ? 4 : 1)
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
        let tag = Leaf.tag(place, consumed)
        var index = leaf.lowerBound(tag)
        while index < leaf.count, leaf.hasTag(index, tag) {
            let node = leaf.node(index)
            if node.token == token, equalBytes(node.key, key) { return node }
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
            // A leaf; a branch is left to the lookup.
            let slot = root[Int(place(token) >> shift)]
            if slot != 0, slot & 1 == 0, let leaf = UnsafeRawPointer(bitPattern: slot) {
                coterie_prefetch(leaf)
                coterie_prefetch(leaf + 64)
            }
        }
        for token in tokens {
            let place = place(token)
            let slot = root[Int(place >> shift)]
            guard slot != 0, slot & 1 == 0 else { continue }
            let leaf = Leaf(slot)
            let tag = Leaf.tag(place, rootBits)
            let index = leaf.lowerBound(tag)
            if index < leaf.count, leaf.hasTag(index, tag) {
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
        if count >= 16 << rootBits, rootBits + 4 <= Self.maximumRootBits { growRoot() }
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
            let tag = Leaf.tag(place, consumed)
            if value == 0 {
                let leaf = makeLeaf(capacity: firstCapacity)
                let node = PartitionNode.make(token: token, key: key, in: arena)
                leaf.insert(tag, node, at: 0)
                slot.pointee = leaf.slot
                count += 1
                return node
            }
            let leaf = Leaf(value)
            var index = leaf.lowerBound(tag)
            while index < leaf.count, leaf.hasTag(index, tag) {
                let node = leaf.node(index)
                if node.token > token { break }
                if node.token == token {
                    let order = compareBytes(node.key, key)
                    if order == 0 { return node }
                    if order > 0 { break }
                }
                index += 1
            }
            if leaf.count < leaf.capacity {
                let node = PartitionNode.make(token: token, key: key, in: arena)
                leaf.insert(tag, node, at: index)
                count += 1
                return node
            }
            if leaf.capacity >= Leaf.largest && consumed < 64 {
                slot.pointee = split(leaf, consumed: consumed)
            } else {
                slot.pointee = grown(leaf).slot
            }
        }
    }

    private func makeLeaf(capacity: Int) -> Leaf {
        let fours = capacity / 4
        if fours < freeLeaves.count, freeLeaves[fours] != 0 {
            let leaf = Leaf(freeLeaves[fours])
            freeLeaves[fours] = UInt(leaf.places[0])
            leaf.count = 0
            return leaf
        }
        return Leaf.make(capacity: capacity, in: arena)
    }

    private func release(_ leaf: Leaf) {
        let fours = leaf.capacity / 4
        guard fours < freeLeaves.count else { return }
        leaf.places[0] = UInt64(freeLeaves[fours])
        freeLeaves[fours] = leaf.slot
    }

    /// A copy with more room.
    private func grown(_ leaf: Leaf) -> Leaf {
        let larger = makeLeaf(capacity: Leaf.capacity(for: leaf.capacity + 1))
        larger.places.update(from: leaf.places, count: leaf.count)
        larger.count = leaf.count
        release(leaf)
        return larger
    }

    /// The slot of a branch that holds what the full leaf held.
    private func split(_ leaf: Leaf, consumed: Int) -> UInt {
        let branch = Branch.make(in: arena)
        distribute(leaf, consumed: consumed) { branch[$0].pointee = $1 }
        return branch.slot
    }

    /// Makes leaves for the sixteen parts of a leaf and releases it.
    private func distribute(_ leaf: Leaf, consumed: Int, _ store: (Int, UInt) -> Void) {
        // Their tokens are needed, and nodes lie anywhere.
        for index in 0..<leaf.count { coterie_prefetch(leaf.node(index).base) }
        var start = 0
        while start < leaf.count {
            let digit = leaf.digit(start)
            var end = start + 1
            while end < leaf.count, leaf.digit(end) == digit { end += 1 }
            let part = makeLeaf(capacity: Leaf.capacity(for: end - start))
            for index in start..<end {
                let node = leaf.node(index)
                part.insert(
                    Leaf.tag(place(node.token), consumed + 4), node, at: index - start)
            }
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
                        let tag = Leaf.tag(place, consumed)
                        index = leaf.lowerBound(tag)
                        while index < leaf.count, leaf.hasTag(index, tag),
                            leaf.node(index).token < token
                        { index += 1 }
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
                        PartitionDirectory.prefetchNode(leaf.node(index + ahead))
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
                        PartitionDirectory.prefetchNode(found.node(place))
                    }
                }
            }
        }
    }

    /// Has the processor load a node and what was made right behind it, mostly its first row.
    @inline(__always)
    fileprivate static func prefetchNode(_ node: PartitionNode) {
        let base = UnsafeRawPointer(node.base)
        coterie_prefetch(base)
        coterie_prefetch(base + 64)
        coterie_prefetch(base + 128)
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

/// Places of nodes by (token, key).
private struct Leaf {
    let base: UnsafeMutableRawPointer

    /// More are distributed over a branch, unless their tokens are all the same.
    static let largest = 31
    private static let tagMask: UInt64 = 0xFFFF << 48

    @inline(__always)
    init(_ slot: UInt) {
        guard let base = UnsafeMutableRawPointer(bitPattern: slot) else {
            preconditionFailure("empty leaf")
        }
        self.base = base
    }

    static func make(capacity: Int, in arena: Arena) -> Leaf {
        let memory = arena.allocate(8 + capacity * 8)
        memory.storeBytes(of: 0, as: UInt32.self)
        memory.storeBytes(of: UInt32(capacity), toByteOffset: 4, as: UInt32.self)
        return Leaf(UInt(bitPattern: memory))
    }

    /// The room of a leaf for so many: with the head it takes half a cache line, or whole ones.
    static func capacity(for count: Int) -> Int {
        if count <= 3 { return 3 }
        if count > largest { return count * 2 }
        return count <= 15 ? count | 3 : count | 7
    }

    /// The bits of a token's place that tell nodes apart behind `consumed` ones, where a place has them.
    @inline(__always)
    static func tag(_ place: UInt64, _ consumed: Int) -> UInt64 {
        (place << UInt64(consumed)) & tagMask
    }

    var slot: UInt { UInt(bitPattern: base) }
    var capacity: Int { Int(base.load(fromByteOffset: 4, as: UInt32.self)) }
    var count: Int {
        get { Int(base.load(as: UInt32.self)) }
        nonmutating set { base.storeBytes(of: UInt32(newValue), as: UInt32.self) }
    }
    var places: UnsafeMutablePointer<UInt64> { (base + 8).assumingMemoryBound(to: UInt64.self) }

    @inline(__always)
    func node(_ index: Int) -> PartitionNode {
        let address = UInt(places[index] & ~Self.tagMask)
        guard let node = UnsafeMutableRawPointer(bitPattern: address) else {
            preconditionFailure("leaf without a node")
        }
        return PartitionNode(node)
    }

    @inline(__always)
    func hasTag(_ index: Int, _ tag: UInt64) -> Bool { places[index] & Self.tagMask == tag }

    /// The first four bits of a tag.
    @inline(__always)
    func digit(_ index: Int) -> Int { Int(places[index] >> 60) }

    /// The first index whose tag is at least `tag`.
    @inline(__always)
    func lowerBound(_ tag: UInt64) -> Int {
        let places = places
        var low = 0
        var length = count
        while length > 0 {
            let half = length >> 1
            if places[low + half] < tag {
                low += half + 1
                length -= half + 1
            } else {
                length = half
            }
        }
        return low
    }

    func insert(_ tag: UInt64, _ node: PartitionNode, at index: Int) {
        let count = count
        precondition(count < capacity && index <= count)
        let places = places
        var position = count
        while position > index {
            places[position] = places[position - 1]
            position -= 1
        }
        places[index] = tag | UInt64(UInt(bitPattern: node.base))
        self.count = count + 1
    }
}
