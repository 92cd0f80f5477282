// Bound values that outlive their frame: a statement that has to read before it writes keeps a copy.

internal import Encoding

/// A copy of one statement's bound values. Owned by the request that keeps it.
package final class RetainedValues {
    private let writer: ByteWriter
    /// The values; valid as long as this object is.
    package let values: BoundValues

    /// Copies the values; one allocation for all of them.
    package init(copying source: BoundValues) {
        let writer = ByteWriter(capacity: 256)
        var ranges: [ByteRange?] = []
        for index in 0..<source.count {
            if case .bytes(let raw) = source[index] {
                ranges.append(ByteRange(offset: writer.count, count: raw.count))
                writer.append(raw)
            } else {
                ranges.append(nil)
            }
        }
        var copy = BoundValues()
        copy.removeAll(base: writer.bytes.baseAddress)
        for (index, range) in ranges.enumerated() {
            if let range {
                copy.append(range)
            } else if case .unset = source[index] {
                copy.appendUnset()
            } else {
                copy.appendNull()
            }
        }
        self.writer = writer
        values = copy
    }
}
