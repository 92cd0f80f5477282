// `duration`: months, days and nanoseconds, each a zigzag vint, all of one sign (native protocol
// specification v5, section 6). It has no order: how long a month is depends on the month.

/// A duration in parts.
package struct CQLDuration: Equatable {
    package var months: Int32 = 0
    package var days: Int32 = 0
    package var nanoseconds: Int64 = 0

    package init(months: Int32 = 0, days: Int32 = 0, nanoseconds: Int64 = 0) {
        self.months = months
        self.days = days
        self.nanoseconds = nanoseconds
    }

    private static let nanosecondsPerMicrosecond: Int64 = 1_000
    private static let nanosecondsPerMillisecond: Int64 = 1_000_000
    private static let nanosecondsPerSecond: Int64 = 1_000_000_000
    private static let nanosecondsPerMinute: Int64 = 60 * nanosecondsPerSecond
    private static let nanosecondsPerHour: Int64 = 60 * nanosecondsPerMinute

    /// Reads a serialized duration; nil if it is malformed.
    package init?(_ value: UnsafeRawBufferPointer) {
        var offset = 0
        guard let months = VariableInteger.readSigned(value, &offset).flatMap(Int32.init(exactly:)),
            let days = VariableInteger.readSigned(value, &offset).flatMap(Int32.init(exactly:)),
            let nanoseconds = VariableInteger.readSigned(value, &offset)
        else { return nil }
        self.init(months: months, days: days, nanoseconds: nanoseconds)
    }

    static func validate(_ value: UnsafeRawBufferPointer) throws(CQLValueError) {
        guard value.count >= 3 else {
            throw CQLValueError("Expected at least 3 bytes for a duration (\(value.count))")
        }
        var offset = 0
        guard let months = VariableInteger.readSigned(value, &offset),
            let days = VariableInteger.readSigned(value, &offset),
            let nanoseconds = VariableInteger.readSigned(value, &offset)
        else { throw CQLValueError("Not enough bytes to read a duration") }
        guard Int32(exactly: months) != nil else {
            throw CQLValueError("The duration months must be a 32 bits integer but was: \(months)")
        }
        guard Int32(exactly: days) != nil else {
            throw CQLValueError("The duration days must be a 32 bits integer but was: \(days)")
        }
        guard
            (months >= 0 && days >= 0 && nanoseconds >= 0)
                || (months <= 0 && days <= 0 && nanoseconds <= 0)
        else {
            throw CQLValueError(
                "The duration months, days and nanoseconds must be all of the same sign "
                    + "(\(months), \(days), \(nanoseconds))")
        }
        guard offset == value.count else {
            throw CQLValueError("Unexpected extraneous bytes after duration value")
        }
    }

    /// The serialized form.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        VariableInteger.appendSigned(Int64(months), to: &bytes)
        VariableInteger.appendSigned(Int64(days), to: &bytes)
        VariableInteger.appendSigned(nanoseconds, to: &bytes)
        return bytes
    }

    /// The units form, for example `1y2mo3d4h5m6s7ms8us9ns`; empty for no time at all.
    package var text: String {
        var text = months < 0 || days < 0 || nanoseconds < 0 ? "-" : ""
        func append(_ amount: UInt64, _ size: Int64, _ unit: String) -> UInt64 {
            let (quotient, remainder) = amount.quotientAndRemainder(dividingBy: UInt64(size))
            if quotient > 0 { text += "\(quotient)\(unit)" }
            return remainder
        }
        var rest = append(UInt64(months.magnitude), 12, "y")
        _ = append(rest, 1, "mo")
        _ = append(UInt64(days.magnitude), 1, "d")
        rest = append(nanoseconds.magnitude, Self.nanosecondsPerHour, "h")
        rest = append(rest, Self.nanosecondsPerMinute, "m")
        rest = append(rest, Self.nanosecondsPerSecond, "s")
        rest = append(rest, Self.nanosecondsPerMillisecond, "ms")
        rest = append(rest, Self.nanosecondsPerMicrosecond, "us")
        _ = append(rest, 1, "ns")
        return text
    }

    /// Reads one of the three forms: units (`12h30m`), ISO 8601 (`P1Y2M3DT4H`, `P2W`), and its
    /// alternative (`P0001-02-03T04:05:06`); a minus sign may precede each.
    package init(_ text: String) throws(CQLValueError) {
        var source = Array(text.utf8)[...]
        let isNegative = source.first == UInt8(ascii: "-")
        if isNegative { source = source.dropFirst() }
        let refusal = CQLValueError(
            "Unable to convert '\(String(decoding: source, as: UTF8.self))' to a duration")
        var builder = Builder()
        if source.first != UInt8(ascii: "P") {
            guard !source.isEmpty else { throw refusal }
            while !source.isEmpty {
                guard let number = Self.takeNumber(&source), let unit = Self.takeUnit(&source)
                else {
                    throw refusal
                }
                try builder.add(number, unit)
            }
        } else if source.last == UInt8(ascii: "W") {
            source = source.dropFirst()
            guard let number = Self.takeNumber(&source), source.count == 1 else { throw refusal }
            try builder.add(number, .weeks)
        } else if source.contains(UInt8(ascii: "-")) {
            guard let numbers = Self.alternative(source.dropFirst()) else { throw refusal }
            let units: [Unit] = [.years, .months, .days, .hours, .minutes, .seconds]
            for (number, unit) in zip(numbers, units) { try builder.add(number, unit) }
        } else {
            try Self.readDesignators(source.dropFirst(), &builder, refusal)
        }
        self = isNegative ? builder.duration.negated : builder.duration
    }

    private var negated: CQLDuration {
        CQLDuration(months: -months, days: -days, nanoseconds: -nanoseconds)
    }

    private static func readDesignators(
        _ source: ArraySlice<UInt8>, _ builder: inout Builder, _ refusal: CQLValueError
    ) throws(CQLValueError) {
        var source = source
        var isTime = false
        var last = -1
        while !source.isEmpty {
            if source.first == UInt8(ascii: "T"), !isTime {
                isTime = true
                source = source.dropFirst()
                last = -1
                continue
            }
            guard let number = takeNumber(&source), let letter = source.first else { throw refusal }
            source = source.dropFirst()
            let order: [(UInt8, Unit)] =
                isTime
                ? [
                    (UInt8(ascii: "H"), .hours), (UInt8(ascii: "M"), .minutes),
                    (UInt8(ascii: "S"), .seconds),
                ]
                : [
                    (UInt8(ascii: "Y"), .years), (UInt8(ascii: "M"), .months),
                    (UInt8(ascii: "D"), .days),
                ]
            guard let index = order.firstIndex(where: { $0.0 == letter }), index > last else {
                throw refusal
            }
            last = index
            try builder.add(number, order[index].1)
        }
    }

    /// `YYYY-MM-DDThh:mm:ss`.
    private static func alternative(_ source: ArraySlice<UInt8>) -> [Int64]? {
        let pattern = Array("dddd-dd-ddTdd:dd:dd".utf8)
        guard source.count == pattern.count else { return nil }
        var numbers: [Int64] = []
        var number: Int64 = 0
        for (byte, expected) in zip(source, pattern) {
            if expected == UInt8(ascii: "d") {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                number = number * 10 + Int64(byte - UInt8(ascii: "0"))
            } else {
                guard byte == expected else { return nil }
                numbers.append(number)
                number = 0
            }
        }
        return numbers + [number]
    }

    private static func takeNumber(_ source: inout ArraySlice<UInt8>) -> Int64? {
        let digits = source.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        source = source.dropFirst(digits.count)
        return Int64(String(decoding: digits, as: UTF8.self))
    }

    private static let unitNames: [([UInt8], Unit)] = [
        (Array("mo".utf8), .months), (Array("ms".utf8), .milliseconds),
        (Array("us".utf8), .microseconds), (Array("µs".utf8), .microseconds),
        (Array("ns".utf8), .nanoseconds), (Array("y".utf8), .years), (Array("w".utf8), .weeks),
        (Array("d".utf8), .days), (Array("h".utf8), .hours), (Array("m".utf8), .minutes),
        (Array("s".utf8), .seconds),
    ]

    private static func takeUnit(_ source: inout ArraySlice<UInt8>) -> Unit? {
        for (name, unit) in unitNames where source.count >= name.count {
            let matches = zip(source, name).allSatisfy { byte, expected in
                byte == expected
                    || (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z")
                        && byte + 32 == expected)
            }
            if matches {
                source = source.dropFirst(name.count)
                return unit
            }
        }
        return nil
    }

    private enum Unit: Int {
        case years = 1
        case months, weeks, days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds

        var name: String { "\(self)" }
    }

    /// Adds up the parts, which must come from the largest unit to the smallest, each once.
    private struct Builder {
        var duration = CQLDuration()
        private var last = 0

        mutating func add(_ number: Int64, _ unit: Unit) throws(CQLValueError) {
            if unit.rawValue == last {
                throw CQLValueError(
                    "Invalid duration. The \(unit.name) are specified multiple times")
            }
            if unit.rawValue < last, let previous = Unit(rawValue: last) {
                throw CQLValueError(
                    "Invalid duration. The \(previous.name) should be after \(unit.name)")
            }
            last = unit.rawValue
            switch unit {
            case .years: duration.months = try sum(duration.months, number, 12, "months")
            case .months: duration.months = try sum(duration.months, number, 1, "months")
            case .weeks: duration.days = try sum(duration.days, number, 7, "days")
            case .days: duration.days = try sum(duration.days, number, 1, "days")
            case .hours: try addTime(number, nanosecondsPerHour)
            case .minutes: try addTime(number, nanosecondsPerMinute)
            case .seconds: try addTime(number, nanosecondsPerSecond)
            case .milliseconds: try addTime(number, nanosecondsPerMillisecond)
            case .microseconds: try addTime(number, nanosecondsPerMicrosecond)
            case .nanoseconds: try addTime(number, 1)
            }
        }

        private mutating func addTime(_ number: Int64, _ size: Int64) throws(CQLValueError) {
            duration.nanoseconds = try sum(duration.nanoseconds, number, size, "nanoseconds")
        }

        private func sum<T: FixedWidthInteger>(
            _ current: T, _ number: Int64, _ size: Int64, _ name: String
        ) throws(CQLValueError) -> T {
            let (product, productOverflow) = number.multipliedReportingOverflow(by: size)
            let (total, sumOverflow) = product.addingReportingOverflow(Int64(current))
            guard !productOverflow, !sumOverflow, let result = T(exactly: total) else {
                throw CQLValueError(
                    "Invalid duration. The total number of \(name) must be less or equal to \(T.max)"
                )
            }
            return result
        }
    }
}
