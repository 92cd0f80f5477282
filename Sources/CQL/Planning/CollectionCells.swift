// Collections and user-defined types that are not frozen: a cell for each element.
//
//     set     path = the encoded element                     value = nothing, or the element (1)
//     map     path = the encoded key                         value = the value, or key and value (1)
//     list    path = side u8 | time u64 | place u32 | random u32   value = the element
//     type    path = the field's number, u16                 value = the field
//
// All integers are big-endian. An encoded element or key is that of a clustering key (`ClusteringKey`), so
// that cells are sorted as the values are. (1) For types whose encoding does not give the value back
// (decimals, for example) the cell's value begins with a u32 length and the value as it was written.
//
// Writing the whole collection deletes what is older by a deletion one microsecond before the new cells,
// as Cassandra does it. Elements appended to a list are sorted by the coordinator's clock when the request
// came, whatever its write timestamp, and by their place in the request; prepended ones (side 0x40) by the
// clock's complement, and before all others. The places of a request's prepended elements fall from operation
// to operation, because each lies before the earlier ones, and rise inside of one (`ListPlaces`). The time of
// a conditional request is its ballot's, so that elements lie in the order in which it was decided.
//
// **Invariant.** The cells of one column are sorted by path and have no repeats.

internal import Encoding
internal import Model

/// What a statement does to a column.
enum CellOperation: Sendable {
    /// The whole value; `.null` deletes it.
    case set(PlannedTerm)
    /// Elements into a set or map, or behind a list.
    case add(PlannedTerm)
    /// Elements before a list.
    case prepend(PlannedTerm)
    /// Elements out of a set, or keys out of a map; the value is a set.
    case remove(PlannedTerm)
    case put(key: PlannedTerm, value: PlannedTerm)
    case removeElement(PlannedTerm)
    case setField(Int, PlannedTerm)
    /// The element of a list at that index; reads the list first.
    case setIndex(PlannedTerm, PlannedTerm)
    case removeIndex(PlannedTerm)
    /// All elements of a list that equal one of these; reads the list first.
    case removeValues(PlannedTerm)
    /// Adds to a counter, or subtracts from it.
    case increment(PlannedTerm, isNegative: Bool)

    /// Whether the row has to be read before it is written.
    var requiresRead: Bool {
        switch self {
        case .setIndex, .removeIndex, .removeValues: true
        default: false
        }
    }
}

/// An element of a list as it was read, with the path and the time of its cell.
struct ListElement {
    let path: [UInt8]
    let value: [UInt8]
    let timestamp: Int64
}

/// Numbers the list elements of a request, all its statements together.
struct ListPlaces {
    private var appended: UInt32 = 0
    private var prepended: UInt32 = .max

    /// The place of one more element behind all others.
    mutating func append() -> UInt32 {
        defer { appended &+= 1 }
        return appended
    }

    /// The place of the first of `count` elements before all others; the next ones follow it.
    mutating func prepend(_ count: Int) -> UInt32 {
        prepended &-= UInt32(truncatingIfNeeded: count)
        return prepended
    }
}

/// The cells that operations on one column make.
struct CollectionCells {
    /// What is deleted before the cells: everything up to that timestamp.
    private(set) var deletionTimestamp: Int64?
    /// nil values are tombstones.
    private(set) var cells: [(path: [UInt8], value: [UInt8]?)] = []
    /// Whether anything was written at all; unset values write nothing.
    var isEmpty: Bool { deletionTimestamp == nil && cells.isEmpty }

    private let column: ColumnSchema
    private let values: BoundValues
    private let context: ExecutionContext
    private let timestamp: Int64
    private(set) var places: ListPlaces
    /// The list's elements as they were read, for operations that have to know.
    private let current: [ListElement]

    init(
        _ column: ColumnSchema, _ values: BoundValues, _ context: ExecutionContext,
        timestamp: Int64, places: ListPlaces, current: [ListElement] = []
    ) {
        self.places = places
        self.current = current
        self.column = column
        self.values = values
        self.context = context
        self.timestamp = timestamp
    }

    // MARK: Operations

    /// Adds the cells of one operation; `isDeletion` for DELETE, whose deletion covers its own time.
    mutating func apply(_ operation: CellOperation, isDeletion: Bool) throws(CQLError) {
        switch operation {
        case .set(let term):
            let value = try term.evaluate(values, context)
            if value == .unset { return }
            // The smallest timestamp says «none».
            deletionTimestamp = isDeletion ? timestamp : max(timestamp - 1, noTimestamp + 1)
            cells.removeAll()
            if case .bytes(let bytes) = value { try append(bytes) }
        case .add(let term):
            if let bytes = try bytes(term) { try append(bytes) }
        case .prepend(let term):
            guard let bytes = try bytes(term) else { return }
            let elements = try Self.parts(bytes, column.type, column.name)
            let first = places.prepend(elements.count)
            for (offset, element) in elements.enumerated() {
                let place = first &+ UInt32(truncatingIfNeeded: offset)
                cells.append((listPath(place, isPrepended: true), element))
            }
        case .remove(let term):
            guard let bytes = try bytes(term) else { return }
            let element = elementType
            for part in try Self.parts(bytes, .set(element, frozen: true), column.name) {
                cells.append((Self.path(part, element), nil))
            }
        case .put(let key, let value):
            let keyBytes = try elementBytes(key)
            switch try value.evaluate(values, context) {
            case .unset: return
            case .null: cells.append((Self.path(keyBytes, elementType), nil))
            case .bytes(let bytes):
                cells.append((Self.path(keyBytes, elementType), keeping(keyBytes, bytes)))
            }
        case .removeElement(let key):
            let bytes = try elementBytes(key)
            cells.append((Self.path(bytes, elementType), nil))
        case .setField(let index, let term):
            switch try term.evaluate(values, context) {
            case .unset: return
            case .null: cells.append((Self.fieldPath(index), nil))
            case .bytes(let bytes): cells.append((Self.fieldPath(index), bytes))
            }
        case .setIndex(let index, let term):
            let value = try term.evaluate(values, context)
            let path = try self.path(at: index, verb: "set", preposition: "on")
            switch value {
            case .unset: return
            case .null: cells.append((path, nil))
            case .bytes(let bytes): cells.append((path, bytes))
            }
        case .removeIndex(let index):
            if try index.evaluate(values, context) == .unset { return }
            cells.append((try path(at: index, verb: "delete", preposition: "from"), nil))
        case .removeValues(let term):
            guard let bytes = try bytes(term) else { return }
            let unwanted = try Self.parts(bytes, column.type, column.name)
            for (path, value) in elements()
            where unwanted.contains(where: { isEqual($0, value) }) {
                cells.append((path, nil))
            }
        case .increment:
            preconditionFailure("a counter is no collection")
        }
    }

    private func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.withUnsafeBytes { a in right.withUnsafeBytes { b in elementType.compare(a, b) == 0 } }
    }

    /// The path of the list's element at an index.
    private func path(
        at index: PlannedTerm, verb: String, preposition: String
    ) throws(CQLError) -> [UInt8] {
        let place: Int
        switch try index.evaluate(values, context) {
        case .null: throw .invalid("Invalid null value for list index")
        case .unset: throw .invalid("Invalid unset value for list index")
        case .bytes(let bytes):
            place = Int(Int32(bitPattern: bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }))
        }
        let elements = elements()
        guard !elements.isEmpty else {
            throw .invalid("Attempted to \(verb) an element \(preposition) a list which is null")
        }
        guard elements.indices.contains(place) else {
            throw .invalid("List index \(place) out of bound, list has size \(elements.count)")
        }
        return elements[place].path
    }

    /// The list as the operations so far leave it, which is what the next one sees.
    private func elements() -> [(path: [UInt8], value: [UInt8])] {
        let pending = Self.merged(cells)
        var result: [(path: [UInt8], value: [UInt8])] = []
        var index = 0
        for element in current {
            while index < pending.count, compareBytes(pending[index].path, element.path) < 0 {
                if let value = pending[index].value { result.append((pending[index].path, value)) }
                index += 1
            }
            var value: [UInt8]? = element.value
            if index < pending.count, pending[index].path == element.path {
                if timestamp > element.timestamp
                    || timestamp == element.timestamp
                        && Self.wins(pending[index].value, over: element.value)
                {
                    value = pending[index].value
                }
                index += 1
            }
            if let value { result.append((element.path, value)) }
        }
        for (path, value) in pending[index...] {
            if let value { result.append((path, value)) }
        }
        return result
    }

    /// Sorts the cells; several of one path are one, as if they had been written by as many statements.
    mutating func finish() { cells = Self.merged(cells) }

    private static func merged(
        _ cells: [(path: [UInt8], value: [UInt8]?)]
    ) -> [(path: [UInt8], value: [UInt8]?)] {
        var sorted: [(path: [UInt8], value: [UInt8]?)] = []
        for cell in cells.sorted(by: { compareBytes($0.path, $1.path) < 0 }) {
            if let last = sorted.last, last.path == cell.path {
                guard wins(cell.value, over: last.value) else { continue }
                sorted.removeLast()
            }
            sorted.append(cell)
        }
        return sorted
    }

    /// Which of two cells of one time stays: the tombstone, or the larger value (as `Cell.wins`).
    private static func wins(_ value: [UInt8]?, over other: [UInt8]?) -> Bool {
        guard let value else { return true }
        guard let other else { return false }
        return compareBytes(value, other) > 0
    }

    /// The key of a map or the element of a set that a statement names.
    private func elementBytes(_ term: PlannedTerm) throws(CQLError) -> [UInt8] {
        let kind = if case .map = column.type { "map key" } else { "set element" }
        switch try term.evaluate(values, context) {
        case .bytes(let bytes): return bytes
        case .null: throw .invalid("Invalid null \(kind)")
        case .unset: throw .invalid("Invalid unset \(kind)")
        }
    }

    private func bytes(_ term: PlannedTerm) throws(CQLError) -> [UInt8]? {
        switch try term.evaluate(values, context) {
        case .bytes(let bytes): return bytes
        // Adding or removing nothing changes nothing.
        case .null, .unset: return nil
        }
    }

    /// Adds the cells of a serialized value.
    private mutating func append(_ bytes: [UInt8]) throws(CQLError) {
        switch column.type {
        case .set(let element, _):
            for part in try Self.parts(bytes, column.type, column.name) {
                cells.append((Self.path(part, element), keeping(part, [])))
            }
        case .map(let key, _, _):
            let parts = try Self.parts(bytes, column.type, column.name)
            for index in stride(from: 0, to: parts.count - 1, by: 2) {
                cells.append(
                    (Self.path(parts[index], key), keeping(parts[index], parts[index + 1])))
            }
        case .list:
            for part in try Self.parts(bytes, column.type, column.name) {
                cells.append((listPath(places.append(), isPrepended: false), part))
            }
        case .userDefined(let definition, _):
            for (index, field) in try Self.fields(bytes, column.type, definition).enumerated() {
                if let field { cells.append((Self.fieldPath(index), field)) }
            }
        default: throw .invalid("Column \(column.name) is no collection")
        }
    }

    // MARK: Parts and paths

    /// The type that paths encode: a set's element, or a map's key.
    private var elementType: CQLType { column.type.parts.first ?? .blob }

    private static func parts(
        _ bytes: [UInt8], _ type: CQLType, _ name: String
    ) throws(CQLError) -> [[UInt8]] {
        try bytes.withBytes { (raw) throws(CQLError) -> [[UInt8]] in
            guard var parts = CQLValueParts(type, raw) else {
                throw .invalid("Invalid value for column \(name)")
            }
            var result: [[UInt8]] = []
            while true {
                switch parts.next() {
                case .part(let part): result.append(Array(part))
                case .null: throw .invalid("null is not supported inside collections")
                case .malformed: throw .invalid("Invalid value for column \(name)")
                case .end: return result
                }
            }
        }
    }

    private static func fields(
        _ bytes: [UInt8], _ type: CQLType, _ definition: UserDefinedType
    ) throws(CQLError) -> [[UInt8]?] {
        try bytes.withBytes { (raw) throws(CQLError) -> [[UInt8]?] in
            guard var parts = CQLValueParts(type, raw) else {
                throw .invalid("Invalid value of type \(definition.name)")
            }
            var result: [[UInt8]?] = []
            while true {
                switch parts.next() {
                case .part(let part): result.append(Array(part))
                case .null: result.append(nil)
                case .malformed: throw .invalid("Invalid value of type \(definition.name)")
                case .end: return result
                }
            }
        }
    }

    private static func path(_ value: [UInt8], _ type: CQLType) -> [UInt8] {
        let writer = ByteWriter()
        value.withUnsafeBytes {
            ClusteringKey.appendComponent($0, type: type, order: .ascending, into: writer)
        }
        ClusteringKey.appendTerminator(into: writer)
        return writer.array
    }

    static func fieldPath(_ index: Int) -> [UInt8] { SystemValue.bigEndian(UInt16(index)) }

    /// The cell's value, behind the element or key where its path does not give it back.
    private func keeping(_ element: [UInt8], _ value: [UInt8]) -> [UInt8] {
        elementType.isClusteringEncodingInjective
            ? value : SystemValue.bigEndian(UInt32(element.count)) + element + value
    }

    /// Appended elements lie behind all prepended ones; these lie the later the further in front.
    private func listPath(_ place: UInt32, isPrepended: Bool) -> [UInt8] {
        let time = UInt64(bitPattern: context.clock) ^ (1 << 63)
        let (random, _) = context.randomBits(at: 0)
        return [isPrepended ? 0x40 : 0x80] + SystemValue.bigEndian(isPrepended ? ~time : time)
            + SystemValue.bigEndian(place)
            + SystemValue.bigEndian(UInt32(truncatingIfNeeded: random))
    }
}

/// Puts collections together again from the cells of a row, which come sorted by column and path.
struct CollectionAssembly {
    private var slot = -1
    private var count = 0
    private var start = 0
    private var nextField = 0
    /// Where each finished collection lies in the writer.
    private var finished: [(slot: Int, range: ByteRange)] = []

    /// Takes the next live cell of the column at `slot`.
    mutating func add(
        _ cell: Cell, slot: Int, type: CQLType, into writer: ByteWriter
    ) throws(MalformedBytes) {
        if slot != self.slot {
            close(into: writer)
            self.slot = slot
            start = writer.count
            count = 0
            nextField = 0
            fieldCount = 0
            if type.isCollection { writer.appendBigEndian(Int32(0)) }
        }
        count += 1
        switch type {
        case .list: Self.append(cell.value, into: writer)
        case .set(let element, _):
            try appendElement(cell, element, into: writer)
        case .map(let key, _, _):
            Self.append(try appendElement(cell, key, into: writer), into: writer)
        case .userDefined(let definition, _):
            var path = ByteReader(cell.path)
            let field = Int(try path.readBigEndian(UInt16.self))
            guard field >= nextField, field < definition.fields.count else {
                throw MalformedBytes("cell of field \(field)", offset: 0)
            }
            Self.appendNulls(field - nextField, into: writer)
            Self.append(cell.value, into: writer)
            nextField = field + 1
            fieldCount = definition.fields.count
        default: throw MalformedBytes("cell with a path in a column without", offset: 0)
        }
        isCollection = type.isCollection
    }

    private var isCollection = false
    /// How many fields the type has whose cells are being taken: those behind the last cell are null.
    private var fieldCount = 0

    private static func appendNulls(_ count: Int, into writer: ByteWriter) {
        for _ in 0..<max(count, 0) { writer.appendBigEndian(Int32(-1)) }
    }

    private static func append(_ value: UnsafeRawBufferPointer, into writer: ByteWriter) {
        writer.appendBigEndian(Int32(clamping: value.count))
        writer.append(value)
    }

    /// Appends the element or key that the cell stands for; returns what follows it in the value.
    @discardableResult
    private func appendElement(
        _ cell: Cell, _ type: CQLType, into writer: ByteWriter
    ) throws(MalformedBytes) -> UnsafeRawBufferPointer {
        guard type.isClusteringEncodingInjective else {
            var reader = ByteReader(cell.value)
            let length = Int(try reader.readBigEndian(UInt32.self))
            Self.append(try reader.readBytes(length), into: writer)
            return try reader.readBytes(reader.remaining)
        }
        let column = ColumnSchema(
            id: ColumnID(0), name: "", type: type,
            kind: .clustering(position: 0, order: .ascending))
        guard let element = try ClusteringKey.decode(cell.path, columns: [column])[0] else {
            throw MalformedBytes("null as an element", offset: 0)
        }
        element.withUnsafeBytes { Self.append($0, into: writer) }
        return cell.value
    }

    private mutating func close(into writer: ByteWriter) {
        guard slot >= 0 else { return }
        if isCollection { writer.overwriteBigEndian(at: start, Int32(clamping: count)) }
        Self.appendNulls(fieldCount - nextField, into: writer)
        finished.append((slot, ByteRange(offset: start, count: writer.count - start)))
        slot = -1
    }

    /// Ends the last collection and returns all of them, with their places in the writer.
    mutating func finish(into writer: ByteWriter) -> [(slot: Int, range: ByteRange)] {
        close(into: writer)
        return finished
    }
}
