// Carrying out a statement about roles, and what follows a change of the schema.
//
//     reading all roles --> deciding --> hashing the password, if there is one --> writing
//         --> every shard forgets what it knew --> answered
//
// All roles and all permissions are read, at QUORUM, whatever the statement: they are few, such statements
// are rare, and the rules (`RoleRules`) then are judged on one value. Writes go to EACH_QUORUM, as in
// Cassandra. Two statements about the same role at the same time are not ordered.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol

/// A statement about roles on its way, or a change of the schema that permissions follow.
final class RoleRun {
    enum Purpose {
        case statement(RoleStatement, performer: String)
        /// What was created belongs to its creator.
        case created([Resource], by: String, NativeProtocol.SchemaChange)
        /// What was dropped takes its permissions with it.
        case dropped(NativeProtocol.SchemaChange)
    }

    enum Step {
        case reading
        case hashing(RoleChange)
        case writing
    }

    let client: ClientRequest
    fileprivate let purpose: Purpose
    fileprivate var step = Step.reading

    fileprivate init(_ client: ClientRequest, _ purpose: Purpose) {
        self.client = client
        self.purpose = purpose
    }
}

/// A change of roles of which some shard does not know yet.
struct PendingRoles {
    let run: RoleRun
    let failure: CQLError?
    var waiting: Int
}

extension Shard {
    /// Carries out a statement of a client; nil: of one that nobody asked who it is.
    func startRoles(_ statement: RoleStatement, by performer: String?, _ client: ClientRequest) {
        guard let performer else {
            // No role is needed to know what such a client may do.
            do throws(CQLError) {
                _ = try rules(RoleBook(), nil).decide(statement)
                throw .serverError("a statement about roles was allowed to nobody")
            } catch {
                answer(client, error: error)
            }
            return
        }
        readBook(RoleRun(client, .statement(statement, performer: performer)))
    }

    /// A change of the schema is installed: its permissions follow, and then it is answered.
    func followWithPermissions(
        _ change: NativeProtocol.SchemaChange, _ client: ClientRequest
    ) {
        guard configuration.authentication.authorizer == .granted else {
            answer(client, change: change)
            return
        }
        switch (change.change, change.target) {
        case (.created, .keyspace):
            let name = change.keyspace
            follow(change, [.keyspace(name), .functions(name)], client)
        case (.created, .table(let name)):
            follow(change, [.table(change.keyspace, name)], client)
        case (.dropped, .keyspace), (.dropped, .table):
            readBook(RoleRun(client, .dropped(change)))
        default: answer(client, change: change)
        }
    }

    private func follow(
        _ change: NativeProtocol.SchemaChange, _ resources: [Resource], _ client: ClientRequest
    ) {
        guard let creator = client.creator else {
            answer(client, change: change)
            return
        }
        let writes = resources.map { RoleWrite.grant($0.applicable, on: $0, to: creator) }
        write(writes, RoleRun(client, .created(resources, by: creator, change)))
    }

    private func rules(_ book: RoleBook, _ performer: String?) -> RoleRules {
        RoleRules(
            book: book, performer: performer, settings: configuration.authentication,
            schema: cluster.schema)
    }

    private func readBook(_ run: RoleRun) {
        self.run(
            [InternalCall(RoleBook.readRoles), InternalCall(RoleBook.readPermissions)],
            at: .quorum, for: .roles(run))
    }

    private func write(_ writes: [RoleWrite], _ run: RoleRun) {
        run.step = .writing
        let calls = writes.flatMap(\.calls)
        guard !calls.isEmpty else {
            finish(run, nil)
            return
        }
        self.run(calls, at: authWriteConsistency, for: .roles(run))
    }

    func roleStatementsEnded(_ run: RoleRun, _ rows: [[SystemRow]], _ failure: CQLError?) {
        if case .writing = run.step {
            // A write that failed may still apply.
            announceRoles(of: run, failure)
            return
        }
        if let failure {
            finish(run, failure)
            return
        }
        var book = RoleBook()
        book.add(roles: rows[0])
        book.add(permissions: rows[1])
        switch run.purpose {
        case .statement(let statement, let performer): decide(statement, performer, book, run)
        case .dropped(let change):
            let isGone = Self.isGone(change)
            write(RoleRules.forgetting(in: book, isGone), run)
        case .created: preconditionFailure("what is created is granted without reading")
        }
    }

    /// Which resources, by name, a drop has taken with it.
    private static func isGone(_ change: NativeProtocol.SchemaChange) -> (String) -> Bool {
        let keyspace = change.keyspace
        if case .table(let table) = change.target {
            let name = Resource.table(keyspace, table).name
            return { $0 == name }
        }
        let names = [Resource.keyspace(keyspace).name, Resource.functions(keyspace).name]
        return { resource in names.contains { resource == $0 || resource.hasPrefix($0 + "/") } }
    }

    private func decide(
        _ statement: RoleStatement, _ performer: String, _ book: RoleBook, _ run: RoleRun
    ) {
        do throws(CQLError) {
            switch try rules(book, performer).decide(statement) {
            case .nothing: answerVoid(run.client)
            case .rows(let rows):
                // Cassandra answers a list of no permissions without columns.
                if rows.isEmpty, case .listPermissions = statement {
                    answerVoid(run.client)
                } else {
                    answerRows(run.client, RowsMetadata(statement.resultColumns), rows[...])
                }
            case .change(let change):
                run.client.warnings += change.warnings
                guard let password = change.password else {
                    write(change.writes, run)
                    return
                }
                run.step = .hashing(change)
                hash(password, for: .roles(run))
            }
        } catch {
            answer(run.client, error: error)
        }
    }

    func rolesHashed(_ run: RoleRun, _ outcome: PasswordJob.Outcome) {
        guard case .hashing(let change) = run.step else {
            preconditionFailure("a password was hashed for nobody")
        }
        guard case .hash(let hash) = outcome else {
            answer(
                run.client, error: .serverError("Passwords cannot be hashed on this system"))
            return
        }
        write(change.with(hash: hash).writes, run)
    }

    /// Tells all shards of this node that roles or permissions have changed. The statement that changed
    /// them is answered when no shard judges by what was before.
    func announceRoles(of run: RoleRun? = nil, _ failure: CQLError? = nil) {
        nextView += 1
        let change = nextView
        if let run {
            pendingRoles[change] = PendingRoles(run: run, failure: failure, waiting: shardCount)
        }
        for shard in 0..<shardCount { sendShard(.rolesChanged(change), to: ShardIndex(shard)) }
    }

    /// A shard has forgotten what it knew of roles.
    func rolesForgotten(_ change: UInt64) {
        guard var pending = pendingRoles[change] else { return }
        pending.waiting -= 1
        pendingRoles[change] = pending.waiting > 0 ? pending : nil
        if pending.waiting == 0 { finish(pending.run, pending.failure) }
    }

    private func finish(_ run: RoleRun, _ failure: CQLError?) {
        switch run.purpose {
        case .statement:
            if let failure {
                answer(run.client, error: failure)
            } else {
                answerVoid(run.client)
            }
        case .created(let resources, let creator, let change):
            if let failure {
                run.client.warnings.append(
                    "The permissions on \(resources[0]) could not be granted to \(creator):"
                        + " \(failure.message)")
            }
            answer(run.client, change: change)
        case .dropped(let change):
            if let failure {
                run.client.warnings.append(
                    "The permissions on what was dropped could not be removed: \(failure.message)")
            }
            answer(run.client, change: change)
        }
    }
}
