// Functions over dates and times: arithmetic with durations, `floor`, conversions.
//
// All in UTC. A duration's months are added by the calendar (the day is cut to the length of the month),
// then its days, then its nanoseconds.

internal import Encoding
internal import Model

/// Dates and times as numbers: milliseconds since 1970.
enum TimeFunctions {
    static let millisecondsPerDay: Int64 = 86_400_000
    private static let nanosecondsPerDay: Int64 = 86_400_000_000_000
    private static let nanosecondsPerMillisecond: Int64 = 1_000_000

    /// A signed integer of up to eight bytes.
    static func integer(_ bytes: [UInt8]) -> Int64 {
        var value: Int64 = bytes.first.map { $0 >= 0x80 ? -1 : 0 } ?? 0
        for byte in bytes.prefix(8) { value = value << 8 | Int64(byte) }
        return value
    }

    /// Whether the text of a timestamp is no time of its own, but that of the request.
    static func meansNow(_ text: String) -> Bool { text.lowercased() == "now" }

    static func date(milliseconds: Int64) -> [UInt8] {
        let days = CQLCalendar.floorDivide(milliseconds, millisecondsPerDay)
        return SystemValue.bigEndian(UInt32(truncatingIfNeeded: days &+ 0x8000_0000))
    }

    /// A timestamp, date or timeuuid in milliseconds.
    static func milliseconds(_ value: [UInt8], _ type: CQLType) -> Int64 {
        switch type {
        case .timeuuid: return TimeUUID.milliseconds(value)
        case .date:
            let raw = value.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return (Int64(raw) - 0x8000_0000) * millisecondsPerDay
        default: return integer(value)
        }
    }

    // MARK: Durations

    /// `times` durations after a time; nil if that is out of range.
    private static func adding(
        _ duration: CQLDuration, times: Int64, to milliseconds: Int64
    ) -> Int64? {
        let (months, monthsOverflow) = Int64(duration.months).multipliedReportingOverflow(by: times)
        let (days, daysOverflow) = Int64(duration.days).multipliedReportingOverflow(by: times)
        let (nanoseconds, timeOverflow) = duration.nanoseconds.multipliedReportingOverflow(
            by: times)
        guard !monthsOverflow, !daysOverflow, !timeOverflow else { return nil }
        var day = CQLCalendar.floorDivide(milliseconds, millisecondsPerDay)
        let timeOfDay = milliseconds - day * millisecondsPerDay
        if months != 0 {
            let date = CQLCalendar.date(days: day)
            let (total, overflow) = (date.year * 12 + date.month - 1)
                .addingReportingOverflow(months)
            guard !overflow, total.magnitude < 12_000_000_000 else { return nil }
            let year = CQLCalendar.floorDivide(total, 12)
            let month = total - year * 12 + 1
            var dayOfMonth = date.day
            while !CQLCalendar.isValid(year: year, month: month, day: dayOfMonth) {
                dayOfMonth -= 1
            }
            day = CQLCalendar.days(year: year, month: month, day: dayOfMonth)
        }
        let (sum, sumOverflow) = day.addingReportingOverflow(days)
        let (start, startOverflow) = sum.multipliedReportingOverflow(by: millisecondsPerDay)
        let (result, overflow) = start.addingReportingOverflow(
            timeOfDay + nanoseconds / nanosecondsPerMillisecond)
        return sumOverflow || startOverflow || overflow ? nil : result
    }

    /// A timestamp or date plus or minus a duration; nil if one is empty.
    static func shifted(
        _ sign: ArithmeticOperator, _ value: [UInt8], _ type: CQLType, by duration: [UInt8]
    ) throws(CQLError) -> [UInt8]? {
        guard !value.isEmpty, !duration.isEmpty else { return nil }
        func failure(_ reason: String) -> CQLError {
            ArithmeticFunctions.failure(sign, type, .duration, reason)
        }
        guard let duration = self.duration(duration) else { throw failure("malformed duration") }
        if type == .date {
            guard duration.nanoseconds == 0 else {
                throw failure("The duration must have a day precision. Was: \(duration.text)")
            }
        } else {
            guard duration.nanoseconds % nanosecondsPerMillisecond == 0 else {
                throw failure(
                    "The duration must have a millisecond precision. Was: \(duration.text)")
            }
        }
        guard
            let result = adding(
                duration, times: sign == .subtract ? -1 : 1, to: milliseconds(value, type))
        else { throw failure("the result is out of range") }
        return type == .date ? date(milliseconds: result) : SystemValue.bigEndian(result)
    }

    private static func duration(_ bytes: [UInt8]) -> CQLDuration? {
        bytes.withUnsafeBytes { CQLDuration($0) }
    }

    // MARK: Floor

    /// The functions called `floor`.
    static let floorSignatures: [FunctionSignature] = [
        FunctionSignature("floor", .floor(.timeuuid), [.timeuuid, .duration], .timestamp),
        FunctionSignature(
            "floor", .floor(.timeuuid), [.timeuuid, .duration, .timestamp], .timestamp),
        FunctionSignature("floor", .floor(.timestamp), [.timestamp, .duration], .timestamp),
        FunctionSignature(
            "floor", .floor(.timestamp), [.timestamp, .duration, .timestamp], .timestamp),
        FunctionSignature("floor", .floor(.date), [.date, .duration], .date),
        FunctionSignature("floor", .floor(.date), [.date, .duration, .date], .date),
        FunctionSignature("floor", .floor(.time), [.time, .duration], .time),
    ]

    /// The beginning of the interval that holds a time: intervals of `duration`, counted from `start` or
    /// from 1970 on.
    static func floor(
        _ value: [UInt8], _ type: CQLType, _ duration: [UInt8], start: [UInt8]?
    ) throws(CQLError) -> [UInt8]? {
        guard !value.isEmpty, !duration.isEmpty, start?.isEmpty != true else { return nil }
        guard let duration = self.duration(duration) else {
            throw .invalid("malformed duration")
        }
        guard duration.months >= 0, duration.days >= 0, duration.nanoseconds >= 0 else {
            throw .invalid("Negative durations are not supported by the floor function")
        }
        if type == .time { return try floorOfTime(integer(value), duration) }
        if type == .date {
            guard duration.nanoseconds == 0 else {
                throw .invalid(
                    "The floor on date values cannot be computed for the \(duration.text) duration as"
                        + " precision is below 1 day")
            }
        } else {
            guard duration.nanoseconds % nanosecondsPerMillisecond == 0 else {
                throw .invalid(
                    "The floor cannot be computed for the \(duration.text) duration as precision is"
                        + " below 1 millisecond")
            }
        }
        let startType: CQLType = type == .date ? .date : .timestamp
        let floor = try floor(
            milliseconds(value, type), duration,
            from: start.map { milliseconds($0, startType) } ?? 0)
        return type == .date ? date(milliseconds: floor) : SystemValue.bigEndian(floor)
    }

    private static func floorOfTime(
        _ time: Int64, _ duration: CQLDuration
    ) throws(CQLError) -> [UInt8] {
        guard duration.months == 0, duration.days == 0, duration.nanoseconds <= nanosecondsPerDay
        else {
            throw .invalid(
                "For time values, the floor can only be computed for durations smaller that a day")
        }
        guard duration.nanoseconds > 0 else { return SystemValue.bigEndian(time) }
        return SystemValue.bigEndian(time - time % duration.nanoseconds)
    }

    private static func floor(
        _ time: Int64, _ duration: CQLDuration, from start: Int64
    ) throws(CQLError) -> Int64 {
        guard start <= time else {
            throw .invalid("The floor function starting time is greater than the provided time")
        }
        if duration.months == 0 {
            let (days, overflow) = Int64(duration.days)
                .multipliedReportingOverflow(by: millisecondsPerDay)
            let (length, sumOverflow) = days.addingReportingOverflow(
                duration.nanoseconds / nanosecondsPerMillisecond)
            if overflow || sumOverflow { return start }
            return length == 0 ? time : time - (time - start) % length
        }
        // The largest number of durations that end not after the time, by halving.
        var low: Int64 = 0
        var high: Int64 = 1
        while let end = adding(duration, times: high, to: start), end <= time {
            low = high
            high *= 2
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if let end = adding(duration, times: middle, to: start), end <= time {
                low = middle
            } else {
                high = middle
            }
        }
        return adding(duration, times: low, to: start) ?? start
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
