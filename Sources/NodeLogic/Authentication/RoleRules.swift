// What each statement about roles means, judged on the roles that there are. Pure: a statement, who asks,
// and a book of roles go in, a decision or an error in Cassandra's words comes out.
//
// As there, who may do something is judged before whether it can be done.

internal import CQL
internal import Environment
internal import Model

/// Decides on statements about roles and permissions.
struct RoleRules {
    let book: RoleBook
    /// Who asks; nil for a client that nobody asked who it is.
    let performer: String?
    let settings: Configuration.Authentication
    /// Whether a keyspace or table exists.
    let schema: SchemaSnapshot

    func decide(_ statement: RoleStatement) throws(CQLError) -> RoleDecision {
        switch statement {
        case .createRole(let name, let ifNotExists, let options):
            return try create(name, ifNotExists, options)
        case .alterRole(let name, let ifExists, let options):
            return try alter(name, ifExists, options)
        case .dropRole(let name, let ifExists): return try drop(name, ifExists)
        case .grantRole(let role, let member): return try grant(role, to: member)
        case .revokeRole(let role, let member): return try revoke(role, from: member)
        case .grant(let grant, let role): return try self.grant(grant, to: role)
        case .revoke(let grant, let role): return try revoke(grant, from: role)
        case .listRoles(let role, let isRecursive): return try list(of: role, isRecursive)
        case .listUsers: return try listUsers()
        case .listPermissions(let permissions, let resource, let role, let isRecursive):
            return try list(permissions, on: resource, of: role, isRecursive)
        }
    }

    // MARK: Who asks

    private var isSuperuser: Bool { performer.map { book.isSuperuser($0) } ?? false }
    private var judgesPermissions: Bool { settings.authorizer == .granted }

    /// Refuses a client that did not log in; else its role.
    private func requireRole() throws(CQLError) -> String {
        guard let performer else {
            throw .unauthorized(
                "You have to be logged in and not anonymous to perform this request")
        }
        return performer
    }

    private func isPermitted(_ permission: PermissionSet, on resource: Resource) -> Bool {
        guard judgesPermissions else { return true }
        guard let performer else { return false }
        return book.permissions(of: performer, on: resource).isSuperset(of: permission)
    }

    private func requireOnRole(
        _ permission: PermissionSet, _ resource: Resource
    ) throws(CQLError) {
        guard isPermitted(permission, on: resource) else {
            throw .unauthorized(
                "User \(performer ?? "anonymous") does not have sufficient privileges to perform the"
                    + " requested operation")
        }
    }

    private func require(_ permission: PermissionSet, on resource: Resource) throws(CQLError) {
        guard isPermitted(permission, on: resource) else {
            throw Self.missing(permission, on: resource, of: performer ?? "anonymous")
        }
    }

    /// The error of a role that lacks a permission.
    static func missing(
        _ permission: PermissionSet, on resource: Resource, of role: String
    ) -> CQLError {
        .unauthorized(
            "User \(role) has no \(permission.names.joined(separator: ", ")) permission on"
                + " \(resource) or any of its parents")
    }

    // MARK: Roles

    private func check(_ options: RoleOptions) throws(CQLError) {
        func unsupported(_ option: String) -> CQLError {
            .invalid("org.apache.cassandra.auth.CassandraRoleManager doesn't support \(option)")
        }
        let hasPasswords = settings.authenticator == .password
        if options.password != nil, !hasPasswords { throw unsupported("PASSWORD") }
        if let hash = options.hashedPassword {
            guard hasPasswords else { throw unsupported("HASHED_PASSWORD") }
            guard Bcrypt.isHash(hash) else {
                throw .invalid("Invalid hashed password value. Please use jBcrypt.")
            }
        }
        if let password = options.password {
            guard !password.utf8.contains(0) else {
                throw .invalid("A password can't hold the character NUL")
            }
        }
        if options.hasCustomOptions { throw unsupported("OPTIONS") }
        if options.limitsDatacenters {
            throw .invalid(
                "ACCESS TO DATACENTERS operations not supported by AllowAllNetworkAuthorizer")
        }
        if options.limitsAddresses {
            throw .invalid("ACCESS FROM CIDRS operations not supported by AllowAllCIDRAuthorizer")
        }
    }

    private func create(
        _ name: String, _ ifNotExists: Bool, _ options: RoleOptions
    ) throws(CQLError) -> RoleDecision {
        try requireOnRole(.create, .allRoles)
        if options.isSuperuser == true, !isSuperuser {
            throw .unauthorized("Only superusers can create a role with superuser status")
        }
        try check(options)
        guard !name.isEmpty else { throw .invalid("Role name can't be an empty string") }
        let performer = try requireRole()
        guard book.roles[name] == nil else {
            if ifNotExists { return .nothing }
            throw .invalid("\(name) already exists")
        }
        var change = RoleChange(password: options.password)
        change.writes = [
            .createRole(
                name, isSuperuser: options.isSuperuser ?? false,
                canLogin: options.canLogin ?? false, hash: options.hashedPassword)
        ]
        if judgesPermissions {
            let resource = Resource.role(name)
            change.writes.append(.grant(resource.applicable, on: resource, to: performer))
        }
        return .change(change)
    }

    private func alter(
        _ name: String, _ ifExists: Bool, _ options: RoleOptions
    ) throws(CQLError) -> RoleDecision {
        let performer = try requireRole()
        let own = book.closure(of: performer)
        if options.isSuperuser != nil {
            guard !own.contains(name) else {
                throw .unauthorized(
                    "You aren't allowed to alter your own superuser status or that of a role granted"
                        + " to you")
            }
            guard isSuperuser else {
                throw .unauthorized("Only superusers are allowed to alter superuser status")
            }
        }
        if !isSuperuser {
            if performer == name {
                // Of oneself only the password.
                if options.canLogin != nil {
                    throw .unauthorized("You aren't allowed to alter LOGIN")
                }
                if options.hasCustomOptions {
                    throw .unauthorized("You aren't allowed to alter OPTIONS")
                }
            } else {
                try requireOnRole(.alter, .role(name))
            }
        }
        try check(options)
        guard !options.isEmpty else { throw .invalid("ALTER [ROLE|USER] can't be empty") }
        guard book.roles[name] != nil else {
            if ifExists { return .nothing }
            throw .invalid("Role \(name) doesn't exist")
        }
        var change = RoleChange(password: options.password)
        change.writes = [
            .alterRole(
                name, isSuperuser: options.isSuperuser, canLogin: options.canLogin,
                hash: options.hashedPassword)
        ]
        return .change(change)
    }

    private func drop(_ name: String, _ ifExists: Bool) throws(CQLError) -> RoleDecision {
        try requireOnRole(.drop, .role(name))
        if book.isSuperuser(name), !isSuperuser, performer != nil {
            throw .unauthorized("Only superusers can drop a role with superuser status")
        }
        let performer = try requireRole()
        guard let role = book.roles[name] else {
            if ifExists { return .nothing }
            throw .invalid("Role \(name) doesn't exist")
        }
        guard performer != name else {
            throw .invalid("Cannot DROP primary role for current login")
        }
        var writes: [RoleWrite] = [.dropRole(name), .forgetMembers(of: name)]
        for (member, other) in book.roles.sorted(by: { $0.key < $1.key })
        where other.memberOf.contains(name) && member != name {
            writes.append(.removeMember(member, of: name))
        }
        for parent in role.memberOf { writes.append(.removeMember(name, of: parent)) }
        if let granted = book.permissions[name] {
            writes.append(.forgetPermissions(of: name, on: granted.keys.sorted()))
        }
        writes += Self.forgetting(in: book) { $0 == Resource.role(name).name }
        return .change(RoleChange(writes: writes.filter { !$0.resurrects(name) }))
    }

    /// The writes that revoke all that was granted on some resources.
    static func forgetting(
        in book: RoleBook, _ isGone: (String) -> Bool
    ) -> [RoleWrite] {
        var writes: [RoleWrite] = []
        for (role, granted) in book.permissions.sorted(by: { $0.key < $1.key }) {
            for (resource, permissions) in granted.sorted(by: { $0.key < $1.key })
            where isGone(resource) {
                writes.append(.revoke(permissions, on: resource, from: role, isLast: true))
            }
        }
        return writes
    }

    private func grant(_ role: String, to member: String) throws(CQLError) -> RoleDecision {
        try checkMembership(role, member)
        if book.closure(of: member).contains(role) {
            throw .invalid("\(member) is a member of \(role)")
        }
        if book.closure(of: role).contains(member) {
            throw .invalid("\(role) is a member of \(member)")
        }
        return .change(RoleChange(writes: [.addMember(member, of: role)]))
    }

    private func revoke(_ role: String, from member: String) throws(CQLError) -> RoleDecision {
        try checkMembership(role, member)
        guard let found = book.roles[member], found.memberOf.contains(role) else {
            throw .invalid("\(member) is not a member of \(role)")
        }
        return .change(RoleChange(writes: [.removeMember(member, of: role)]))
    }

    private func checkMembership(_ role: String, _ member: String) throws(CQLError) {
        try requireOnRole(.authorize, .role(role))
        _ = try requireRole()
        for name in [role, member] where book.roles[name] == nil {
            throw .invalid("\(name) doesn't exist")
        }
    }

    // MARK: Permissions

    private func check(_ grant: RoleStatement.Grant, _ role: String) throws(CQLError) {
        _ = try requireRole()
        try require(.authorize, on: grant.resource)
        for permission in grant.permissions.each { try require(permission, on: grant.resource) }
        guard book.roles[role] != nil else { throw .invalid("Role \(role) doesn't exist") }
        guard exists(grant.resource) else {
            throw .invalid("Resource \(grant.resource) doesn't exist")
        }
        if case .functions(let keyspace) = grant.resource, SystemSchema.isSystem(keyspace) {
            throw .invalid("Altering permissions on builtin functions is not supported")
        }
    }

    /// What may be granted on the system's keyspaces, to be read and to be altered; the rest is its own.
    private static let grantableOnSystem: PermissionSet = [.select, .alter, .describe]

    private func grant(
        _ grant: RoleStatement.Grant, to role: String
    ) throws(CQLError) -> RoleDecision {
        try check(grant, role)
        guard judgesPermissions else {
            throw .invalid("GRANT operation is not supported by AllowAllAuthorizer")
        }
        guard
            !grant.resource.isOfSystem
                || grant.permissions.isSubset(of: Self.grantableOnSystem)
        else {
            throw .unauthorized(
                "Granting permissions on system keyspaces is strictly limited, this operation is not"
                    + " permitted")
        }
        let held = book.permissions[role]?[grant.resource.name] ?? []
        var change = RoleChange()
        change.writes = [.grant(grant.permissions, on: grant.resource, to: role)]
        let again = grant.permissions.intersection(held)
        if !again.isEmpty, !grant.isAll {
            change.warnings = [
                "Role '\(role)' was already granted \(again.names.joined(separator: ", ")) on"
                    + " \(grant.resource)"
            ]
        }
        return .change(change)
    }

    private func revoke(
        _ grant: RoleStatement.Grant, from role: String
    ) throws(CQLError) -> RoleDecision {
        try check(grant, role)
        guard judgesPermissions else {
            throw .invalid("REVOKE operation is not supported by AllowAllAuthorizer")
        }
        let held = book.permissions[role]?[grant.resource.name] ?? []
        var change = RoleChange()
        change.writes = [
            .revoke(
                grant.permissions, on: grant.resource.name, from: role,
                isLast: held.subtracting(grant.permissions).isEmpty)
        ]
        let missing = grant.permissions.subtracting(held)
        if !missing.isEmpty, !grant.isAll {
            change.warnings = [
                "Role '\(role)' was not granted \(missing.names.joined(separator: ", ")) on"
                    + " \(grant.resource)"
            ]
        }
        return .change(change)
    }

    private func exists(_ resource: Resource) -> Bool {
        switch resource {
        case .allKeyspaces, .allRoles, .allFunctions: true
        case .keyspace(let name), .allTables(let name), .functions(let name):
            keyspace(name) != nil
        case .table(let name, let table): keyspace(name)?.table(named: table) != nil
        case .role(let name): book.roles[name] != nil
        }
    }

    private func keyspace(_ name: String) -> KeyspaceSchema? {
        schema.keyspace(named: name) ?? SystemSchema.keyspace(named: name)
    }

    // MARK: Listing

    private func list(of role: String?, _ isRecursive: Bool) throws(CQLError) -> RoleDecision {
        try .rows(
            visibleRoles(of: role, isRecursive).map { name in
                let role = book.roles[name] ?? Role()
                return [
                    Array(name.utf8), SystemValue.boolean(role.isSuperuser).bytes,
                    SystemValue.boolean(role.canLogin).bytes, SystemValue.textMap([:]).bytes,
                    Array("ALL".utf8),
                ]
            })
    }

    private func listUsers() throws(CQLError) -> RoleDecision {
        try .rows(
            visibleRoles(of: nil, false).filter { book.roles[$0]?.canLogin ?? false }.map { name in
                [
                    Array(name.utf8), SystemValue.boolean(book.isSuperuser(name)).bytes,
                    Array("ALL".utf8),
                ]
            })
    }

    /// All roles for whoever may describe them, else those of the one who asks.
    private func visibleRoles(
        of role: String?, _ isRecursive: Bool
    ) throws(CQLError) -> [String] {
        let performer = try requireRole()
        if let role, book.roles[role] == nil {
            throw .invalid("\(Resource.role(role)) doesn't exist")
        }
        func granted(_ name: String) -> [String] {
            guard !isRecursive else { return book.closure(of: name) }
            let direct = book.roles[name]?.memberOf.filter { book.roles[$0] != nil } ?? []
            return ([name] + direct).sorted()
        }
        if isPermitted(.describe, on: .allRoles) {
            return role.map(granted) ?? book.roles.keys.sorted()
        }
        guard let role else { return granted(performer) }
        guard book.closure(of: performer).contains(role) else {
            throw .unauthorized("You are not authorized to view roles granted to \(role) ")
        }
        return granted(role)
    }

    private func list(
        _ permissions: PermissionSet, on resource: Resource?, of role: String?, _ isRecursive: Bool
    ) throws(CQLError) -> RoleDecision {
        let performer = try requireRole()
        if let resource, !exists(resource) { throw .invalid("\(resource) doesn't exist") }
        if let role, book.roles[role] == nil {
            throw .invalid("\(Resource.role(role)) doesn't exist")
        }
        guard judgesPermissions else {
            throw .invalid("LIST PERMISSIONS operation is not supported by AllowAllAuthorizer")
        }
        let mayList =
            isSuperuser || isPermitted(.describe, on: .allRoles)
            || role.map {
                book.closure(of: performer).contains($0) || isPermitted(.describe, on: .role($0))
            } ?? false
        guard mayList else {
            throw .unauthorized(
                "You are not authorized to view \(role ?? "everyone")'s permissions")
        }
        let roles = role.map { book.closure(of: $0) } ?? book.permissions.keys.sorted()
        let names = resource.map { (isRecursive ? $0.chain : [$0]).map(\.name) }
        var rows: [SystemRow] = []
        for role in roles {
            for (name, granted) in (book.permissions[role] ?? [:]).sorted(by: { $0.key < $1.key })
            where names?.contains(name) ?? true {
                let shown = Resource(name: name)?.description ?? name
                for permission in granted.intersection(permissions).names {
                    rows.append([role, role, shown, permission].map { Array($0.utf8) })
                }
            }
        }
        return .rows(rows)
    }
}

extension RoleWrite {
    /// Whether it would leave a cell of a role that is dropped in the same breath.
    fileprivate func resurrects(_ name: String) -> Bool {
        switch self {
        case .revoke(_, _, let role, _): role == name
        default: false
        }
    }
}
