// The rows of one partition with more than one row: a B+-tree in the memtable's arena.
//
//     leaf  := header | key prefixes u64 x capacity | records x capacity
//     inner := header | key prefixes u64 x capacity | records x capacity (whose keys part the children)
//              | children x capacity
//     header := count u16 | is leaf u8 | - | capacity u16 | - u16 | next leaf | previous leaf
//
// A prefix is the first eight bytes of a clustering key as a big-endian number, zero-padded: most
// comparisons end there, equal prefixes fall back to the whole key. Child i of an inner node holds the
// keys from separator i on; separator 0 is never looked at. The first leaf starts small and grows; a
// full node splits, an append at the right edge leaves the left node full.
//
// Cost: height (log16 of the rows) x two cache lines; a split allocates one node.

internal import Encoding

/// Operations on a tree given by its root.
enum RowTree {
    fileprivate static let capacity = 32
    private static let firstCapacity = 4

    /// A tree of two or more rows begins with one.
    static func make(first: RowRecord, in arena: Arena) -> UnsafeMutableRawPointer {
        let leaf = TreeNode.make(isLeaf: true, capacity: firstCapacity, in: arena)
        leaf.insert(at: 0, prefix: prefix(first.key), record: first, child: nil)
        return leaf.base
    }

    @inline(__always)
    static func prefix(_ key: UnsafeRawBufferPointer) -> UInt64 {
        if key.count >= 8 { return UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) }
        var value: UInt64 = 0
        for index in 0..<key.count { value |= UInt64(key[index]) << UInt64(56 - index * 8) }
        return value
    }

    /// The slot of that key's record, or nil.
    static func find(
        _ key: UnsafeRawBufferPointer, root: UnsafeMutableRawPointer
    ) -> UnsafeMutablePointer<UInt>? {
        let prefix = prefix(key)
        var node = TreeNode(root)
        while !node.isLeaf { node = node.child(node.childIndex(prefix, key)) }
        let index = node.lowerBound(prefix, key)
        guard index < node.count, node.prefixes[index] == prefix,
            equalBytes(node.record(index).key, key)
        else { return nil }
        return node.records + index
    }

    /// Adds a record whose key is not there yet; the root may change.
    static func insert(
        _ record: RowRecord, root: inout UnsafeMutableRawPointer, in arena: Arena
    ) {
        let prefix = prefix(record.key)
        let node = TreeNode(root)
        if node.isLeaf, node.count == node.capacity, node.capacity < capacity {
            root = node.grown(in: arena).base
        }
        guard let (separator, right) = insert(record, prefix, into: TreeNode(root), arena) else {
            return
        }
        let top = TreeNode.make(isLeaf: false, capacity: capacity, in: arena)
        let left = TreeNode(root)
        top.insert(at: 0, prefix: 0, record: left.record(0), child: left)
        top.insert(at: 1, prefix: self.prefix(separator.key), record: separator, child: right)
        root = top.base
    }

    private static func insert(
        _ record: RowRecord, _ prefix: UInt64, into node: TreeNode, _ arena: Arena
    ) -> (separator: RowRecord, right: TreeNode)? {
        var prefix = prefix
        var record = record
        var index: Int
        var child: TreeNode?
        if node.isLeaf {
            index = node.lowerBound(prefix, record.key)
        } else {
            index = node.childIndex(prefix, record.key)
            guard let split = insert(record, prefix, into: node.child(index), arena) else {
                return nil
            }
            index += 1
            record = split.separator
            prefix = self.prefix(record.key)
            child = split.right
        }
        if node.count < node.capacity {
            node.insert(at: index, prefix: prefix, record: record, child: child)
            return nil
        }
        let right = node.split(appending: index == node.count, in: arena)
        if index <= node.count && right.count > 0 {
            node.insert(at: index, prefix: prefix, record: record, child: child)
        } else {
            right.insert(at: index - node.count, prefix: prefix, record: record, child: child)
        }
        return (right.record(0), right)
    }

    // MARK: Walking

    /// A place in the tree: a leaf and an index that may be one past either end.
    struct Place {
        fileprivate var leaf: TreeNode
        fileprivate var index: Int

        /// The record here; nil past either end of the tree.
        var record: RowRecord? {
            index >= 0 && index < leaf.count ? leaf.record(index) : nil
        }

        /// The record here, where there is one for certain.
        var knownRecord: RowRecord {
            guard let record else { preconditionFailure("a place past the end of its tree") }
            return record
        }

        /// Puts another record with the same key here.
        func replaceRecord(by record: RowRecord) {
            precondition(index >= 0 && index < leaf.count)
            leaf.records[index] = UInt(bitPattern: record.base)
        }

        mutating func moveForward() {
            index += 1
            if index >= leaf.count, let next = leaf.next {
                leaf = next
                index = 0
            }
        }

        mutating func moveBackward() {
            index -= 1
            if index < 0, let previous = leaf.previous {
                leaf = previous
                index = previous.count - 1
            }
        }
    }

    /// The first record whose key is at least `key`.
    static func lowerBound(_ key: UnsafeRawBufferPointer, root: UnsafeMutableRawPointer) -> Place {
        let prefix = prefix(key)
        var node = TreeNode(root)
        while !node.isLeaf { node = node.child(node.childIndex(prefix, key)) }
        var place = Place(leaf: node, index: node.lowerBound(prefix, key))
        if place.index == node.count, let next = node.next {
            place = Place(leaf: next, index: 0)
        }
        return place
    }

    /// The last record whose key is at most `key`.
    static func floor(_ key: UnsafeRawBufferPointer, root: UnsafeMutableRawPointer) -> Place {
        let prefix = prefix(key)
        var node = TreeNode(root)
        while !node.isLeaf { node = node.child(node.childIndex(prefix, key)) }
        var place = Place(leaf: node, index: node.lowerBound(prefix, key))
        if place.index < node.count, node.prefixes[place.index] == prefix,
            equalBytes(node.record(place.index).key, key)
        {
            return place
        }
        place.moveBackward()
        return place
    }

    static func first(root: UnsafeMutableRawPointer) -> Place {
        var node = TreeNode(root)
        while !node.isLeaf { node = node.child(0) }
        return Place(leaf: node, index: 0)
    }

    static func last(root: UnsafeMutableRawPointer) -> Place {
        var node = TreeNode(root)
        while !node.isLeaf { node = node.child(node.count - 1) }
        return Place(leaf: node, index: node.count - 1)
    }
}

private struct TreeNode {
    let base: UnsafeMutableRawPointer

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer) { self.base = base }

    static let headerBytes = 24

    static func make(isLeaf: Bool, capacity: Int, in arena: Arena) -> TreeNode {
        let base = arena.allocate(headerBytes + capacity * (isLeaf ? 16 : 24))
        base.storeBytes(of: 0, as: UInt16.self)
        base.storeBytes(of: isLeaf ? 1 : 0, toByteOffset: 2, as: UInt8.self)
        base.storeBytes(of: UInt16(capacity), toByteOffset: 4, as: UInt16.self)
        base.storeBytes(of: 0, toByteOffset: 8, as: UInt.self)
        base.storeBytes(of: 0, toByteOffset: 16, as: UInt.self)
        return TreeNode(base)
    }

    var count: Int {
        get { Int(base.load(as: UInt16.self)) }
        nonmutating set { base.storeBytes(of: UInt16(newValue), as: UInt16.self) }
    }
    var isLeaf: Bool { base.load(fromByteOffset: 2, as: UInt8.self) == 1 }
    var capacity: Int { Int(base.load(fromByteOffset: 4, as: UInt16.self)) }

    var next: TreeNode? {
        get {
            UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 8, as: UInt.self))
                .map(TreeNode.init)
        }
        nonmutating set {
            base.storeBytes(of: UInt(bitPattern: newValue?.base), toByteOffset: 8, as: UInt.self)
        }
    }
    var previous: TreeNode? {
        get {
            UnsafeMutableRawPointer(bitPattern: base.load(fromByteOffset: 16, as: UInt.self))
                .map(TreeNode.init)
        }
        nonmutating set {
            base.storeBytes(of: UInt(bitPattern: newValue?.base), toByteOffset: 16, as: UInt.self)
        }
    }

    @inline(__always)
    var prefixes: UnsafeMutablePointer<UInt64> {
        (base + Self.headerBytes).assumingMemoryBound(to: UInt64.self)
    }
    @inline(__always)
    var records: UnsafeMutablePointer<UInt> {
        (base + Self.headerBytes + capacity * 8).assumingMemoryBound(to: UInt.self)
    }
    private var children: UnsafeMutablePointer<UInt> {
        (base + Self.headerBytes + capacity * 16).assumingMemoryBound(to: UInt.self)
    }

    @inline(__always)
    func record(_ index: Int) -> RowRecord {
        guard let record = UnsafeMutableRawPointer(bitPattern: records[index]) else {
            preconditionFailure("tree node without a record")
        }
        return RowRecord(record)
    }

    func child(_ index: Int) -> TreeNode {
        guard let child = UnsafeMutableRawPointer(bitPattern: children[index]) else {
            preconditionFailure("inner node without a child")
        }
        return TreeNode(child)
    }

    /// The first index in `from ..< count` whose key is at least `key`.
    @inline(__always)
    func lowerBound(_ prefix: UInt64, _ key: UnsafeRawBufferPointer, from: Int = 0) -> Int {
        let prefixes = prefixes
        var low = from
        var high = count
        while low < high {
            let middle = (low + high) >> 1
            let other = prefixes[middle]
            let isBefore =
                other == prefix ? compareBytes(record(middle).key, key) < 0 : other < prefix
            if isBefore { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The child that holds `key` if any does.
    func childIndex(_ prefix: UInt64, _ key: UnsafeRawBufferPointer) -> Int {
        let index = lowerBound(prefix, key, from: 1)
        if index < count, prefixes[index] == prefix, equalBytes(record(index).key, key) {
            return index
        }
        return index - 1
    }

    func insert(at index: Int, prefix: UInt64, record: RowRecord, child: TreeNode?) {
        let count = count
        precondition(count < capacity && index <= count)
        shiftUp(prefixes, index, count)
        shiftUp(records, index, count)
        prefixes[index] = prefix
        records[index] = UInt(bitPattern: record.base)
        if !isLeaf {
            shiftUp(children, index, count)
            children[index] = UInt(bitPattern: child?.base)
        }
        self.count = count + 1
    }

    @inline(__always)
    private func shiftUp<T>(_ array: UnsafeMutablePointer<T>, _ index: Int, _ count: Int) {
        var position = count
        while position > index {
            array[position] = array[position - 1]
            position -= 1
        }
    }

    /// Moves the upper half to a new right neighbour; nothing if the insertion appends at the edge.
    func split(appending: Bool, in arena: Arena) -> TreeNode {
        let right = TreeNode.make(isLeaf: isLeaf, capacity: RowTree.capacity, in: arena)
        let kept = appending ? count : count / 2
        let moved = count - kept
        right.prefixes.update(from: prefixes + kept, count: moved)
        right.records.update(from: records + kept, count: moved)
        if isLeaf {
            right.next = next
            right.previous = self
            right.next?.previous = right
            next = right
        } else {
            right.children.update(from: children + kept, count: moved)
        }
        right.count = moved
        count = kept
        return right
    }

    /// A copy of this lone leaf with twice the room.
    func grown(in arena: Arena) -> TreeNode {
        let larger = TreeNode.make(isLeaf: true, capacity: capacity * 2, in: arena)
        larger.prefixes.update(from: prefixes, count: count)
        larger.records.update(from: records, count: count)
        larger.count = count
        return larger
    }
}
