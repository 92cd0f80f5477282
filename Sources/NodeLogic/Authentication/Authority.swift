// What a role may do, worked out once and believed for a while.
//
//     nothing known --(a statement comes: it is parked)--> loading --> known --(validity is over)--> loading
//
// A load reads the role, then the roles granted to it, layer by layer, then what was granted to all of
// them. Statements that wait for it are parked as the bytes of their frames, and handled when it has ended.
// A change of roles made on this node is seen by all of its shards at once; one made on another node when
// the validity is over, as in Cassandra, or when it was read again in the background (`AuthorityUpdates`).
//
// Cost on the request path: a comparison where nobody is asked, else one look-up by table.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol

/// What one role may do.
final class Authority {
    let role: String
    let isSuperuser: Bool
    /// Its roles and what was granted to them.
    private let book: RoleBook
    let loadedAt: Instant
    /// What was read later is known.
    fileprivate(set) var isOutdated = false
    private var byTable: [TableID: PermissionSet] = [:]

    init(role: String, book: RoleBook, loadedAt: Instant) {
        self.role = role
        self.book = book
        self.loadedAt = loadedAt
        isSuperuser = book.isSuperuser(role)
    }

    /// Whether there is such a role.
    var exists: Bool { book.roles[role] != nil }

    /// What the role may do with the resource.
    func permissions(on resource: Resource) -> PermissionSet {
        book.permissions(of: role, on: resource)
    }

    /// What the role may do with a table.
    func permissions(on table: TableSchema) -> PermissionSet {
        if let known = byTable[table.id] { return known }
        let permissions = self.permissions(on: .table(table.keyspace, table.name))
        byTable[table.id] = permissions
        return permissions
    }
}

/// A statement that waits until it is known what its client may do.
struct ParkedStatement {
    let connection: ConnectionID
    let header: FrameHeader
    let body: [UInt8]
}

/// Reading what a role may do.
final class AuthorityLoad {
    enum Step {
        case roles
        case permissions
    }

    let role: String
    /// Which state of the roles it began to read.
    let generation: UInt64
    fileprivate(set) var step = Step.roles
    fileprivate(set) var book = RoleBook()
    /// Roles that were asked for.
    fileprivate var asked: Set<String>
    fileprivate(set) var parked: [ParkedStatement] = []

    init(role: String, generation: UInt64) {
        self.role = role
        self.generation = generation
        asked = [role]
    }
}

/// What a shard knows of roles.
struct AuthorityCache {
    /// The hash of a role's password, and whether the role may log in.
    struct Credential {
        let hash: String
        let canLogin: Bool
        let loadedAt: Instant
    }

    fileprivate(set) var known: [String: Authority] = [:]
    var loads: [String: AuthorityLoad] = [:]
    fileprivate(set) var credentials: [String: Credential] = [:]
    /// Passwords that are being read again, by role, and which reading it is.
    var credentialUpdates: [String: CredentialUpdate] = [:]
    /// When what is known is read again, needed or not.
    var nextUpdate: Instant?
    var nextCredentialUpdate: Instant?
    /// One more after each change of roles.
    fileprivate(set) var generation: UInt64 = 0

    /// More roles than this are not remembered at a time.
    private static let capacity = 1_000

    fileprivate mutating func remember(_ authority: Authority) {
        if known.count >= Self.capacity { known.removeAll() }
        known.updateValue(authority, forKey: authority.role)?.isOutdated = true
    }

    /// The role is no longer there, or has no password.
    mutating func forgetCredential(of role: String) { credentials[role] = nil }

    /// What is remembered of a role's password, if it is young enough.
    func credential(of role: String, now: Instant, validity: Instant.Span) -> Credential? {
        guard let found = credentials[role], now - found.loadedAt < validity else { return nil }
        return found
    }

    mutating func remember(_ credential: Credential, of role: String) {
        if credentials.count >= Self.capacity { credentials.removeAll() }
        credentials[role] = credential
    }

    fileprivate mutating func forget() {
        known.removeAll()
        credentials.removeAll()
        credentialUpdates.removeAll()
        generation += 1
    }
}

extension Shard {
    /// Forgets what was read of roles and permissions.
    func forgetAuthorities() {
        authorities.forget()
        for connection in connections.values { connection.authority = nil }
    }

    // MARK: Knowing

    private func isFresh(_ authority: Authority) -> Bool {
        let settings = configuration.authentication
        let age = now.monotonic - authority.loadedAt
        // What was loaded in this very step is good for it, even if nothing is to be remembered.
        guard
            age.nanoseconds == 0 || age < min(settings.rolesValidity, settings.permissionsValidity)
        else { return false }
        if age.nanoseconds > 0, age >= settings.authorityUpdateAge { update(authority.role) }
        return true
    }

    /// Whether a request of that kind can be judged now.
    func knowsAuthority(for opcode: Opcode, _ connection: ClientConnection) -> Bool {
        guard configuration.authentication.authorizer == .granted, opcode != .prepare else {
            return true
        }
        if let authority = connection.authority, !authority.isOutdated, isFresh(authority) {
            return true
        }
        guard let role = connection.role, let known = authorities.known[role], isFresh(known) else {
            return false
        }
        connection.authority = known
        return true
    }

    /// Keeps a statement until it is known what its client may do.
    func park(_ frame: Frame, _ connection: ClientConnection) throws(CQLError) {
        guard let role = connection.role else { throw .unauthorized("You have not logged in") }
        let parked = ParkedStatement(
            connection: connection.id, header: frame.header, body: [UInt8](frame.body))
        // One that began before a change may have read what was before.
        if let load = authorities.loads[role], load.generation == authorities.generation {
            guard load.parked.count < configuration.requests.maximumInFlight else {
                throw .overloaded("Too many requests wait for the permissions of \(role)")
            }
            load.parked.append(parked)
            return
        }
        let load = AuthorityLoad(role: role, generation: authorities.generation)
        load.parked = [parked]
        start(load)
    }

    /// Begins to read what a role may do.
    func start(_ load: AuthorityLoad) {
        authorities.loads[load.role] = load
        read([load.role], load)
    }

    private func read(_ roles: [String], _ load: AuthorityLoad) {
        run(
            roles.map { InternalCall(RoleBook.readRole, [.text($0)]) },
            at: roleConsistency(load.role), for: .authority(load))
    }

    /// The default superuser is read at a level that shows a change of its password.
    func roleConsistency(_ role: String) -> ConsistencyLevel {
        role == RoleBook.defaultSuperuser ? .quorum : authReadConsistency
    }

    /// The level at which roles and permissions are read.
    var authReadConsistency: ConsistencyLevel {
        ConsistencyLevel(name: configuration.authentication.readConsistency) ?? .localQuorum
    }

    /// The level at which roles and permissions are written.
    var authWriteConsistency: ConsistencyLevel {
        ConsistencyLevel(name: configuration.authentication.writeConsistency) ?? .eachQuorum
    }

    func authorityStatementsEnded(
        _ load: AuthorityLoad, _ rows: [[SystemRow]], _ failure: CQLError?
    ) {
        if let failure {
            finish(
                load,
                .unauthorized(
                    "Unable to perform authorization of permissions: \(failure.message)"))
            return
        }
        switch load.step {
        case .roles:
            for rows in rows { load.book.add(roles: rows) }
            let next = Set(load.book.roles.values.flatMap(\.memberOf)).subtracting(load.asked)
                .sorted()
            load.asked.formUnion(next)
            if !next.isEmpty {
                read(next, load)
                return
            }
            load.step = .permissions
            let roles = load.book.closure(of: load.role)
            guard !roles.isEmpty, !load.book.isSuperuser(load.role) else {
                finish(load, nil)
                return
            }
            run(
                roles.map { InternalCall(RoleBook.readPermissionsOfRole, [.text($0)]) },
                at: roleConsistency(load.role), for: .authority(load))
        case .permissions:
            for rows in rows { load.book.add(permissions: rows) }
            finish(load, nil)
        }
    }

    private func finish(_ load: AuthorityLoad, _ failure: CQLError?) {
        if authorities.loads[load.role] === load { authorities.loads[load.role] = nil }
        let authority = Authority(role: load.role, book: load.book, loadedAt: now.monotonic)
        // What was read before a change is not remembered beyond the statements that waited for it.
        if failure == nil, load.generation == authorities.generation {
            authorities.remember(authority)
        }
        for parked in load.parked {
            guard let connection = connections[parked.connection] else { continue }
            connection.authority = failure == nil ? authority : nil
            do throws(CQLError) {
                if let failure { throw failure }
                try parked.body.withBytes { body throws(CQLError) in
                    try handleStatement(Frame(header: parked.header, body: body), connection)
                }
            } catch {
                connection.encoder.error(
                    parked.header.version, stream: parked.header.stream, error)
                markDirty(connection)
            }
            if load.generation != authorities.generation { connection.authority = nil }
        }
    }

    // MARK: Judging

    /// Refuses what the client's role may not do.
    func authorize(_ plan: Plan, _ connection: ClientConnection) throws(CQLError) {
        guard configuration.authentication.authorizer == .granted else { return }
        guard let authority = connection.authority else {
            throw .unauthorized("You have not logged in")
        }
        switch plan {
        case .select(let select):
            let table = select.subject
            if SystemSchema.isReadableByAll(table.keyspace, table.name) { return }
            try check(.select, on: table, authority)
        case .modification(let modification): try authorize(modification, authority)
        case .batch(let batch):
            for modification in batch.modifications { try authorize(modification, authority) }
        case .truncate(let table): try check(.modify, on: table, authority)
        case .schemaChange(let change):
            guard let needed = change.neededPermission, !authority.isSuperuser,
                !authority.permissions(on: needed.on).isSuperset(of: needed.permission)
            else { return }
            throw RoleRules.missing(needed.permission, on: needed.on, of: authority.role)
        case .use, .describe, .roles: break
        }
    }

    private func authorize(
        _ modification: ModificationPlan, _ authority: Authority
    ) throws(CQLError) {
        try check(.modify, on: modification.table, authority)
        // Its answer shows what is there.
        if modification.isConditional {
            try check(.select, on: modification.table, authority)
        }
    }

    private func check(
        _ permission: PermissionSet, on table: TableSchema, _ authority: Authority
    ) throws(CQLError) {
        guard
            authority.isSuperuser
                || authority.permissions(on: table).isSuperset(of: permission)
        else {
            throw RoleRules.missing(
                permission, on: .table(table.keyspace, table.name), of: authority.role)
        }
    }
}
