// A place in a shard's commit log: the one order of all that the shard ever wrote.

/// The end of a record: the segment's number and the offset of the first byte behind the record.
package struct LogPosition: Comparable, Hashable, Sendable, CustomStringConvertible {
    /// Segment in the upper half, offset in the lower one: the order of positions is that of integers.
    let packed: UInt64

    /// Before everything.
    package static let zero = LogPosition(packed: 0)
    static let distantFuture = LogPosition(packed: .max)

    init(packed: UInt64) { self.packed = packed }

    package init(segment: UInt32, offset: UInt32) {
        packed = UInt64(segment) << 32 | UInt64(offset)
    }

    package var segment: UInt32 { UInt32(truncatingIfNeeded: packed >> 32) }
    package var offset: UInt32 { UInt32(truncatingIfNeeded: packed) }

    /// Reads the text form `segment:offset`.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let segment = UInt32(parts[0]), let offset = UInt32(parts[1])
        else { return nil }
        self.init(segment: segment, offset: offset)
    }

    /// The text form, as the metadata store keeps it.
    package var description: String { "\(segment):\(offset)" }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        left.packed < right.packed
    }
}
