// Events, timers and background work.

package import Environment
package import Model

extension StorageEngine {
    /// Takes an event if it is the engine's; false if it belongs to somebody else.
    @discardableResult
    package func receive(_ event: Event, clock: ClockReading, outbox: Outbox) -> Bool {
        switch event {
        case .logSynced(let id): return log.receiveSynced(id)
        case .jobEnded(let id, _, let failure):
            if log.receivePrepared(id) {
                if let failure { outbox.effects.append(.stopNode("commit log: \(failure)")) }
                return true
            }
            return false
        default: return false
        }
    }

    /// Ends a step: emits the log append (before any client bytes of the step), syncs and jobs that
    /// are due.
    package func endTick(clock: ClockReading, outbox: Outbox) {
        log.endTick(clock: clock, outbox: outbox)
    }

    /// When the engine must be stepped next if nothing happens before.
    package var nextWake: Instant? { log.nextWake }

    /// Takes a new schema: new tables appear, those that are gone lose their data.
    package func install(_ schema: SchemaSnapshot) {
        self.schema = schema
        for keyspace in schema.keyspaces {
            for table in keyspace.tables {
                if let state = tables[table.id] {
                    state.schema = table
                } else {
                    let state = TableState(
                        schema: table,
                        live: Memtable(slice: slice, expectedPartitions: 0, pool: pool))
                    tables[table.id] = state
                }
            }
        }
        let gone = tables.keys.filter { schema.table($0) == nil }
        for id in gone { tables[id] = nil }
        lastTable = nil
        tableList = tables.values.sorted { $0.id < $1.id }
    }
}
