// Timestamps by a pattern in the notation of strftime, as cqlsh's `time_format` and COPY's
// DATETIMEFORMAT give it.
//
// The zone is UTC unless TZ or `timezone` names another; the system's zone database then says how far
// it is from UTC at that time. Years that have no four digits are shown as milliseconds since 1970.

internal import Model

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A pattern for timestamps.
struct TimestampFormat: Equatable {
    static let standardPattern = "%Y-%m-%d %H:%M:%S.%f%z"

    var pattern = standardPattern
    /// Whether a fraction is cut to milliseconds, as in CSV files.
    var isCutToMilliseconds = false
    /// Whether the process's zone counts instead of UTC.
    var isLocal = false

    static let weekdays = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ]
    static let millisecondsPerDay: Int64 = 86_400_000

    /// Makes `name` the process's zone; false if the system does not know it.
    static func setZone(_ name: String) -> Bool {
        guard name == "UTC" || access("/usr/share/zoneinfo/" + name, R_OK) == 0 else {
            return false
        }
        setenv("TZ", name, 1)
        tzset()
        return true
    }

    private func zone(at milliseconds: Int64) -> (offsetSeconds: Int64, name: String) {
        guard isLocal else { return (0, "UTC") }
        var seconds = time_t(CQLCalendar.floorDivide(milliseconds, 1_000))
        var parts = tm()
        guard localtime_r(&seconds, &parts) != nil else { return (0, "UTC") }
        return (Int64(parts.tm_gmtoff), parts.tm_zone.map { String(cString: $0) } ?? "")
    }

    // MARK: - Writing

    /// The text of a timestamp.
    func text(_ milliseconds: Int64) -> String {
        let zone = zone(at: milliseconds)
        let (local, overflow) = milliseconds.addingReportingOverflow(zone.offsetSeconds * 1_000)
        let days = CQLCalendar.floorDivide(local, Self.millisecondsPerDay)
        let date = CQLCalendar.date(days: days)
        guard !overflow, (1...9_999).contains(date.year) else { return "\(milliseconds)" }
        let rest = local - days * Self.millisecondsPerDay
        var result = ""
        var isDirective = false
        for character in pattern {
            if isDirective {
                result += field(character, date, days, rest, zone) ?? "%\(character)"
                isDirective = false
            } else if character == "%" {
                isDirective = true
            } else {
                result.append(character)
            }
        }
        return isDirective ? result + "%" : result
    }

    private func field(
        _ directive: Character, _ date: (year: Int64, month: Int64, day: Int64), _ days: Int64,
        _ rest: Int64, _ zone: (offsetSeconds: Int64, name: String)
    ) -> String? {
        let hour = rest / 3_600_000
        switch directive {
        case "Y": return "\(date.year)"
        case "y": return Self.padded(date.year % 100, 2)
        case "m": return Self.padded(date.month, 2)
        case "d": return Self.padded(date.day, 2)
        case "H": return Self.padded(hour, 2)
        case "I": return Self.padded((hour + 11) % 12 + 1, 2)
        case "p": return hour < 12 ? "AM" : "PM"
        case "M": return Self.padded(rest / 60_000 % 60, 2)
        case "S": return Self.padded(rest / 1_000 % 60, 2)
        case "f": return Self.padded(rest % 1_000, 3) + (isCutToMilliseconds ? "" : "000")
        case "z":
            let minutes = abs(zone.offsetSeconds) / 60
            return (zone.offsetSeconds < 0 ? "-" : "+") + Self.padded(minutes / 60, 2)
                + Self.padded(minutes % 60, 2)
        case "Z": return zone.name
        case "j":
            let first = CQLCalendar.days(year: date.year, month: 1, day: 1)
            return Self.padded(days - first + 1, 3)
        case "B": return Self.months[Int(date.month) - 1]
        case "b", "h": return String(Self.months[Int(date.month) - 1].prefix(3))
        case "A": return Self.weekdays[Self.weekday(days)]
        case "a": return String(Self.weekdays[Self.weekday(days)].prefix(3))
        case "s": return "\(days * 86_400 + rest / 1_000 - zone.offsetSeconds)"
        case "F":
            return "\(date.year)-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))"
        case "T":
            return "\(Self.padded(hour, 2)):\(Self.padded(rest / 60_000 % 60, 2))"
                + ":\(Self.padded(rest / 1_000 % 60, 2))"
        case "%": return "%"
        default: return nil
        }
    }

    private static func weekday(_ days: Int64) -> Int {
        // 1970-01-01 was a Thursday.
        Int(((days + 4) % 7 + 7) % 7)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
}
