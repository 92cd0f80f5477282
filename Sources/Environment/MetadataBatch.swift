// Node metadata: what a node knows of itself and of its cluster, kept apart from the data.
//
// A store loads everything at start (`MetadataImage`) and then commits batches, each all or nothing
// and in order. In the server it is SQLite, whose file a person can open and read; in the simulator a
// value in memory that loses uncommitted batches in a crash.

package import Encoding

/// One change of the node's metadata.
package enum MetadataChange: Equatable, Sendable {
    /// A named fact about this node: `host_id`, `generation`, `shard_count`, `hlc_bound`, ...
    case setLocal(String, String)
    /// An agreed entry of the metadata log.
    case putLogEntry(MetadataLogRecord)
    /// Forgets the log entries of all epochs (a new lineage begins).
    case clearLog
    /// What this node promised and accepted for one epoch of the metadata log.
    case putVote(epoch: UInt64, vote: [UInt8])
    /// A peer as last seen, so that a start knows whom to ask.
    case putPeer(HostID, SocketAddress, description: String)
    case removePeer(HostID)
    /// Mutations of that table up to `position` of this shard's log do not come back by replay.
    case putTruncation(table: UniqueID, shard: Int, microseconds: Int64, position: String)
}

/// One agreed entry of the metadata log as it is stored.
package struct MetadataLogRecord: Equatable, Sendable {
    package let epoch: UInt64
    /// For a person who opens the store, for example `CREATE TABLE ks.t`.
    package let summary: String
    package let body: [UInt8]

    package init(epoch: UInt64, summary: String, body: [UInt8]) {
        self.epoch = epoch
        self.summary = summary
        self.body = body
    }
}

/// Changes that are committed together or not at all.
package struct MetadataBatch: Equatable, Sendable {
    package var changes: [MetadataChange]
    package init(_ changes: [MetadataChange]) { self.changes = changes }
}

/// All metadata, as loaded at start.
package struct MetadataImage: Equatable, Sendable {
    package var local: [String: String] = [:]
    /// By rising epoch.
    package var log: [MetadataLogRecord] = []
    package var votes: [UInt64: [UInt8]] = [:]
    package var peers: [HostID: Peer] = [:]
    package var truncations: [TruncationKey: Truncation] = [:]

    package struct Peer: Equatable, Sendable {
        package var address: SocketAddress
        package var description: String
        package init(address: SocketAddress, description: String) {
            self.address = address
            self.description = description
        }
    }

    package struct TruncationKey: Hashable, Sendable {
        package let table: UniqueID
        package let shard: Int
        package init(table: UniqueID, shard: Int) {
            self.table = table
            self.shard = shard
        }
    }

    package struct Truncation: Equatable, Sendable {
        package let microseconds: Int64
        package let position: String
        package init(microseconds: Int64, position: String) {
            self.microseconds = microseconds
            self.position = position
        }
    }

    package init() {}

    /// What a committed batch makes of the image; the meaning that every store shares.
    package mutating func apply(_ batch: MetadataBatch) {
        for change in batch.changes {
            switch change {
            case .setLocal(let name, let value): local[name] = value
            case .putLogEntry(let record):
                log.removeAll { $0.epoch == record.epoch }
                let index = log.firstIndex { $0.epoch > record.epoch } ?? log.endIndex
                log.insert(record, at: index)
            case .clearLog: log.removeAll()
            case .putVote(let epoch, let vote): votes[epoch] = vote
            case .putPeer(let host, let address, let description):
                peers[host] = Peer(address: address, description: description)
            case .removePeer(let host): peers[host] = nil
            case .putTruncation(let table, let shard, let microseconds, let position):
                truncations[TruncationKey(table: table, shard: shard)] =
                    Truncation(microseconds: microseconds, position: position)
            }
        }
    }
}
