// What other threads have for a shard: messages of other shards, peers' messages that arrived on
// another loop, and completions of helper threads.
//
// A sender stages its messages in an `Inbox` of its own and posts them all at once: one lock for a
// batch, and one wake-up only if the target has none under way.

internal import Disk
internal import Encoding
internal import Environment

extension Event {
    /// The same event when its bytes have been copied `distance` further into another buffer.
    func moved(by distance: Int) -> Event {
        func move(_ range: ByteRange) -> ByteRange {
            ByteRange(offset: range.offset + distance, count: range.count)
        }
        switch self {
        case .clientBytes(let connection, let range): return .clientBytes(connection, move(range))
        case .peerMessage(let range): return .peerMessage(move(range))
        case .shardMessage(let from, let range): return .shardMessage(from: from, move(range))
        case .clientOpened, .clientWritable, .clientClosed, .peerConnected, .peerDisconnected,
            .logSynced, .blockRead, .jobEnded, .metadataCommitted, .command:
            return self
        }
    }
}

extension Inbox {
    /// Appends all events of another inbox with their bytes.
    func append(contentsOf other: Inbox) {
        let distance = bytes.count
        bytes.append(other.bytes.bytes)
        for event in other.events { events.append(event.moved(by: distance)) }
    }
}

/// Events for a shard from other threads.
// Sendable unchecked: all state is under `lock`, and what is posted changes owner.
final class ShardMailbox: @unchecked Sendable {
    private let lock = Lock()
    private var waiting = Inbox()
    private var isWakeUnderWay = false

    /// Appends a batch. True if the shard must be woken by the caller.
    func post(_ batch: Inbox) -> Bool {
        lock.withLock {
            waiting.append(contentsOf: batch)
            return claimWake()
        }
    }

    /// Appends one event without bytes. True if the shard must be woken by the caller.
    func post(_ event: Event) -> Bool {
        lock.withLock {
            waiting.events.append(event)
            return claimWake()
        }
    }

    /// Moves everything to the end of `inbox`, or exchanges the two if `inbox` is empty.
    func drain(into inbox: inout Inbox) {
        lock.withLock {
            isWakeUnderWay = false
            if waiting.isEmpty { return }
            if inbox.isEmpty {
                swap(&inbox, &waiting)
            } else {
                inbox.append(contentsOf: waiting)
            }
            waiting.removeAll()
        }
    }

    private func claimWake() -> Bool {
        if isWakeUnderWay { return false }
        isWakeUnderWay = true
        return true
    }
}
