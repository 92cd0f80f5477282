// Lists of faults drawn from a seed. Each fault draws from a stream of its own name.

internal import Environment

extension Fault {
    /// `count` crashes between two times, each of a node of its own choice, at an effect of its own
    /// choice, and a restart some time later, with another number of shards if `reshards`; at the
    /// end every node is running again. Several nodes, or all, may be down at once.
    package static func crashes(
        seed: UInt64, nodeCount: Int, count: Int, from begin: VirtualTime, to end: VirtualTime,
        powerLoss: Bool, reshards: Bool = false
    ) -> [Fault] {
        var faults: [Fault] = []
        for number in 0..<count {
            var stream = RandomStream(seed: seed, name: "crash \(number)")
            let node = Int(stream.below(UInt64(nodeCount)))
            let at = VirtualTime(
                nanoseconds: stream.within(begin.nanoseconds...end.nanoseconds))
            let effects = Int(stream.below(200))
            faults.append(
                Fault(
                    at: at,
                    powerLoss && stream.chance(2, outOf: 3)
                        ? .powerLoss(node: node, afterEffects: effects)
                        : .kill(node: node, afterEffects: effects)))
            let down = Instant.Span(nanoseconds: stream.within(50_000_000...1_500_000_000))
            let shards = Int(stream.within(1...3))
            faults.append(
                Fault(
                    at: at + down,
                    reshards ? .reshard(node: node, shards: shards) : .restart(node: node)))
        }
        for node in 0..<nodeCount {
            faults.append(Fault(at: end + .milliseconds(2_000), .restart(node: node)))
        }
        return faults.sorted { $0.at < $1.at }
    }

    /// Jumps of the nodes' wall clocks by up to five seconds, back and forth.
    package static func clockJumps(
        seed: UInt64, nodeCount: Int, count: Int, from begin: VirtualTime, to end: VirtualTime
    ) -> [Fault] {
        (0..<count).map { number in
            var stream = RandomStream(seed: seed, name: "jump \(number)")
            return Fault(
                at: VirtualTime(nanoseconds: stream.within(begin.nanoseconds...end.nanoseconds)),
                .jumpClock(
                    node: Int(stream.below(UInt64(nodeCount))),
                    microseconds: stream.within(-5_000_000...5_000_000)))
        }
    }

    /// Partitions of every kind between two times, one after the other, all healed at the end.
    package static func partitions(
        seed: UInt64, nodeCount: Int, count: Int, from begin: VirtualTime, to end: VirtualTime
    ) -> [Fault] {
        var faults: [Fault] = []
        let part = (end - begin).nanoseconds / Int64(max(count, 1))
        for number in 0..<count {
            var stream = RandomStream(seed: seed, name: "partition \(number)")
            let start = begin.nanoseconds + Int64(number) * part
            let at = VirtualTime(nanoseconds: start + stream.within(0...part / 4))
            let over = VirtualTime(nanoseconds: start + stream.within(part / 2...part - 1))
            let node = Int(stream.below(UInt64(nodeCount)))
            let other = (node + 1 + Int(stream.below(UInt64(nodeCount - 1)))) % nodeCount
            switch stream.below(3) {
            case 0:
                faults.append(Fault(at: at, .isolate(node: node)))
                faults.append(Fault(at: over, .rejoin(node: node)))
            case 1:
                faults.append(Fault(at: at, .cut(from: node, to: other)))
                faults.append(Fault(at: over, .heal(from: node, to: other)))
            default:
                faults.append(Fault(at: at, .pause(node: node)))
                faults.append(Fault(at: over, .resume(node: node)))
            }
        }
        return faults
    }
}
