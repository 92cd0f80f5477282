// The node's metadata in a SQLite file that a person can open and read.
//
//     local         name, value: facts about this node (host_id, generation, shard_count, ...)
//     metadata_log  epoch, summary, body: the agreed entries of schema and topology
//     votes         epoch, vote: what this node promised and accepted
//     peers         host_id, address, port, description
//     truncations   table_id, shard, truncated_at_microseconds, position
//
// Durability: WAL with `synchronous=FULL`, so a batch that `commit` has returned from survives a power
// loss. After each commit the log is moved into the main file (`wal_autocheckpoint=1`): commits are
// rare and off the request path, and so a plain copy of `metadata.db` shows the current state.
// Invariant: `commit` does to the tables what `MetadataImage.apply` does to a value; the contract test
// of `MetadataStoreTests` compares the two.
//
// `user_version` is the version of these tables. A file of a newer version is refused.

internal import Encoding
package import Environment

/// Metadata in one SQLite file. Synchronous; one thread at a time.
// Sendable unchecked: handed from the starting thread to the metadata thread, never used by two.
package final class SQLiteMetadataStore: @unchecked Sendable {
    private static let version: Int64 = 1
    private let database: SQLiteDatabase

    /// Opens the file, creating it with empty tables if it is not there.
    package init(path: String) throws(MetadataStoreFailure) {
        database = try SQLiteDatabase(path: path)
        try database.execute("PRAGMA journal_mode=WAL")
        try database.execute("PRAGMA synchronous=FULL")
        try database.execute("PRAGMA wal_autocheckpoint=1")
        try check()
        try createTables()
    }

    /// Opens a file only for reading: of a node that may run meanwhile.
    package init(readingPath path: String) throws(MetadataStoreFailure) {
        database = try SQLiteDatabase(path: path, isReadOnly: true)
        try check()
    }

    /// Everything that was committed.
    package func load() throws(MetadataStoreFailure) -> MetadataImage {
        var image = MetadataImage()
        try database.query("SELECT name, value FROM local") { row throws(MetadataStoreFailure) in
            image.local[try row.text(0)] = try row.text(1)
        }
        try database.query("SELECT epoch, summary, body FROM metadata_log") {
            row throws(MetadataStoreFailure) in
            image.log.append(
                MetadataLogRecord(
                    epoch: UInt64(bitPattern: row.integer(0)), summary: try row.text(1),
                    body: row.blob(2)))
        }
        image.log.sort { $0.epoch < $1.epoch }
        try database.query("SELECT epoch, vote FROM votes") { row throws(MetadataStoreFailure) in
            image.votes[UInt64(bitPattern: row.integer(0))] = row.blob(1)
        }
        try database.query("SELECT host_id, address, port, description FROM peers") {
            row throws(MetadataStoreFailure) in
            let id = HostID(try identifier(row, 0))
            let host = try row.text(1)
            guard let address = InternetAddress.parse(host),
                let port = UInt16(exactly: row.integer(2))
            else { throw damaged("peer \(id) has the address \(host)") }
            image.peers[id] = MetadataImage.Peer(
                address: SocketAddress(address: address, port: port), description: try row.text(3))
        }
        let truncations =
            "SELECT table_id, shard, truncated_at_microseconds, position FROM truncations"
        try database.query(truncations) { row throws(MetadataStoreFailure) in
            let key = MetadataImage.TruncationKey(
                table: try identifier(row, 0), shard: Int(row.integer(1)))
            image.truncations[key] = MetadataImage.Truncation(
                microseconds: row.integer(2), position: try row.text(3))
        }
        return image
    }

    /// Commits all changes or none; returns when they are durable.
    package func commit(_ batch: MetadataBatch) throws(MetadataStoreFailure) {
        try database.execute("BEGIN IMMEDIATE")
        do {
            for change in batch.changes { try apply(change) }
            try database.execute("COMMIT")
        } catch {
            // The first error is the one to tell; a failed COMMIT may have rolled back already.
            do { try database.execute("ROLLBACK") } catch _ {}
            throw error
        }
    }

    private func apply(_ change: MetadataChange) throws(MetadataStoreFailure) {
        switch change {
        case .setLocal(let name, let value):
            try database.run(
                "INSERT OR REPLACE INTO local (name, value) VALUES (?, ?)",
                [.text(name), .text(value)])
        case .putLogEntry(let record):
            try database.run(
                "INSERT OR REPLACE INTO metadata_log (epoch, summary, body) VALUES (?, ?, ?)",
                [
                    .integer(Int64(bitPattern: record.epoch)), .text(record.summary),
                    .blob(record.body),
                ])
        case .clearLog:
            try database.run("DELETE FROM metadata_log")
        case .putVote(let epoch, let vote):
            try database.run(
                "INSERT OR REPLACE INTO votes (epoch, vote) VALUES (?, ?)",
                [.integer(Int64(bitPattern: epoch)), .blob(vote)])
        case .putPeer(let host, let address, let description):
            try database.run(
                """
                INSERT OR REPLACE INTO peers (host_id, address, port, description)
                VALUES (?, ?, ?, ?)
                """,
                [
                    .text(host.description), .text(address.host), .integer(Int64(address.port)),
                    .text(description),
                ])
        case .removePeer(let host):
            try database.run("DELETE FROM peers WHERE host_id = ?", [.text(host.description)])
        case .putTruncation(let table, let shard, let microseconds, let position):
            try database.run(
                """
                INSERT OR REPLACE INTO truncations
                (table_id, shard, truncated_at_microseconds, position) VALUES (?, ?, ?, ?)
                """,
                [
                    .text(table.description), .integer(Int64(shard)), .integer(microseconds),
                    .text(position),
                ])
        }
    }

    private func check() throws(MetadataStoreFailure) {
        var verdict = ""
        try database.query("PRAGMA quick_check(1)") { row throws(MetadataStoreFailure) in
            verdict = try row.text(0)
        }
        if verdict != "ok" { throw damaged(verdict) }
    }

    private func createTables() throws(MetadataStoreFailure) {
        var version: Int64 = 0
        try database.query("PRAGMA user_version") { row throws(MetadataStoreFailure) in
            version = row.integer(0)
        }
        if version == Self.version { return }
        guard version == 0 else {
            throw MetadataStoreFailure(
                path: database.path,
                detail: "metadata of version \(version); this program knows up to \(Self.version)")
        }
        try database.execute(
            """
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS local (
                name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS metadata_log (
                epoch INTEGER PRIMARY KEY NOT NULL, summary TEXT NOT NULL, body BLOB NOT NULL);
            CREATE TABLE IF NOT EXISTS votes (
                epoch INTEGER PRIMARY KEY NOT NULL, vote BLOB NOT NULL);
            CREATE TABLE IF NOT EXISTS peers (
                host_id TEXT PRIMARY KEY NOT NULL, address TEXT NOT NULL, port INTEGER NOT NULL,
                description TEXT NOT NULL) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS truncations (
                table_id TEXT NOT NULL, shard INTEGER NOT NULL,
                truncated_at_microseconds INTEGER NOT NULL, position TEXT NOT NULL,
                PRIMARY KEY (table_id, shard)) WITHOUT ROWID;
            PRAGMA user_version = \(Self.version);
            COMMIT;
            """)
    }

    private func identifier(
        _ row: SQLiteDatabase.Row, _ column: Int32
    ) throws(MetadataStoreFailure) -> UniqueID {
        let text = try row.text(column)
        guard let id = UniqueID(text) else { throw damaged("\(text) is not an identifier") }
        return id
    }

    private func damaged(_ what: String) -> MetadataStoreFailure {
        MetadataStoreFailure(path: database.path, detail: "the node's metadata is damaged: \(what)")
    }
}
