// Snapshots that an operator asks for, and those that a node takes by itself before a table is emptied
// or dropped.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Storage

extension Shard {
    /// `snapshot [-t tag] [-sf] [--ttl 3d] [-cf table | -kt ks.t,ks.u] [keyspace...]` as a task:
    /// `snapshot TAG CREATED EXPIRES FLAGS table-id...`.
    func snapshotTask(_ request: AdminRequest) throws(AdminRefusal) -> [String] {
        let options = try AdminOptions(
            request,
            [
                "-t/--tag=", "-sf/--skip-flush", "--ttl=", "-cf/-t-cf/--column-family/--table=",
                "-kt/-kc/-kt-list/--kt-list=", "-e/--ephemeral",
            ])
        let tag = options.values["tag"] ?? String(now.wall.microseconds / 1_000)
        guard !tag.isEmpty, tag.utf8.count <= 100 else {
            throw AdminRefusal("a snapshot's tag has 1 to 100 bytes")
        }
        guard !tag.contains("/") else {
            throw AdminRefusal("Snapshot name cannot contain /")
        }
        var chosen: [TableSchema] = []
        if let list = options.values["kt-list"] {
            guard options.arguments.isEmpty, options.values["table"] == nil else {
                throw AdminRefusal(
                    "When specifying the Keyspace table list for a snapshot, you should not "
                        + "specify keyspaces or a table")
            }
            for pair in list.split(separator: ",") {
                let names = pair.split(separator: ".").map(String.init)
                guard names.count == 2 else {
                    throw AdminRefusal("\(pair): a table is written keyspace.table")
                }
                chosen += try tables(names[...])
            }
        } else if let table = options.values["table"] {
            guard options.arguments.count == 1 else {
                throw AdminRefusal(
                    "When specifying the table for a snapshot, you must specify one and only one "
                        + "keyspace")
            }
            chosen = try tables([options.arguments[0], table])
        } else if options.arguments.isEmpty {
            chosen = try tables([])
        } else {
            for keyspace in options.arguments { chosen += try tables([keyspace]) }
        }
        var expires = "-"
        if let span = try options.duration("ttl", isPositive: true) {
            let at = WallTime(microseconds: now.wall.microseconds + span.nanoseconds / 1_000)
            expires = String(at.microseconds)
            noteExpiry(at)
        }
        let flags =
            (options.flags.contains("skip-flush") ? "s" : "-")
            + (options.flags.contains("ephemeral") ? "e" : "-")
        return ["snapshot", tag, String(now.wall.microseconds), expires, flags]
            + chosen.map(\.id.description)
    }

    private func noteExpiry(_ at: WallTime) {
        guard let control else { return }
        control.snapshotExpiry = min(control.snapshotExpiry ?? at, at)
    }

    /// The request that a task's words tell of.
    func snapshotRequest(_ words: [String]) throws(AdminRefusal) -> SnapshotRequest {
        guard words.count >= 5, let created = Int64(words[2]) else {
            throw AdminRefusal("a malformed task: \(words)")
        }
        let ids = words.dropFirst(5).compactMap { UniqueID($0).map { TableID($0) } }
        var request = SnapshotRequest(
            tag: words[1], tables: ids.compactMap(snapshotTable), parts: shardCount,
            createdAt: WallTime(microseconds: created))
        request.expiresAt = Int64(words[3]).map { WallTime(microseconds: $0) }
        request.skipsFlush = words[4].contains("s")
        request.isEphemeral = words[4].contains("e")
        return request
    }

    private func snapshotTable(_ id: TableID) -> SnapshotRequest.Table? {
        guard let table = cluster.schema.table(id) else { return nil }
        return SnapshotRequest.Table(id: id, schemaText: Self.statements(table, cluster.schema))
    }

    /// The statements that make the table again, with what it needs.
    private static func statements(_ table: TableSchema, _ schema: SchemaSnapshot) -> String {
        var parts: [String] = []
        if let keyspace = schema.keyspace(named: table.keyspace) {
            parts.append(CreateStatements.keyspace(keyspace))
            parts += DescribeRequest.byDependency(keyspace.types).map(CreateStatements.type)
        }
        parts.append(CreateStatements.table(table))
        return parts.joined(separator: "\n\n") + "\n"
    }

    /// The snapshot before a table is emptied or dropped; nil if none is wanted.
    func automaticSnapshot(
        _ reason: String, of id: TableID, in schema: SchemaSnapshot
    ) -> SnapshotRequest? {
        guard configuration.storage.autoSnapshot, let table = schema.table(id),
            table.options.allowAutoSnapshot
        else { return nil }
        let text = Self.statements(table, schema)
        // The tag stands in the names of files, which a long name would make too long.
        return SnapshotRequest(
            tag: "\(reason)-\(table.name.prefix(100))",
            tables: [SnapshotRequest.Table(id: id, schemaText: text)], parts: shardCount,
            createdAt: now.wall)
    }

    /// The snapshots of tables that a new schema no longer has.
    func droppedSnapshots(
        _ former: SchemaSnapshot, epoch: UInt64
    ) -> [TableID: SnapshotRequest] {
        var requests: [TableID: SnapshotRequest] = [:]
        for table in former.keyspaces.flatMap(\.tables) where cluster.schema.table(table.id) == nil
        {
            requests[table.id] = automaticSnapshot("dropped-\(epoch)", of: table.id, in: former)
        }
        return requests
    }

    /// What `clearsnapshot [-t tag | --all] [--older-than 3d] [keyspace...]` removes.
    func clearing(_ request: AdminRequest) throws(AdminRefusal) -> SnapshotSelection {
        let options = try AdminOptions(
            request, ["-t/--tag=", "--all", "--older-than=", "--older-than-timestamp="])
        let isAll = options.flags.contains("all")
        var selection = SnapshotSelection()
        selection.tag = options.values["tag"]
        if selection.tag == nil, !isAll {
            throw AdminRefusal("Specify snapshot name or --all")
        }
        if selection.tag != nil, isAll {
            throw AdminRefusal("Specify only one of snapshot name or --all")
        }
        if !options.arguments.isEmpty { selection.keyspaces = Set(options.arguments) }
        if let span = try options.duration("older-than") {
            selection.createdBefore = WallTime(
                microseconds: now.wall.microseconds - span.nanoseconds / 1_000)
        }
        return selection
    }
}
