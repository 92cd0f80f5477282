// An operator's commands. The world hands a command to shard 0; that answers from what is agreed and
// known, or asks all shards of the node, and answers with what they tell, put together.
//
//     command --> shard 0 --adminTask--> each shard --(engine's task, if it takes time)--> adminDone
//                    |<------------------------------------------------------------------------'
//                    '--> commandAnswer
//
// A command never blocks a step: what reads files or takes time is a job or a task of the engine.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Storage
internal import Topology

extension Shard {
    /// Takes a command in.
    func receiveCommand(_ id: EffectID, _ request: AdminRequest) {
        do throws(AdminRefusal) {
            guard let control else { throw AdminRefusal("only shard 0 takes commands") }
            try obey(id, request, control)
        } catch {
            answerCommand(id, .refused(error.reason))
        }
    }

    func answerCommand(_ id: EffectID, _ answer: AdminAnswer) {
        deferred.effects.append(.commandAnswer(id, answer))
    }

    private func obey(
        _ id: EffectID, _ request: AdminRequest, _ control: NodeControl
    ) throws(AdminRefusal) {
        if let value = try localAnswer(request, control) {
            return answerCommand(id, .value(value))
        }
        switch request.verb {
        case "listsnapshots":
            startAdminJob(SnapshotFolderJob(.list), .list(id))
        case "clearsnapshot":
            startAdminJob(SnapshotFolderJob(.clear(try clearing(request))), .clear(id))
        case "import-staged": try startImport(id, request)
        case "compactionhistory":
            try AdminOptions(request).expect(0...0, request.verb)
            readCompactionHistory(for: id)
        case "snapshot":
            let words = try snapshotTask(request)
            askShards(id, words, facts: ["tag": .text(words[1])])
        default:
            let words = try shardTask(request)
            askShards(
                id, words, facts: try optionWarnings(request), files: Self.namedFiles(words))
        }
    }

    /// Gives all shards a task; the command is answered when all have told.
    private func askShards(
        _ id: EffectID, _ words: [String], facts: AdminValue = .null, staged: String? = nil,
        files: [String] = []
    ) {
        guard let control else { return }
        control.nextAdmin += 1
        control.admin[control.nextAdmin] = PendingAdmin(
            command: id, waiting: shardCount, facts: facts, staged: staged, files: files)
        let notice = ShardNotice.adminTask(control.nextAdmin, words)
        for shard in 0..<shardCount { sendShard(notice, to: ShardIndex(shard)) }
    }

    /// On shard 0: one shard has told.
    func adminDone(_ task: UInt64, _ value: AdminValue, _ failure: String) {
        guard let control, var pending = control.admin[task] else { return }
        pending.waiting -= 1
        pending.value = pending.value.joined(with: value)
        if !failure.isEmpty, pending.failure == nil { pending.failure = failure }
        control.admin[task] = pending.waiting > 0 ? pending : nil
        guard pending.waiting == 0 else { return }
        pending.value = Self.finished(pending.value)
        if pending.failure == nil { pending.failure = Self.refusedFiles(pending) }
        let answer =
            pending.failure.map { AdminAnswer.refused($0) }
            ?? .value(pending.facts.joined(with: pending.value))
        if let lead = pending.staged {
            startAdminJob(SnapshotFolderJob(.unstage(lead)), .unstage(pending.command, answer))
        } else {
            answerCommand(pending.command, answer)
        }
    }

    // MARK: Tables

    /// The ids of the tables that a command means: `[keyspace [table...]]`; all stored ones without.
    func tables(_ arguments: ArraySlice<String>) throws(AdminRefusal) -> [TableSchema] {
        guard let name = arguments.first else {
            return cluster.schema.keyspaces.flatMap(\.tables)
        }
        guard let keyspace = cluster.schema.keyspace(named: name) else {
            throw AdminRefusal("Keyspace [\(name)] does not exist.")
        }
        if arguments.count == 1 { return keyspace.tables }
        var tables: [TableSchema] = []
        for word in arguments.dropFirst() {
            guard let table = keyspace.table(named: word) else {
                throw AdminRefusal("Unknown keyspace/cf pair (\(name).\(word))")
            }
            tables.append(table)
        }
        return tables
    }

    func ids(_ arguments: [String]) throws(AdminRefusal) -> [String] {
        try tables(arguments[...]).map(\.id.description)
    }

    /// What a verb asks of each shard, its tables by their ids.
    private func shardTask(_ request: AdminRequest) throws(AdminRefusal) -> [String] {
        switch request.verb {
        case "flush": return ["flush"] + (try ids(try AdminOptions(request).arguments))
        case "drain":
            try AdminOptions(request).expect(0...0, "drain")
            return ["drain"]
        case "verify":
            let options = try AdminOptions(request, Self.verifyOptions)
            try options.refuse("dfp", "what a damaged file does to the node is for who reads it")
            try options.refuse("rsc", "there is no repaired state of files")
            try options.refuse("check-tokens", "cleanup removes foreign partitions and counts them")
            return ["verify"] + (try ids(options.arguments))
        case "scrub":
            let options = try AdminOptions(request, Self.scrubOptions)
            try options.refuse("no-validate", "scrub reads and checks every row that it keeps")
            try options.refuse("reinsert-overflowed-ttl", "no time of expiry overflows here")
            return ["scrub"] + (try ids(options.arguments))
        case "cleanup":
            let options = try AdminOptions(request, ["-j/--jobs="])
            _ = try options.number("jobs")
            return ["cleanup"] + (try ids(options.arguments))
        case "upgradesstables":
            let options = try AdminOptions(request, ["-a/--include-all-sstables", "-j/--jobs="])
            _ = try options.number("jobs")
            let all = options.flags.contains("include-all-sstables")
            return ["upgrade", all ? "all" : "old"] + (try ids(options.arguments))
        case "garbagecollect":
            let options = try AdminOptions(request, ["-g/--granularity=", "-j/--jobs="])
            _ = try options.number("jobs")
            let granularity = options.values["granularity"] ?? "ROW"
            guard granularity == "CELL" || granularity == "ROW" else {
                throw AdminRefusal("Unexpected value for granularity: \(granularity); ROW or CELL")
            }
            return ["garbage", granularity] + (try ids(options.arguments))
        case "compact": return try compactTask(request)
        case "proxyhistograms":
            try AdminOptions(request).expect(0...0, request.verb)
            return [request.verb]
        case "tablehistograms":
            return [request.verb] + (try histogramTables(AdminOptions(request)))
        case "toppartitions":
            throw AdminRefusal(
                "toppartitions is not there: Coterie does not sample partitions; "
                    + "max_partition_size and tablehistograms show the largest ones")
        case "enableautocompaction", "disableautocompaction":
            let isOn = request.verb == "enableautocompaction"
            return ["autocompaction", isOn ? "on" : "off"]
                + (try ids(try AdminOptions(request).arguments))
        case "stop": return try stopTask(request)
        case "getsstables":
            let options = try AdminOptions(request, ["-hf/--hex-format", "-l/--show-levels"])
            try options.refuse("show-levels", "tablestats shows the files of each level")
            try options.expect(3...3, "getsstables <keyspace> <table> <key>")
            let table = try tables(options.arguments.prefix(2))[0]
            let key = try partitionKey(
                options.arguments[2], of: table, isHex: options.flags.contains("hex-format"))
            return ["sstables", table.id.description, String(Token.of(key).value)]
        case "tablestats", "info", "tpstats", "compactionstats", "listpendinghints",
            "clientstats":
            return [request.verb]
        case "settimeout", "setcompactionthroughput", "setmaxhintwindow", "enablehandoff",
            "disablehandoff":
            return try settingTask(request)
        case "pausehandoff", "resumehandoff":
            try AdminOptions(request).expect(0...0, request.verb)
            return [request.verb]
        case "truncatehints":
            return [request.verb] + (try nodes(AdminOptions(request).arguments))
        case "settraceprobability":
            let options = try AdminOptions(request)
            try options.expect(1...1, "settraceprobability <trace_probability>")
            guard let value = Double(options.arguments[0]), (0...1).contains(value) else {
                throw AdminRefusal("Trace probability must be between 0 and 1")
            }
            return ["traceprobability", String(value)]
        default: throw AdminRefusal(AdminVerbs.unknown(request.verb))
        }
    }

    /// The ids of nodes that are named by their addresses, with or without the port.
    private func nodes(_ addresses: [String]) throws(AdminRefusal) -> [String] {
        var ids: [String] = []
        for text in addresses {
            let found = cluster.topology.nodes.first {
                $0.peerAddress.host == text || $0.peerAddress.description == text
            }
            guard let found else {
                throw AdminRefusal("Can't truncate hints for unknown endpoint: \(text)")
            }
            ids.append(found.hostID.description)
        }
        return ids
    }

    /// The tables that `tablehistograms` is about, as `keyspace.table`.
    private func histogramTables(_ options: AdminOptions) throws(AdminRefusal) -> [String] {
        try options.expect(0...2, "tablehistograms [<keyspace> <table> | <keyspace.table>]")
        var names = options.arguments
        if names.count == 1 {
            names = names[0].split(separator: ".", maxSplits: 1).map(String.init)
        }
        if names.count == 1 {
            throw AdminRefusal("tablehistograms requires keyspace and table name arguments")
        }
        return try tables(names[...]).map { "\($0.keyspace).\($0.name)" }
    }

    private static let verifyOptions = [
        "-e/--extended-verify", "-c/--check-version", "-d/--dfp", "-r/--rsc", "-t/--check-tokens",
        "-q/--quick", "-f/--force",
    ]
    private static let scrubOptions = [
        "-n/--no-validate", "-ns/--no-snapshot", "-s/--skip-corrupted",
        "-r/--reinsert-overflowed-ttl", "-j/--jobs=",
    ]
    private static let importOptions = [
        "-t/--no-tokens", "-e/--extended-verify", "-v/--no-verify", "-q/--quick",
        "-c/--no-invalidate-caches", "-l/--keep-level", "-r/--keep-repaired", "-p/--copy-data",
    ]

    /// What to tell of options that are taken for the sake of scripts and change nothing.
    private func optionWarnings(_ request: AdminRequest) throws(AdminRefusal) -> AdminValue {
        let jobs = (name: "jobs", reason: "each shard works on one table after another")
        switch request.verb {
        case "verify":
            return try AdminOptions(request, Self.verifyOptions).warnings([
                ("quick", "verify reads every block"),
                ("check-version", "a file of a newer format is refused when it is opened"),
            ])
        case "scrub":
            return try AdminOptions(request, Self.scrubOptions).warnings([
                jobs, ("no-snapshot", "scrub takes no snapshot"),
                ("skip-corrupted", "what is damaged is left out in any case"),
            ])
        case "cleanup": return try AdminOptions(request, ["-j/--jobs="]).warnings([jobs])
        case "upgradesstables":
            return try AdminOptions(request, ["-a/--include-all-sstables", "-j/--jobs="])
                .warnings([jobs])
        case "garbagecollect":
            return try AdminOptions(request, ["-g/--granularity=", "-j/--jobs="])
                .warnings([jobs])
        case "import-staged":
            return try AdminOptions(request, Self.importOptions).warnings([
                ("no-verify", "every file is checked before it is taken in"),
                ("quick", "every file is checked before it is taken in"),
                ("no-invalidate-caches", "there is no row cache"),
            ])
        default: return .null
        }
    }

    // MARK: On each shard

    /// A task of shard 0's: told at once, or when the engine has done it.
    func serveAdmin(_ task: UInt64, _ words: [String]) {
        do throws(AdminRefusal) {
            if let value = try carryOut(task, words) { tellAdmin(task, value, "") }
        } catch {
            tellAdmin(task, .null, error.reason)
        }
    }

    private func tellAdmin(_ task: UInt64, _ value: AdminValue, _ failure: String) {
        sendShard(.adminDone(task, value, failure: failure), to: ShardIndex(0))
    }

    /// Does the task; nil if its end comes later.
    private func carryOut(_ task: UInt64, _ words: [String]) throws(AdminRefusal) -> AdminValue? {
        let ids = words.dropFirst().compactMap { UniqueID($0).map { TableID($0) } }
        switch words.first {
        case "flush", "drain": wait(storage.startFlush(words[0] == "drain" ? nil : ids), task)
        case "verify": wait(storage.startFiles(.verify, ids), task)
        case "scrub": wait(storage.startFiles(.scrub, ids), task)
        case "upgrade": wait(storage.startFiles(.upgrade(all: words[1] == "all"), ids), task)
        case "garbage":
            wait(storage.startFiles(.garbage(words[1] == "CELL" ? .cell : .row), ids), task)
        case "cleanup": try startCleanup(task, ids)
        case "snapshot": wait(storage.startSnapshot(try snapshotRequest(words)), task)
        case "import":
            do throws(StorageError) {
                wait(
                    try storage.startImport(
                        ids[0], lead: words[2], fileCount: Int(words[3]) ?? 0), task)
            } catch {
                throw AdminRefusal("\(error)")
            }
        case "compact": return compact(words, ids)
        case "stop": return stop(words)
        default: return try immediateTask(words)
        }
        return nil
    }

    private func wait(_ id: MaintenanceID, _ task: UInt64) {
        maintenanceWaiters[id] = .admin(task)
    }

    /// One task for each keyspace: their ranges differ.
    private func startCleanup(_ task: UInt64, _ ids: [TableID]) throws(AdminRefusal) {
        // All tables of one keyspace go together; a command names one keyspace or all.
        var byRanges: [(ranges: [ClosedRange<Int64>], ids: [TableID])] = []
        for id in ids {
            guard let route = cluster.route(of: id) else { continue }
            let ranges = ownedRanges(route.placement)
            if let index = byRanges.firstIndex(where: { $0.ranges == ranges }) {
                byRanges[index].ids.append(id)
            } else {
                byRanges.append((ranges, [id]))
            }
        }
        guard let last = byRanges.last else {
            tellAdmin(task, MaintenanceReport().value, "")
            return
        }
        for group in byRanges.dropLast() {
            _ = storage.startFiles(.cleanup(group.ranges), group.ids)
        }
        // Tasks that go through files run one after another: the last one ends last.
        wait(storage.startFiles(.cleanup(last.ranges), last.ids), task)
    }

    /// The tokens of which this node holds a replica, sorted, neighbours joined.
    func ownedRanges(_ placement: Placement) -> [ClosedRange<Int64>] {
        guard !placement.isLocal, let own = cluster.ownIndex else { return [.min ... .max] }
        var closed: [ClosedRange<Int64>] = []
        for range in placement.ranges(heldBy: own).flatMap(\.unwrapped)
        where range.start < range.end {
            // The lowest place of the ring belongs to the range that goes over its origin.
            let start = range.start == .minimum ? Int64.min : range.start.value + 1
            closed.append(start...range.end.value)
        }
        closed.sort { $0.lowerBound < $1.lowerBound }
        var joined: [ClosedRange<Int64>] = []
        for range in closed {
            if let last = joined.last, last.upperBound >= range.lowerBound &- 1,
                last.upperBound != .max
            {
                joined[joined.count - 1] =
                    last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                joined.append(range)
            }
        }
        return joined
    }

    /// Takes what the engine has ended.
    func completeMaintenance() {
        guard !storage.completedMaintenance.isEmpty else { return }
        let ended = storage.completedMaintenance
        storage.completedMaintenance = []
        for completed in ended {
            switch maintenanceWaiters.removeValue(forKey: completed.id) {
            case .admin(let task):
                tellAdmin(task, completed.report.value, completed.report.failure ?? "")
            case .truncation(let table, let sender, let request):
                truncatedOwn(table, completed, sender, request)
            case nil: break
            }
        }
    }

    // MARK: Jobs on the folder

    func startAdminJob(_ job: any Job, _ purpose: AdminJob) {
        guard let control else { return }
        let id = effectIDs.next()
        control.adminJobs[id] = purpose
        deferred.effects.append(.runJob(id, job))
    }

    /// Takes the end of a job on the folder; false if it is somebody else's.
    func adminJobEnded(_ id: EffectID, _ job: any Job, _ failure: DiskFailure?) -> Bool {
        guard let control, let purpose = control.adminJobs.removeValue(forKey: id) else {
            return false
        }
        if let failure {
            switch purpose {
            case .list(let command), .check(let command, _, _, _):
                answerCommand(command, .refused("\(failure)"))
            case .clear(let command):
                if let command { answerCommand(command, .refused("\(failure)")) }
            case .unstage(let command, let answer): answerCommand(command, answer)
            case .view(let view, let shard):
                sendShard(.viewFacts(view, .list([])), to: shard)
            }
            return true
        }
        switch purpose {
        case .list(let command):
            guard let list = job as? SnapshotFolderJob else { return true }
            answerCommand(command, .value(.list(list.snapshots.map(Self.value))))
        case .clear(let command):
            guard let clear = job as? SnapshotFolderJob else { return true }
            control.snapshotExpiry = clear.nextExpiry
            if let command {
                answerCommand(command, .value(["removed": .count(clear.removed)]))
            }
        case .check(let command, let words, let lead, let facts):
            guard let check = job as? ImportCheckJob else { return true }
            if let refusal = check.refusal {
                startAdminJob(
                    SnapshotFolderJob(.unstage(lead)), .unstage(command, .refused(refusal)))
            } else {
                askShards(
                    command, words + [String(check.fileCount)], facts: facts, staged: lead)
            }
        case .unstage(let command, let answer): answerCommand(command, answer)
        case .view(let view, let shard):
            guard let list = job as? SnapshotFolderJob else { return true }
            let rows = Self.rows(of: list.snapshots)
            sendShard(.viewFacts(view, .list(rows)), to: shard)
        }
        return true
    }

    /// The parts of each snapshot of a table as one row of `system_views.snapshots`.
    private static func rows(of snapshots: [SnapshotSummary]) -> [AdminValue] {
        var rows: [(name: String, keyspace: String, table: String, parts: [SnapshotSummary])] = []
        for part in snapshots {
            let manifest = part.manifest
            let index = rows.firstIndex {
                $0.name == manifest.key.tag && $0.keyspace == manifest.keyspace
                    && $0.table == manifest.table
            }
            if let index {
                rows[index].parts.append(part)
            } else {
                rows.append((manifest.key.tag, manifest.keyspace, manifest.table, [part]))
            }
        }
        return rows.map { row in
            let first = row.parts.map(\.manifest.createdAt.microseconds).min() ?? 0
            let expiry = row.parts.compactMap(\.manifest.expiresAt?.microseconds).min()
            return [
                "name": .text(row.name), "keyspace_name": .text(row.keyspace),
                "table_name": .text(row.table), "created_at": .integer(first / 1_000),
                "expires_at": expiry.map { .integer($0 / 1_000) } ?? .null,
                "ephemeral": .bool(row.parts.contains(where: \.manifest.isEphemeral)),
                "size_on_disk": .count(row.parts.reduce(0) { $0 + $1.manifest.bytes }),
                "true_size": .count(row.parts.reduce(0) { $0 + $1.trueBytes }),
            ]
        }
    }

    private static func value(_ snapshot: SnapshotSummary) -> AdminValue {
        let manifest = snapshot.manifest
        return [
            "tag": .text(manifest.key.tag), "keyspace": .text(manifest.keyspace),
            "table": .text(manifest.table), "part": .text(manifest.key.part),
            "parts": .count(manifest.parts), "size": .count(manifest.bytes),
            "true_size": .count(snapshot.trueBytes), "files": .count(manifest.files.count),
            "created_at": .integer(manifest.createdAt.microseconds),
            "expires_at": manifest.expiresAt.map { .integer($0.microseconds) } ?? .null,
            "ephemeral": .bool(manifest.isEphemeral),
        ]
    }

    /// Removes snapshots whose time has come; looked at once a minute.
    func tickSnapshots() {
        guard let control, let expiry = control.snapshotExpiry,
            control.nextSnapshotCheck <= now.monotonic
        else { return }
        control.nextSnapshotCheck = now.monotonic + .seconds(60)
        guard expiry <= now.wall else { return }
        control.snapshotExpiry = nil
        var selection = SnapshotSelection()
        selection.expiredAt = now.wall
        startAdminJob(SnapshotFolderJob(.clear(selection)), .clear(nil))
    }

    // MARK: Import

    /// `import-staged LEAD [options] keyspace table`: the world has staged the files.
    private func startImport(_ id: EffectID, _ request: AdminRequest) throws(AdminRefusal) {
        let options = try AdminOptions(request, Self.importOptions)
        try options.refuse("keep-level", "files that come in begin at the lowest level")
        try options.refuse("keep-repaired", "there is no repaired state of files")
        try options.expect(3...3, "import <keyspace> <table> <directory>")
        let table = try tables(options.arguments[1...])[0]
        guard let route = cluster.route(of: table.id) else {
            throw AdminRefusal("Unknown keyspace/cf pair (\(table.keyspace).\(table.name))")
        }
        let lead = options.arguments[0]
        startAdminJob(
            ImportCheckJob(
                lead: lead, schema: table,
                owned: options.flags.contains("no-tokens") ? nil : ownedRanges(route.placement),
                isExtended: options.flags.contains("extended-verify")),
            .check(
                id, tableWords: ["import", table.id.description, lead], lead: lead,
                facts: try optionWarnings(request)))
    }
}
