// Bound sets and maps in the order that they have as values of a key.
//
// A driver sends the elements of a set as its language holds them, often in the order of a hash table, and
// may repeat one. As part of a frozen value the bytes are compared as they lie, so that one set would be
// many keys: they are put in order, without repeats, before anything looks at them. Cost: one comparison for
// each element that is in order already; statements without such a marker are not looked at.

internal import Encoding
package import Model

/// A statement's values with sets and maps in order, and the memory that holds them. The values are good
/// for as long as this object.
package final class CanonicalValues {
    package let values: BoundValues
    private let storage: ByteWriter

    fileprivate init(_ values: BoundValues, _ storage: ByteWriter) {
        self.values = values
        self.storage = storage
    }
}

extension PreparedPlan {
    /// The values with all sets and maps among them in order and without repeats; nil if they are so already.
    /// Malformed ones stay as they are, and are refused by whoever checks them against the column.
    package func canonical(_ values: BoundValues) -> CanonicalValues? {
        guard !orderedMarkers.isEmpty else { return nil }
        var replaced: [Int: [UInt8]] = [:]
        for index in orderedMarkers where index < values.count {
            let type = bindMarkers[index].type
            guard let raw = values.bytes(at: index) else { continue }
            replaced[index] = type.normalized(raw)
        }
        guard !replaced.isEmpty else { return nil }
        let storage = ByteWriter(capacity: 256)
        var ranges: [ByteRange?] = []
        for index in 0..<values.count {
            let start = storage.count
            if let bytes = replaced[index] {
                storage.append(bytes)
            } else if let raw = values.bytes(at: index) {
                storage.append(raw)
            } else {
                ranges.append(nil)
                continue
            }
            ranges.append(ByteRange(offset: start, count: storage.count - start))
        }
        var result = BoundValues()
        result.removeAll(base: storage.bytes.baseAddress)
        for (index, range) in ranges.enumerated() {
            if let range {
                result.append(range)
            } else if case .unset = values[index] {
                result.appendUnset()
            } else {
                result.appendNull()
            }
        }
        return CanonicalValues(result, storage)
    }
}
