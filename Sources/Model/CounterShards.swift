// The value of a counter cell: one shard for each replica that has counted, and their merge.
//
//     value := shard*
//     shard := replica 16 bytes | clock i64 | count i64                                 32 bytes each
//
// A leader replica owns its shard: each increment that it leads replaces it by one with a later clock
// and the whole count so far. So two versions of a cell merge shard by shard, the later clock winning,
// and the counter is the sum of the counts. Nothing is ever added twice, however often a write arrives.
//
// A clock is a write timestamp too (microseconds, rising from one increment of the leader to the next):
// a deletion takes away the shards that are not newer. It must be the clock that deletions are held
// against, or "merge, then delete" and "delete, then merge" would differ.
//
// Invariants: shards are sorted by replica, without repeats; the cell's timestamp is the latest clock;
// a cell without shards does not exist. Deviation from Cassandra, where a cell has one timestamp for
// all its shards, so that what a row deletion leaves of a counter depends on the order of merging.
//
// Cost: a merge is one walk over both values, twice (to know the length, then to write).

package import Encoding

/// One replica's part of a counter.
package struct CounterShard: Equatable, Sendable {
    /// The host id of the replica that leads.
    package var replica: UniqueID
    /// Microseconds; rises with each increment that the replica leads.
    package var clock: Int64
    /// All that the replica has counted so far.
    package var count: Int64

    package init(replica: UniqueID, clock: Int64, count: Int64) {
        self.replica = replica
        self.clock = clock
        self.count = count
    }

    /// Whether it replaces `other`, an earlier or later shard of the same replica. Two increments with
    /// one clock are a fault of the leader; all replicas then keep the same one.
    @inlinable
    func wins(over other: CounterShard) -> Bool {
        clock != other.clock ? clock > other.clock : count >= other.count
    }
}

/// A counter cell's value. A view: valid while the bytes are.
package struct CounterShards {
    package let bytes: UnsafeRawBufferPointer
    /// Of one shard.
    package static let shardBytes = 32

    /// Only the length is checked; `validate` checks the rest.
    package init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard bytes.count % Self.shardBytes == 0 else {
            throw MalformedBytes("counter of \(bytes.count) bytes", offset: 0)
        }
        self.bytes = bytes
    }

    /// How many replicas have counted.
    package var count: Int { bytes.count / Self.shardBytes }

    package subscript(index: Int) -> CounterShard {
        precondition(index >= 0 && index < count)
        let offset = index * Self.shardBytes
        func word(_ at: Int) -> UInt64 {
            bytes.loadUnaligned(fromByteOffset: offset + at, as: UInt64.self)
        }
        return CounterShard(
            replica: UniqueID(high: UInt64(bigEndian: word(0)), low: UInt64(bigEndian: word(8))),
            clock: Int64(bitPattern: UInt64(littleEndian: word(16))),
            count: Int64(bitPattern: UInt64(littleEndian: word(24))))
    }

    /// What a client sees. Wraps as Cassandra's does.
    package var total: Int64 {
        var total: Int64 = 0
        for index in 0..<count { total = total &+ self[index].count }
        return total
    }

    /// The shard of that replica, which a leader replaces; nil before its first increment.
    package func shard(of replica: UniqueID) -> CounterShard? {
        for index in 0..<count where self[index].replica == replica { return self[index] }
        return nil
    }

    /// The oldest and the latest clock; nil without shards.
    package var clocks: ClosedRange<Int64>? {
        guard count > 0 else { return nil }
        var range = self[0].clock...self[0].clock
        for index in 1..<max(1, count) {
            let clock = self[index].clock
            range = min(range.lowerBound, clock)...max(range.upperBound, clock)
        }
        return range
    }

    /// Throws unless the shards are those of a cell of that timestamp.
    package func validate(timestamp: Int64) throws(MalformedBytes) {
        guard let clocks, clocks.upperBound == timestamp, clocks.lowerBound > noTimestamp else {
            throw MalformedBytes("counter whose clocks are not its cell's", offset: 0)
        }
        for index in 1..<max(1, count) where self[index - 1].replica >= self[index].replica {
            throw MalformedBytes("counter shards out of order", offset: index * Self.shardBytes)
        }
    }

    /// Appends a shard's bytes: what a leader sends to all replicas is a value of its own one alone.
    package static func append(_ shard: CounterShard, into writer: ByteWriter) {
        writer.append(shard.replica)
        writer.appendLittleEndian(shard.clock)
        writer.appendLittleEndian(shard.count)
    }
}

/// Walks over the shards that two values hold together, less what a deletion covers.
struct CounterMerge {
    private let a: CounterShards
    private let b: CounterShards
    private let shadow: Deletion
    private var i = 0
    private var j = 0

    init(_ a: CounterShards, _ b: CounterShards, shadow: Deletion) {
        self.a = a
        self.b = b
        self.shadow = shadow
    }

    /// The next shard in the order of replicas; nil at the end.
    mutating func next() -> CounterShard? {
        while true {
            let shard: CounterShard
            if i < a.count, j < b.count {
                let left = a[i]
                let right = b[j]
                if left.replica == right.replica {
                    shard = left.wins(over: right) ? left : right
                    i += 1
                    j += 1
                } else if left.replica < right.replica {
                    shard = left
                    i += 1
                } else {
                    shard = right
                    j += 1
                }
            } else if i < a.count {
                shard = a[i]
                i += 1
            } else if j < b.count {
                shard = b[j]
                j += 1
            } else {
                return nil
            }
            if !shadow.shadows(shard.clock) { return shard }
        }
    }

    /// How many shards there are, and the latest clock.
    func measure() -> (count: Int, newest: Int64) {
        var walk = self
        var result = (count: 0, newest: noTimestamp)
        while let shard = walk.next() {
            result.count += 1
            result.newest = max(result.newest, shard.clock)
        }
        return result
    }
}
