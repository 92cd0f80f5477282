// What goes wrong in a run: an explicit list, made before the run begins, so that one of them can
// be taken away while all others stay as they were.

/// One thing that the world does to its nodes.
package struct Fault: Equatable, Sendable, CustomStringConvertible {
    package enum Kind: Equatable, Sendable {
        /// The process ends after so many more effects or disk operations; the kernel keeps its
        /// writes.
        case kill(node: Int, afterEffects: Int)
        /// The machine goes dark after so many more; what was not synced may vanish.
        case powerLoss(node: Int, afterEffects: Int)
        /// A dead node starts again, with the same shards.
        case restart(node: Int)
        /// A dead node starts again, with another number of shards.
        case reshard(node: Int, shards: Int)
        case pause(node: Int)
        case resume(node: Int)
        /// Messages from one node to another vanish; in the other direction they do not.
        case cut(from: Int, to: Int)
        case heal(from: Int, to: Int)
        /// Cuts a node off from all others, both ways.
        case isolate(node: Int)
        case rejoin(node: Int)
        /// The wall clock jumps.
        case jumpClock(node: Int, microseconds: Int64)
    }

    package var at: VirtualTime
    package var kind: Kind

    package init(at: VirtualTime, _ kind: Kind) {
        self.at = at
        self.kind = kind
    }

    package var description: String { "\(at) ms: \(kind)" }
}

/// How a node ended.
package enum DeathKind: UInt64, Sendable {
    /// The process is gone, the kernel is not.
    case kill = 1
    /// Everything in memory is gone, the kernel's too.
    case powerLoss = 2
    /// The node stopped itself.
    case stopped = 3
}
