// abs, exp, log, log10 and round.
//
// On integers they compute in floating point and cut the result, as Cassandra's do. On varint and decimal
// they go by `DecimalNumber` with 32 significant digits. Floating point goes by way of it too: the last bit
// of a library's `exp` or `log` differs from machine to machine, and replicas and simulations must not.

internal import Model

/// A mathematical function of one number.
enum MathFunction: String, Equatable, Sendable, CaseIterable {
    case abs, exp, log, log10, round

    /// The result, of the argument's type; nil for an empty argument.
    func evaluate(_ value: [UInt8], _ type: CQLType) throws(CQLError) -> [UInt8]? {
        guard let number = Number(value, type) else { return nil }
        switch number {
        case .integer(let integer):
            switch self {
            case .abs: return Number.integer(integer < 0 ? 0 &- integer : integer).bytes(as: type)
            case .round: return value
            default: return Number.real(real(Double(integer), isFloat: false)).bytes(as: type)
            }
        case .real(let double):
            return Number.real(real(double, isFloat: type == .float)).bytes(as: type)
        case .whole(let whole):
            switch self {
            case .abs: return whole.magnitude.twosComplement
            case .round: return value
            default:
                let decimal = try decimal(DecimalNumber(unscaled: whole, scale: 0), type)
                return decimal.whole.twosComplement
            }
        case .decimal(let decimal):
            guard let bytes = try self.decimal(decimal, type).serialized else {
                throw failure(type, "the result cannot be represented")
            }
            return bytes
        }
    }

    private func real(_ value: Double, isFloat: Bool) -> Double {
        switch self {
        case .abs: return value.magnitude
        case .exp: return Self.exponential(value)
        case .log, .log10: return logarithm(value)
        case .round:
            // To the nearest integer, half upwards; NaN is 0, and what is too large saturates.
            if value.isNaN { return 0 }
            let limit = isFloat ? Double(Int32.max) : Double(Int64.max)
            let rounded = (value + 0.5).rounded(.down)
            return Swift.min(Swift.max(rounded, -limit - (isFloat ? 1 : 0)), limit)
        }
    }

    private static func exponential(_ value: Double) -> Double {
        if value.isNaN { return value }
        // Beyond these there is nothing but infinity and zero.
        if value > 710 { return .infinity }
        if value < -746 { return 0 }
        return DecimalNumber(exactly: value)
            .flatMap { DecimalFunctions.exponential($0, digits: 32) }?.double ?? .nan
    }

    private func logarithm(_ value: Double) -> Double {
        if value.isNaN || value < 0 { return .nan }
        if value == 0 { return -.infinity }
        guard let decimal = DecimalNumber(exactly: value) else { return .infinity }
        let result =
            self == .log
            ? DecimalFunctions.logarithm(decimal, digits: 32)
            : DecimalFunctions.decimalLogarithm(decimal, digits: 32)
        return result?.double ?? .nan
    }

    private func decimal(
        _ value: DecimalNumber, _ type: CQLType
    ) throws(CQLError) -> DecimalNumber {
        let result: DecimalNumber?
        switch self {
        case .abs: result = value.magnitude
        case .round: result = value.rounded(toScale: 0)
        case .exp: result = DecimalFunctions.exponential(value)
        case .log, .log10:
            guard !value.isZero, !value.unscaled.isNegative else {
                throw failure(
                    type,
                    (self == .log ? "Natural log" : "Log10") + " of number zero or less")
            }
            result =
                self == .log
                ? DecimalFunctions.logarithm(value) : DecimalFunctions.decimalLogarithm(value)
        }
        guard let result else { throw failure(type, "the result has too many digits") }
        return result
    }

    private func failure(_ type: CQLType, _ reason: String) -> CQLError {
        .functionFailure(
            "execution of 'system.\(rawValue)[\(type.cqlName)]' failed: \(reason)",
            keyspace: "system", function: rawValue, arguments: [type.cqlName])
    }
}
