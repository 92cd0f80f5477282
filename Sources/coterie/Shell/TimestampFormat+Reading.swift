// Timestamps from texts, by the same patterns that write them.

internal import Model

extension TimestampFormat {
    /// The timestamp that a text written by the pattern means, in milliseconds; nil if it has another
    /// form. Without a zone in the text it is in UTC. Microseconds are cut towards 1970, as cqlsh cuts.
    func parse(_ text: String) -> Int64? {
        var reader = TimestampReader(text)
        var expanded = pattern.replacing("%F", with: "%Y-%m-%d").replacing("%T", with: "%H:%M:%S")[
            ...]
        while let character = expanded.popFirst() {
            if character == "%", let directive = expanded.popFirst() {
                guard reader.take(directive) else { return nil }
            } else {
                guard reader.skip(character) else { return nil }
            }
        }
        return reader.milliseconds
    }
}

/// What was read of a timestamp, and the rest of its text.
private struct TimestampReader {
    private var rest: Substring
    private var year: Int64 = 1970
    private var month: Int64 = 1
    private var day: Int64 = 1
    private var hour: Int64 = 0
    private var isAfternoon: Bool?
    private var minute: Int64 = 0
    private var second: Int64 = 0
    private var microsecond: Int64 = 0
    private var offsetMinutes: Int64 = 0

    init(_ text: String) { rest = text[...] }

    /// The time that was read; nil if there is text left, or no such day.
    var milliseconds: Int64? {
        guard rest.isEmpty, CQLCalendar.isValid(year: year, month: month, day: day) else {
            return nil
        }
        let hours = isAfternoon.map { hour % 12 + ($0 ? 12 : 0) } ?? hour
        let minutes = hours * 60 + minute - offsetMinutes
        let days = CQLCalendar.days(year: year, month: month, day: day)
        let seconds = days * (TimestampFormat.millisecondsPerDay / 1_000) + minutes * 60 + second
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow else { return nil }
        return (scaled + microsecond) / 1_000
    }

    /// Moves over a character of the pattern; false if it is not there.
    mutating func skip(_ character: Character) -> Bool { rest.popFirst() == character }

    /// Reads what the directive stands for; false if it is not there.
    mutating func take(_ directive: Character) -> Bool {
        switch directive {
        case "Y": return Self.take(&rest, 4, 0...9_999, into: &year)
        case "y":
            guard let value = number(2) else { return false }
            year = value < 69 ? 2_000 + value : 1_900 + value
        case "m": return Self.take(&rest, 2, 1...12, into: &month)
        case "d": return Self.take(&rest, 2, 1...31, into: &day)
        case "H", "I": return Self.take(&rest, 2, 0...23, into: &hour)
        case "M": return Self.take(&rest, 2, 0...59, into: &minute)
        case "S": return Self.take(&rest, 2, 0...60, into: &second)
        case "f": return takeFraction()
        case "p":
            guard let index = name(["AM", "PM"]) else { return false }
            isAfternoon = index == 1
        case "B", "b", "h":
            guard let index = name(TimestampFormat.months) else { return false }
            month = Int64(index) + 1
        case "A", "a": return name(TimestampFormat.weekdays) != nil
        case "z": return takeZone()
        case "%": return skip("%")
        default: return false
        }
        return true
    }

    private static func number(_ rest: inout Substring, _ width: Int) -> Int64? {
        let digits = rest.prefix(width).prefix { ("0"..."9").contains($0) }
        guard !digits.isEmpty, let value = Int64(digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        return value
    }

    private static func take(
        _ rest: inout Substring, _ width: Int, _ range: ClosedRange<Int64>, into field: inout Int64
    ) -> Bool {
        guard let value = number(&rest, width), range.contains(value) else { return false }
        field = value
        return true
    }

    private mutating func takeFraction() -> Bool {
        let digits = rest.prefix(6).prefix { ("0"..."9").contains($0) }
        guard !digits.isEmpty, let value = Int64((digits + "00000").prefix(6)) else { return false }
        rest = rest.dropFirst(digits.count)
        microsecond = value
        return true
    }

    private mutating func takeZone() -> Bool {
        if rest.first == "Z" { return skip("Z") }
        guard let sign = rest.popFirst(), sign == "+" || sign == "-", let hours = number(2) else {
            return false
        }
        if rest.first == ":" { rest = rest.dropFirst() }
        guard let minutes = number(2) else { return false }
        offsetMinutes = (hours * 60 + minutes) * (sign == "-" ? -1 : 1)
        return true
    }

    private mutating func number(_ width: Int) -> Int64? { Self.number(&rest, width) }

    private mutating func name(_ names: [String]) -> Int? {
        for (index, name) in names.enumerated() {
            for candidate in [name, String(name.prefix(3))]
            where rest.lowercased().hasPrefix(candidate.lowercased()) {
                rest = rest.dropFirst(candidate.count)
                return index
            }
        }
        return nil
    }
}
