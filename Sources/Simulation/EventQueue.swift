// What will happen, in the order in which it will: a four-ary heap of (time, sequence number) over
// a slab of occurrences. Equal times are ordered by the sequence number, that is by who asked
// first, so a run never depends on anything else.
//
// The heap moves entries of 24 bytes; the occurrence itself stays where it is. Both are raw memory,
// because an array inside a class pays for exclusivity and uniqueness at each access (a push and a
// pop together cost some 60 ns with ten thousand entries).

/// A priority queue of `Element`, owned by one world.
final class EventQueue<Element> {
    struct Entry {
        var time: Int64
        var sequence: UInt64
        var slot: Int
    }

    private var entries: UnsafeMutablePointer<Entry>
    private var slab: UnsafeMutablePointer<Element>
    /// Slots of the slab that are not in use, a stack.
    private var free: UnsafeMutablePointer<Int>
    private var freeCount = 0
    private var capacity: Int
    private(set) var count = 0
    private var nextSequence: UInt64 = 0

    init(capacity: Int = 1024) {
        self.capacity = capacity
        entries = .allocate(capacity: capacity)
        slab = .allocate(capacity: capacity)
        free = .allocate(capacity: capacity)
        for slot in stride(from: capacity - 1, through: 0, by: -1) {
            free[freeCount] = slot
            freeCount += 1
        }
    }

    deinit {
        for index in 0..<count { (slab + entries[index].slot).deinitialize(count: 1) }
        entries.deallocate()
        slab.deallocate()
        free.deallocate()
    }

    /// The earliest time, or nil when nothing will happen.
    var nextTime: Int64? { count == 0 ? nil : entries[0].time }

    func push(at time: Int64, _ element: consuming Element) {
        if count == capacity { grow() }
        freeCount -= 1
        let slot = free[freeCount]
        (slab + slot).initialize(to: element)
        let entry = Entry(time: time, sequence: nextSequence, slot: slot)
        nextSequence += 1
        var hole = count
        count += 1
        while hole > 0 {
            let parent = (hole - 1) >> 2
            if Self.precedes(entries[parent], entry) { break }
            entries[hole] = entries[parent]
            hole = parent
        }
        entries[hole] = entry
    }

    /// Removes and returns the earliest element. The queue must not be empty.
    func pop() -> (time: Int64, element: Element) {
        precondition(count > 0, "nothing is going to happen")
        let first = entries[0]
        count -= 1
        if count > 0 { sift(entries[count]) }
        free[freeCount] = first.slot
        freeCount += 1
        return (first.time, (slab + first.slot).move())
    }

    private func sift(_ entry: Entry) {
        var hole = 0
        while true {
            let firstChild = hole << 2 + 1
            if firstChild >= count { break }
            var best = firstChild
            let end = min(firstChild + 4, count)
            var child = firstChild + 1
            while child < end {
                if Self.precedes(entries[child], entries[best]) { best = child }
                child += 1
            }
            if Self.precedes(entry, entries[best]) { break }
            entries[hole] = entries[best]
            hole = best
        }
        entries[hole] = entry
    }

    @inline(__always)
    private static func precedes(_ left: Entry, _ right: Entry) -> Bool {
        left.time < right.time || (left.time == right.time && left.sequence < right.sequence)
    }

    private func grow() {
        let larger = capacity * 2
        let newEntries = UnsafeMutablePointer<Entry>.allocate(capacity: larger)
        newEntries.moveInitialize(from: entries, count: count)
        entries.deallocate()
        entries = newEntries
        // The slab is full here, so all of it is initialised.
        let newSlab = UnsafeMutablePointer<Element>.allocate(capacity: larger)
        newSlab.moveInitialize(from: slab, count: capacity)
        slab.deallocate()
        slab = newSlab
        free.deallocate()
        free = .allocate(capacity: larger)
        for slot in stride(from: larger - 1, through: capacity, by: -1) {
            free[freeCount] = slot
            freeCount += 1
        }
        capacity = larger
    }
}
