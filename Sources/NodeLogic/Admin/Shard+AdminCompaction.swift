// Operators' commands about compactions: asking for them, and stopping them.

internal import Environment
internal import Model
internal import Storage

extension Shard {
    // MARK: On shard 0

    func compactTask(_ request: AdminRequest) throws(AdminRefusal) -> [String] {
        let options = try AdminOptions(
            request,
            [
                "-s/--split-output", "-st/--start-token=", "-et/--end-token=", "--user-defined",
                "-j/--jobs=", "--partition=",
            ])
        try options.refuse("partition", "give the files of the partition: getsstables names them")
        try options.refuse("jobs", "concurrent_compactors says how many run at once")
        let splits = options.flags.contains("split-output")
        let (start, end) = (try options.number("start-token"), try options.number("end-token"))
        let hasTokens = start != nil || end != nil
        if options.flags.contains("user-defined") {
            guard !splits, !hasTokens else {
                throw AdminRefusal("compact --user-defined takes files alone")
            }
            guard !options.arguments.isEmpty else {
                throw AdminRefusal("compact --user-defined needs the names of SSTables")
            }
            // A path, as getsstables or a person gives it, or the name alone.
            return ["compact", "files"]
                + options.arguments.map { String($0.split(separator: "/").last ?? "") }
        }
        let tables = try ids(options.arguments)
        guard hasTokens else { return ["compact", splits ? "split" : "whole"] + tables }
        let (first, last) = (start ?? .min, end ?? .max)
        guard first <= last else {
            throw AdminRefusal("--start-token \(first) is behind --end-token \(last)")
        }
        if splits { throw AdminRefusal("compact takes either --split-output or a range of tokens") }
        return ["compact", "tokens", String(first), String(last)] + tables
    }

    /// The SSTables that a task names: one of the shards must have each.
    static func namedFiles(_ words: [String]) -> [String] {
        words.starts(with: ["compact", "files"]) ? Array(words.dropFirst(2)) : []
    }

    /// What to say of named files that are not compacted; nil: each is.
    static func refusedFiles(_ pending: PendingAdmin) -> String? {
        guard !pending.files.isEmpty else { return nil }
        func names(_ key: String) -> Set<String> { Set(pending.value[key].elements.map(\.text)) }
        let (taken, busy, suspect) = (names("taken"), names("busy"), names("suspect"))
        var reasons: [String] = []
        func add(_ reason: String, _ isMeant: (String) -> Bool) {
            let files = pending.files.filter(isMeant)
            if !files.isEmpty { reasons.append("\(reason): \(files.joined(separator: ", "))") }
        }
        add("no SSTable of this node") {
            !taken.contains($0) && !busy.contains($0) && !suspect.contains($0)
        }
        add("already being compacted", busy.contains)
        add("a compaction gave up over them, see tablestats", suspect.contains)
        if reasons.isEmpty { return nil }
        return (reasons + (taken.isEmpty ? [] : ["the others are being compacted"]))
            .joined(separator: "; ")
    }

    /// What `stop` may name, as nodetool spells it.
    private static let stoppable = [
        "COMPACTION", "VERIFY", "SCRUB", "CLEANUP", "UPGRADE_SSTABLES", "GARBAGE_COLLECT",
    ]

    func stopTask(_ request: AdminRequest) throws(AdminRefusal) -> [String] {
        let options = try AdminOptions(request, ["-id/--compaction-id="])
        let usage = "stop [-id <id> | \(Self.stoppable.joined(separator: " | "))]"
        try options.expect(0...1, usage)
        if let id = options.values["compaction-id"] {
            guard options.arguments.isEmpty else { throw AdminRefusal("usage: \(usage)") }
            let parts = id.split(separator: "-").map { Int($0) }
            guard parts.count == 2, let shard = parts[0], parts[1] != nil, shard < shardCount else {
                throw AdminRefusal("\(id) is no id of a compaction: compactionstats tells them")
            }
            return ["stop", "id", id]
        }
        guard let kind = options.arguments.first?.uppercased() else { return ["stop", "all"] }
        guard Self.stoppable.contains(kind) else {
            throw AdminRefusal("there is no operation \(kind) to stop; usage: \(usage)")
        }
        return ["stop", kind]
    }

    // MARK: On each shard

    func compact(_ words: [String], _ ids: [TableID]) -> AdminValue {
        if words[1] == "files" {
            let names = words.dropFirst(2).map { FileName($0) }
            let refused = storage.compact(files: names)
            let others = Set(refused.unknown + refused.busy + refused.suspect)
            func list(_ files: [FileName]) -> AdminValue { .list(files.map { .text($0.text) }) }
            return [
                "taken": list(names.filter { !others.contains($0) }), "busy": list(refused.busy),
                "suspect": list(refused.suspect),
            ]
        }
        for id in ids {
            if words[1] == "tokens", let first = Int64(words[2]), let last = Int64(words[3]) {
                storage.compact(table: id, tokens: first...last)
            } else {
                storage.compact(table: id, splitsOutput: words[1] == "split")
            }
        }
        return [:]
    }

    func stop(_ words: [String]) -> AdminValue {
        if words[1] == "id" {
            let parts = words[2].split(separator: "-").compactMap { UInt64($0) }
            let isOurs = parts.first == UInt64(index.value)
            let isStopped = isOurs && storage.stopCompaction(CompactionID(parts.last ?? 0))
            return ["stopped": .count(isStopped ? 1 : 0)]
        }
        var count = 0
        if ["all", "COMPACTION"].contains(words[1]) {
            count = storage.compactions.count
            storage.stopCompactions(table: nil)
        }
        count += storage.stopMaintenance { kind in
            words[1] == "all" || kind.title == Self.titles[words[1]]
        }
        return ["stopped": .count(count)]
    }

    private static let titles = [
        "VERIFY": "verify", "SCRUB": "scrub", "CLEANUP": "cleanup",
        "UPGRADE_SSTABLES": "upgrade", "GARBAGE_COLLECT": "garbagecollect",
    ]
}
