// What a task of maintenance found and did, in figures and in findings that name file and place.

package import Environment
package import Model

/// Names one task of maintenance of one shard, in one life.
package struct MaintenanceID: Hashable, Comparable, Sendable {
    package let value: UInt64
    package init(_ value: UInt64) { self.value = value }
    package static func < (left: MaintenanceID, right: MaintenanceID) -> Bool {
        left.value < right.value
    }
}

/// Something in a file that is not as it should be.
package struct MaintenanceFinding: Equatable, Sendable, CustomStringConvertible {
    package var file: FileName
    package var offset: Int
    package var detail: String

    package init(file: FileName, offset: Int, detail: String) {
        self.file = file
        self.offset = offset
        self.detail = detail
    }

    init(_ error: CorruptionError) {
        self.init(file: error.file, offset: error.offset, detail: error.detail)
    }

    package var description: String { "\(file) at byte \(offset): \(detail)" }
}

/// The outcome of a task. Reports of shards add up to that of their node.
package struct MaintenanceReport: Equatable, Sendable {
    /// Files that were looked at, and new ones that took their place.
    package var files = 0
    package var rewritten = 0
    package var bytesRead = 0
    package var bytesWritten = 0
    package var partitions = 0
    package var rows = 0
    /// Left out because they are damaged or out of order.
    package var droppedBlocks = 0
    package var droppedPartitions = 0
    package var droppedRows = 0
    /// Left out because they are somebody else's.
    package var foreignPartitions = 0
    package private(set) var findings: [MaintenanceFinding] = []
    /// Beyond those that are kept.
    package private(set) var moreFindings = 0
    /// Why the task gave up; nil if it ended as it should.
    package var failure: String?
    package var isStopped = false

    /// More findings than this are only counted.
    package static let maximumFindings = 200

    package init() {}

    package mutating func add(_ finding: MaintenanceFinding) {
        guard findings.count < Self.maximumFindings else {
            moreFindings += 1
            return
        }
        findings.append(finding)
    }

    /// Takes in what another file or another shard gave.
    package mutating func add(_ other: MaintenanceReport) {
        files += other.files
        rewritten += other.rewritten
        bytesRead += other.bytesRead
        bytesWritten += other.bytesWritten
        partitions += other.partitions
        rows += other.rows
        droppedBlocks += other.droppedBlocks
        droppedPartitions += other.droppedPartitions
        droppedRows += other.droppedRows
        foreignPartitions += other.foreignPartitions
        moreFindings += other.moreFindings
        for finding in other.findings { add(finding) }
        failure = failure ?? other.failure
        isStopped = isStopped || other.isStopped
    }
}

/// The end of a task.
package struct CompletedMaintenance: Sendable {
    package let id: MaintenanceID
    package let report: MaintenanceReport
    /// Of a truncation: mutations up to it do not come back.
    package var position = LogPosition.zero
}

/// What maintenance does with the files of a table, one after another.
package enum FileMaintenance: Equatable, Sendable {
    /// Reads every block and holds it against its checksum, its index and its order.
    case verify
    /// Writes the file anew without what is damaged.
    case scrub
    /// Writes the file anew without partitions that this node does not own.
    case cleanup([ClosedRange<Int64>])
    /// Writes the file anew as today's writer writes it; files that are so already only if `all`.
    case upgrade(all: Bool)
    /// Writes the file anew without what is deleted or overwritten in other files of the table, and without
    /// tombstones that may be forgotten.
    case garbage(GarbageGranularity)

    package var title: String {
        switch self {
        case .verify: "verify"
        case .scrub: "scrub"
        case .cleanup: "cleanup"
        case .upgrade: "upgrade"
        case .garbage: "garbagecollect"
        }
    }
}
