// What a workload gave, as a line of the table and as JSON.

internal import ConsistencyLab

/// One engine's figures of one workload.
struct EngineBenchResult {
    let workload: EngineWorkload
    let engine: String
    var operations = 0
    /// Of the foreground: from the first operation to the last.
    var seconds = 0.0
    /// Of the whole process until it was idle and closed.
    var processorMicroseconds = 0.0
    /// The most memory that the process held, when it is known.
    var residentBytes: Int?
    /// The bytes of memtables and cache that the engine was given, and what the process held before.
    var budgetBytes: Int?
    /// The latest of a hundred reads, in microseconds: during the workload, and without its disturbance.
    var lateRead: (microseconds: Double, undisturbed: Double)?
    /// The most that counted against memtables and cache together, as a part of what they were given.
    var budgetUse: Double?
    /// Sorted runs that a read may meet: files, or files of level 0 and other levels.
    var sortedRuns: Int?
    /// Bytes written by flushes and compactions for each byte of keys and values.
    var writeAmplification: Double?
    /// Bytes of files for each byte of distinct keys and their values, uncompressed.
    var spaceAmplification: Double?

    /// Memory that the process held for each byte of its budget.
    var residentUse: Double? {
        guard let residentBytes, let budgetBytes, budgetBytes > 0 else { return nil }
        return Double(residentBytes) / Double(budgetBytes)
    }

    var operationsPerSecond: Double { seconds > 0 ? Double(operations) / seconds : 0 }
    var processorMicrosecondsPerOperation: Double {
        operations > 0 ? processorMicroseconds / Double(operations) : 0
    }

    /// The run in the middle by processor time.
    static func median(_ results: [EngineBenchResult]) -> EngineBenchResult {
        results.sorted { $0.processorMicroseconds < $1.processorMicroseconds }[results.count / 2]
    }

    var json: JSONText {
        var members: [(String, JSONText)] = [
            ("workload", .string(workload.rawValue)), ("engine", .string(engine)),
            ("operations", .integer(Int64(operations))),
            ("ops_per_second", .integer(Int64(operationsPerSecond))),
            ("cpu_us_per_op", .decimal(processorMicrosecondsPerOperation, places: 3)),
            ("seconds", .decimal(seconds, places: 3)),
        ]
        if let residentBytes { members.append(("resident_bytes", .integer(Int64(residentBytes)))) }
        if let budgetBytes { members.append(("budget_bytes", .integer(Int64(budgetBytes)))) }
        if let residentUse { members.append(("resident_use", .decimal(residentUse, places: 3))) }
        if let lateRead {
            members.append(("p99_us", .decimal(lateRead.microseconds, places: 1)))
            members.append(("p99_undisturbed_us", .decimal(lateRead.undisturbed, places: 1)))
        }
        if let budgetUse { members.append(("budget_use", .decimal(budgetUse, places: 3))) }
        if let sortedRuns { members.append(("sorted_runs", .integer(Int64(sortedRuns)))) }
        if let writeAmplification {
            members.append(("write_amplification", .decimal(writeAmplification, places: 2)))
        }
        if let spaceAmplification {
            members.append(("space_amplification", .decimal(spaceAmplification, places: 2)))
        }
        return .object(members)
    }
}

/// The table on the terminal.
enum EngineBenchReport {
    static func header(hasPeer: Bool) -> String {
        let first =
            pad("workload", 20) + right("op/s", 10) + right("CPU us/op", 11) + right("runs", 6)
            + right("w-amp", 7) + right("s-amp", 7) + right("MiB", 6) + right("RSS", 6)
            + right("budget", 8)
        guard hasPeer else { return first }
        return first + "  |" + right("peer op/s", 11) + right("CPU us/op", 11) + right("runs", 6)
            + right("w-amp", 7) + right("s-amp", 7) + right("MiB", 6) + right("CPU ratio", 11)
    }

    static func line(_ ours: EngineBenchResult, _ theirs: EngineBenchResult?) -> String {
        var text =
            pad(ours.workload.rawValue, 20) + figures(ours)
            + right(ours.residentUse.map { decimal($0, 2) } ?? "", 6)
            + right(ours.budgetUse.map { decimal($0, 2) } ?? "", 8)
        if let theirs {
            let ratio =
                ours.processorMicrosecondsPerOperation / theirs.processorMicrosecondsPerOperation
            text += "  | " + figures(theirs) + right(decimal(ratio, 2), 11)
        }
        if let late = ours.lateRead {
            text +=
                "\n    99 of 100 reads took at most \(decimal(late.microseconds, 1)) us, "
                + "\(decimal(late.undisturbed, 1)) us undisturbed: "
                + "\(decimal(late.microseconds / max(late.undisturbed, 0.1), 1)) times as long"
        }
        return text
    }

    private static func figures(_ result: EngineBenchResult) -> String {
        right(String(Int(result.operationsPerSecond)), 10)
            + right(decimal(result.processorMicrosecondsPerOperation, 3), 11)
            + right(result.sortedRuns.map(String.init) ?? "", 6)
            + right(result.writeAmplification.map { decimal($0, 2) } ?? "", 7)
            + right(result.spaceAmplification.map { decimal($0, 2) } ?? "", 7)
            + right(result.residentBytes.map { String($0 >> 20) } ?? "", 6)
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }

    static func decimal(_ value: Double, _ places: Int) -> String {
        JSONText.decimal(value, places: places).text()
    }
}
