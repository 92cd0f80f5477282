// The functions that a statement may call on values, with their types settled.
//
// A function is looked up once, when the statement is planned (`FunctionLibrary`); the evaluation is a
// switch over plain values. All functions but those without arguments give null for a null argument.

internal import Encoding
internal import Model

/// A function over values.
enum ScalarFunction: Equatable, Sendable {
    case now
    case uuid
    case currentTimestamp, currentDate, currentTime
    case minimumTimeUUID, maximumTimeUUID
    case toTimestamp(from: CQLType)
    case toDate(from: CQLType)
    case toUnixTimestamp(from: CQLType)
    /// The beginning of an interval of time; the type is that of the first argument.
    case floor(CQLType)
    /// `intAsBlob` and the like, whose bytes stay as they are.
    case toBlob
    /// `blobAsInt` and the like, by the name that the statement calls it.
    case fromBlob(CQLType, name: String)
    case cast(from: CQLType, to: CQLType)
    /// `left sign right`, the types being those of the operands and of the result.
    case arithmetic(ArithmeticOperator, CQLType, CQLType, CQLType)
    /// One text behind the other.
    case concatenation
    /// A time plus or minus a duration.
    case timeShift(ArithmeticOperator, CQLType)
    case negation(CQLType)
    case math(MathFunction, CQLType)
    case mapKeys(CQLType), mapValues(CQLType)
    case collectionCount(CQLType)
    /// An aggregate over the elements of a list or set of that type.
    case collectionAggregate(AggregateKind, CQLType)
    case similarity(VectorSimilarity)
    case toJSON(CQLType)
    case fromJSON(CQLType)
    /// The token of partition key values of these types.
    case token([CQLType])
    case mask(MaskFunction, CQLType)

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
                milliseconds: context.clock / 1_000,
                hundredNanoseconds: (context.clock % 1_000) * 10 + Int64(high % 10),
                low: (low & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000 | 0x0100_0000_0000)
        case .uuid:
            let (high, low) = context.randomBits(at: place)
            return UniqueID(randomHigh: high, low: low).bytes
        case .currentTimestamp: return Self.bytes(context.clock / 1_000)
        case .currentDate: return TimeFunctions.date(milliseconds: context.clock / 1_000)
        case .currentTime:
            let day: Int64 = 86_400_000_000
            return Self.bytes((context.clock % day + day) % day * 1_000)
        case .toJSON(let type): return Array(JSONText.text(arguments.first ?? nil, type).utf8)
        case .fromJSON(let type):
            guard let text = arguments.first ?? nil else { return nil }
            return try JSONValues(clock: context.clock).bytes(text: text, type)
        case .mask(let function, let type): return try function.evaluate(arguments, type)
        default: break
        }
        var values: [[UInt8]] = []
        for argument in arguments {
            guard let argument else { return nil }
            values.append(argument)
        }
        return try evaluate(values)
    }

    /// The value for arguments that are all there.
    private func evaluate(_ values: [[UInt8]]) throws(CQLError) -> [UInt8]? {
        guard let argument = values.first else { return nil }
        switch self {
        case .toBlob: return argument
        case .fromBlob(let type, let name):
            return try Self.checked(argument, type, name)
        case .arithmetic(let sign, let left, let right, let result):
            return try ArithmeticFunctions.evaluate(
                sign, (values[0], left), (values[1], right), result)
        case .concatenation: return values[0] + values[1]
        case .timeShift(let sign, let type):
            return try TimeFunctions.shifted(sign, values[0], type, by: values[1])
        case .negation(let type): return ArithmeticFunctions.negated(argument, type)
        case .math(let function, let type): return try function.evaluate(argument, type)
        case .floor(let type):
            return try TimeFunctions.floor(
                argument, type, values[1], start: values.count > 2 ? values[2] : nil)
        case .mapKeys(let type): return CollectionFunctions.entries(of: argument, type, keys: true)
        case .mapValues(let type):
            return CollectionFunctions.entries(of: argument, type, keys: false)
        case .collectionCount(let type): return CollectionFunctions.count(of: argument, type)
        case .collectionAggregate(let kind, let type):
            return try CollectionFunctions.aggregate(kind, argument, type)
        case .similarity(let similarity): return try similarity.evaluate(values[0], values[1])
        case .token: return Self.bytes(Token.of(try PartitionKeyBuilder.serialize(values)).value)
        default: return argument.isEmpty ? nil : evaluateOnTime(argument)
        }
    }

    /// Conversions of one value that is not empty.
    private func evaluateOnTime(_ argument: [UInt8]) -> [UInt8]? {
        switch self {
        case .minimumTimeUUID:
            TimeUUID.bytes(
                milliseconds: TimeFunctions.integer(argument), hundredNanoseconds: 0,
                low: 0x8080_8080_8080_8080)
        case .maximumTimeUUID:
            TimeUUID.bytes(
                milliseconds: TimeFunctions.integer(argument), hundredNanoseconds: 9_999,
                low: 0x7F7F_7F7F_7F7F_7F7F)
        case .toTimestamp(let from), .toUnixTimestamp(let from):
            Self.bytes(TimeFunctions.milliseconds(argument, from))
        case .toDate(let from):
            TimeFunctions.date(milliseconds: TimeFunctions.milliseconds(argument, from))
        case .cast(let from, let to): Self.cast(argument, from, to)
        default: nil
        }
    }

    private static func bytes(_ value: Int64) -> [UInt8] { SystemValue.bigEndian(value) }

    private static func checked(
        _ value: [UInt8], _ type: CQLType, _ name: String
    ) throws(CQLError) -> [UInt8] {
        do throws(CQLValueError) {
            try value.withBytes { (raw) throws(CQLValueError) in try type.validate(raw) }
        } catch {
            throw .invalid(
                "In call to function system.\(name), value"
                    + " 0x\(HexText.text(value)) is not a valid binary representation for type"
                    + " \(type.cqlName)")
        }
        return value
    }

    private static func cast(_ value: [UInt8], _ from: CQLType, _ to: CQLType) -> [UInt8]? {
        if to == .text || to == .ascii {
            if from == .text || from == .ascii { return value }
            return Array(plainText(value, from).utf8)
        }
        // A float becomes a decimal by its own digits, not by those of the double that it is.
        if from == .float, to == .decimal, case .real(let number)? = Number(value, from) {
            return DecimalNumber(Float(number))?.serialized
        }
        return Number(value, from)?.bytes(as: to)
    }

    /// A value as text without quotation marks, as Cassandra shows it.
    private static func plainText(_ value: [UInt8], _ type: CQLType) -> String {
        switch (type, Number(value, type)) {
        case (.float, .real(let number)): return JavaNumberText.text(Float(number))
        case (.double, .real(let number)): return JavaNumberText.text(number)
        case (.timestamp, _):
            return JSONText.timestamp(value)?.replacing(" ", with: "T") ?? ""
        case (.decimal, _):
            return value.withUnsafeBytes { JSONText.decimal($0) }
        case (.inet, _): return JSONText.address(value)
        default:
            let text = value.withUnsafeBytes { type.format($0) }
            // The literal of a time stands in quotation marks, its text does not.
            guard text.utf8.count >= 2, text.hasPrefix("'"), text.hasSuffix("'") else {
                return text
            }
            return String(text.dropFirst().dropLast())
        }
    }
}
