// All roles and what is granted to them, as a value: what the statements about roles are decided on, and
// what a role's authority is worked out from. It is made of rows of `system_auth`.

internal import CQL
internal import Encoding
internal import Model

/// One role.
struct Role: Equatable {
    var isSuperuser = false
    var canLogin = false
    /// The roles that were granted to it, sorted.
    var memberOf: [String] = []
}

/// Roles by name, and permissions by role and by the name of the resource.
struct RoleBook: Equatable {
    var roles: [String: Role] = [:]
    var permissions: [String: [String: PermissionSet]] = [:]

    static let defaultSuperuser = "cassandra"
    static let defaultPassword = "cassandra"

    static let readRoles = "SELECT role, is_superuser, can_login, member_of FROM system_auth.roles"
    static let readPermissions =
        "SELECT role, resource, permissions FROM system_auth.role_permissions"
    static let readRole = readRoles + " WHERE role = ?"
    static let readPermissionsOfRole = readPermissions + " WHERE role = ?"

    /// Takes in rows of `readRoles`.
    mutating func add(roles rows: [SystemRow]) {
        for row in rows where row.count == 4 {
            guard let name = InternalValue.text(row[0]), row[1] != nil || row[2] != nil else {
                // Some cell of a role that was dropped meanwhile.
                continue
            }
            roles[name] = Role(
                isSuperuser: InternalValue.boolean(row[1]), canLogin: InternalValue.boolean(row[2]),
                memberOf: InternalValue.textSet(row[3]).sorted())
        }
    }

    /// Takes in rows of `readPermissions`. A permission that is not known grants nothing.
    mutating func add(permissions rows: [SystemRow]) {
        for row in rows where row.count == 3 {
            guard let role = InternalValue.text(row[0]), let resource = InternalValue.text(row[1])
            else { continue }
            let granted = PermissionSet(
                InternalValue.textSet(row[2]).compactMap { PermissionSet(named: $0) })
            guard !granted.isEmpty else { continue }
            permissions[role, default: [:]][resource] = granted
        }
    }

    /// The role and all that were granted to it, directly or not, sorted; those that do not exist left out.
    func closure(of role: String) -> [String] {
        var found: Set<String> = []
        var next = [role]
        while let name = next.popLast() {
            guard let role = roles[name], found.insert(name).inserted else { continue }
            next += role.memberOf
        }
        return found.sorted()
    }

    /// Whether it, or a role granted to it, is a superuser.
    func isSuperuser(_ role: String) -> Bool {
        closure(of: role).contains { roles[$0]?.isSuperuser ?? false }
    }

    /// What the role may do with the resource, by what was granted to it and its roles, on the resource and
    /// all that it is in. A superuser may do everything.
    func permissions(of role: String, on resource: Resource) -> PermissionSet {
        let roles = closure(of: role)
        if roles.contains(where: { self.roles[$0]?.isSuperuser ?? false }) {
            return resource.applicable
        }
        var granted: PermissionSet = []
        let names = resource.grantChain.map(\.name)
        for role in roles {
            guard let own = permissions[role] else { continue }
            for name in names { granted.formUnion(own[name] ?? []) }
        }
        return granted
    }
}
