// What every metadata store promises, as a function that a test calls with each of them.

package import Environment
internal import Encoding

/// A store under test, seen as a node sees it.
package protocol MetadataStoreUnderTest: AnyObject {
    /// Everything committed, as a start would load it.
    func load() throws -> MetadataImage
    /// Returns when the batch is durable.
    func commit(_ batch: MetadataBatch) throws
    /// The process dies and starts again; `losing` was handed in and may or may not be committed,
    /// but wholly or not at all.
    func reopen(losing: MetadataBatch?) throws
}

/// The contract of a metadata store.
package enum MetadataStoreContract {
    /// Runs all checks on a store that was empty; returns one sentence for each broken promise.
    package static func violations(of store: any MetadataStoreUnderTest) throws -> [String] {
        var violations: [String] = []
        var twin = MetadataImage()
        func check(_ what: String) throws {
            let loaded = try store.load()
            if loaded != twin { violations.append("\(what): \(loaded) is not \(twin)") }
        }
        func commit(_ changes: [MetadataChange], _ what: String) throws {
            let batch = MetadataBatch(changes)
            try store.commit(batch)
            twin.apply(batch)
            try check(what)
            try store.reopen(losing: nil)
            try check("\(what), after a restart")
        }

        try check("a new store is empty")
        let host = HostID(UniqueID(high: 0x1122_3344_5566_4788, low: 0x99AA_BBCC_DDEE_FF00))
        let other = HostID(UniqueID(high: .max, low: .max))
        let table = UniqueID(high: 7, low: 8)
        try commit(
            [.setLocal("host_id", host.description), .setLocal("generation", "1")],
            "local facts are kept")
        try commit(
            [.setLocal("generation", "2"), .setLocal("quote", "it's \"so\"; ümlaut\n")],
            "a local fact is replaced, and any text is kept")
        try commit(
            [
                .putLogEntry(MetadataLogRecord(epoch: 2, summary: "second", body: [2, 0, 255])),
                .putLogEntry(MetadataLogRecord(epoch: 0, summary: "entry 0", body: [])),
                .putLogEntry(MetadataLogRecord(epoch: 1, summary: "first", body: [1])),
            ], "log entries come back by rising epoch")
        try commit(
            [.putLogEntry(MetadataLogRecord(epoch: 1, summary: "again", body: [9]))],
            "a log entry of the same epoch is replaced")
        try commit(
            [.putVote(epoch: 3, vote: [3]), .putVote(epoch: UInt64(Int64.max), vote: [])],
            "votes are kept by epoch")
        try commit([.putVote(epoch: 3, vote: [4, 5])], "a vote is replaced")
        try commit(
            [
                .putPeer(
                    host, SocketAddress(address: [127, 0, 0, 1], port: 7000), description: "a"),
                .putPeer(
                    other,
                    SocketAddress(address: Array(repeating: 0, count: 15) + [1], port: 65_535),
                    description: ""),
            ], "peers are kept, with addresses of both families")
        try commit([.removePeer(other), .removePeer(other)], "a peer is removed, twice")
        try commit(
            [
                .putTruncation(table: table, shard: 0, microseconds: -1, position: "1:2"),
                .putTruncation(table: table, shard: 1, microseconds: .max, position: "3:4"),
                .putTruncation(table: table, shard: 0, microseconds: 5, position: "5:6"),
            ], "truncations are kept by table and shard")

        // A batch that is cut off by a crash is there wholly or not at all.
        let cut = MetadataBatch([
            .setLocal("half", "1"), .putVote(epoch: 9, vote: [9]), .setLocal("other half", "2"),
        ])
        try store.reopen(losing: cut)
        var whole = twin
        whole.apply(cut)
        let after = try store.load()
        if after == whole {
            twin = whole
        } else if after != twin {
            violations.append("a batch cut off by a crash is there in part: \(after)")
        }
        try commit([.clearLog], "the log is cleared, and nothing else")
        try commit([], "an empty batch changes nothing")
        return violations
    }
}

/// The simulated store, as the contract wants to see it; crashes are drawn from a seed.
package final class SimulatedMetadataStoreUnderTest: MetadataStoreUnderTest {
    private let store = SimulatedMetadataStore()
    private var stream: RandomStream

    package init(seed: UInt64) { stream = RandomStream(seed: seed, name: "metadata contract") }

    package func load() -> MetadataImage { store.image }
    package func commit(_ batch: MetadataBatch) { store.commit(batch) }
    package func reopen(losing: MetadataBatch?) {
        if let losing { _ = store.begin(losing) }
        store.crash(&stream)
    }
}
