// What may be permitted, and on what. The names of permissions and resources are those that Cassandra
// writes into `system_auth`, so that tools which read its tables read ours.

/// Some of the permissions that there are.
package struct PermissionSet: OptionSet, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let create = PermissionSet(rawValue: 1 << 0)
    package static let alter = PermissionSet(rawValue: 1 << 1)
    package static let drop = PermissionSet(rawValue: 1 << 2)
    package static let select = PermissionSet(rawValue: 1 << 3)
    package static let modify = PermissionSet(rawValue: 1 << 4)
    package static let authorize = PermissionSet(rawValue: 1 << 5)
    package static let describe = PermissionSet(rawValue: 1 << 6)
    package static let execute = PermissionSet(rawValue: 1 << 7)
    package static let unmask = PermissionSet(rawValue: 1 << 8)
    package static let selectMasked = PermissionSet(rawValue: 1 << 9)

    /// In the order in which they are listed.
    private static let named: [(name: String, permission: PermissionSet)] = [
        ("CREATE", .create), ("ALTER", .alter), ("DROP", .drop), ("SELECT", .select),
        ("MODIFY", .modify), ("AUTHORIZE", .authorize), ("DESCRIBE", .describe),
        ("EXECUTE", .execute), ("UNMASK", .unmask), ("SELECT_MASKED", .selectMasked),
    ]

    /// Every permission.
    package static let all = PermissionSet(named.map(\.permission))

    /// The permission of that name, in capitals.
    package init?(named name: String) {
        guard let found = Self.named.first(where: { $0.name == name }) else { return nil }
        self = found.permission
    }

    /// The names of those in the set, in the order in which they are listed.
    package var names: [String] { Self.named.filter { contains($0.permission) }.map(\.name) }

    /// Each of those in the set, in the same order.
    package var each: [PermissionSet] {
        Self.named.map(\.permission).filter { contains($0) }
    }
}

/// Something that permissions are granted on. What is permitted on a resource is permitted on all that is
/// in it.
///
///     all keyspaces > keyspace > all tables in it > table
///     all roles > role
///     all functions > all functions in a keyspace
package enum Resource: Hashable, Sendable, CustomStringConvertible {
    case allKeyspaces
    case keyspace(String)
    case allTables(String)
    /// Keyspace and name. The keyspace is empty in a syntax tree whose statement names none.
    case table(String, String)
    case allRoles
    case role(String)
    case allFunctions
    case functions(String)

    /// As `system_auth` has it.
    package var name: String {
        switch self {
        case .allKeyspaces: "data"
        case .keyspace(let keyspace): "data/\(keyspace)"
        case .allTables(let keyspace): "data/\(keyspace)/*"
        case .table(let keyspace, let table): "data/\(keyspace)/\(table)"
        case .allRoles: "roles"
        case .role(let role): "roles/\(role)"
        case .allFunctions: "functions"
        case .functions(let keyspace): "functions/\(keyspace)"
        }
    }

    /// As messages have it.
    package var description: String {
        switch self {
        case .allKeyspaces: "<all keyspaces>"
        case .keyspace(let keyspace): "<keyspace \(keyspace)>"
        case .allTables(let keyspace): "<all tables in \(keyspace)>"
        case .table(let keyspace, let table): "<table \(keyspace).\(table)>"
        case .allRoles: "<all roles>"
        case .role(let role): "<role \(role)>"
        case .allFunctions: "<all functions>"
        case .functions(let keyspace): "<all functions in \(keyspace)>"
        }
    }

    /// The resource of that name; nil for one that we do not know.
    package init?(name: String) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        switch (parts[0], parts.count) {
        case ("data", 1): self = .allKeyspaces
        case ("data", 2): self = .keyspace(parts[1])
        case ("data", 3): self = parts[2] == "*" ? .allTables(parts[1]) : .table(parts[1], parts[2])
        case ("roles", 1): self = .allRoles
        // The name of a role may hold anything.
        case ("roles", _): self = .role(String(name.dropFirst("roles/".count)))
        case ("functions", 1): self = .allFunctions
        case ("functions", 2): self = .functions(parts[1])
        default: return nil
        }
    }

    /// What it is in.
    package var parent: Resource? {
        switch self {
        case .allKeyspaces, .allRoles, .allFunctions: nil
        case .keyspace: .allKeyspaces
        case .allTables(let keyspace): .keyspace(keyspace)
        case .table(let keyspace, _): .allTables(keyspace)
        case .role: .allRoles
        case .functions: .allFunctions
        }
    }

    /// Itself, and all that it is in, from the inside out.
    package var chain: [Resource] { [self] + (parent?.chain ?? []) }

    /// Itself, and all whose grants count for it, from the inside out. What is granted on all keyspaces
    /// does not count for the system's, which hold the roles themselves (CVE-2025-23015 of Cassandra).
    package var grantChain: [Resource] {
        isOfSystem ? chain.filter { $0 != .allKeyspaces } : chain
    }

    /// Whether it is a keyspace of the system, or lies in one, that is not only a view.
    package var isOfSystem: Bool {
        switch self {
        case .keyspace(let keyspace), .allTables(let keyspace), .table(let keyspace, _):
            SystemSchema.isSystem(keyspace) && !SystemSchema.isVirtual(keyspace)
        default: false
        }
    }

    /// The permissions that mean something on it.
    package var applicable: PermissionSet {
        let data: PermissionSet = [
            .alter, .drop, .select, .modify, .authorize, .unmask, .selectMasked,
        ]
        return switch self {
        case .allKeyspaces, .keyspace, .allTables: data.union(.create)
        case .table: data
        case .allRoles: [.create, .alter, .drop, .authorize, .describe]
        case .role: [.alter, .drop, .authorize, .describe]
        case .allFunctions, .functions: [.create, .alter, .drop, .authorize, .execute]
        }
    }

    /// How errors call the kind of resource.
    var typeName: String {
        switch self {
        case .allKeyspaces, .keyspace, .allTables, .table: "DataResource"
        case .allRoles, .role: "RoleResource"
        case .allFunctions, .functions: "FunctionResource"
        }
    }
}
