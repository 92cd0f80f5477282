// The seam: all that a shard sees of the world, and all that it asks of it.
//
//     world -- Inbox (events) + ClockReading --> shard.step --> Outbox (effects, next wake) --> world
//
// A step runs to completion. The world then carries out the outbox's effects **in order**, and the
// order is a promise: `logAppend` stands before the `clientBytes` that acknowledge it, so an append
// that fails stops the node before anything that depends on it has left, and a response that shows a
// mutation leaves only after that mutation is in the kernel. The simulator may crash a node between
// any two effects.
//
// Payload bytes live in the inbox's and outbox's own buffers and are named by ranges, so that a step
// allocates nothing once the buffers have grown. They are valid until the step (or the carrying out)
// has ended.
//
// A shard keeps its own timers; it tells the world only when to call it next (`Outbox.wakeAt`).

package import Encoding

/// Something that happened in the world.
package enum Event {
    case clientOpened(ConnectionID, local: SocketAddress, remote: SocketAddress)
    case clientBytes(ConnectionID, ByteRange)
    /// Everything sent to this client so far has been taken by its socket.
    case clientWritable(ConnectionID)
    case clientClosed(ConnectionID)
    /// Our link to that node stands. Messages to it may still be lost.
    case peerConnected(HostID)
    case peerDisconnected(HostID)
    /// One whole message of any peer; who sent it is in its header.
    case peerMessage(ByteRange)
    /// One whole message of another shard of this node.
    case shardMessage(from: ShardIndex, ByteRange)
    /// All bytes of the log appended before the sync was asked for would survive a power loss.
    case logSynced(EffectID)
    case blockRead(EffectID, BlockRead)
    case jobEnded(EffectID, any Job, DiskFailure?)
    case metadataCommitted(EffectID)
    /// A command of the operator, for shard 0, answered by `commandAnswer`.
    case command(EffectID, AdminRequest)
}

/// What came of a block read.
package enum BlockRead {
    case bytes([UInt8])
    case failed(DiskFailure)
}

/// Something that the world is asked to do.
package enum Effect {
    case clientBytes(ConnectionID, ByteRange)
    /// After what was sent before has left.
    case clientClose(ConnectionID)
    /// Stops (or goes on) reading from a client that sends faster than it is served.
    case clientReading(ConnectionID, Bool)
    /// Listen for clients, or stop listening; those that are there stay.
    case acceptClients(Bool)
    /// From now on keep a link to that node at this address; a second call changes the address.
    case peerLink(HostID, SocketAddress)
    case peerUnlink(HostID)
    /// At most once, unordered, dropped when the link is down or full.
    case peerMessage(HostID, ByteRange)
    /// To another shard of this node: in order, never lost.
    case shardMessage(ShardIndex, ByteRange)
    /// Writes at an offset of a log file that exists; done before any later effect is begun.
    case logAppend(FileName, offset: Int, ByteRange)
    /// Asks that all appended to that file so far survives a power loss: answered by `logSynced`.
    case logSync(EffectID, FileName)
    case readBlock(EffectID, FileName, offset: Int, count: Int)
    case runJob(EffectID, any Job)
    /// All or nothing, and durable when `metadataCommitted` comes back. Batches commit in order.
    case commitMetadata(EffectID, MetadataBatch)
    case commandAnswer(EffectID, AdminAnswer)
    /// A line for the node's log.
    case report(String)
    /// The shard cannot go on: the node must end at once, with this reason.
    case stopNode(String)
}

/// Events gathered for one step, with their bytes.
package final class Inbox {
    package var events: [Event] = []
    package let bytes = ByteWriter(capacity: 4096)

    package init() {}

    package var isEmpty: Bool { events.isEmpty }

    /// Copies payload bytes in and names them.
    package func store(_ payload: UnsafeRawBufferPointer) -> ByteRange {
        let range = ByteRange(offset: bytes.count, count: payload.count)
        bytes.append(payload)
        return range
    }

    package func removeAll() {
        events.removeAll(keepingCapacity: true)
        bytes.removeAll()
        bytes.shrink(to: 1 << 20)
    }
}

/// Effects of one step, with their bytes, and when to step again.
package final class Outbox {
    package var effects: [Effect] = []
    package let bytes = ByteWriter(capacity: 4096)
    /// When the shard must be stepped next if nothing happens before; nil: only by events.
    package var wakeAt: Instant?

    package init() {}

    /// Copies payload bytes in and names them.
    package func store(_ payload: UnsafeRawBufferPointer) -> ByteRange {
        let range = ByteRange(offset: bytes.count, count: payload.count)
        bytes.append(payload)
        return range
    }

    package func removeAll() {
        effects.removeAll(keepingCapacity: true)
        bytes.removeAll()
        bytes.shrink(to: 1 << 20)
        wakeAt = nil
    }
}
