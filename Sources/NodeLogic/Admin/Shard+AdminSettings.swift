// Settings that an operator changes while the node runs: every shard has its own copy, so that a change
// is a task for all of them. They last until the node stops.

internal import Encoding
internal import Environment
internal import Model
internal import Storage

extension Shard {
    /// nodetool's names of timeouts and ours; `null` in nodetool's list is what we do not have.
    private static let timeouts = [
        "read": "read_request_timeout", "range": "range_request_timeout",
        "write": "write_request_timeout", "truncate": "truncate_request_timeout",
    ]

    /// The task that changes a setting in all shards: `setting NAME VALUE`.
    func settingTask(_ request: AdminRequest) throws(AdminRefusal) -> [String] {
        let options = try AdminOptions(request)
        switch request.verb {
        case "enablehandoff":
            try options.expect(0...0, request.verb)
            return ["setting", "hinted_handoff_enabled", "true"]
        case "disablehandoff":
            try options.expect(0...0, request.verb)
            return ["setting", "hinted_handoff_enabled", "false"]
        case "setcompactionthroughput":
            try options.expect(1...1, "setcompactionthroughput <value_in_mb>")
            guard let mebibytes = Int(options.arguments[0]), mebibytes >= 0 else {
                throw AdminRefusal("\(options.arguments[0]) is no whole number of MiB/s")
            }
            return ["setting", "compaction_throughput", "\(mebibytes)MiB/s"]
        case "setmaxhintwindow":
            try options.expect(1...1, "setmaxhintwindow <value_in_ms>")
            guard let milliseconds = Int(options.arguments[0]), milliseconds >= 0 else {
                throw AdminRefusal("\(options.arguments[0]) is no whole number of milliseconds")
            }
            return ["setting", "max_hint_window", "\(milliseconds)ms"]
        default:
            try options.expect(2...2, "settimeout <timeout_type> <timeout_in_ms>")
            guard let milliseconds = Int(options.arguments[1]), milliseconds > 0 else {
                throw AdminRefusal("timeout must be a positive number of milliseconds")
            }
            return ["setting", try timeoutName(options.arguments[0]), "\(milliseconds)ms"]
        }
    }

    private func timeoutName(_ type: String) throws(AdminRefusal) -> String {
        guard let name = Self.timeouts[type] else {
            throw AdminRefusal(
                "Valid timeout types: \(Self.timeouts.keys.sorted().joined(separator: ", "))")
        }
        return name
    }

    func timeout(_ request: AdminRequest) throws(AdminRefusal) -> AdminValue {
        let options = try AdminOptions(request)
        try options.expect(1...1, "gettimeout <timeout_type>")
        let requests = configuration.requests
        let span: Instant.Span =
            switch try timeoutName(options.arguments[0]) {
            case "read_request_timeout": requests.readTimeout
            case "range_request_timeout": requests.rangeTimeout
            case "write_request_timeout": requests.writeTimeout
            default: requests.truncateTimeout
            }
        return [
            "type": .text(options.arguments[0]),
            "milliseconds": .integer(span.nanoseconds / 1_000_000),
        ]
    }

    /// On each shard: tasks that are done when they are told.
    func immediateTask(_ words: [String]) throws(AdminRefusal) -> AdminValue {
        switch words.first {
        case "setting":
            do throws(SettingFailure) { try change(words[1], to: words[2]) } catch {
                throw AdminRefusal(error.description)
            }
            return [:]
        case "autocompaction":
            for id in words.dropFirst(2).compactMap({ UniqueID($0).map { TableID($0) } }) {
                storage.setAutomaticCompaction(table: id, words[1] == "on")
            }
            return [:]
        case "traceprobability":
            traceProbability = Double(words[1]) ?? 0
            return [:]
        case "pausehandoff":
            isHandoffPaused = true
            return [:]
        case "resumehandoff":
            isHandoffPaused = false
            continueHintReplays()
            return [:]
        case "truncatehints":
            forgetHints(of: words.dropFirst().compactMap { UniqueID($0).map { HostID($0) } })
            return [:]
        default: return try figures(words)
        }
    }
}
