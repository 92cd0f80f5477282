// The functions that a statement may call on values: times, identifiers, conversions.
//
// A function is looked up once, when the statement is planned; the evaluation is a switch. Cassandra 5.0
// knows them by two spellings (`toTimestamp`, `to_timestamp`), and so do we.

internal import Encoding
internal import Model

/// A function over scalar values, with its types settled.
enum ScalarFunction: Equatable, Sendable {
    case now
    case uuid
    case currentTimestamp, currentDate, currentTime
    case minimumTimeUUID, maximumTimeUUID
    case toTimestamp(from: CQLType)
    case toDate(from: CQLType)
    case toUnixTimestamp(from: CQLType)
    /// `intAsBlob` and the like, whose bytes stay as they are.
    case toBlob
    case fromBlob(CQLType)
    case cast(from: CQLType, to: CQLType)

    /// A function with the types that it takes and gives.
    struct Signature: Sendable {
        let function: ScalarFunction
        let arguments: [CQLType]
        let result: CQLType
    }

    private static let nativeTypes: [CQLType] = [
        .ascii, .bigint, .boolean, .counter, .date, .decimal, .double, .duration, .float, .inet,
        .int,
        .smallint, .text, .time, .timestamp, .timeuuid, .tinyint, .uuid, .varint,
    ]

    /// All functions of that name, one for each list of types that it takes.
    static func candidates(_ name: String) -> [Signature] {
        switch name {
        case "now", "currenttimeuuid", "current_timeuuid":
            return [Signature(function: .now, arguments: [], result: .timeuuid)]
        case "uuid": return [Signature(function: .uuid, arguments: [], result: .uuid)]
        case "currenttimestamp", "current_timestamp":
            return [Signature(function: .currentTimestamp, arguments: [], result: .timestamp)]
        case "currentdate", "current_date":
            return [Signature(function: .currentDate, arguments: [], result: .date)]
        case "currenttime", "current_time":
            return [Signature(function: .currentTime, arguments: [], result: .time)]
        case "mintimeuuid", "min_timeuuid":
            return [
                Signature(function: .minimumTimeUUID, arguments: [.timestamp], result: .timeuuid)
            ]
        case "maxtimeuuid", "max_timeuuid":
            return [
                Signature(function: .maximumTimeUUID, arguments: [.timestamp], result: .timeuuid)
            ]
        case "totimestamp", "to_timestamp":
            return [CQLType.timeuuid, .date].map {
                Signature(function: .toTimestamp(from: $0), arguments: [$0], result: .timestamp)
            }
        case "todate", "to_date":
            return [CQLType.timeuuid, .timestamp].map {
                Signature(function: .toDate(from: $0), arguments: [$0], result: .date)
            }
        case "tounixtimestamp", "to_unix_timestamp":
            return [CQLType.timeuuid, .timestamp, .date].map {
                Signature(function: .toUnixTimestamp(from: $0), arguments: [$0], result: .bigint)
            }
        default: return conversions(name)
        }
    }

    private static func conversions(_ name: String) -> [Signature] {
        for type in nativeTypes {
            for typeName in type == .text ? ["text", "varchar"] : [type.cqlName] {
                if name == typeName + "asblob" || name == typeName + "_as_blob" {
                    return [Signature(function: .toBlob, arguments: [type], result: .blob)]
                }
                if name == "blobas" + typeName || name == "blob_as_" + typeName {
                    return [Signature(function: .fromBlob(type), arguments: [.blob], result: type)]
                }
            }
        }
        return []
    }

    /// The conversion that CAST makes, or nil if there is none.
    static func conversion(from: CQLType, to: CQLType) -> ScalarFunction? {
        if from == to { return .toBlob }
        let numbers: [CQLType] = [.tinyint, .smallint, .int, .bigint, .float, .double, .counter]
        let texts: [CQLType] = [.text, .ascii]
        if texts.contains(to), !from.isNested, from != .blob, from != .duration {
            return .cast(from: from, to: to)
        }
        if numbers.contains(from), numbers.contains(to), to != .counter {
            return .cast(from: from, to: to)
        }
        switch (from, to) {
        case (.timeuuid, .timestamp), (.date, .timestamp): return .toTimestamp(from: from)
        case (.timeuuid, .date), (.timestamp, .date): return .toDate(from: from)
        default: return nil
        }
    }

    // MARK: Evaluation

    /// The value, or nil for null. `place` tells calls in one statement apart.
    func evaluate(
        _ arguments: [[UInt8]?], _ context: ExecutionContext, place: Int
    ) throws(CQLError) -> [UInt8]? {
        switch self {
        case .now:
            let (high, low) = context.randomBits(at: place)
            // The low 14 bits of the clock sequence and the node are random.
            return TimeUUID.bytes(
                milliseconds: context.timestamp / 1_000,
                hundredNanoseconds: (context.timestamp % 1_000) * 10 + Int64(high % 10),
                low: (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000 | 0x0100_0000_0000)
        case .uuid:
            let (high, low) = context.randomBits(at: place)
            return UniqueID(randomHigh: high, low: low).bytes
        case .currentTimestamp: return Self.bytes(context.timestamp / 1_000)
        case .currentDate: return Self.date(milliseconds: context.timestamp / 1_000)
        case .currentTime:
            let day: Int64 = 86_400_000_000
            return Self.bytes((context.timestamp % day + day) % day * 1_000)
        default: break
        }
        guard let argument = arguments.first ?? nil else { return nil }
        if argument.isEmpty, self != .toBlob { return nil }
        switch self {
        case .minimumTimeUUID:
            return TimeUUID.bytes(
                milliseconds: Self.integer(argument), hundredNanoseconds: 0,
                low: 0x8080_8080_8080_8080)
        case .maximumTimeUUID:
            return TimeUUID.bytes(
                milliseconds: Self.integer(argument), hundredNanoseconds: 9_999,
                low: 0x7F7F_7F7F_7F7F_7F7F)
        case .toTimestamp(let from):
            return Self.bytes(Self.milliseconds(argument, from))
        case .toDate(let from):
            return Self.date(milliseconds: Self.milliseconds(argument, from))
        case .toUnixTimestamp(let from):
            return Self.bytes(Self.milliseconds(argument, from))
        case .toBlob: return argument
        case .fromBlob(let type):
            do throws(CQLValueError) {
                try argument.withBytes { (raw) throws(CQLValueError) in try type.validate(raw) }
            } catch {
                throw .invalid(
                    "In call to function system.blob_as_\(type.cqlName), value"
                        + " 0x\(HexText.text(argument)) is not a valid binary representation for type"
                        + " \(type.cqlName)")
            }
            return argument
        case .cast(let from, let to): return Self.cast(argument, from, to)
        default: return nil
        }
    }

    private static func bytes(_ value: Int64) -> [UInt8] { SystemValue.bigEndian(value) }

    private static func integer(_ bytes: [UInt8]) -> Int64 {
        var value: Int64 = bytes.first.map { $0 >= 0x80 ? -1 : 0 } ?? 0
        for byte in bytes.prefix(8) { value = value << 8 | Int64(byte) }
        return value
    }

    private static func date(milliseconds: Int64) -> [UInt8] {
        let day: Int64 = 86_400_000
        let days = milliseconds / day - (milliseconds % day < 0 ? 1 : 0)
        return SystemValue.bigEndian(UInt32(truncatingIfNeeded: days &+ 0x8000_0000))
    }

    private static func milliseconds(_ value: [UInt8], _ type: CQLType) -> Int64 {
        switch type {
        case .timeuuid: return TimeUUID.milliseconds(value)
        case .date:
            let raw = value.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return (Int64(raw) - 0x8000_0000) * 86_400_000
        default: return integer(value)
        }
    }

    private static func cast(_ value: [UInt8], _ from: CQLType, _ to: CQLType) -> [UInt8]? {
        if to == .text || to == .ascii {
            if from == .text || from == .ascii { return value }
            var text = Array(value.withUnsafeBytes { from.format($0) }.utf8)
            // The literal of a time stands in quotation marks, its text does not.
            if text.count >= 2, text.first == UInt8(ascii: "'"), text.last == UInt8(ascii: "'") {
                text = Array(text[1..<(text.count - 1)])
            }
            return text
        }
        guard let number = Number(value, from) else { return nil }
        return number.bytes(as: to)
    }
}

/// A number of a fixed-width type.
enum Number: Sendable {
    case integer(Int64)
    case real(Double)

    init?(_ value: [UInt8], _ type: CQLType) {
        guard value.count == type.fixedLength else { return nil }
        switch type {
        case .tinyint, .smallint, .int, .bigint, .counter:
            var number: Int64 = value[0] >= 0x80 ? -1 : 0
            for byte in value { number = number << 8 | Int64(byte) }
            self = .integer(number)
        case .float:
            self = .real(Double(Float(bitPattern: value.reduce(0) { $0 << 8 | UInt32($1) })))
        case .double: self = .real(Double(bitPattern: value.reduce(0) { $0 << 8 | UInt64($1) }))
        default: return nil
        }
    }

    var real: Double {
        switch self {
        case .integer(let value): Double(value)
        case .real(let value): value
        }
    }

    /// As Java's narrowing conversions do it: integers wrap, floating point saturates.
    private var integer: Int64 {
        switch self {
        case .integer(let value): return value
        case .real(let value):
            if value.isNaN { return 0 }
            if value >= 9.3e18 { return .max }
            if value <= -9.3e18 { return .min }
            return Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : .min)
        }
    }

    func bytes(as type: CQLType) -> [UInt8]? {
        switch type {
        case .tinyint: SystemValue.bigEndian(Int8(truncatingIfNeeded: integer))
        case .smallint: SystemValue.bigEndian(Int16(truncatingIfNeeded: integer))
        case .int: SystemValue.bigEndian(Int32(truncatingIfNeeded: integer))
        case .bigint, .counter: SystemValue.bigEndian(integer)
        case .float: SystemValue.bigEndian(Float(real).bitPattern)
        case .double: SystemValue.bigEndian(real.bitPattern)
        default: nil
        }
    }
}

/// Version 1 UUIDs (RFC 4122), whose time counts 100 ns since 1582-10-15.
enum TimeUUID {
    private static let epochOffset: Int64 = 0x01B2_1DD2_1381_4000

    static func bytes(milliseconds: Int64, hundredNanoseconds: Int64, low: UInt64) -> [UInt8] {
        let ticks = UInt64(
            bitPattern: milliseconds &* 10_000 &+ hundredNanoseconds &+ epochOffset)
        let high =
            (ticks & 0xFFFF_FFFF) << 32 | (ticks >> 32 & 0xFFFF) << 16 | 0x1000
            | (ticks >> 48 & 0x0FFF)
        return UniqueID(high: high, low: low).bytes
    }

    static func milliseconds(_ bytes: [UInt8]) -> Int64 {
        guard bytes.count == 16 else { return 0 }
        let high = bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let ticks = (high & 0x0FFF) << 48 | (high >> 16 & 0xFFFF) << 32 | high >> 32
        let since = Int64(bitPattern: ticks) &- epochOffset
        return since >= 0 ? since / 10_000 : (since - 9_999) / 10_000
    }
}
