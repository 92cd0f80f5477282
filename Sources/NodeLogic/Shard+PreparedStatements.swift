// The prepared statements of a node: all its shards know them, and they are kept in `system.prepared_statements`,
// so that an id means its statement on every connection, and still does after a restart.
//
//     PREPARE -->  its shard: row written, answer --prepared--> the other shards
//     start   -->  shard 0 reads the rows         --prepared--> the other shards, then lets clients in
//
// The row is not waited for: a statement that a node forgot is prepared anew by its driver. What shard 0
// forgets, because others came or a table went, leaves the table too, which so is bounded as its cache is.
//
// **Invariant.** A kept statement is planned with the columns that its clients were told: clients before v5 read
// results by them. So its row goes when its table gets others, until somebody prepares it again.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import Topology

/// How far the statements of former lives have come.
enum KeptStatements {
    case unread
    case reading
    case there
}

extension Shard {
    private static let writeRow =
        "INSERT INTO system.prepared_statements (prepared_id, logged_keyspace, query_string)"
        + " VALUES (?, ?, ?)"
    private static let removeRow = "DELETE FROM system.prepared_statements WHERE prepared_id = ?"
    private static let readRows =
        "SELECT prepared_id, logged_keyspace, query_string FROM system.prepared_statements"

    /// Takes in a statement that a client of this shard has prepared.
    func keep(_ statement: PreparedStatement) {
        insert(statement)
        guard statement.isKept, cluster.ownIndex != nil else { return }
        run(
            [
                InternalCall(
                    Self.writeRow,
                    [
                        .blob(statement.id), statement.keyspace.map { .text($0) },
                        .text(statement.text),
                    ])
            ], at: .one, for: .untold("prepared statements are not kept"))
        tellOthers(statement)
    }

    private func tellOthers(_ statement: PreparedStatement) {
        for shard in 0..<shardCount where shard != index.value {
            sendShard(
                .prepared(
                    keyspace: statement.keyspace, text: statement.text, epoch: statement.plan.epoch),
                to: ShardIndex(shard))
        }
    }

    /// Takes in a statement, and drops the rows of those that leave for it.
    func insert(_ statement: PreparedStatement) { dropRows(of: prepared.insert(statement)) }

    /// A statement that another shard knows. With another schema it may mean other columns: then this
    /// shard answers UNPREPARED.
    func statementPrepared(_ keyspace: String?, _ text: String, _ epoch: UInt64) {
        let known = prepared.find(text, keyspace: keyspace)
        guard epoch == cluster.schema.epoch, known?.plan.epoch != epoch || known?.isOutdated == true
        else { return }
        do throws(CQLError) {
            let plan = try plan(text, keyspace: keyspace)
            insert(
                PreparedStatement(
                    id: PreparedStatements.id(text: text, keyspace: keyspace, plan: plan),
                    text: text, keyspace: keyspace, plan: plan, former: known))
        } catch {
            report("a statement that another shard has planned is refused: \(error.message)")
        }
    }

    /// A statement that can no longer be planned is forgotten.
    func forget(_ statement: PreparedStatement) {
        prepared.remove(statement)
        removeRows([statement])
    }

    /// Forgets the statements about tables that are gone, and keeps those about changed ones no longer.
    func forgetImpossibleStatements() {
        dropRows(of: prepared.removeImpossible(in: cluster.schema))
    }

    private func dropRows(of statements: [PreparedStatement]) {
        if control != nil { removeRows(statements) }
    }

    private func removeRows(_ statements: [PreparedStatement]) {
        let calls = statements.filter { $0.isKept && $0.mayHaveRow }.map { statement in
            statement.mayHaveRow = false
            return InternalCall(Self.removeRow, [.blob(statement.id)])
        }
        if !calls.isEmpty, cluster.ownIndex != nil {
            run(calls, at: .one, for: .untold("prepared statements are not kept"))
        }
    }

    // MARK: After a restart

    /// On shard 0: asks for the statements of former lives, once.
    func readKeptStatements(_ control: NodeControl) {
        guard case .unread = control.keptStatements else { return }
        guard cluster.ownIndex != nil else {
            control.keptStatements = .there
            return
        }
        control.keptStatements = .reading
        control.firstSchema = cluster.schema
        run([InternalCall(Self.readRows)], at: .one, for: .keptStatements)
    }

    /// The rows are there. A statement that is refused now leaves the table.
    func keptStatementsRead(_ rows: [SystemRow], _ failure: CQLError?) {
        guard let control else { return }
        control.keptStatements = .there
        let schema = control.firstSchema ?? cluster.schema
        control.firstSchema = nil
        if let failure {
            report("the prepared statements of former lives cannot be read: \(failure.message)")
        }
        var refused: [InternalCall] = []
        for row in rows {
            guard let text = InternalValue.text(row[2]) else { continue }
            let keyspace = InternalValue.text(row[1])
            do throws(CQLError) {
                let statement = PreparedStatement(
                    id: row[0] ?? [], text: text, keyspace: keyspace,
                    plan: try Planner.plan(
                        try Parser.parse(text), schema: schema, keyspace: keyspace,
                        datacenters: cluster.topology.datacenters))
                guard statement.isUnchanged(in: cluster.schema) else {
                    refused.append(InternalCall(Self.removeRow, [.blob(statement.id)]))
                    continue
                }
                insert(statement)
                tellOthers(statement)
            } catch {
                report("a prepared statement is forgotten: \(error.message): \(text)")
                refused.append(InternalCall(Self.removeRow, [.blob(row[0] ?? [])]))
            }
        }
        if !refused.isEmpty {
            run(refused, at: .one, for: .untold("prepared statements are not kept"))
        }
    }
}
