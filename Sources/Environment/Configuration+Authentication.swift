// How clients say who they are, and what that lets them do: the settings, with Cassandra's names.

extension Configuration {
    /// Who is let in.
    package enum Authenticator: String, Equatable, Sendable {
        case allowAll = "AllowAllAuthenticator"
        /// A role and its password (SASL PLAIN).
        case password = "PasswordAuthenticator"
    }

    /// Who may do what.
    package enum Authorizer: String, Equatable, Sendable {
        case allowAll = "AllowAllAuthorizer"
        /// By what was granted, in `system_auth`.
        case granted = "CassandraAuthorizer"
    }

    /// Roles and permissions.
    package struct Authentication: Equatable, Sendable {
        package var authenticator = Authenticator.allowAll
        package var authorizer = Authorizer.allowAll
        /// How long a shard believes what it has read of roles, permissions and passwords.
        package var rolesValidity = Instant.Span.seconds(2)
        package var permissionsValidity = Instant.Span.seconds(2)
        package var credentialsValidity = Instant.Span.seconds(2)
        /// After how long it reads them again in the background, when somebody needs them; nil: not before
        /// they are no longer believed.
        package var rolesUpdateInterval: Instant.Span?
        package var permissionsUpdateInterval: Instant.Span?
        package var credentialsUpdateInterval: Instant.Span?
        /// Whether it does so at that interval by itself, needed or not.
        package var updatesRoles = false
        package var updatesPermissions = false
        package var updatesCredentials = false
        /// The levels at which roles and permissions are read and written. What concerns the default
        /// superuser is read at QUORUM, as in Cassandra.
        package var readConsistency = "LOCAL_QUORUM"
        package var writeConsistency = "EACH_QUORUM"
        /// Two to its power is how often bcrypt stirs a password: 10 is some 50 ms.
        package var passwordCost = 10
        package init() {}

        /// Why the settings cannot be used together; nil: they can.
        package var conflict: String? {
            authenticator == .allowAll && authorizer == .granted
                ? "AllowAllAuthenticator can't be used with CassandraAuthorizer" : nil
        }
    }

    static var authenticationSettings: [Setting] {
        [
            Setting(
                name: "authenticator",
                kind: .choice(classNames(["AllowAllAuthenticator", "PasswordAuthenticator"])) {
                    guard let value = Authenticator(rawValue: shortName($1)) else { return false }
                    $0.authentication.authenticator = value
                    return true
                }),
            Setting(
                name: "authorizer",
                kind: .choice(classNames(["AllowAllAuthorizer", "CassandraAuthorizer"])) {
                    guard let value = Authorizer(rawValue: shortName($1)) else { return false }
                    $0.authentication.authorizer = value
                    return true
                }),
            // Nothing is remembered for no time.
            Setting(
                name: "roles_validity",
                kind: .duration(\.authentication.rolesValidity, mayBeZero: true)),
            Setting(
                name: "permissions_validity",
                kind: .duration(\.authentication.permissionsValidity, mayBeZero: true)),
            Setting(
                name: "credentials_validity",
                kind: .duration(\.authentication.credentialsValidity, mayBeZero: true)),
            Setting(
                name: "roles_update_interval",
                kind: .optionalDuration(\.authentication.rolesUpdateInterval)),
            Setting(
                name: "permissions_update_interval",
                kind: .optionalDuration(\.authentication.permissionsUpdateInterval)),
            Setting(
                name: "credentials_update_interval",
                kind: .optionalDuration(\.authentication.credentialsUpdateInterval)),
            Setting(
                name: "roles_cache_active_update", kind: .flag(\.authentication.updatesRoles)),
            Setting(
                name: "permissions_cache_active_update",
                kind: .flag(\.authentication.updatesPermissions)),
            Setting(
                name: "credentials_cache_active_update",
                kind: .flag(\.authentication.updatesCredentials)),
            Setting(
                name: "auth_read_consistency_level",
                kind: .choice([
                    "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "LOCAL_ONE",
                ]) {
                    $0.authentication.readConsistency = $1
                    return true
                }),
            Setting(
                name: "auth_write_consistency_level",
                kind: .choice([
                    "ANY", "ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM",
                    "LOCAL_ONE",
                ]) {
                    $0.authentication.writeConsistency = $1
                    return true
                }),
            Setting(
                name: "auth_bcrypt_gensalt_log2_rounds",
                kind: .count(\.authentication.passwordCost, 4...31)),
        ]
    }

    private static let package = "org.apache.cassandra.auth."

    /// Cassandra's classes are named with or without their package.
    private static func classNames(_ names: [String]) -> [String] {
        names + names.map { package + $0 }
    }

    private static func shortName(_ name: String) -> String {
        name.hasPrefix(package) ? String(name.dropFirst(package.count)) : name
    }
}
