// Reading again, in the background, what is known of roles, permissions and passwords, so that nobody waits
// for it when its validity is over and changes made on other nodes are seen before.
//
//     known --(needed, and older than the update interval)--> known and being read --> known anew
//     known --(active update: each interval, needed or not)--^        '--(failed)--> known until its validity ends
//
// As in Cassandra the update interval is the validity unless it is set, so that nothing is read again, and with an
// active update a need alone reads nothing again. What a role may do is known as a whole: the shorter of the
// times for roles and for permissions holds.

internal import CQL
internal import Environment
internal import Model

/// A password that is being read again.
final class CredentialUpdate {
    let role: String
    fileprivate let generation: UInt64

    fileprivate init(role: String, generation: UInt64) {
        self.role = role
        self.generation = generation
    }
}

extension Configuration.Authentication {
    /// How old what is known of a role may be before a need reads it again.
    var authorityUpdateAge: Instant.Span {
        min(
            updatesRoles ? rolesValidity : rolesUpdateInterval ?? rolesValidity,
            updatesPermissions
                ? permissionsValidity : permissionsUpdateInterval ?? permissionsValidity)
    }

    fileprivate var credentialUpdateAge: Instant.Span {
        updatesCredentials ? credentialsValidity : credentialsUpdateInterval ?? credentialsValidity
    }

    /// Whether anything is read again by itself.
    fileprivate var updatesAny: Bool { updatesRoles || updatesPermissions || updatesCredentials }

    /// How often all that is known of roles is read again, needed or not; nil: never.
    fileprivate var authorityUpdatePeriod: Instant.Span? {
        [
            updatesRoles ? rolesUpdateInterval ?? rolesValidity : nil,
            updatesPermissions ? permissionsUpdateInterval ?? permissionsValidity : nil,
        ].compactMap { $0 }.filter { $0.nanoseconds > 0 }.min()
    }

    fileprivate var credentialUpdatePeriod: Instant.Span? {
        let period = credentialsUpdateInterval ?? credentialsValidity
        return updatesCredentials && period.nanoseconds > 0 ? period : nil
    }
}

extension AuthorityCache.Credential {
    /// From a row of hash and permission to log in; nil: nobody can log in with it.
    init?(_ row: SystemRow, loadedAt: Instant) {
        guard let hash = InternalValue.text(row[0]), !hash.isEmpty else { return nil }
        self.init(hash: hash, canLogin: InternalValue.boolean(row[1]), loadedAt: loadedAt)
    }
}

extension Shard {
    /// Reads what a role may do again, unless that is under way.
    func update(_ role: String) {
        let generation = authorities.generation
        if let load = authorities.loads[role], load.generation == generation { return }
        start(AuthorityLoad(role: role, generation: generation))
    }

    /// Reads a password again if it is old enough.
    func updateIfDue(_ credential: AuthorityCache.Credential, of role: String) {
        let age = now.monotonic - credential.loadedAt
        if age >= configuration.authentication.credentialUpdateAge { updateCredential(of: role) }
    }

    private func updateCredential(of role: String) {
        guard authorities.credentialUpdates[role] == nil else { return }
        let update = CredentialUpdate(role: role, generation: authorities.generation)
        authorities.credentialUpdates[role] = update
        run(
            [InternalCall(Self.readHash, [.text(role)])], at: roleConsistency(role),
            for: .credential(update))
    }

    /// A password was read again. What could not be read is believed until its validity is over.
    func credentialRead(_ update: CredentialUpdate, _ rows: [SystemRow], _ failure: CQLError?) {
        guard authorities.credentialUpdates[update.role] === update else { return }
        authorities.credentialUpdates[update.role] = nil
        if failure != nil || update.generation != authorities.generation { return }
        let read = rows.first.flatMap {
            AuthorityCache.Credential($0, loadedAt: now.monotonic)
        }
        if let read {
            authorities.remember(read, of: update.role)
        } else {
            authorities.forgetCredential(of: update.role)
        }
    }

    /// Reads all that is known again, when its time has come.
    func tickAuthorities() {
        guard configuration.authentication.updatesAny else {
            authorities.nextUpdate = nil
            authorities.nextCredentialUpdate = nil
            return
        }
        let settings = configuration.authentication
        if isDue(
            &authorities.nextUpdate, settings.authorityUpdatePeriod,
            isNeeded: !authorities.known.isEmpty)
        {
            for (role, authority) in authorities.known.sorted(by: { $0.key < $1.key })
            where authority.exists {
                update(role)
            }
        }
        if isDue(
            &authorities.nextCredentialUpdate, settings.credentialUpdatePeriod,
            isNeeded: !authorities.credentials.isEmpty)
        {
            for role in authorities.credentials.keys.sorted() { updateCredential(of: role) }
        }
    }

    /// When `tickAuthorities` has something to do next.
    var nextAuthorityUpdate: Instant? {
        switch (authorities.nextUpdate, authorities.nextCredentialUpdate) {
        case (let first?, let second?): min(first, second)
        case (let first, let second): first ?? second
        }
    }

    /// Keeps the time of something that comes again each period while it is needed; true when it comes.
    private func isDue(
        _ next: inout Instant?, _ period: Instant.Span?, isNeeded: Bool
    ) -> Bool {
        guard let period, isNeeded else {
            next = nil
            return false
        }
        // The period may have become shorter meanwhile.
        let at = min(next ?? now.monotonic + period, now.monotonic + period)
        let isDue = at <= now.monotonic
        next = isDue ? now.monotonic + period : at
        return isDue
    }
}
