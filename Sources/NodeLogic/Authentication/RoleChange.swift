// What a statement about roles does to `system_auth`, as plain values: decided first, written then.

internal import CQL
internal import Model

/// What came of deciding on a statement.
enum RoleDecision: Equatable {
    /// `IF [NOT] EXISTS` found nothing to do.
    case nothing
    case rows([SystemRow])
    case change(RoleChange)
}

/// The writes of a statement.
struct RoleChange: Equatable {
    var writes: [RoleWrite] = []
    /// To hash; the hash belongs into the write of the role.
    var password: String?
    var warnings: [String] = []

    /// The change with the hash of its password.
    func with(hash: String) -> RoleChange {
        var change = self
        change.password = nil
        change.writes = writes.map { write in
            switch write {
            case .createRole(let name, let isSuperuser, let canLogin, _):
                .createRole(name, isSuperuser: isSuperuser, canLogin: canLogin, hash: hash)
            case .alterRole(let name, let isSuperuser, let canLogin, _):
                .alterRole(name, isSuperuser: isSuperuser, canLogin: canLogin, hash: hash)
            default: write
            }
        }
        return change
    }
}

/// One write into a table of `system_auth`.
enum RoleWrite: Equatable {
    case createRole(String, isSuperuser: Bool, canLogin: Bool, hash: String?)
    case alterRole(String, isSuperuser: Bool?, canLogin: Bool?, hash: String?)
    case dropRole(String)
    case addMember(String, of: String)
    case removeMember(String, of: String)
    /// All members of a role that goes.
    case forgetMembers(of: String)
    case grant(PermissionSet, on: Resource, to: String)
    /// `isLast`: nothing on the resource is left to the role.
    case revoke(PermissionSet, on: String, from: String, isLast: Bool)
    /// All that was granted to a role that goes.
    case forgetPermissions(of: String, on: [String])

    /// The statements that carry it out, of which none depends on another.
    var calls: [InternalCall] {
        switch self {
        case .createRole(let name, let isSuperuser, let canLogin, let hash):
            return [
                InternalCall(
                    "INSERT INTO system_auth.roles (role, is_superuser, can_login"
                        + (hash == nil
                            ? ") VALUES (?, ?, ?)" : ", salted_hash) VALUES (?, ?, ?, ?)"),
                    [.text(name), .boolean(isSuperuser), .boolean(canLogin)]
                        + (hash.map { [.text($0)] } ?? []))
            ]
        case .alterRole(let name, let isSuperuser, let canLogin, let hash):
            let assignments: [(String, SystemValue?)] = [
                ("is_superuser", isSuperuser.map { .boolean($0) }),
                ("can_login", canLogin.map { .boolean($0) }),
                ("salted_hash", hash.map { .text($0) }),
            ].filter { $0.1 != nil }
            guard !assignments.isEmpty else { return [] }
            return [
                InternalCall(
                    "UPDATE system_auth.roles SET "
                        + assignments.map { "\($0.0) = ?" }.joined(separator: ", ")
                        + " WHERE role = ?",
                    assignments.map(\.1) + [.text(name)])
            ]
        case .dropRole(let name):
            return [InternalCall("DELETE FROM system_auth.roles WHERE role = ?", [.text(name)])]
        case .addMember(let member, let role):
            return [
                InternalCall(
                    "UPDATE system_auth.roles SET member_of = member_of + ? WHERE role = ?",
                    [.textSet([role]), .text(member)]),
                InternalCall(
                    "INSERT INTO system_auth.role_members (role, member) VALUES (?, ?)",
                    [.text(role), .text(member)]),
            ]
        case .removeMember(let member, let role):
            return [
                InternalCall(
                    "UPDATE system_auth.roles SET member_of = member_of - ? WHERE role = ?",
                    [.textSet([role]), .text(member)]),
                InternalCall(
                    "DELETE FROM system_auth.role_members WHERE role = ? AND member = ?",
                    [.text(role), .text(member)]),
            ]
        case .forgetMembers(let role):
            return [
                InternalCall("DELETE FROM system_auth.role_members WHERE role = ?", [.text(role)])
            ]
        case .grant(let permissions, let resource, let role):
            return [
                InternalCall(
                    "UPDATE system_auth.role_permissions SET permissions = permissions + ?"
                        + " WHERE role = ? AND resource = ?",
                    [.textSet(permissions.names), .text(role), .text(resource.name)]),
                InternalCall(
                    "INSERT INTO system_auth.resource_role_permissons_index (resource, role)"
                        + " VALUES (?, ?)",
                    [.text(resource.name), .text(role)]),
            ]
        case .revoke(let permissions, let resource, let role, let isLast):
            let revocation = InternalCall(
                "UPDATE system_auth.role_permissions SET permissions = permissions - ?"
                    + " WHERE role = ? AND resource = ?",
                [.textSet(permissions.names), .text(role), .text(resource)])
            return isLast ? [revocation, Self.forgetIndex(resource, role)] : [revocation]
        case .forgetPermissions(let role, let resources):
            return [
                InternalCall(
                    "DELETE FROM system_auth.role_permissions WHERE role = ?", [.text(role)])
            ] + resources.map { Self.forgetIndex($0, role) }
        }
    }

    private static func forgetIndex(_ resource: String, _ role: String) -> InternalCall {
        InternalCall(
            "DELETE FROM system_auth.resource_role_permissons_index WHERE resource = ?"
                + " AND role = ?",
            [.text(resource), .text(role)])
    }
}
