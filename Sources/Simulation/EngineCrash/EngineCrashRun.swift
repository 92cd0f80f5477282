// Runs a case of the engine's crash test and says which promises were broken.
//
//     operation -> ... -> a fault fires -> the node is dead -> the disk becomes what the fault leaves
//               -> open -> every partition and a scan are explained by the twin -> operation -> ...
//
// What must hold
//   - after a kill everything is there that an ended tick has appended; after a power loss everything
//     before the engine's synced position; of the rest any subset of whole mutations;
//   - a truncation or drop that was committed stays; what was deleted does not come back;
//   - an engine stops only for a cause: a failing call, or damage that it names by its file;
//   - damage is named or harmless: a wrong answer is never given;
//   - at the end no file is left that nobody needs.
//
// Damage of a commit log is a case of its own: a record that no later one calls synced cannot be told
// from the torn tail of a life that ended. So a flipped bit there may cost what its segment holds, but
// invents nothing.

internal import Encoding
internal import Environment
internal import Model
internal import Storage

/// One run. Not to be used again.
package final class EngineCrashRun {
    /// What came of it.
    package struct Outcome: Sendable {
        /// One sentence for each broken promise.
        package var violations: [String] = []
        /// Deaths at a crash point, and calls that failed.
        package var deaths = 0
        package var flips = 0
        /// Damage that the engine named by its file.
        package var reports = 0
        package var writes = 0
        /// Writes that the engine did not take, as it may for a time.
        package var refusals = 0
        package var answers = 0
        /// Points of the whole run at which it might have died.
        package var crashPoints = 0
        /// What happened, for a person.
        package var events: [String] = []
    }

    private let test: EngineCrashCase
    private let disk: SimulatedDisk
    private let world: EngineWorld
    private let afterPowerLoss: EngineTwin.Promise
    private var twins: [EngineTwin]
    private var generations = [Int](repeating: 0, count: CrashTable.allCases.count)
    private var outcome = Outcome()
    private var fault: EngineFault?
    private var damage: SimulatedDamage?
    private var hasFailed = false
    private var isOver = false

    /// With `believesPowerLossesKeepAppends` it checks a promise that nobody gave: for tests that it can
    /// fail.
    package init(_ test: EngineCrashCase, believesPowerLossesKeepAppends: Bool = false) {
        self.test = test
        afterPowerLoss = believesPowerLossesKeepAppends ? .appended : .synced
        disk = SimulatedDisk(stream: RandomStream(seed: test.seed, name: "engine disk"))
        world = EngineWorld(
            disk: disk, configuration: test.configuration,
            schema: CrashTable.schema(CrashTable.allCases.map { ($0, 0) }),
            random: RandomStream(seed: test.seed, name: "engine world"))
        twins = CrashTable.allCases.map { _ in EngineTwin() }
    }

    /// Runs the case to its end.
    package func run() -> Outcome {
        world.appended = { [unowned self] position in
            for index in twins.indices { twins[index].appended(through: position) }
        }
        world.synced = { [unowned self] position in
            for index in twins.indices { twins[index].synced(through: position) }
        }
        world.truncationCommitted = { [unowned self] id in
            for table in CrashTable.allCases where self.id(table) == id {
                twins[table.rawValue].commitTruncation()
            }
        }
        start(surviving: .appended, power: nil)
        for number in test.operations where !isOver {
            for armed in test.faults where armed.operation == number { arm(armed) }
            // The order of what is under way is the operation's own too.
            world.random = RandomStream(seed: test.seed, name: "engine work \(number)")
            do throws(EngineEnd) {
                try perform(test.operation(number), number)
            } catch {
                died(error)
            }
        }
        finish()
        outcome.crashPoints = disk.crashPointCount
        return outcome
    }

    private func violation(_ text: String) {
        outcome.violations.append(text)
        outcome.events.append("VIOLATION \(text)")
    }

    private func id(_ table: CrashTable) -> TableID { table.id(generations[table.rawValue]) }

    private func rule(_ table: CrashTable) -> PurgeRule {
        PurgeRule(
            nowInSeconds: world.seconds, gcBefore: world.seconds - Int64(table.graceSeconds))
    }

    // MARK: Operations

    private func perform(_ operation: EngineOperation, _ number: Int) throws(EngineEnd) {
        var random = RandomStream(seed: test.seed, name: "engine operation \(number) content")
        world.nanoseconds += Int64(random.below(400_000_000))
        switch operation {
        case .write(let table, let count, let endsTick, let asksSync):
            for index in 0..<count { try write(table, number * 4 + index, &random) }
            if asksSync { world.requestSync() }
            if endsTick { try world.endTick() }
        case .work(let count):
            for _ in 0..<count { try world.work() }
        case .advance(let seconds):
            world.seconds += seconds
            try world.endTick()
        case .flush(let table): world.flush(table.map { id($0) })
        case .compact(let table): world.compact(id(table))
        case .settle: try world.settle()
        case .truncate(let table):
            // One at a time: the twin does not tell two of them apart.
            guard !world.commits.contains(where: { $0.table == id(table) }) else { return }
            try world.truncate(id(table))
            twins[table.rawValue].truncate()
        case .remake:
            let table = CrashTable.passing
            generations[table.rawValue] += 1
            twins[table.rawValue] = EngineTwin()
            world.install(
                CrashTable.schema(CrashTable.allCases.map { ($0, generations[$0.rawValue]) }))
        case .read(let table, let key):
            try check(table, CrashMutationGenerator.key(key))
        case .scan(let table): try checkScan(table)
        case .restart:
            disarm()
            start(surviving: .appended, power: nil)
        }
    }

    private func write(
        _ table: CrashTable, _ number: Int, _ random: inout RandomStream
    ) throws(EngineEnd) {
        var generator = CrashMutationGenerator(
            random: random, table: table, id: id(table), number: Int64(number),
            nowInSeconds: world.seconds)
        let mutation: [UInt8]
        do throws(MalformedBytes) { mutation = try generator.mutation() } catch {
            preconditionFailure("the generator made malformed bytes: \(error)")
        }
        random = generator.random
        guard let position = try world.apply(mutation) else {
            outcome.refusals += 1
            return
        }
        let (key, partition) = mutation.withUnsafeBytes { raw in
            guard let view = try? MutationView(raw) else {
                preconditionFailure("the generator made a malformed mutation")
            }
            return ([UInt8](view.key), [UInt8](view.partition))
        }
        twins[table.rawValue].write(key: key, partition, at: position)
        outcome.writes += 1
    }

    private func command(_ table: CrashTable, _ scope: ReadCommand.Scope) -> ReadCommand {
        ReadCommand(table: id(table), scope: scope, nowInSeconds: world.seconds)
    }

    /// The partitions of an answer; nil if the engine failed for a cause.
    private func read(
        _ table: CrashTable, _ scope: ReadCommand.Scope
    ) throws(EngineEnd) -> [(key: [UInt8], partition: [UInt8])]? {
        switch try world.read(command(table, scope)) {
        case .failure(let error):
            if !hasCause(error) { violation("a read of \(table) failed without a cause: \(error)") }
            return nil
        case .success(let bytes):
            outcome.answers += 1
            do throws(MalformedBytes) {
                return try bytes.withBytes { (raw) throws(MalformedBytes) in
                    var found: [(key: [UInt8], partition: [UInt8])] = []
                    var cursor = try ReadResultView(raw).partitions
                    while let partition = try cursor.next() {
                        found.append(([UInt8](partition.key), [UInt8](partition.partition)))
                    }
                    return found
                }
            } catch {
                violation("a read of \(table) gave malformed bytes: \(error)")
                return nil
            }
        }
    }

    private func readPartition(_ table: CrashTable, _ key: [UInt8]) throws(EngineEnd) -> [UInt8]? {
        guard
            let found = try read(table, .partition(token: Token.of(key).value, key: key))
        else { return nil }
        return found.first?.partition ?? []
    }

    /// A running engine answers exactly what was written.
    private func check(_ table: CrashTable, _ key: [UInt8]) throws(EngineEnd) {
        guard let found = try readPartition(table, key) else { return }
        if found != expected(table, key) {
            violation("a read of \(table) \(key) does not show what was written")
        }
    }

    private func expected(_ table: CrashTable, _ key: [UInt8]) -> [UInt8] {
        do throws(MalformedBytes) {
            return try twins[table.rawValue].expected(key, rule(table))
        } catch {
            preconditionFailure("the twin met malformed bytes: \(error)")
        }
    }

    private func checkScan(_ table: CrashTable) throws(EngineEnd) {
        guard let found = try read(table, .range(ReadCommand.TokenScope(start: .min, end: .max)))
        else { return }
        let keys = (0..<CrashTable.keyCount).map { CrashMutationGenerator.key($0) }
            .sorted { Token.of($0) < Token.of($1) }
        let wanted = keys.map { ($0, expected(table, $0)) }.filter { !$0.1.isEmpty }
        let isEqual =
            found.count == wanted.count
            && zip(found, wanted).allSatisfy { $0.key == $1.0 && $0.partition == $1.1 }
        if !isEqual { violation("a scan of \(table) does not show what was written") }
    }

    // MARK: Faults

    private func arm(_ fault: EngineFault) {
        disarm()
        // Damage and a loss of power together could not be told apart.
        mend()
        self.fault = fault
        outcome.events.append("\(fault) is armed")
        switch fault.kind {
        case .kill, .power, .torn: crash(after: fault.after)
        case .flip:
            flip(fault)
            crash(after: fault.after)
        case .read: fail(.read, after: fault.after)
        case .write: fail(.write, after: fault.after)
        case .sync: fail(.sync, after: fault.after)
        case .folder: fail(.folder, after: fault.after)
        case .full: disk.capacityBytes = disk.usedBytes + fault.after * 50
        }
    }

    private func crash(after points: Int) {
        var left = points
        disk.crashesHere = {
            left -= 1
            return left == -1
        }
    }

    private func fail(_ call: DiskCall, after calls: Int) {
        var left = calls
        disk.failsHere = { [unowned self] made, _ in
            guard made == call else { return nil }
            left -= 1
            if left == -1 { hasFailed = true }
            return left == -1 ? .inputOutput : nil
        }
    }

    private func disarm() {
        fault = nil
        hasFailed = false
        disk.crashesHere = { false }
        disk.failsHere = { _, _ in nil }
        disk.capacityBytes = .max
    }

    /// Flips a bit of a file of the seed's choice.
    private func flip(_ fault: EngineFault) {
        mend()
        var random = RandomStream(seed: test.seed, name: "engine flip \(fault)")
        let names = ((try? disk.list()) ?? []).filter { disk.writtenBytes(of: $0) > 0 }
        guard !names.isEmpty else { return }
        let file = names[Int(random.below(UInt64(names.count)))]
        let offset = Int(random.below(UInt64(disk.writtenBytes(of: file))))
        damage = try? disk.damage(file, at: offset, bit: UInt8(random.below(8)))
        outcome.flips += 1
        outcome.events.append("a bit of \(file) flips at \(offset)")
        if let segment = Self.segment(of: file) {
            for index in twins.indices { twins[index].doubt(segment: segment) }
        }
    }

    private static func segment(of file: FileName) -> UInt32? {
        let lead = EngineWorld.prefix + "commitlog-"
        guard file.text.hasPrefix(lead), file.text.hasSuffix(".log") else { return nil }
        return UInt32(file.text.dropFirst(lead.count).dropLast(4))
    }

    private func mend() {
        damage?.mend()
        damage = nil
    }

    /// Whether something that we did explains the error; reported damage is mended.
    private func hasCause(_ error: StorageError) -> Bool {
        switch error {
        case .corruption(let damage): return names(damage.file, "\(error)")
        case .newerFormat(let file, _): return names(file, "\(error)")
        case .disk(let failure):
            if failure.reason == .full, disk.capacityBytes != .max { return true }
            return failure.reason == .inputOutput && hasFailed
        default: return false
        }
    }

    private func names(_ file: FileName, _ report: String) -> Bool {
        guard let damage, disk.names(of: damage).contains(file) else { return false }
        outcome.events.append("reported: \(report)")
        outcome.reports += 1
        mend()
        return true
    }

    // MARK: Death and start

    private func died(_ end: EngineEnd) {
        switch end {
        case .crashed:
            guard let fault else { return violation("the node died without a fault") }
            outcome.deaths += 1
            outcome.events.append("died by \(fault)")
            disarm()
            switch fault.kind {
            case .power, .torn: start(surviving: afterPowerLoss, power: fault)
            default: start(surviving: .appended, power: nil, again: fault.again)
            }
        case .stopped(let error):
            outcome.deaths += 1
            outcome.events.append("stopped: \(error)")
            guard hasCause(error) else {
                isOver = true
                return violation("the engine stopped without a cause: \(error)")
            }
            // What a log's failed sync has dropped is unknown.
            var surviving = EngineTwin.Promise.appended
            if case .disk(let failure) = error, Self.segment(of: failure.file) != nil,
                fault?.kind == .sync
            {
                surviving = .synced
                disk.losePower()
            }
            disarm()
            start(surviving: surviving, power: nil)
        }
    }

    /// Begins the next life over what the disk holds, and checks what came back.
    private func start(
        surviving: EngineTwin.Promise, power: EngineFault?, again: Int? = nil
    ) {
        var again = power?.again ?? again
        var attempts = 0
        while true {
            attempts += 1
            precondition(attempts < 10, "the engine never starts")
            disk.isDead = false
            if let power { disk.losePower(tears: power.kind == .torn) }
            if let points = again { crash(after: points) }
            again = nil
            do throws(EngineEnd) {
                try world.open()
                disk.crashesHere = { false }
                break
            } catch {
                disk.crashesHere = { false }
                switch error {
                case .crashed:
                    outcome.deaths += 1
                    outcome.events.append("died while starting")
                case .stopped(let error):
                    guard hasCause(error) else {
                        isOver = true
                        return violation("the engine does not start: \(error)")
                    }
                }
            }
        }
        do throws(EngineEnd) {
            for table in CrashTable.allCases { try verify(table, surviving) }
            world.isChecking = false
            // All damage that was there has been met.
            mend()
            for table in CrashTable.allCases { try checkScan(table) }
        } catch {
            isOver = true
            violation("the engine ended while it was checked: \(error)")
        }
    }

    private func verify(
        _ table: CrashTable, _ surviving: EngineTwin.Promise
    ) throws(EngineEnd) {
        let hasDoubts = damage.map { Self.segment(of: $0.file) != nil } ?? false
        for number in 0..<CrashTable.keyCount {
            let key = CrashMutationGenerator.key(number)
            // The second time the damage is mended.
            var found = try readPartition(table, key)
            if found == nil { found = try readPartition(table, key) }
            guard let found else { continue }
            do throws(MalformedBytes) {
                let problem = try twins[table.rawValue].accept(
                    found, key, surviving: surviving, rule(table), purges: table == .purging,
                    hasDoubts: hasDoubts)
                if let problem { violation("\(table) \(key): \(problem)") }
            } catch {
                violation("\(table) \(key): malformed: \(error)")
            }
        }
    }

    /// The orderly end: everything comes to rest, nothing is left over, and all is there again.
    private func finish() {
        if isOver { return }
        disarm()
        start(surviving: .appended, power: nil)
        if isOver { return }
        do throws(EngineEnd) {
            try world.settle()
            for table in CrashTable.allCases { try checkScan(table) }
            if world.engine?.isIdle != true { violation("the engine does not come to rest") }
            let named = CrashTable.allCases.reduce(0) {
                $0 + (world.engine?.statistics(of: id($1))?.sstables ?? 0)
            }
            let files = ((try? disk.list()) ?? []).count { $0.text.contains("sst-") }
            if named != files { violation("\(files) SSTable files for \(named) SSTables") }
        } catch {
            violation("the engine did not come to rest: \(error)")
        }
    }
}
