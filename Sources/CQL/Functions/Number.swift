// Numbers of all of CQL's numeric types, and the arithmetic between them.
//
// The type of a result follows from those of the operands: floating point if one of them is, and as wide as
// the wider one (`ArithmeticFunctions.resultType`). Integers wrap around, as Java's do; varint and decimal
// grow. Conversions are Java's too: floating point saturates at 32 bits before it is cut to a shorter type.

internal import Model

/// A number of some type.
enum Number: Sendable {
    case integer(Int64)
    case whole(WholeNumber)
    case real(Double)
    case decimal(DecimalNumber)

    /// Reads a serialized number; nil if it is empty or malformed, or the type is no number.
    init?(_ value: [UInt8], _ type: CQLType) {
        switch type {
        case .tinyint, .smallint, .int, .bigint, .counter:
            guard value.count == type.fixedLength ?? 8 else { return nil }
            var number: Int64 = value[0] >= 0x80 ? -1 : 0
            for byte in value { number = number << 8 | Int64(byte) }
            self = .integer(number)
        case .float:
            guard value.count == 4 else { return nil }
            self = .real(Double(Float(bitPattern: value.reduce(0) { $0 << 8 | UInt32($1) })))
        case .double:
            guard value.count == 8 else { return nil }
            self = .real(Double(bitPattern: value.reduce(0) { $0 << 8 | UInt64($1) }))
        case .varint:
            guard !value.isEmpty, value.count <= WholeNumber.maximumBytes else { return nil }
            self = .whole(WholeNumber(twosComplement: value))
        case .decimal:
            guard let decimal = DecimalNumber(serialized: value) else { return nil }
            self = .decimal(decimal)
        default: return nil
        }
    }

    // MARK: Conversions

    var real: Double {
        switch self {
        case .integer(let value): Double(value)
        case .whole(let value): value.double
        case .real(let value): value
        case .decimal(let value): value.double
        }
    }

    /// As Java narrows to 64 bits.
    var long: Int64 {
        switch self {
        case .integer(let value): value
        case .whole(let value): value.lowBits
        case .real(let value): Self.saturated(value)
        case .decimal(let value): value.hasBoundedWhole ? value.whole.lowBits : 0
        }
    }

    /// As Java narrows to 32 bits.
    private var int: Int32 {
        if case .real(let value) = self { return Int32(clamping: Self.saturated(value)) }
        return Int32(truncatingIfNeeded: long)
    }

    private static func saturated(_ value: Double) -> Int64 {
        if value.isNaN { return 0 }
        return Int64(exactly: value.rounded(.towardZero)) ?? (value > 0 ? .max : .min)
    }

    var whole: WholeNumber {
        switch self {
        case .integer(let value): WholeNumber(value)
        case .whole(let value): value
        case .real(let value): WholeNumber(truncating: value)
        case .decimal(let value): value.hasBoundedWhole ? value.whole : WholeNumber(0)
        }
    }

    /// The number as a decimal; nil for what is not finite.
    var decimal: DecimalNumber? {
        switch self {
        case .integer(let value): DecimalNumber(unscaled: WholeNumber(value), scale: 0)
        case .whole(let value): DecimalNumber(unscaled: value, scale: 0)
        case .real(let value): DecimalNumber(value)
        case .decimal(let value): value
        }
    }

    /// The serialized number of that type; nil if it has none there.
    func bytes(as type: CQLType) -> [UInt8]? {
        switch type {
        case .tinyint: SystemValue.bigEndian(Int8(truncatingIfNeeded: int))
        case .smallint: SystemValue.bigEndian(Int16(truncatingIfNeeded: int))
        case .int: SystemValue.bigEndian(int)
        case .bigint, .counter: SystemValue.bigEndian(long)
        case .float: SystemValue.bigEndian(Float(real).bitPattern)
        case .double: SystemValue.bigEndian(real.bitPattern)
        case .varint: whole.twosComplement
        case .decimal: decimal?.serialized
        default: nil
        }
    }
}

/// `+`, `-`, `*`, `/` and `%`: between numbers, between a time and a duration, and `+` between texts.
enum ArithmeticFunctions {
    static let numericTypes: [CQLType] = [
        .tinyint, .smallint, .int, .bigint, .float, .double, .decimal, .varint, .counter,
    ]

    static func isNumeric(_ type: CQLType) -> Bool { numericTypes.contains(type) }

    static func name(_ sign: ArithmeticOperator) -> String {
        switch sign {
        case .add: "_add"
        case .subtract: "_substract"
        case .multiply: "_multiply"
        case .divide: "_divide"
        case .remainder: "_modulo"
        }
    }

    /// The function between two known types, if there is one.
    static func signature(
        _ sign: ArithmeticOperator, _ left: CQLType, _ right: CQLType
    ) -> FunctionSignature? {
        if isNumeric(left), isNumeric(right) {
            let result = resultType(left, right)
            return FunctionSignature(
                name(sign), .arithmetic(sign, left, right, result), [left, right], result)
        }
        if sign == .add, isText(left), isText(right) {
            return FunctionSignature(
                name(sign), .concatenation, [left, right], left == right ? left : .text)
        }
        guard left == .timestamp || left == .date, right == .duration,
            sign == .add || sign == .subtract
        else { return nil }
        return FunctionSignature(
            name(sign), .timeShift(sign, left), [left, .duration], left)
    }

    /// All functions of each operator.
    static let candidates: [ArithmeticOperator: [FunctionSignature]] = Dictionary(
        uniqueKeysWithValues: ArithmeticOperator.allCases.map { ($0, allSignatures(of: $0)) })

    private static func allSignatures(of sign: ArithmeticOperator) -> [FunctionSignature] {
        var result: [FunctionSignature] = []
        for left in numericTypes {
            for right in numericTypes {
                if let function = signature(sign, left, right) { result.append(function) }
            }
        }
        for type in [CQLType.timestamp, .date] {
            if let function = signature(sign, type, .duration) { result.append(function) }
        }
        for (left, right) in [
            (CQLType.text, CQLType.text), (.ascii, .ascii), (.ascii, .text), (.text, .ascii),
        ] {
            if let function = signature(sign, left, right) { result.append(function) }
        }
        return result
    }

    private static func isText(_ type: CQLType) -> Bool { type == .text || type == .ascii }

    private static func width(_ type: CQLType) -> Int {
        switch type {
        case .tinyint: 1
        case .smallint: 2
        case .int, .float: 4
        case .bigint, .double, .counter: 8
        default: .max
        }
    }

    private static func resultType(_ left: CQLType, _ right: CQLType) -> CQLType {
        let isFloating = [left, right].contains { $0 == .float || $0 == .double || $0 == .decimal }
        switch (max(width(left), width(right)), isFloating) {
        case (4, true): return .float
        case (8, true): return .double
        case (_, true): return .decimal
        case (1, false): return .tinyint
        case (2, false): return .smallint
        case (4, false): return .int
        case (8, false): return .bigint
        default: return .varint
        }
    }

    // MARK: Computing

    /// Computes; nil if one operand is empty. What cannot be computed is the client's mistake.
    static func evaluate(
        _ sign: ArithmeticOperator, _ left: ([UInt8], CQLType), _ right: ([UInt8], CQLType),
        _ result: CQLType
    ) throws(CQLError) -> [UInt8]? {
        guard !left.0.isEmpty, !right.0.isEmpty else { return nil }
        guard let a = Number(left.0, left.1), let b = Number(right.0, right.1) else {
            throw failure(
                sign, left.1, right.1, "a number has over \(WholeNumber.maximumBytes) bytes")
        }
        let computed: Number?
        let problem: String?
        switch result {
        case .float: (computed, problem) = (.real(Double(floats(sign, a, b))), nil)
        case .double: (computed, problem) = (.real(doubles(sign, a.real, b.real)), nil)
        case .decimal: (computed, problem) = decimals(sign, a, b)
        case .varint:
            (computed, problem) = wholes(sign, a.whole, b.whole)
        default: (computed, problem) = integers(sign, a.long, b.long)
        }
        guard let bytes = computed?.bytes(as: result), problem == nil else {
            throw failure(sign, left.1, right.1, problem ?? "the result cannot be represented")
        }
        return bytes
    }

    static func failure(
        _ sign: ArithmeticOperator, _ left: CQLType, _ right: CQLType, _ reason: String
    ) -> CQLError {
        .functionFailure(
            "the operation '\(left.cqlName) \(sign.rawValue) \(right.cqlName)' failed: \(reason)",
            keyspace: "system", function: sign.rawValue, arguments: [left.cqlName, right.cqlName])
    }

    private static func integers(
        _ sign: ArithmeticOperator, _ left: Int64, _ right: Int64
    ) -> (Number?, String?) {
        switch sign {
        case .add: return (.integer(left &+ right), nil)
        case .subtract: return (.integer(left &- right), nil)
        case .multiply: return (.integer(left &* right), nil)
        case .divide, .remainder:
            guard right != 0 else { return (nil, "/ by zero") }
            // The smallest number divided by -1 wraps around, which the machine's division does not.
            if right == -1 { return (.integer(sign == .divide ? 0 &- left : 0), nil) }
            return (.integer(sign == .divide ? left / right : left % right), nil)
        }
    }

    private static func floats(_ sign: ArithmeticOperator, _ left: Number, _ right: Number) -> Float
    {
        let (a, b) = (Float(left.real), Float(right.real))
        return switch sign {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: a / b
        case .remainder: a.truncatingRemainder(dividingBy: b)
        }
    }

    private static func doubles(_ sign: ArithmeticOperator, _ a: Double, _ b: Double) -> Double {
        switch sign {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: a / b
        case .remainder: a.truncatingRemainder(dividingBy: b)
        }
    }

    private static func wholes(
        _ sign: ArithmeticOperator, _ left: WholeNumber, _ right: WholeNumber
    ) -> (Number?, String?) {
        switch sign {
        case .add: return (.whole(left + right), nil)
        case .subtract: return (.whole(left - right), nil)
        case .multiply: return (.whole(left * right), nil)
        case .divide, .remainder:
            guard !right.isZero else { return (nil, "BigInteger divide by zero") }
            let (quotient, remainder) = left.dividedWithRemainder(by: right)
            return (.whole(sign == .divide ? quotient : remainder), nil)
        }
    }

    private static func decimals(
        _ sign: ArithmeticOperator, _ left: Number, _ right: Number
    ) -> (Number?, String?) {
        for number in [left, right] {
            guard case .real(let value) = number, !value.isFinite else { continue }
            return (
                nil,
                "A\(value.isNaN ? " NaN" : "n infinite number") cannot be converted into a decimal"
            )
        }
        // Integers become decimals by way of floating point, and so with one digit behind the point.
        func operand(_ number: Number) -> DecimalNumber? {
            if case .integer(let value) = number { return DecimalNumber(Double(value)) }
            return number.decimal
        }
        guard let a = operand(left), let b = operand(right) else {
            return (nil, "an operand cannot be converted into a decimal")
        }
        let result: DecimalNumber?
        switch sign {
        case .add: result = a + b
        case .subtract: result = a + b.negated
        case .multiply: result = a * b
        case .divide, .remainder:
            guard !b.isZero else {
                let division = a.isZero ? "/ by zero" : "BigInteger divide by zero"
                return (nil, sign == .divide ? division : "Division by zero")
            }
            result = sign == .divide ? .quotient(a, b) : .remainder(a, b)
        }
        guard let result else { return (nil, "the operands' scales are too far apart") }
        return (.decimal(result), nil)
    }

    /// The negative of a number; nil for an empty value.
    static func negated(_ value: [UInt8], _ type: CQLType) -> [UInt8]? {
        guard let number = Number(value, type) else { return nil }
        switch number {
        case .integer(let value): return Number.integer(0 &- value).bytes(as: type)
        case .whole(let value): return Number.whole(value.negated).bytes(as: type)
        case .real(let value): return Number.real(-value).bytes(as: type)
        case .decimal(let value): return Number.decimal(value.negated).bytes(as: type)
        }
    }
}
