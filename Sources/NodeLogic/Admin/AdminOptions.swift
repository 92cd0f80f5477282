// The words of an operator's command, read by nodetool's grammar: options anywhere, `--` ends them, the
// rest are arguments in order.

internal import Environment

/// A command that cannot be done, with the reason for a person.
struct AdminRefusal: Error, Equatable {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// The options and arguments of one command.
struct AdminOptions {
    private(set) var flags: Set<String> = []
    private(set) var values: [String: String] = [:]
    private(set) var arguments: [String] = []

    /// `known` are the options with all their spellings, as `-t/--tag=`; one that ends in `=` takes a
    /// value. Each is named by its last spelling without dashes.
    init(_ request: AdminRequest, _ known: [String] = []) throws(AdminRefusal) {
        var names: [String: (name: String, takesValue: Bool)] = [:]
        for entry in known {
            let takesValue = entry.hasSuffix("=")
            let spellings = (takesValue ? entry.dropLast() : entry[...]).split(separator: "/")
            let name = String((spellings.last ?? "").drop { $0 == "-" })
            for spelling in spellings { names[String(spelling)] = (name, takesValue) }
        }
        var rest = Array(request.arguments.reversed())
        var isReading = true
        while let word = rest.popLast() {
            guard isReading, word.hasPrefix("-"), word.count > 1, Int(word) == nil else {
                arguments.append(word)
                continue
            }
            if word == "--" {
                isReading = false
                continue
            }
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            guard let option = names[parts[0]] else {
                let list = names.keys.sorted().joined(separator: ", ")
                throw AdminRefusal(
                    "\(request.verb) has no option \(parts[0])"
                        + (list.isEmpty ? "" : "; it has \(list)"))
            }
            guard option.takesValue else {
                flags.insert(option.name)
                continue
            }
            guard let value = parts.count > 1 ? parts[1] : rest.popLast() else {
                throw AdminRefusal("\(request.verb): \(word) needs a value")
            }
            values[option.name] = value
        }
    }

    /// Refuses an option that asks for what is not there, with the reason.
    func refuse(_ name: String, _ reason: String) throws(AdminRefusal) {
        guard flags.contains(name) || values[name] != nil else { return }
        throw AdminRefusal("--\(name) is refused: \(reason)")
    }

    /// A sentence for each given option that changes nothing, by the option's name.
    func warnings(_ reasons: [(name: String, reason: String)]) -> AdminValue {
        let given = reasons.filter { flags.contains($0.name) || values[$0.name] != nil }
        guard !given.isEmpty else { return .null }
        return [
            "warnings": .list(
                given.map { .text("--\($0.name) changes nothing: \($0.reason)") })
        ]
    }

    /// Refuses fewer or more arguments than the verb takes.
    func expect(_ count: ClosedRange<Int>, _ usage: String) throws(AdminRefusal) {
        guard count.contains(arguments.count) else { throw AdminRefusal("usage: \(usage)") }
    }

    /// A whole number that was given for an option.
    func number(_ name: String) throws(AdminRefusal) -> Int64? {
        guard let text = values[name] else { return nil }
        guard let value = Int64(text) else { throw AdminRefusal("--\(name): \(text) is no number") }
        return value
    }

    /// A span of time that was given for an option.
    func duration(
        _ name: String, isPositive: Bool = false
    ) throws(AdminRefusal) -> Instant.Span? {
        guard let text = values[name] else { return nil }
        guard let span = Configuration.span(text), !isPositive || span.nanoseconds > 0 else {
            throw AdminRefusal("--\(name): \(text) is no duration, as 12h or 3d is")
        }
        return span
    }
}

/// All verbs, and the nearest one to what was written.
package enum AdminVerbs {
    /// As nodetool spells them, in the order of the alphabet.
    package static let all = [
        "cleanup", "clearsnapshot", "clientstats", "compact", "compactionhistory",
        "compactionstats", "describecluster", "describering", "disableautocompaction",
        "disablebinary", "disablehandoff", "drain", "enableautocompaction", "enablebinary",
        "enablehandoff", "failuredetector", "flush", "garbagecollect",
        "getcompactionthroughput",
        "getendpoints", "getmaxhintwindow", "getsstables", "gettimeout", "gettraceprobability",
        "gossipinfo", "import", "info", "listpendinghints", "listsnapshots", "pausehandoff",
        "proxyhistograms", "refresh", "resumehandoff", "ring", "scrub", "setcompactionthroughput",
        "setmaxhintwindow", "settimeout", "settraceprobability", "snapshot", "status",
        "statusbinary", "statushandoff", "stop", "tablehistograms", "tablestats", "toppartitions",
        "tpstats", "truncatehints", "upgradesstables", "verify", "version",
    ]

    /// Other spellings that nodetool takes.
    package static let synonyms = ["cfstats": "tablestats", "cfhistograms": "tablehistograms"]

    /// The verb that is meant, or a sentence that says what there is.
    package static func unknown(_ verb: String) -> String {
        let near = all.min { distance($0, verb) < distance($1, verb) }
        return "Found unexpected parameters: [\(verb)]: there is no verb \(verb)"
            + (near.map { "; did you mean \($0)?" } ?? "")
    }

    /// How many letters must change to come from one word to the other (Levenshtein).
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left.utf8), Array(right.utf8.prefix(64)))
        var row = Array(0...right.count)
        for (i, letter) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let substituted = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
