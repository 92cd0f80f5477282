// What only the SQLite store promises: a file that a person can read, and clear refusals.

import Encoding
import Environment
import SQLiteMetadata
import Testing

@Suite struct SQLiteMetadataStoreTests {
    @Test func copyOfTheOneFileShowsTheCommittedState() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metadata.db"
        let store = try SQLiteMetadataStore(path: path)
        let batch = MetadataBatch([
            .setLocal("host_id", "x"),
            .putLogEntry(MetadataLogRecord(epoch: 1, summary: "CREATE TABLE a.b", body: [1, 2])),
        ])
        try store.commit(batch)
        // While the store is open, without its write-ahead log.
        let copy = folder.path + "/copy.db"
        try RawFile.write(try RawFile.read(path), to: copy)
        var expected = MetadataImage()
        expected.apply(batch)
        #expect(try SQLiteMetadataStore(path: copy).load() == expected)
        // Names and summaries stand in the file as plain text.
        let bytes = try RawFile.read(copy)
        #expect(String(decoding: bytes, as: UTF8.self).contains("CREATE TABLE a.b"))
    }

    @Test func damagedFileIsRefusedWithItsName() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metadata.db"
        try RawFile.write(
            Array("this is no database, but long enough to be looked at".utf8), to: path)
        let failure = #expect(throws: MetadataStoreFailure.self) {
            try SQLiteMetadataStore(path: path)
        }
        #expect(failure?.path == path)
    }

    @Test func everyFlippedByteGivesAnErrorOrAnAnswerButNeverATrap() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metadata.db"
        do {
            let store = try SQLiteMetadataStore(path: path)
            let host = HostID(UniqueID(high: 1, low: 2))
            try store.commit(
                MetadataBatch([
                    .putPeer(
                        host, SocketAddress(address: [10, 0, 0, 1], port: 7000), description: "d"),
                    .putTruncation(
                        table: UniqueID(high: 3, low: 4), shard: 1, microseconds: 5, position: "6"),
                    .putVote(epoch: 7, vote: [8]),
                ]))
        }
        let good = try RawFile.read(path)
        var refused = 0
        for offset in stride(from: 0, to: good.count, by: 37) {
            var bad = good
            bad[offset] ^= 0x55
            let copy = folder.path + "/bad.db"
            try RawFile.write(bad, to: copy)
            do { _ = try SQLiteMetadataStore(path: copy).load() } catch { refused += 1 }
        }
        #expect(refused > 0)
    }

    @Test func newerVersionIsRefused() throws {
        let folder = TemporaryFolder()
        let path = folder.path + "/metadata.db"
        do { _ = try SQLiteMetadataStore(path: path) }
        var bytes = try RawFile.read(path)
        // SQLite's header keeps user_version big-endian at byte 60.
        bytes[63] = 99
        try RawFile.write(bytes, to: path)
        let failure = #expect(throws: MetadataStoreFailure.self) {
            try SQLiteMetadataStore(path: path)
        }
        #expect(failure?.detail.contains("version 99") == true)
    }
}
