// Dates and times as text: `timestamp`, `date` and `time`.
//
// The calendar is the proleptic Gregorian one (as java.time has it; java.util's, which Cassandra
// uses for timestamps, switches to the Julian one before 1582). A timestamp without a zone is in
// UTC: Cassandra takes the server's own zone, which would make the same statement mean different
// times on two nodes. A fraction of a second is one: `.5` is 500 ms (Cassandra reads the digits as
// a number of milliseconds, which differs only for fractions that have not three digits).

/// Days and dates.
package enum CQLCalendar {
    /// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    package static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = floorDivide(shifted, 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The date of a day since 1970-01-01.
    package static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthIndex + 2) / 5 + 1)
    }

    package static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let quotient = value / divisor
        return value % divisor < 0 ? quotient - 1 : quotient
    }

    package static func isValid(year: Int64, month: Int64, day: Int64) -> Bool {
        guard (1...12).contains(month), day >= 1 else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return day <= lengths[Int(month) - 1]
    }

    /// `value` with zeros before it.
    package static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value.magnitude)
        let zeros = String(repeating: "0", count: max(width - digits.count, 0))
        return (value < 0 ? "-" : "") + zeros + digits
    }
}

/// A cursor over ASCII text.
private struct TextCursor {
    private var rest: ArraySlice<UInt8>

    init(_ text: some StringProtocol) { rest = Array(text.utf8)[...] }

    var isAtEnd: Bool { rest.isEmpty }
    var next: UInt8? { rest.first }
    /// What has not been read.
    var remainder: String { String(decoding: rest, as: UTF8.self) }

    /// Reads `character` if it is next.
    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let byte = rest.first, UInt32(byte) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// Reads a number of `width` digits.
    mutating func takeNumber(_ width: ClosedRange<Int>) -> Int64? {
        takeDigits(width).map { $0.reduce(0) { $0 * 10 + Int64($1) } }
    }

    /// Reads `width` digits as numbers from 0 to 9.
    mutating func takeDigits(_ width: ClosedRange<Int>) -> [UInt8]? {
        let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard width.contains(digits.count), digits.count <= 18 else { return nil }
        rest = rest.dropFirst(digits.count)
        return digits.map { $0 - UInt8(ascii: "0") }
    }

    /// Reads exactly `width` digits, whatever follows.
    mutating func takeFixed(_ width: Int) -> Int64? {
        let digits = rest.prefix(width)
        guard digits.count == width,
            digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        rest = rest.dropFirst(width)
        return digits.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
    }
}

/// `timestamp`: milliseconds since 1970 as an i64.
enum CQLTimestamp {
    private static let millisecondsPerDay: Int64 = 86_400_000

    static func parse(_ text: String) throws(CQLValueError) -> Int64 {
        if isInteger(text) {
            guard let milliseconds = Int64(text) else {
                throw CQLValueError("Unable to make long (for date) from: '\(text)'")
            }
            return milliseconds
        }
        guard let milliseconds = parseDate(text) else {
            throw CQLValueError("Unable to parse a date/time from '\(text)'")
        }
        return milliseconds
    }

    /// Whether the text is `-?[0-9]+`.
    static func isInteger(_ text: String) -> Bool {
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        return !digits.isEmpty
            && digits.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    }

    private static func parseDate(_ text: String) -> Int64? {
        var cursor = TextCursor(text)
        guard let year = cursor.takeNumber(1...9), cursor.take("-"),
            let month = cursor.takeNumber(1...2), cursor.take("-"),
            let day = cursor.takeNumber(1...2),
            CQLCalendar.isValid(year: year, month: month, day: day)
        else { return nil }
        var milliseconds: Int64 = 0
        let separator = cursor
        var hasSpace = cursor.take(" ")
        let hasTime = hasSpace || cursor.take("T")
        if hasTime, let next = cursor.next, next >= UInt8(ascii: "0"), next <= UInt8(ascii: "9") {
            guard let time = parseTime(&cursor) else { return nil }
            milliseconds = time
            hasSpace = cursor.take(" ")
        } else if hasTime, !hasSpace {
            return nil
        } else if !hasTime {
            cursor = separator
        }
        if hasSpace, cursor.isAtEnd { return nil }
        guard let offset = parseZone(&cursor, isSeparated: hasSpace), cursor.isAtEnd else {
            return nil
        }
        let days = CQLCalendar.days(year: year, month: month, day: day)
        let (start, overflow) = days.multipliedReportingOverflow(by: millisecondsPerDay)
        let (instant, sumOverflow) = start.addingReportingOverflow(milliseconds - offset)
        return overflow || sumOverflow ? nil : instant
    }

    /// `hh:mm[:ss[.fraction]]` in milliseconds.
    private static func parseTime(_ cursor: inout TextCursor) -> Int64? {
        guard let hour = cursor.takeNumber(1...2), hour < 24, cursor.take(":"),
            let minute = cursor.takeNumber(1...2), minute < 60
        else { return nil }
        var milliseconds = (hour * 60 + minute) * 60_000
        if cursor.take(":") {
            guard let second = cursor.takeNumber(1...2), second < 60 else { return nil }
            milliseconds += second * 1_000
            if cursor.take(".") {
                guard let digits = cursor.takeDigits(1...9) else { return nil }
                for (index, digit) in digits.prefix(3).enumerated() {
                    milliseconds += Int64(digit) * [100, 10, 1][index]
                }
            }
        }
        return milliseconds
    }

    private static let zones: [String: Int64] = [
        "": 0, "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
        "MST": -7, "MDT": -6, "PST": -8, "PDT": -7,
    ]

    /// The zone's distance from UTC in milliseconds: nothing, `Z`, `+hh`, `+hhmm`, `+hh:mm`, or
    /// after a space also `UTC`, `GMT`, `GMT+hh:mm` and the zones of RFC 822.
    private static func parseZone(_ cursor: inout TextCursor, isSeparated: Bool) -> Int64? {
        if isSeparated, cursor.remainder.hasPrefix("GMT"), cursor.remainder.utf8.count > 3 {
            for character in "GMT".unicodeScalars { _ = cursor.take(character) }
        }
        let isNegative = cursor.take("-")
        if isNegative || cursor.take("+") {
            guard let hours = cursor.takeFixed(2), hours < 24 else { return nil }
            var minutes: Int64 = 0
            let hasColon = cursor.take(":")
            if hasColon || !cursor.isAtEnd {
                guard let value = cursor.takeFixed(2), value < 60 else { return nil }
                minutes = value
            }
            let offset = (hours * 60 + minutes) * 60_000
            return isNegative ? -offset : offset
        }
        let name = cursor.remainder
        guard isSeparated || name.isEmpty || name == "Z", let hours = zones[name] else {
            return nil
        }
        for character in name.unicodeScalars { _ = cursor.take(character) }
        return hours * 3_600_000
    }

    /// `yyyy-mm-dd hh:mm:ss.` and `fractionDigits` digits, then `+0000`; nil outside of the years
    /// 1-9999.
    static func text(_ milliseconds: Int64, fractionDigits: Int) -> String? {
        let days = CQLCalendar.floorDivide(milliseconds, millisecondsPerDay)
        let (year, month, day) = CQLCalendar.date(days: days)
        guard (1...9_999).contains(year) else { return nil }
        let rest = milliseconds - days * millisecondsPerDay
        let fraction =
            CQLCalendar.padded(rest % 1_000, 3)
            + String(repeating: "0", count: max(fractionDigits - 3, 0))
        return "\(CQLCalendar.padded(year, 4))-\(CQLCalendar.padded(month, 2))"
            + "-\(CQLCalendar.padded(day, 2)) \(CQLCalendar.padded(rest / 3_600_000, 2))"
            + ":\(CQLCalendar.padded(rest / 60_000 % 60, 2))"
            + ":\(CQLCalendar.padded(rest / 1_000 % 60, 2)).\(fraction)+0000"
    }
}

/// `date`: days as a u32 whose middle, 2^31, is 1970-01-01.
enum CQLDate {
    private static let middle: Int64 = 1 << 31

    static func parse(_ text: String) throws(CQLValueError) -> UInt32 {
        if CQLTimestamp.isInteger(text) {
            guard let raw = UInt32(text) else {
                throw CQLValueError("Unable to make unsigned int (for date) from: '\(text)'")
            }
            return raw
        }
        var cursor = TextCursor(text)
        let isNegative = cursor.take("-")
        let hasPlus = !isNegative && cursor.take("+")
        guard let digits = cursor.takeDigits(4...10), (digits.count > 4) == hasPlus || isNegative,
            cursor.take("-"), let month = cursor.takeFixed(2), cursor.take("-"),
            let day = cursor.takeFixed(2), cursor.isAtEnd
        else { throw CQLValueError("Unable to coerce '\(text)' to a formatted date (long)") }
        let year = digits.reduce(Int64(0)) { $0 * 10 + Int64($1) } * (isNegative ? -1 : 1)
        guard CQLCalendar.isValid(year: year, month: month, day: day),
            let raw = UInt32(
                exactly: CQLCalendar.days(year: year, month: month, day: day) + middle)
        else { throw CQLValueError("Unable to coerce '\(text)' to a formatted date (long)") }
        return raw
    }

    /// `yyyy-mm-dd`, with a sign before years that have more than four digits.
    static func text(_ raw: UInt32) -> String {
        let (year, month, day) = CQLCalendar.date(days: Int64(raw) - middle)
        return (year > 9_999 ? "+" : "") + CQLCalendar.padded(year, 4)
            + "-\(CQLCalendar.padded(month, 2))-\(CQLCalendar.padded(day, 2))"
    }

    /// As Python's driver shows it: years that Python's calendar lacks as days since 1970.
    static func pythonText(_ raw: UInt32) -> String {
        let days = Int64(raw) - middle
        return (1...9_999).contains(CQLCalendar.date(days: days).year) ? text(raw) : "\(days)"
    }
}

/// `time`: nanoseconds since midnight as an i64.
enum CQLTime {
    private static let nanosecondsPerDay: Int64 = 86_400_000_000_000

    static func parse(_ text: String) throws(CQLValueError) -> Int64 {
        if CQLTimestamp.isInteger(text) {
            guard let value = Int64(text), (0..<nanosecondsPerDay).contains(value) else {
                throw CQLValueError("Unable to make long (for time) from: '\(text)'")
            }
            return value
        }
        let refusal = CQLValueError(
            "(TimeType) Unable to coerce '\(text)' to a formatted time (long)")
        var cursor = TextCursor(text)
        guard let hour = cursor.takeNumber(1...2), hour < 24, cursor.take(":"),
            let minute = cursor.takeNumber(1...2), minute < 60, cursor.take(":"),
            let second = cursor.takeNumber(1...2), second < 60
        else { throw refusal }
        var nanoseconds = ((hour * 60 + minute) * 60 + second) * 1_000_000_000
        if cursor.take(".") {
            guard let digits = cursor.takeDigits(1...9) else { throw refusal }
            var unit: Int64 = 100_000_000
            for digit in digits {
                nanoseconds += Int64(digit) * unit
                unit /= 10
            }
        }
        guard cursor.isAtEnd else { throw refusal }
        return nanoseconds
    }

    /// `hh:mm:ss.nnnnnnnnn`; nil for what is no time of a day.
    static func text(_ value: Int64) -> String? {
        guard (0..<nanosecondsPerDay).contains(value) else { return nil }
        let seconds = value / 1_000_000_000
        return
            "\(CQLCalendar.padded(seconds / 3_600, 2)):\(CQLCalendar.padded(seconds / 60 % 60, 2))"
            + ":\(CQLCalendar.padded(seconds % 60, 2))"
            + ".\(CQLCalendar.padded(value % 1_000_000_000, 9))"
    }
}
