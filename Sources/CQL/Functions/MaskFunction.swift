// The masking functions of Cassandra 5.0: they hide a value, or a part of a text.

internal import Encoding
internal import Model

/// A function that hides data.
enum MaskFunction: String, Equatable, Sendable {
    case null = "mask_null"
    case standard = "mask_default"
    case replace = "mask_replace"
    case inner = "mask_inner"
    case outer = "mask_outer"
    case hash = "mask_hash"

    /// The signature of a call, nil if the name is that of no masking function.
    static func signature(
        _ name: String, _ arguments: [CallArgument], receiver: CQLType?
    ) throws(CQLError) -> FunctionSignature? {
        guard let function = MaskFunction(rawValue: name) else { return nil }
        let allowed: ClosedRange<Int>
        switch function {
        case .null, .standard: allowed = 1...1
        case .hash: allowed = 1...2
        case .replace: allowed = 2...2
        case .inner, .outer: allowed = 3...4
        }
        guard allowed.contains(arguments.count) else {
            throw .invalid("Invalid number of arguments for function system.\(name)")
        }
        // A digest says nothing of what it is one of.
        let isHash = function == .hash
        let expected = arguments[0].exactType ?? (isHash ? nil : receiver)
        guard let type = expected ?? arguments[0].likelyType else {
            throw .invalid(
                "Cannot infer type of argument \(arguments[0].text) in call to function"
                    + " system.\(name): use type casts to disambiguate")
        }
        var types = [type]
        switch function {
        case .null, .standard: break
        case .hash: if arguments.count == 2 { types.append(.text) }
        case .replace: types.append(type)
        case .inner, .outer:
            guard type == .text || type == .ascii else {
                throw .invalid(
                    "Function system.\(name) requires an argument of type [text|varchar|ascii], but"
                        + " found argument \(arguments[0].text) of type \(type.cqlName)")
            }
            types += [.int, .int]
            if arguments.count == 4 { types.append(.text) }
        }
        for (place, (argument, wanted)) in zip(arguments, types).enumerated()
        where argument.suits(wanted) == .none {
            throw .invalid(
                "Type error: \(argument.text) cannot be passed as argument \(place) of function"
                    + " system.\(name) of type \(wanted.cqlName)")
        }
        return FunctionSignature(name, .mask(function, type), types, isHash ? .blob : type)
    }

    /// The hidden value; nil for null.
    func evaluate(_ arguments: [[UInt8]?], _ type: CQLType) throws(CQLError) -> [UInt8]? {
        switch self {
        case .null: return nil
        case .standard: return try Self.standardValue(type)
        case .replace: return arguments[1]
        case .inner, .outer: return try maskedText(arguments)
        case .hash: return try digest(arguments)
        }
    }

    /// The digest of a value's bytes, by SHA-256 unless another algorithm is named, as Java names it.
    private func digest(_ arguments: [[UInt8]?]) throws(CQLError) -> [UInt8]? {
        let given = arguments.count > 1 ? arguments[1] : nil
        let name = given.map { String(decoding: $0, as: UTF8.self) } ?? "SHA-256"
        let function: ([UInt8]) -> [UInt8]
        switch name.uppercased() {
        case "MD5": function = MD5.digest
        case "SHA", "SHA-1", "SHA1": function = SHA1.digest
        case "SHA-224", "SHA224": function = SHA2.sha224
        case "SHA-256", "SHA256": function = SHA2.sha256
        case "SHA-384", "SHA384": function = SHA2.sha384
        case "SHA-512", "SHA512": function = { SHA2.sha512($0) }
        case "SHA-512/224": function = { SHA2.sha512($0, bits: 224) }
        case "SHA-512/256": function = { SHA2.sha512($0, bits: 256) }
        case "SHA3-224": function = { SHA3.digest($0, bits: 224) }
        case "SHA3-256": function = { SHA3.digest($0, bits: 256) }
        case "SHA3-384": function = { SHA3.digest($0, bits: 384) }
        case "SHA3-512": function = { SHA3.digest($0, bits: 512) }
        default: throw .invalid("Hash algorithm not found: \(name)")
        }
        return arguments[0].map(function)
    }

    private func maskedText(_ arguments: [[UInt8]?]) throws(CQLError) -> [UInt8]? {
        guard let value = arguments[0] else { return nil }
        let padding: Character
        if arguments.count > 3, let given = arguments[3] {
            let text = String(decoding: given, as: UTF8.self)
            guard text.count == 1, let only = text.first else {
                throw .invalid(
                    "The padding argument for function system.\(rawValue) should be single-character,"
                        + " but '\(text)' has \(text.count) characters.")
            }
            padding = only
        } else {
            padding = "*"
        }
        let text = Array(String(decoding: value, as: UTF8.self))
        func count(_ bytes: [UInt8]?) -> Int { Int(bytes.map(TimeFunctions.integer) ?? 0) }
        let begin = max(count(arguments[1]), 0)
        let end = text.count - 1 - max(count(arguments[2]), 0)
        let masked = text.enumerated().map { place, character in
            let isInside = place >= begin && place <= end
            return isInside == (self == .inner) ? padding : character
        }
        return Array(String(masked).utf8)
    }

    /// What stands for a vector may have no more bytes than a large frame.
    private static let maximumBytes = 16_777_216

    /// What stands for any value of a type: `****` for texts, zero for numbers, nothing for collections.
    private static func standardValue(_ type: CQLType) throws(CQLError) -> [UInt8]? {
        switch type {
        case .text, .ascii: return Array("****".utf8)
        case .blob, .custom: return []
        case .boolean: return [0]
        case .duration: return CQLDuration().bytes
        case .inet: return [0, 0, 0, 0]
        case .uuid: return [UInt8](repeating: 0, count: 16)
        case .timeuuid:
            return TimeUUID.bytes(
                milliseconds: 0, hundredNanoseconds: 0, low: 0x8080_8080_8080_8080)
        case .date: return TimeFunctions.date(milliseconds: 0)
        case .time, .timestamp: return SystemValue.bigEndian(Int64(0))
        case .list, .set, .map: return SystemValue.bigEndian(Int32(0))
        case .tuple(let parts): return try fields(parts)
        case .userDefined(let definition, _): return try fields(definition.fields.map(\.type))
        case .vector(let element, let dimensions):
            guard let value = try standardValue(element) else { return nil }
            let part = PlannedTerm.vectorElement(element, value)
            guard dimensions <= maximumBytes / max(part.count, 1) else {
                throw .invalid(
                    "mask_default of a \(type.cqlName) has more than \(maximumBytes) bytes")
            }
            return Array((0..<dimensions).map { _ in part }.joined())
        default: return Number.integer(0).bytes(as: type)
        }
    }

    private static func fields(_ types: [CQLType]) throws(CQLError) -> [UInt8] {
        var bytes: [UInt8] = []
        for type in types {
            let value = try standardValue(type)
            bytes += SystemValue.bigEndian(Int32(value?.count ?? -1)) + (value ?? [])
        }
        return bytes
    }
}
