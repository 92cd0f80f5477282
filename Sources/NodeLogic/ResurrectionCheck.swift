// A node that was away for too long may not simply come back.
//
// While a node is away, rows are deleted on the others, and after `gc_grace_seconds` they forget the
// deletions. A node that comes back later still has the rows, nobody knows any more that they were
// deleted, and read repair would spread them again. So a start is refused when the node was last
// alive longer ago than the shortest `gc_grace_seconds` of a table that other nodes hold too.
//
// The bounds of the hybrid clock serve as the heartbeat: the one in the shards' files is raised with
// whatever a node sends, the committed one every few seconds. A node is therefore never taken to have
// died earlier than it did by more than that.
//
// Left out: tables that purge at once (`gc_grace_seconds` 0: their owner has chosen so), keyspaces of
// one replica (nobody else deletes anything there), and absences of less than a minute, which are
// restarts: the hints of their time are still there, deletions included.

internal import CQL
internal import Environment
internal import Model

/// Judges whether a node may start with the data that it has.
enum ResurrectionCheck {
    /// Shorter absences are not judged.
    private static let shortestAbsenceSeconds: Int64 = 60

    /// Throws if deleted rows could come back. `lastAlive` and `now` are in microseconds since 1970.
    static func check(
        schema: SchemaSnapshot, lastAlive: Int64, now: WallTime
    ) throws(ShardStartFailure) {
        let downSeconds = (now.microseconds - lastAlive) / 1_000_000
        guard downSeconds >= shortestAbsenceSeconds else { return }
        var tables: [String] = []
        for keyspace in schema.keyspaces.sorted(by: { $0.name < $1.name })
        where !SystemSchema.isProtected(keyspace.name) && replicas(keyspace.replication) > 1 {
            for table in keyspace.tables.sorted(by: { $0.name < $1.name }) {
                let grace = Int64(table.options.gcGraceSeconds)
                guard grace > 0, grace < downSeconds else { continue }
                tables.append("\(keyspace.name).\(table.name) (\(grace) s)")
            }
        }
        guard !tables.isEmpty else { return }
        throw ShardStartFailure(
            "this node was last alive \(downSeconds) s ago, longer than gc_grace_seconds of "
                + "\(tables.joined(separator: ", ")): the other replicas may have forgotten "
                + "deletions that it never saw, and deleted rows would come back. Empty its data "
                + "folder, so that it gets its data anew from the others; or, if nothing was "
                + "deleted meanwhile, start it once with check_data_resurrection=false")
    }

    /// How many copies of a row there are, in all datacenters.
    private static func replicas(_ replication: ReplicationParameters) -> Int {
        replication.options.values.reduce(0) { $0 + (Int($1) ?? 0) }
    }
}
