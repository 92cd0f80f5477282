// The values that a client binds to a statement's markers.
//
// The values of a request stay where the network put them: a `BoundValues` is a base pointer into the
// frame and a table of (offset, length), so that binding a value costs no allocation and no copy. The
// table is reused from request to request (`removeAll` keeps its memory). Whoever needs a value after
// the frame is gone copies it.
//
// What the request path calls is `public`, because only that is inlined into other modules.
//
// **Invariants.** Every range lies inside the frame that `base` points to; whoever appends has checked
// that. The table must not be read after the frame's memory is given back.

public import Encoding

/// Names of values. An object, since few requests have any and all copy the values: one reference costs less
/// than an optional array.
@usableFromInline
final class BoundNames: Sendable {
    let names: [String]

    init(_ names: [String]) { self.names = names }
}

/// The bound values of one statement, as a table over somebody else's bytes.
public struct BoundValues {
    /// One bound value.
    public enum Value {
        /// The client bound `null`.
        case null
        /// The client left the marker unset: the statement acts as if the column were not named.
        case unset
        /// The serialized value, not copied; may be empty.
        case bytes(UnsafeRawBufferPointer)
    }

    @usableFromInline static let nullCount = -1
    @usableFromInline static let unsetCount = -2

    @usableFromInline var base: UnsafeRawPointer?
    // A count below zero marks null and unset.
    // Those behind the last one are of former requests: to empty the array would cost more than a request of few
    // values does with it.
    @usableFromInline var ranges: [ByteRange]
    @usableFromInline var first: Int
    @usableFromInline var stored: Int
    /// How many values are bound.
    @inlinable public var count: Int { stored }
    @usableFromInline var boundNames: BoundNames?
    /// The names that the client gave to the values, one each, or nil if it bound by position.
    public var names: [String]? {
        get { boundNames?.names }
        set { boundNames = newValue.map { BoundNames($0) } }
    }

    /// Whether the client named the values.
    @inlinable public var isNamed: Bool { boundNames != nil }

    /// No values.
    public init() {
        base = nil
        ranges = []
        first = 0
        stored = 0
    }

    /// Whether no value is bound.
    @inlinable public var isEmpty: Bool { count == 0 }

    /// The value at `index`, which must be below `count`.
    @inlinable
    public subscript(index: Int) -> Value {
        precondition(index >= 0 && index < count)
        let range = ranges[first + index]
        if range.count >= 0 {
            guard let base else { return .bytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
            return .bytes(UnsafeRawBufferPointer(start: base + range.offset, count: range.count))
        }
        return range.count == Self.nullCount ? .null : .unset
    }

    /// The bytes at `index`, or nil for null and for unset alike.
    @inlinable
    public func bytes(at index: Int) -> UnsafeRawBufferPointer? {
        if case .bytes(let value) = self[index] { value } else { nil }
    }

    /// Some of the values, for one statement of a batch; shares the table.
    package func slice(_ bounds: Range<Int>) -> BoundValues {
        precondition(bounds.lowerBound >= 0 && bounds.upperBound <= count)
        var slice = self
        slice.first = first + bounds.lowerBound
        slice.stored = bounds.count
        if let names { slice.names = Array(names[bounds]) }
        return slice
    }

    /// The values at `order`, one after another; for values that were bound by name.
    package func reordered(_ order: [Int]) -> BoundValues {
        var result = self
        result.ranges = order.map { index in
            precondition(index >= 0 && index < count)
            return ranges[first + index]
        }
        result.first = 0
        result.stored = order.count
        result.names = nil
        return result
    }

    /// Forgets the values, keeps the table's memory, and points at a new frame.
    @inlinable
    public mutating func removeAll(base: UnsafeRawPointer? = nil) {
        self.base = base
        first = 0
        stored = 0
        if boundNames != nil { boundNames = nil }
    }

    @inlinable
    mutating func add(_ range: ByteRange) {
        assert(first == 0 && ranges.count >= stored)
        if stored < ranges.count { ranges[stored] = range } else { ranges.append(range) }
        stored += 1
    }

    /// Binds the bytes of `range`, counted from `base`; only on a table that is no slice.
    @inlinable
    public mutating func append(_ range: ByteRange) {
        assert(range.offset >= 0 && range.count >= 0)
        add(range)
    }

    /// Binds `null`.
    @inlinable
    public mutating func appendNull() {
        add(ByteRange(offset: 0, count: Self.nullCount))
    }

    /// Leaves the next marker unset.
    @inlinable
    public mutating func appendUnset() {
        add(ByteRange(offset: 0, count: Self.unsetCount))
    }
}

extension BoundValues {
    /// Runs `body` with values that live in an array of their own (nil binds null); for internal
    /// statements and tests, not for the request path.
    package static func withValues<Result, Failure: Error>(
        _ values: [[UInt8]?], names: [String]? = nil,
        _ body: (BoundValues) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let writer = ByteWriter(capacity: 256)
        var ranges: [ByteRange?] = []
        for value in values {
            ranges.append(value.map { ByteRange(offset: writer.count, count: $0.count) })
            if let value { writer.append(value) }
        }
        var bound = BoundValues()
        bound.removeAll(base: writer.bytes.baseAddress)
        for range in ranges {
            if let range { bound.append(range) } else { bound.appendNull() }
        }
        bound.names = names
        defer { withExtendedLifetime(writer) {} }
        return try body(bound)
    }
}
