// Logging in with a role and its password (SASL PLAIN, RFC 4616).
//
//     AUTH_RESPONSE --> reading the role --> verifying its password (a job) --> AUTH_SUCCESS or ERROR
//                              | nobody of that name, and it is the default superuser
//                              v
//                 looking for roles (ALL) --> hashing the default password --> storing --> verifying
//                              | there are some
//                              v
//                 reading the role once more (ALL) --> verifying; there is none: the name is wrong
//
// A cluster is born without roles. The first client that comes as `cassandra` makes that role, at a
// timestamp that every other write wins against, and only while no replica knows any role. Of several that come
// at once, the later ones may find the role that the first has just made: so it is read once more.
// A name that does not exist takes as long to refuse as a password that is wrong.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol

/// One attempt to log in.
final class LoginRun {
    enum Step {
        case reading
        case lookingForRoles
        case readingAgain
        case hashingDefault
        case storingDefault(hash: String)
        /// nil: there is no such role, or it has no password.
        case verifying(AuthorityCache.Credential?)
    }

    let connection: ConnectionID
    let version: ProtocolVersion
    let stream: Int16
    let role: String
    fileprivate let password: String
    /// Which state of the roles it began to read.
    fileprivate let generation: UInt64
    fileprivate var step = Step.reading

    fileprivate init(
        connection: ConnectionID, version: ProtocolVersion, stream: Int16, role: String,
        password: String, generation: UInt64
    ) {
        self.connection = connection
        self.version = version
        self.stream = stream
        self.role = role
        self.password = password
        self.generation = generation
    }
}

extension Shard {
    static let readHash =
        "SELECT salted_hash, can_login FROM system_auth.roles WHERE role = ?"
    private static let readAnyRole = "SELECT role FROM system_auth.roles LIMIT 1"
    private static let insertDefault = """
        INSERT INTO system_auth.roles (role, is_superuser, can_login, salted_hash)
        VALUES (?, true, true, ?)
        """
    /// Of no password: what a name that does not exist is held against.
    private static let nobodysHash = "$2a$10$CwTycUXWue0Thq9StjUM0uJ4Zpl0VYV8CEqnEv9VnlSNgQRt3bEoC"

    /// A client says who it is.
    func logIn(
        _ request: AuthResponseRequest, _ frame: Frame, _ connection: ClientConnection
    ) throws(CQLError) {
        switch connection.login {
        case .notNeeded, .done:
            throw .protocolError(
                "Unexpected message AUTH_RESPONSE, expecting QUERY, PREPARE, EXECUTE, BATCH or REGISTER"
            )
        case .underWay:
            throw .protocolError("Unexpected message AUTH_RESPONSE: the last one is looked at")
        case .wanted: break
        }
        guard !passwords.isFull else {
            throw .overloaded("Too many clients log in: \(PasswordLine.maximumWaiting) wait")
        }
        let (role, password) = try request.plainCredentials()
        connection.login = .underWay
        let login = LoginRun(
            connection: connection.id, version: frame.header.version, stream: frame.header.stream,
            role: role, password: password, generation: authorities.generation)
        if let credential = authorities.credential(
            of: role, now: now.monotonic,
            validity: configuration.authentication.credentialsValidity)
        {
            updateIfDue(credential, of: role)
            verify(login, credential)
            return
        }
        run(
            [InternalCall(Self.readHash, [.text(role)])], at: roleConsistency(role),
            for: .login(login))
    }

    func loginStatementsEnded(
        _ login: LoginRun, _ rows: [[SystemRow]], _ failure: CQLError?
    ) {
        if let failure {
            refuse(
                login, .badCredentials("Unable to perform authentication: \(failure.message)"))
            return
        }
        switch login.step {
        case .reading:
            guard rows[0].isEmpty, login.role == RoleBook.defaultSuperuser else {
                verify(login, by: rows[0].first)
                return
            }
            login.step = .lookingForRoles
            // ALL: a role that only one replica knows yet forbids a new superuser.
            run([InternalCall(Self.readAnyRole)], at: .all, for: .login(login))
        case .lookingForRoles:
            guard rows[0].isEmpty else {
                login.step = .readingAgain
                // ALL: it may be on its way to the replicas.
                run(
                    [InternalCall(Self.readHash, [.text(login.role)])], at: .all,
                    for: .login(login))
                return
            }
            login.step = .hashingDefault
            hash(RoleBook.defaultPassword, for: .login(login))
        case .readingAgain: verify(login, by: rows[0].first)
        case .storingDefault(let hash):
            announceRoles()
            verify(
                login,
                AuthorityCache.Credential(hash: hash, canLogin: true, loadedAt: now.monotonic))
        case .hashingDefault, .verifying:
            preconditionFailure("a login reads nothing while a password is looked at")
        }
    }

    /// Goes on with the row that was read of the role, if there is one.
    private func verify(_ login: LoginRun, by row: SystemRow?) {
        guard let row, let credential = AuthorityCache.Credential(row, loadedAt: now.monotonic)
        else {
            verify(login, nil)
            return
        }
        if login.generation == authorities.generation {
            authorities.remember(credential, of: login.role)
        }
        verify(login, credential)
    }

    private func verify(_ login: LoginRun, _ credential: AuthorityCache.Credential?) {
        login.step = .verifying(credential)
        run(
            PasswordJob(
                login.password, .verify(against: credential?.hash ?? Self.nobodysHash)),
            for: .login(login))
    }

    func loginHashed(_ login: LoginRun, _ outcome: PasswordJob.Outcome) {
        switch (login.step, outcome) {
        case (.hashingDefault, .hash(let hash)):
            login.step = .storingDefault(hash: hash)
            run(
                [
                    InternalCall(
                        Self.insertDefault, [.text(login.role), .text(hash)], timestamp: 0)
                ], at: .quorum, for: .login(login))
        case (.hashingDefault, _):
            refuse(login, .serverError("Passwords cannot be hashed on this system"))
        case (.verifying(let credential?), .verified(true)):
            guard credential.canLogin else {
                refuse(login, .badCredentials("\(login.role) is not permitted to log in"))
                return
            }
            welcome(login)
        case (.verifying, _):
            refuse(
                login,
                .badCredentials(
                    "Provided username \(login.role) and/or password are incorrect"))
        default: preconditionFailure("a password was looked at for nobody")
        }
    }

    private func welcome(_ login: LoginRun) {
        guard let connection = connections[login.connection] else { return }
        connection.login = .done(role: login.role)
        connection.mustWarnOfPassword =
            login.role == RoleBook.defaultSuperuser
            && login.password == RoleBook.defaultPassword
        connection.encoder.authSuccess(login.version, stream: login.stream)
        markDirty(connection)
    }

    /// The client may try again on the same connection.
    private func refuse(_ login: LoginRun, _ error: CQLError) {
        guard let connection = connections[login.connection] else { return }
        connection.login = .wanted
        connection.encoder.error(login.version, stream: login.stream, error)
        markDirty(connection)
    }

    /// Tells a client once that everybody knows its password.
    func warnOfPassword(_ connection: ClientConnection, _ client: ClientRequest) {
        guard connection.mustWarnOfPassword else { return }
        connection.mustWarnOfPassword = false
        client.warnings.append(
            "The role cassandra has its default password, which everybody knows: change it with"
                + " ALTER ROLE cassandra WITH PASSWORD = '...'")
    }
}
