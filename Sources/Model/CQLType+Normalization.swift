// The normal form of sets and maps: elements in order, each once.
//
// Clients send sets and maps in any order, and some in no order at all. A frozen one is compared and
// hashed as bytes, so two that mean the same must be the same bytes; Cassandra sorts them when they
// arrive, and so does whoever takes in values here.

internal import Encoding

extension CQLType {
    /// Whether values of the type can have another form than the normal one.
    package var hasNormalForm: Bool {
        contains { type in
            switch type {
            case .set, .map: true
            default: false
            }
        }
    }

    /// The value with the elements of all sets and the entries of all maps in it, at any depth, sorted by
    /// the order of the type and without repetition. Of several entries with one key the last stays.
    /// Nil if the value has that form already, and for what is no value of the type: it stays as it is,
    /// to be refused by whoever checks it.
    package func normalized(_ value: UnsafeRawBufferPointer) -> [UInt8]? {
        // A value in order, as most are, is not checked here: what is no value can look so, too.
        guard !isNormal(value), (try? validate(value)) != nil else { return nil }
        return normalForm(value)
    }

    /// Whether `value` has the normal form, as far as it can be read. Allocates nothing.
    private func isNormal(_ value: UnsafeRawBufferPointer) -> Bool {
        guard hasNormalForm, var walk = CQLValueParts(self, value) else { return true }
        var index = 0
        var last: UnsafeRawBufferPointer?
        while true {
            switch walk.next() {
            case .part(let part):
                guard partType(index).isNormal(part) else { return false }
                if let key = sortKey(ofPart: index) {
                    if let last, key.compare(last, part) >= 0 { return false }
                    last = part
                }
            case .null: break
            case .end, .malformed: return true
            }
            index += 1
        }
    }

    /// By what type a part is sorted: an element of a set, or a key of a map.
    private func sortKey(ofPart index: Int) -> CQLType? {
        switch self {
        case .set(let element, _): element
        case .map(let key, _, _): index.isMultiple(of: 2) ? key : nil
        default: nil
        }
    }

    private func normalForm(_ value: UnsafeRawBufferPointer) -> [UInt8] {
        guard hasNormalForm, var walk = CQLValueParts(self, value) else { return Array(value) }
        var parts: [[UInt8]?] = []
        collect: while true {
            switch walk.next() {
            case .part(let part): parts.append(partType(parts.count).normalForm(part))
            case .null: parts.append(nil)
            case .end: break collect
            case .malformed: return Array(value)
            }
        }
        switch self {
        case .set(let element, _):
            return Self.counted(Self.sorted(parts.map { [$0] }, by: element))
        case .map(let key, _, _):
            let entries = stride(from: 0, to: parts.count, by: 2).map {
                [parts[$0], parts[$0 + 1]]
            }
            return Self.counted(Self.sorted(entries, by: key))
        case .list:
            return Self.counted(parts.map { [$0] })
        case .vector:
            var bytes: [UInt8] = []
            for part in parts.compactMap(\.self) {
                VariableInteger.appendUnsigned(UInt64(part.count), to: &bytes)
                bytes += part
            }
            return bytes
        default:
            return parts.reduce(into: []) { Self.append($1, to: &$0) }
        }
    }

    /// Sorts entries by their first part and keeps the last of those that are equal in it.
    private static func sorted(_ entries: [[[UInt8]?]], by type: CQLType) -> [[[UInt8]?]] {
        func order(_ a: [[UInt8]?], _ b: [[UInt8]?]) -> Int {
            (a[0] ?? []).withUnsafeBytes { x in
                (b[0] ?? []).withUnsafeBytes { y in type.compare(x, y) }
            }
        }
        // Equal ones keep their places, so the last one given is the last one here.
        let sorted = entries.enumerated().sorted { a, b in
            let result = order(a.element, b.element)
            return result == 0 ? a.offset < b.offset : result < 0
        }.map(\.element)
        var result: [[[UInt8]?]] = []
        for entry in sorted {
            if let last = result.last, order(last, entry) == 0 { result.removeLast() }
            result.append(entry)
        }
        return result
    }

    private static func counted(_ entries: [[[UInt8]?]]) -> [UInt8] {
        var bytes = bigEndianBytes(Int32(truncatingIfNeeded: entries.count))
        for part in entries.joined() { append(part, to: &bytes) }
        return bytes
    }

    private static func append(_ part: [UInt8]?, to bytes: inout [UInt8]) {
        bytes += bigEndianBytes(part.map { Int32(truncatingIfNeeded: $0.count) } ?? -1)
        bytes += part ?? []
    }
}
