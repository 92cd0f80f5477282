// A node that comes back after its peers have forgotten deletions.

import Environment
import Simulation
import Testing

@Suite struct ResurrectionTests {
    /// A ring with a table, whose first node dies and comes back when its clock says so much later.
    private func world(
        awaySeconds: Int64, _ adjust: (inout Configuration) -> Void = { _ in }
    ) -> SimulatedWorld {
        var settings = WorldSettings(seed: 11, configuration: .simulation(seed: 11))
        adjust(&settings.configuration)
        let world = SimulatedRing.makeWorld(settings)
        world.startAll()
        let begin = VirtualTime.milliseconds(10_000)
        let workload = RegisterWorkload(world: world, keyCount: 2, clientTimeout: .seconds(1))
        #expect(workload.setUp(replicationFactor: 3, until: begin) == nil)
        world.install([
            Fault(at: begin + .seconds(30), .kill(node: 0, afterEffects: 1)),
            Fault(
                at: begin + .seconds(32),
                .jumpClock(node: 0, microseconds: awaySeconds * 1_000_000)),
            Fault(at: begin + .seconds(33), .restart(node: 0)),
        ])
        world.run(until: begin + .seconds(40))
        return world
    }

    @Test func aNodeThatWasAwayForLongerThanGraceDoesNotStart() {
        let world = world(awaySeconds: 864_000)
        #expect(world.nodes[0].state == .dead)
        #expect(world.failures.contains { $0.contains("gc_grace_seconds of lab.registers") })
    }

    @Test func aNodeThatComesBackInTimeOrIsToldToStarts() {
        let early = world(awaySeconds: 863_900)
        #expect(early.nodes[0].state == .running && early.failures.isEmpty)
        let forced = world(awaySeconds: 2_000_000) { $0.storage.checkDataResurrection = false }
        #expect(forced.nodes[0].state == .running && forced.failures.isEmpty)
    }
}
