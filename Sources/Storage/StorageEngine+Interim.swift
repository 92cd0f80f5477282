// Stands in until flush, truncation and resharding land; delete this file with them.

package import Environment
package import Model
extension StorageEngine {
    package func flush(table: TableID?) {}
    package func truncate(_ table: TableID, clock: ClockReading) throws(StorageError) -> LogPosition { syncedPosition }
}
package enum Resharding {
    package static func run(from: [StorageStart], to: [StorageStart], files: any FileSystem, clock: ClockReading) throws(StorageError) {}
}
