// Aggregates: one value out of many.
//
// Sums have the type of what is summed and wrap around as it does; an average of whole numbers is cut to a
// whole number. Floating point is summed with Kahan's compensation, as Cassandra's is; for an average the sum
// goes on as a decimal where it is too large for a double. Null is skipped by
// all but `count(*)`; over nothing at all, counts, sums and averages are zero, minima and maxima null.

internal import Model

/// What an aggregate computes.
enum AggregateKind: String, Equatable, Sendable {
    case countRows, count, min, max, sum
    case average = "avg"
    /// The value in the first row, for what stands beside aggregates.
    case first
}

/// An aggregate with the expression it runs over.
struct PlannedAggregate: Sendable {
    let kind: AggregateKind
    let argument: PlannedSelector?
    /// The type of the argument; `min`, `max`, `sum`, `avg` and `first` give the same.
    let type: CQLType
}

/// The running value of an aggregate.
struct Accumulator {
    /// A sum that fits what is summed.
    private enum Sum {
        /// Whole numbers of up to 64 bits, summed in 128.
        case integer(high: Int64, low: UInt64)
        case whole(WholeNumber)
        case decimal(DecimalNumber)
        case real(sum: Double, compensation: Double, simple: Double)
        /// Finite numbers whose sum is too large for a double.
        case beyondReal(DecimalNumber)
    }

    let aggregate: PlannedAggregate
    private var count: Int64 = 0
    private var best: [UInt8]?
    private var sum: Sum
    private var hasFirst = false
    private var failure: CQLError?

    init(_ aggregate: PlannedAggregate) {
        self.aggregate = aggregate
        sum = Self.zero(aggregate.type)
    }

    private static func zero(_ type: CQLType) -> Sum {
        switch type {
        case .varint: .whole(WholeNumber(0))
        case .decimal: .decimal(DecimalNumber(unscaled: WholeNumber(0), scale: 0))
        case .float, .double: .real(sum: 0, compensation: 0, simple: 0)
        default: .integer(high: 0, low: 0)
        }
    }

    /// Begins anew.
    mutating func reset() {
        count = 0
        best = nil
        hasFirst = false
        failure = nil
        sum = Self.zero(aggregate.type)
    }

    /// Takes in a row's value of the argument; nil is null.
    mutating func add(_ value: [UInt8]?) {
        switch aggregate.kind {
        case .countRows: count += 1
        case .count: if value != nil { count += 1 }
        case .first:
            if !hasFirst { best = value }
            hasFirst = true
        case .min, .max:
            guard let value else { return }
            guard let current = best else {
                best = value
                return
            }
            let order = value.withUnsafeBytes { a in
                current.withUnsafeBytes { b in aggregate.type.compare(a, b) }
            }
            if aggregate.kind == .min ? order < 0 : order > 0 { best = value }
        case .sum, .average:
            guard let value, let number = Number(value, aggregate.type) else { return }
            count += 1
            add(number)
        }
    }

    private mutating func add(_ number: Number) {
        switch (sum, number) {
        case (.integer(let high, let low), .integer(let value)):
            let (newLow, carry) = low.addingReportingOverflow(UInt64(bitPattern: value))
            sum = .integer(high: high &+ (value < 0 ? -1 : 0) &+ (carry ? 1 : 0), low: newLow)
        case (.whole(let total), .whole(let value)): sum = .whole(total + value)
        case (.decimal(let total), .decimal(let value)):
            guard let next = DecimalNumber.sum(total, value) else {
                failure = .invalid(
                    "\(aggregate.kind.rawValue)() of decimals whose scales are too far apart")
                return
            }
            sum = .decimal(next)
        case (.beyondReal(let total), .real(let value)):
            // An infinity, or what is no number, is the sum whatever came before.
            guard let value = DecimalNumber(value) else {
                sum = .real(sum: value, compensation: 0, simple: value)
                return
            }
            addBeyondReal(total, value)
        case (.real(let total, let compensation, let simple), .real(let value)):
            let corrected = value - compensation
            let next = total + corrected
            if aggregate.kind == .average, next.isInfinite, let total = DecimalNumber(total),
                let value = DecimalNumber(value)
            {
                addBeyondReal(total, value)
                return
            }
            sum = .real(
                sum: next, compensation: (next - total) - corrected, simple: simple + value)
        default: return
        }
    }

    private mutating func addBeyondReal(_ total: DecimalNumber, _ value: DecimalNumber) {
        guard let next = DecimalNumber.sum(total, value) else {
            failure = .invalid("avg() of numbers that are too far apart")
            return
        }
        sum = .beyondReal(next)
    }

    /// The result.
    func result() throws(CQLError) -> [UInt8]? {
        if let failure { throw failure }
        switch aggregate.kind {
        case .countRows, .count: return SystemValue.bigEndian(count)
        case .first, .min, .max: return best
        case .sum: return total(average: false)
        case .average: return total(average: true)
        }
    }

    private func total(average: Bool) -> [UInt8]? {
        let type = aggregate.type
        let divisor = average ? Swift.max(count, 1) : 1
        switch sum {
        case .integer(let high, let low):
            if divisor == 1 { return Number.integer(Int64(bitPattern: low)).narrowed(to: type) }
            let bytes = SystemValue.bigEndian(high) + SystemValue.bigEndian(low)
            let quotient = WholeNumber(twosComplement: bytes)
                .dividedWithRemainder(by: WholeNumber(divisor)).quotient
            return Number.integer(quotient.lowBits).narrowed(to: type)
        case .whole(let total):
            return total.dividedWithRemainder(by: WholeNumber(divisor)).quotient.twosComplement
        case .decimal(let total):
            if divisor == 1 { return total.serialized }
            let by = DecimalNumber(unscaled: WholeNumber(divisor), scale: 0)
            return total.divided(by: by, scale: total.scale, toEven: true)?.serialized
        case .beyondReal(let total):
            let by = DecimalNumber(unscaled: WholeNumber(divisor), scale: 0)
            return total.divided(by: by, scale: total.scale, toEven: true)
                .flatMap { Number.real($0.double).bytes(as: type) }
        case .real(let total, let compensation, let simple):
            var result = total - compensation
            // Compensation spoils infinities, which the simple sum has right.
            if result.isNaN, simple.isInfinite { result = simple }
            return Number.real(result / Double(divisor)).bytes(as: type)
        }
    }
}

extension Number {
    /// The lowest bits of an integer, as many as the type has.
    fileprivate func narrowed(to type: CQLType) -> [UInt8]? {
        let value = long
        return switch type {
        case .tinyint: SystemValue.bigEndian(Int8(truncatingIfNeeded: value))
        case .smallint: SystemValue.bigEndian(Int16(truncatingIfNeeded: value))
        case .int: SystemValue.bigEndian(Int32(truncatingIfNeeded: value))
        default: SystemValue.bigEndian(value)
        }
    }
}
