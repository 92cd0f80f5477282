// What is done to an engine in a crash test. Each operation is drawn from a stream of its own name, so
// that taking some out leaves the others as they are.

internal import Environment

/// One operation, as its number under a seed draws it.
enum EngineOperation: Equatable, CustomStringConvertible {
    case write(CrashTable, count: Int, endsTick: Bool, asksSync: Bool)
    /// Pieces of the work under way.
    case work(Int)
    case advance(seconds: Int64)
    case flush(CrashTable?)
    case compact(CrashTable)
    case settle
    case truncate(CrashTable)
    /// Drops the passing table and makes it anew.
    case remake
    case read(CrashTable, key: UInt64)
    case scan(CrashTable)
    /// The process ends where it stands and begins again.
    case restart

    static func draw(_ random: inout RandomStream) -> EngineOperation {
        let table = CrashTable.allCases[Int(random.below(3))]
        switch random.below(100) {
        case 0..<50:
            return .write(
                table, count: 1 + Int(random.below(3)), endsTick: random.chance(2, outOf: 3),
                asksSync: random.chance(1, outOf: 3))
        case 50..<54: return .advance(seconds: random.within(0...30))
        case 54..<78: return .work(1 + Int(random.below(8)))
        case 78..<82: return .flush(random.chance(1, outOf: 3) ? nil : table)
        case 82..<85: return .compact(table)
        case 85..<87: return .settle
        case 87..<89: return .truncate(table)
        case 89: return .remake
        case 90..<96: return .read(table, key: random.below(CrashTable.keyCount))
        case 96..<98: return .scan(table)
        default: return .restart
        }
    }

    var description: String {
        switch self {
        case .write(let table, let count, let endsTick, let asksSync):
            "write \(count) to \(table)" + (asksSync ? ", ask for a sync" : "")
                + (endsTick ? ", end the tick" : "")
        case .work(let count): "work \(count)"
        case .advance(let seconds): "advance \(seconds) s"
        case .flush(let table): "flush \(table.map { "\($0)" } ?? "all")"
        case .compact(let table): "compact \(table)"
        case .settle: "settle"
        case .truncate(let table): "truncate \(table)"
        case .remake: "drop and make passing"
        case .read(let table, let key): "read \(table) \(key)"
        case .scan(let table): "scan \(table)"
        case .restart: "restart"
        }
    }
}

/// One thing that goes wrong. Its text, for example `power@12+5/3`, says: from operation 12 on power is
/// lost at the sixth point at which a node may crash, and once more at the fourth of the start.
package struct EngineFault: Equatable, Sendable, CustomStringConvertible {
    package enum Kind: String, CaseIterable, Sendable {
        /// The process ends; the kernel keeps what was written.
        case kill
        /// Any subset of unsynced sectors and names vanishes.
        case power
        /// The same, and sectors may be torn.
        case torn
        /// A bit of a file flips; then a kill.
        case flip
        /// A read fails, a write, a sync, a call that changes the folder.
        case read, write, sync, folder
        /// The disk has only so much room left.
        case full
    }

    package var kind: Kind
    /// The operation before which it is armed.
    package var operation: Int
    /// How many crash points, or calls of the kind, pass before.
    package var after: Int
    /// The same end once more, after so many points of the start that follows.
    package var again: Int?

    package init(_ kind: Kind, operation: Int, after: Int, again: Int? = nil) {
        self.kind = kind
        self.operation = operation
        self.after = after
        self.again = again
    }

    static func draw(_ random: inout RandomStream, operations: Int) -> EngineFault {
        let weights: [(Kind, UInt64)] = [
            (.kill, 28), (.power, 30), (.torn, 10), (.flip, 14), (.read, 3), (.write, 5),
            (.sync, 4), (.folder, 2), (.full, 4),
        ]
        var pick = random.below(100)
        var kind = Kind.kill
        for (candidate, weight) in weights {
            kind = candidate
            if pick < weight { break }
            pick -= weight
        }
        let after = random.chance(1, outOf: 3) ? random.below(4) : random.below(40)
        return EngineFault(
            kind, operation: Int(random.below(UInt64(max(operations, 1)))), after: Int(after),
            again: random.chance(1, outOf: 3) ? Int(random.below(16)) : nil)
    }

    package var description: String {
        "\(kind.rawValue)@\(operation)+\(after)" + (again.map { "/\($0)" } ?? "")
    }

    /// Reads the text form.
    package init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])) else { return nil }
        let numbers = parts[1].split(separator: "+", omittingEmptySubsequences: false)
        guard numbers.count == 2, let operation = Int(numbers[0]), operation >= 0 else {
            return nil
        }
        let ends = numbers[1].split(separator: "/", omittingEmptySubsequences: false)
        guard let after = Int(ends[0]), after >= 0, ends.count <= 2 else { return nil }
        var again: Int?
        if ends.count == 2 {
            guard let number = Int(ends[1]), number >= 0 else { return nil }
            again = number
        }
        self.init(kind, operation: operation, after: after, again: again)
    }
}
