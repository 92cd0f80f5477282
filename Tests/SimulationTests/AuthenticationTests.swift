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

        init(seed: UInt64) {
            var settings = WorldSettings(seed: seed, configuration: .simulation(seed: seed))
            settings.nodeCount = 3
            settings.shardCounts = [2, 1, 2]
            settings.configuration.authentication.authenticator = .password
            settings.configuration.authentication.authorizer = .granted
            settings.configuration.authentication.passwordCost = 4
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
        func error(_ text: String, _ client: SimulatedClient) -> String? {
            var result: ClientOutcome?
            client.query(text, QueryOptions(consistency: .quorum), timeout: .seconds(10)) {
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
}
