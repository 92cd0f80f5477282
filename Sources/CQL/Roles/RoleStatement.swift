// The statements about roles and permissions, as they were written. What they mean depends on the roles
// that there are, and is decided by whoever has read those.

package import Model

/// A statement about roles or permissions. CREATE, ALTER and DROP USER are those of roles.
package enum RoleStatement: Equatable, Sendable {
    case createRole(String, ifNotExists: Bool, RoleOptions)
    case alterRole(String, ifExists: Bool, RoleOptions)
    case dropRole(String, ifExists: Bool)
    case grantRole(String, to: String)
    case revokeRole(String, from: String)
    case grant(Grant, to: String)
    case revoke(Grant, from: String)
    case listRoles(of: String?, isRecursive: Bool)
    case listUsers
    case listPermissions(PermissionSet, on: Resource?, of: String?, isRecursive: Bool)

    /// Permissions on a resource.
    package struct Grant: Equatable, Sendable {
        /// Those that mean something on the resource.
        package let permissions: PermissionSet
        package let resource: Resource
        /// `ALL` was written.
        package let isAll: Bool
    }

    /// What permissions are granted, revoked or listed on.
    var resource: Resource? {
        switch self {
        case .grant(let grant, _), .revoke(let grant, _): grant.resource
        case .listPermissions(_, let resource, _, _): resource
        default: nil
        }
    }

    /// The statement about another resource.
    func with(_ resource: Resource) -> RoleStatement {
        switch self {
        case .grant(let grant, let role):
            .grant(
                Grant(
                    permissions: grant.permissions, resource: resource, isAll: grant.isAll),
                to: role)
        case .revoke(let grant, let role):
            .revoke(
                Grant(
                    permissions: grant.permissions, resource: resource, isAll: grant.isAll),
                from: role)
        case .listPermissions(let permissions, _, let role, let isRecursive):
            .listPermissions(permissions, on: resource, of: role, isRecursive: isRecursive)
        default: self
        }
    }

    /// The columns of the answer; empty for statements that list nothing.
    package var resultColumns: [ColumnSpecification] {
        func column(_ table: String, _ name: String, _ type: CQLType) -> ColumnSpecification {
            ColumnSpecification(keyspace: "system_auth", table: table, name: name, type: type)
        }
        switch self {
        case .listRoles:
            return [
                column("roles", "role", .text), column("roles", "super", .boolean),
                column("roles", "login", .boolean),
                column("roles", "options", .map(.text, .text, frozen: true)),
                column("roles", "datacenters", .text),
            ]
        case .listUsers:
            return [
                column("users", "name", .text), column("users", "super", .boolean),
                column("users", "datacenters", .text),
            ]
        case .listPermissions:
            return ["role", "username", "resource", "permission"].map {
                column("permissions", $0, .text)
            }
        default: return []
        }
    }
}

/// The options of CREATE and ALTER ROLE; nil: not written.
package struct RoleOptions: Equatable, Sendable {
    package var isSuperuser: Bool?
    package var canLogin: Bool?
    package var password: String?
    /// A hash that bcrypt made.
    package var hashedPassword: String?
    /// OPTIONS was written.
    package var hasCustomOptions = false
    /// ACCESS TO … DATACENTERS was written.
    package var limitsDatacenters = false
    /// ACCESS FROM … CIDRS was written.
    package var limitsAddresses = false

    package init() {}

    /// Whether nothing was written.
    package var isEmpty: Bool { self == RoleOptions() }
}
