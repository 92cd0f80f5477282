// Roles and permissions in a simulated ring: the same code, with passwords as jobs at virtual times.

import Environment
import Model
import NativeProtocol
import Testing

@testable import NodeLogic
@testable import Simulation

@Suite struct AuthenticationTests {
    /// A ring of three nodes that asks for passwords and judges permissions.
    private final class Ring {
        let world: SimulatedWorld

        init(seed: UInt64, _ change: (inout Configuration.Authentication) -> Void = { _ in }) {
            var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
            settings.nodeCount = 3
            settings.shardCounts = [2, 1, 2]
            settings.configuration.authentication.authenticator = .password
            settings.configuration.authentication.authorizer = .granted
            settings.configuration.authentication.passwordCost = 4
            change(&settings.configuration.authentication)
            world = SimulatedRing.makeWorld(settings)
            world.startAll()
            world.run(until: world.now + .seconds(5))
        }

        /// A client that has not been opened yet.
        func newClient(
            _ role: String, _ password: String, node: Int, number: Int = 0
        ) -> SimulatedClient {
            SimulatedClient(
                world: world, name: "\(role) \(number) at \(node)", node: node,
                credentials: SimulatedClient.Credentials(role: role, password: password))
        }

        /// A client that has tried to log in.
        func client(_ role: String, _ password: String, node: Int) -> SimulatedClient {
            let client = newClient(role, password, node: node)
            client.open()
            _ = world.run(until: world.now + .seconds(10)) {
                client.isReady || !client.protocolErrors.isEmpty
            }
            return client
        }

        /// What became of a statement: nil if it was answered without an error.
        func error(
            _ text: String, _ client: SimulatedClient, _ level: ConsistencyLevel = .quorum
        ) -> String? {
            var result: ClientOutcome?
            client.query(text, QueryOptions(consistency: level), timeout: .seconds(10)) {
                result = $0
            }
            _ = world.run(until: world.now + .seconds(15)) { result != nil }
            switch result {
            case .answer(.error(let error)): return error.error.message
            case .answer: return nil
            default: return "\(String(describing: result))"
            }
        }
    }

    /// Tells what happened, so that two runs can be compared.
    private func story(seed: UInt64) -> (problems: [String], trace: String) {
        let ring = Ring(seed: seed)
        var problems: [String] = []
        func expect(_ error: String?, _ expected: String?) {
            if error != expected {
                problems.append("\(error ?? "done"), not \(expected ?? "done")")
            }
        }
        let refused = ring.client("cassandra", "guessed", node: 2)
        if refused.isReady { problems.append("a wrong password was let in") }
        refused.stop()
        let boss = ring.client("cassandra", "cassandra", node: 0)
        guard boss.isReady else { return (["the default superuser: \(boss.protocolErrors)"], "") }
        for text in [
            "ALTER KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE TABLE lab.t (k int PRIMARY KEY, v int)",
            "CREATE ROLE reader WITH PASSWORD = 'r' AND LOGIN = true",
            "CREATE ROLE readers", "GRANT SELECT ON lab.t TO readers", "GRANT readers TO reader",
        ] { expect(ring.error(text, boss), nil) }
        let reader = ring.client("reader", "r", node: 1)
        expect(ring.error("SELECT * FROM lab.t", reader), nil)
        let lacks = "permission on <table lab.t> or any of its parents"
        expect(
            ring.error("INSERT INTO lab.t (k, v) VALUES (1, 1)", reader),
            "User reader has no MODIFY \(lacks)")
        // A node that was killed knows its roles from what the ring has stored.
        ring.world.kill(1)
        ring.world.start(1)
        _ = ring.world.run(until: ring.world.now + .seconds(20)) { reader.isReady }
        ring.world.run(until: ring.world.now + .seconds(3))
        expect(ring.error("SELECT * FROM lab.t", reader), nil)
        expect(ring.error("REVOKE readers FROM reader", boss), nil)
        ring.world.run(until: ring.world.now + .seconds(3))
        expect(ring.error("SELECT * FROM lab.t", reader), "User reader has no SELECT \(lacks)")
        problems += ring.world.failures
        return (problems, "\(ring.world.trace)")
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func rolesAreKeptAndJudgedByTheWholeRing(seed: UInt64) {
        let first = story(seed: seed)
        #expect(first.problems.isEmpty, "seed \(seed): \(first.problems)")
    }

    /// Some find no role when they look for their own, and then that of the first when they look for any.
    @Test(arguments: [UInt64(1), 2, 3, 4, 5, 6, 7, 8])
    func allThatComeFirstAndAtOnceAreLetIn(seed: UInt64) {
        let ring = Ring(seed: seed)
        let clients = (0..<6).map {
            ring.newClient("cassandra", "cassandra", node: $0 % 3, number: $0)
        }
        for client in clients {
            client.open()
            ring.world.run(until: ring.world.now + .milliseconds(2))
        }
        _ = ring.world.run(until: ring.world.now + .seconds(10)) {
            clients.allSatisfy { $0.isReady || !$0.protocolErrors.isEmpty }
        }
        let refusals = clients.flatMap(\.protocolErrors)
        #expect(refusals.isEmpty, "seed \(seed)")
        let areReady = clients.map(\.isReady)
        #expect(areReady == Array(repeating: true, count: 6), "seed \(seed)")
    }

    @Test func theSameSeedIsTheSameRunWithPasswordsToo() {
        let (first, second) = (story(seed: 7), story(seed: 7))
        #expect(first.problems.isEmpty, "\(first.problems)")
        #expect(first.trace == second.trace)
    }

    // MARK: Reading again in the background

    /// A ring in which `reader` may read `lab.t`, with a superuser at node 0 and the reader at node 1.
    private func ring(
        _ change: (inout Configuration.Authentication) -> Void
    ) throws -> (ring: Ring, boss: SimulatedClient, reader: SimulatedClient) {
        let ring = Ring(seed: 21) {
            $0.rolesValidity = .seconds(60)
            $0.permissionsValidity = .seconds(60)
            $0.credentialsValidity = .seconds(60)
            change(&$0)
        }
        let boss = ring.client("cassandra", "cassandra", node: 0)
        for text in [
            "ALTER KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE KEYSPACE lab WITH replication = {'class': 'SimpleStrategy', "
                + "'replication_factor': 3}",
            "CREATE TABLE lab.t (k int PRIMARY KEY, v int)",
            "CREATE ROLE reader WITH PASSWORD = 'r' AND LOGIN = true",
            "GRANT SELECT ON lab.t TO reader",
        ] { #expect(ring.error(text, boss) == nil) }
        let reader = ring.client("reader", "r", node: 1)
        #expect(ring.error(Self.read, reader) == nil)
        return (ring, boss, reader)
    }

    private static let read = "SELECT * FROM lab.t WHERE k = 1"
    private static let refusal =
        "User reader has no SELECT permission on <table lab.t> or any of its parents"

    private func wait(_ ring: Ring, _ span: Instant.Span) {
        ring.world.run(until: ring.world.now + span)
    }

    @Test func whatIsOlderThanItsUpdateIntervalIsBelievedOnceMoreAndReadAgain() throws {
        for isSet in [true, false] {
            let (ring, boss, reader) = try ring {
                if isSet { $0.permissionsUpdateInterval = .seconds(2) }
            }
            #expect(ring.error("REVOKE SELECT ON lab.t FROM reader", boss) == nil)
            wait(ring, .seconds(1))
            #expect(ring.error(Self.read, reader) == nil)
            wait(ring, .seconds(2))
            // Reading nothing again unless somebody needs it.
            wait(ring, .seconds(10))
            #expect(ring.error(Self.read, reader) == nil)
            wait(ring, .seconds(1))
            #expect(ring.error(Self.read, reader) == (isSet ? Self.refusal : nil))
            wait(ring, .seconds(60))
            #expect(ring.error(Self.read, reader) == Self.refusal)
            #expect(ring.world.failures.isEmpty)
        }
    }

    @Test func anActiveUpdateReadsAgainWhatNobodyNeeds() throws {
        let (ring, boss, reader) = try ring {
            $0.rolesUpdateInterval = .seconds(2)
            $0.updatesRoles = true
        }
        #expect(ring.error("REVOKE SELECT ON lab.t FROM reader", boss) == nil)
        wait(ring, .seconds(3))
        #expect(ring.error(Self.read, reader) == Self.refusal)
        #expect(ring.error("DROP ROLE reader", boss) == nil)
        wait(ring, .seconds(3))
        #expect(ring.error(Self.read, reader) == Self.refusal)
    }

    @Test func whatCannotBeReadAgainIsBelievedUntilItsValidityIsOver() throws {
        let (ring, _, reader) = try ring {
            $0.permissionsValidity = .seconds(10)
            $0.permissionsUpdateInterval = .seconds(1)
        }
        // Alone, node 1 cannot read roles at LOCAL_QUORUM, but it has the row.
        ring.world.pause(0)
        ring.world.pause(2)
        for _ in 0..<3 {
            wait(ring, .seconds(2))
            let begin = ring.world.now
            #expect(ring.error(Self.read, reader, .one) == nil)
            #expect(ring.world.now - begin < .milliseconds(100))
        }
        wait(ring, .seconds(10))
        let error = ring.error(Self.read, reader, .one)
        #expect(error?.hasPrefix("Unable to perform authorization of permissions") == true)
    }

    @Test func aPasswordIsReadAgainInTheBackgroundToo() throws {
        for isActive in [false, true] {
            let (ring, boss, reader) = try ring {
                $0.credentialsUpdateInterval = .seconds(2)
                $0.updatesCredentials = isActive
            }
            reader.stop()
            #expect(ring.error("ALTER ROLE reader WITH PASSWORD = 'new'", boss) == nil)
            wait(ring, .seconds(3))
            // The shards of a node have a cache each: the client comes to the one that knows the password.
            if !isActive {
                let old = ring.client("reader", "r", node: 1)
                #expect(old.isReady)
                old.stop()
                wait(ring, .seconds(1))
            }
            #expect(!ring.client("reader", "r", node: 1).isReady)
            #expect(ring.client("reader", "new", node: 1).isReady)
        }
    }
}
