// JSON as values, as INSERT JSON and `from_json` take them.
//
// A value may stand in JSON's own form or, whatever its type, in a string that holds it: `"1"` is an int.
// Error texts are Cassandra's, with Java's names for what was found.

internal import Encoding
internal import Model

/// Makes values of JSON.
struct JSONValues {
    /// Microseconds since 1970 by the coordinator's clock: what "now" means.
    let clock: Int64

    /// The value that the JSON text holds; nil for null.
    func bytes(text: [UInt8], _ type: CQLType) throws(CQLError) -> [UInt8]? {
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONReader.read(text)
        } catch {
            throw .functionFailure(
                "Could not decode JSON string '\(String(decoding: text, as: UTF8.self))':"
                    + " \(error.message)",
                keyspace: "system", function: "from_json", arguments: ["text"])
        }
        do throws(CQLValueError) {
            return try bytes(value, type)
        } catch {
            throw .functionFailure(
                error.message, keyspace: "system", function: "from_json", arguments: ["text"])
        }
    }

    /// The row that a JSON object holds, by column: its value, nil for null. Columns that are not named
    /// are not there.
    func row(
        _ text: [UInt8], _ table: TableSchema
    ) throws(CQLError) -> [String: [UInt8]?] {
        func failure(_ reason: String) -> CQLError {
            .invalid(
                "Could not decode JSON string as a map: \(reason). (String was:"
                    + " \(String(decoding: text, as: UTF8.self)))")
        }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONReader.read(text)
        } catch {
            throw failure(error.message)
        }
        guard value != .null else { throw .invalid("Got null for INSERT JSON values") }
        guard case .object(let entries) = value else {
            throw failure("found a value of type \(value.javaName)")
        }
        var row: [String: [UInt8]?] = [:]
        for entry in entries {
            let name = Self.columnName(entry.key)
            guard let column = table.column(named: name) else {
                throw .invalid("JSON values map contains unrecognized column: \(name)")
            }
            do throws(CQLValueError) {
                row[name] = .some(try bytes(entry.value, column.type))
            } catch {
                throw .invalid("Error decoding JSON value for \(name): \(error.message)")
            }
        }
        return row
    }

    /// A key as a name: in quotation marks it keeps its case.
    static func columnName(_ key: String) -> String {
        if key.utf8.count >= 2, key.hasPrefix("\""), key.hasSuffix("\"") {
            return String(key.dropFirst().dropLast())
        }
        return key.lowercased()
    }

    // MARK: Types

    private static func mismatch(_ expected: String, _ value: JSONValue) -> CQLValueError {
        CQLValueError("Expected \(expected), but got a \(value.javaName): \(value.javaText)")
    }

    /// The value in CQL's serialized form; nil for null.
    func bytes(_ value: JSONValue, _ type: CQLType) throws(CQLValueError) -> [UInt8]? {
        if value == .null { return nil }
        switch type {
        case .list(let element, _):
            return try collection(value, element, "a list", "list")
        case .vector(let element, let dimensions): return try vector(value, element, dimensions)
        case .set(let element, _):
            guard let items = try Self.items(value) else {
                throw Self.mismatch("a list (representing a set)", value)
            }
            return PlannedTerm.collection(type, try parts(items, element, "set"))
        case .map(let key, let content, _): return try map(value, type, key, content)
        case .tuple(let types): return try tuple(value, types)
        case .userDefined(let definition, _): return try userType(value, definition)
        default: return try scalar(value, type)
        }
    }

    private func scalar(_ value: JSONValue, _ type: CQLType) throws(CQLValueError) -> [UInt8] {
        switch (type, value) {
        case (.text, .string(let text)): return Array(text.utf8)
        case (.text, _): throw Self.mismatch("a UTF-8 string", value)
        case (.ascii, .string(let text)): return try type.parse(text)
        case (.ascii, _): throw Self.mismatch("an ascii string", value)
        case (.boolean, .boolean(let truth)): return [truth ? 1 : 0]
        case (.tinyint, .number(let text)), (.smallint, .number(let text)),
            (.int, .number(let text)), (.bigint, .number(let text)), (.counter, .number(let text)):
            // A number of JSON is whole only if it is written so, and small enough.
            let number = Int64(text).map(Number.integer)
            guard let bytes = number?.bytes(as: type), Number(bytes, type)?.long == Int64(text)
            else {
                // The short ones go by way of their text, as strings do.
                if type == .tinyint || type == .smallint { return try type.parse(text) }
                throw Self.mismatch(Self.expectation(type), value)
            }
            return bytes
        case (.varint, _), (.decimal, _): return try Self.unbounded(value, type)
        case (.float, .number(let text)), (.double, .number(let text)):
            return try type.parse(text)
        case (.timestamp, .number(let text)) where Int64(text) != nil:
            return try type.parse(text)
        case (.timestamp, .string(let text)) where TimeFunctions.meansNow(text):
            return SystemValue.bigEndian(clock / 1_000)
        case (.blob, _), (.custom, _): return try Self.blob(value, type)
        case (_, .string(let text)): return try type.parse(text)
        default: throw Self.mismatch(Self.expectation(type), value)
        }
    }

    /// A `varint` or `decimal`, by the text of whatever was found. Only decimals may be empty.
    private static func unbounded(
        _ value: JSONValue, _ type: CQLType
    ) throws(CQLValueError) -> [UInt8] {
        let text = value.javaText
        if text.isEmpty, type == .decimal { return [] }
        do throws(CQLValueError) {
            if !text.isEmpty { return try type.parse(text) }
        } catch {
            // The refusal below names the type and what was found.
        }
        throw CQLValueError(
            "Value '\(text)' is not a valid representation of a \(type.cqlName) value")
    }

    private static func blob(
        _ value: JSONValue, _ type: CQLType
    ) throws(CQLValueError) -> [UInt8] {
        func refusal(_ reason: String) -> CQLValueError {
            CQLValueError(
                "Value '\(value.javaText)' is not a valid blob representation: \(reason)")
        }
        guard case .string(let text) = value else { throw refusal("it is no string") }
        guard text.hasPrefix("0x") || text.hasPrefix("0X") else {
            throw refusal("String representation of blob is missing 0x prefix: \(text)")
        }
        do throws(CQLValueError) {
            return try type.parse(text)
        } catch {
            throw refusal(error.message)
        }
    }

    private static func expectation(_ type: CQLType) -> String {
        switch type {
        case .tinyint: "a byte value"
        case .smallint: "a short value"
        case .int: "an int value"
        case .bigint, .counter: "a bigint value"
        case .boolean: "a boolean value"
        case .float: "a float value"
        case .double: "a double value"
        case .uuid: "a string representation of a uuid"
        case .timeuuid: "a string representation of a timeuuid"
        case .inet: "a string representation of an inet value"
        case .date: "a string representation of a date value"
        case .time: "a string representation of a time value"
        case .timestamp: "a long or a datestring representation of a timestamp value"
        case .duration: "a string representation of a duration"
        default: "a string representation of a \(type.cqlName) value"
        }
    }

    // MARK: Nested types

    /// The items of an array, which may also stand inside of a string.
    private static func items(_ value: JSONValue) throws(CQLValueError) -> [JSONValue]? {
        if case .array(let items) = try Self.unwrapped(value) { return items }
        return nil
    }

    private static func unwrapped(_ value: JSONValue) throws(CQLValueError) -> JSONValue {
        guard case .string(let text) = value else { return value }
        do throws(JSONError) {
            return try JSONReader.read(Array(text.utf8))
        } catch {
            throw CQLValueError("Could not decode JSON string '\(text)': \(error.message)")
        }
    }

    private func parts(
        _ items: [JSONValue], _ type: CQLType, _ what: String
    ) throws(CQLValueError) -> [[UInt8]] {
        var result: [[UInt8]] = []
        for item in items {
            guard let part = try bytes(item, type) else {
                throw CQLValueError("Invalid null element in \(what)")
            }
            result.append(part)
        }
        return result
    }

    private func collection(
        _ value: JSONValue, _ element: CQLType, _ expected: String, _ what: String
    ) throws(CQLValueError) -> [UInt8] {
        guard let items = try Self.items(value) else { throw Self.mismatch(expected, value) }
        let parts = try parts(items, element, what)
        return SystemValue.collection(count: parts.count, parts)
    }

    private func vector(
        _ value: JSONValue, _ element: CQLType, _ dimensions: Int
    ) throws(CQLValueError) -> [UInt8] {
        guard let items = try Self.items(value) else { throw Self.mismatch("a list", value) }
        guard items.count == dimensions else {
            throw CQLValueError(
                "List had incorrect size: expected \(dimensions) but given \(items.count):"
                    + " \(value.javaText)")
        }
        let parts = try parts(items, element, "vector")
        return Array(parts.map { PlannedTerm.vectorElement(element, $0) }.joined())
    }

    private func map(
        _ value: JSONValue, _ type: CQLType, _ key: CQLType, _ content: CQLType
    ) throws(CQLValueError) -> [UInt8] {
        guard case .object(let entries) = try Self.unwrapped(value) else {
            throw Self.mismatch("a map", value)
        }
        var parts: [[UInt8]] = []
        for entry in entries {
            guard let keyBytes = try bytes(.string(entry.key), key) else {
                throw CQLValueError("Invalid null key in map")
            }
            guard let contentBytes = try bytes(entry.value, content) else {
                throw CQLValueError("Invalid null value in map")
            }
            parts += [keyBytes, contentBytes]
        }
        return PlannedTerm.collection(type, parts)
    }

    private func tuple(
        _ value: JSONValue, _ types: [CQLType]
    ) throws(CQLValueError) -> [UInt8] {
        guard let items = try Self.items(value) else {
            throw Self.mismatch("a list representation of a tuple", value)
        }
        guard items.count <= types.count else {
            throw CQLValueError(
                "Tuple contains extra items (expected \(types.count)): \(value.javaText)")
        }
        guard items.count == types.count else {
            throw CQLValueError(
                "Tuple is missing items (expected \(types.count)): \(value.javaText)")
        }
        var fields: [[UInt8]?] = []
        for (item, type) in zip(items, types) { fields.append(try bytes(item, type)) }
        return Self.serialized(fields)
    }

    private func userType(
        _ value: JSONValue, _ definition: UserDefinedType
    ) throws(CQLValueError) -> [UInt8] {
        guard case .object(let entries) = try Self.unwrapped(value) else {
            throw Self.mismatch("a map", value)
        }
        let given = entries.map { (name: Self.columnName($0.key), value: $0.value) }
        let names = definition.fields.map(\.name)
        let unknown = given.map(\.name).filter { !names.contains($0) }
        guard unknown.isEmpty else {
            throw CQLValueError(
                "Unknown fields [\(unknown.joined(separator: ", "))] in value of user defined type"
                    + " \(definition.name)")
        }
        var fields: [[UInt8]?] = []
        for field in definition.fields {
            let value = given.last { $0.name == field.name }?.value ?? .null
            fields.append(try bytes(value, field.type))
        }
        return Self.serialized(fields)
    }

    private static func serialized(_ fields: [[UInt8]?]) -> [UInt8] {
        fields.reduce(into: []) { bytes, field in
            bytes += SystemValue.bigEndian(Int32(field?.count ?? -1)) + (field ?? [])
        }
    }
}
