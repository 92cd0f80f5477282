// What others ask of compaction and may know about it: the commands of an operator, and the figures
// that virtual tables and `coterie admin` show.

package import Environment
package import Model

extension StorageEngine {
    // MARK: Commands

    /// Compacts all SSTables of a table into one (or, with a strategy that splits, into a run), with the
    /// next steps. `splitsOutput`: into a half, a quarter, and so on. Runs even where automatic
    /// compaction is off.
    package func compact(table id: TableID, splitsOutput: Bool = false) {
        ask(.major(splits: splitsOutput), tables[id])
    }

    /// Compacts the SSTables of a table that have something of these tokens.
    package func compact(table id: TableID, tokens: ClosedRange<Int64>) {
        ask(.tokens(tokens), tables[id])
    }

    /// Compacts the SSTables of these names together, each table's apart. Returns those that are not.
    package func compact(files names: [FileName]) -> RefusedFiles {
        var refused = RefusedFiles()
        var byTable: [TableID: [UInt64]] = [:]
        for name in names {
            let found = tableList.lazy.flatMap(\.sstables).first { $0.metadata.file == name }
            guard let found else {
                refused.unknown.append(name)
                continue
            }
            if found.isCompacting {
                refused.busy.append(name)
            } else if found.isSuspect {
                refused.suspect.append(name)
            } else {
                byTable[found.table, default: []].append(found.number)
            }
        }
        for table in tableList {
            if let numbers = byTable[table.id] { ask(.files(numbers.sorted()), table) }
        }
        return refused
    }

    private func ask(_ wanted: TableCompaction.Wanted, _ table: TableState?) {
        guard let table, !table.compaction.wanted.contains(wanted) else { return }
        table.compaction.wanted.append(wanted)
        table.compaction.retryAt = nil
    }

    /// Stops a compaction; its inputs stay. False if there is none of that id.
    package func stopCompaction(_ id: CompactionID) -> Bool {
        guard let compaction = compactor.running.first(where: { $0.id == id }) else { return false }
        stop(compaction)
        return true
    }

    /// Stops all compactions of a table, or of all tables, and forgets those that were asked for. What
    /// the strategy still finds due begins again unless automatic compaction is off.
    package func stopCompactions(table id: TableID?) {
        for table in tableList where id == nil || table.id == id {
            table.compaction.wanted.removeAll()
            stopCompactions(of: table)
        }
    }

    /// Switches automatic compaction of a table (or of all) on or off until the next start. What runs goes
    /// on.
    package func setAutomaticCompaction(table id: TableID?, _ isOn: Bool) {
        for table in tableList where id == nil || table.id == id {
            table.compaction.isAutomatic = isOn
            table.mayCompact = true
        }
    }

    /// Whether a table is compacted by itself; nil if the shard does not have it.
    package func isAutomaticCompactionOn(table id: TableID) -> Bool? {
        tables[id].map { $0.compaction.isAutomatic && $0.strategy.options.isEnabled }
    }

    /// Bytes that this shard's compactions may read in a second; 0 for no limit.
    package var compactionThroughputBytesPerSecond: Int {
        get { compactor.throttle.bytesPerSecond }
        set {
            compactor.throttle.bytesPerSecond = max(0, newValue)
            compactor.throttle.forgetDebt()
        }
    }

    /// How many compactions of this shard may run at once.
    package var concurrentCompactors: Int {
        get { compactor.limit }
        set { compactor.limit = max(1, newValue) }
    }

    // MARK: Figures

    /// Whether a compaction is running, or waits for its turn.
    package var isCompacting: Bool { !compactor.running.isEmpty }

    /// What is running, by id.
    package var compactions: [CompactionProgress] {
        compactor.running.map { compaction in
            CompactionProgress(
                id: compaction.id, keyspace: compaction.table.schema.keyspace,
                table: compaction.table.schema.name, reason: compaction.choice.reason.rawValue,
                sstables: compaction.inputs.count, bytesDone: compaction.bytesReadBefore,
                bytesTotal: compaction.inputs.reduce(0) { $0 + $1.metadata.bytes },
                bytesWritten: compaction.isInFlight ? 0 : compaction.job.bytesWritten)
        }
    }

    /// The last 256 compactions of this life that have ended, oldest first.
    package var compactionHistory: [CompactionRecord] { compactor.history }

    /// How many compactions of this life have ended.
    package var endedCompactions: Int { compactor.endedCount }

    /// Adds what compaction knows of a table. Cost: a choice for each compaction that is due.
    func addCompactionFigures(_ table: TableState, to statistics: inout TableStatistics) {
        var files: [CompactionFile] = []
        for view in views(table) {
            let pending = table.strategy.pending(view)
            statistics.pendingCompactions += pending.tasks
            statistics.pendingCompactionBytes += pending.bytes
            files += view.files
        }
        for file in files {
            while statistics.sstablesByLevel.count <= file.level {
                statistics.sstablesByLevel.append(0)
            }
            statistics.sstablesByLevel[file.level] += 1
        }
        if statistics.bytesFlushed > 0 {
            statistics.writeAmplification =
                Double(statistics.bytesFlushed + statistics.bytesCompacted)
                / Double(statistics.bytesFlushed)
        }
        let overlap = OverlapFigures(files)
        statistics.readAmplification = overlap.depth
        statistics.spaceAmplification = overlap.spaceAmplification
    }
}

/// Files that were named to be compacted, and cannot be now.
package struct RefusedFiles: Equatable, Sendable {
    /// No SSTables of this engine.
    package var unknown: [FileName] = []
    /// Inputs of a compaction that is running, or being rewritten.
    package var busy: [FileName] = []
    /// A compaction gave up over them.
    package var suspect: [FileName] = []

    package init() {}

    package var isEmpty: Bool { unknown.isEmpty && busy.isEmpty && suspect.isEmpty }
}
