// When a coordinator asks one replica more than it needs to: the table options `speculative_retry` and
// `additional_write_policy`, in Cassandra 5.0's words.
//
//     NEVER (or NONE), ALWAYS, 50ms, 99p (or 99PERCENTILE), MIN(99p,50ms), MAX(99p,50ms)
//
// A percentile is one of the table's own latencies at that coordinator.

/// A policy of asking more replicas.
package enum SpeculativeRetry: Hashable, Sendable {
    case never
    case always
    case threshold(Threshold)

    /// A time that is worked out.
    package enum Threshold: Hashable, Sendable {
        case milliseconds(Int32)
        /// Above 0 and below 100.
        case percentile(Double)
        case earlier(percentile: Double, milliseconds: Int32)
        case later(percentile: Double, milliseconds: Int32)
    }

    /// What tables have that were not told otherwise.
    package static let standard = SpeculativeRetry.threshold(.percentile(99))

    /// Reads a policy; refuses what Cassandra refuses, in its words.
    package init(_ text: String) throws(CQLError) {
        let upper = text.uppercased()
        if upper == "NEVER" || upper == "NONE" {
            self = .never
        } else if upper == "ALWAYS" {
            self = .always
        } else if let threshold = try Threshold(upper, of: text) {
            self = .threshold(threshold)
        } else {
            throw .configuration("Specified Speculative Retry Policy [\(text)] is not supported")
        }
    }

    /// A policy that was taken once, by a version that may have taken more than this one.
    package init(kept text: String) {
        do throws(CQLError) {
            self = try SpeculativeRetry(text)
        } catch {
            self = .standard
        }
    }
}

extension SpeculativeRetry: CustomStringConvertible {
    /// As schema tables and DESCRIBE show it.
    package var description: String {
        switch self {
        case .never: "NEVER"
        case .always: "ALWAYS"
        case .threshold(let threshold): threshold.description
        }
    }
}

extension SpeculativeRetry.Threshold: CustomStringConvertible {
    /// Two of different kinds, in either order; or one. Nil: it has not the form of a threshold.
    fileprivate init?(_ upper: String, of text: String) throws(CQLError) {
        guard let (isEarlier, first, second) = Self.function(upper) else {
            guard let simple = try Self.simple(upper, of: text) else { return nil }
            self = simple
            return
        }
        let both: (Self, Self)
        do throws(CQLError) {
            guard let left = try Self.simple(first, of: text),
                let right = try Self.simple(second, of: text)
            else { throw Self.invalid(text) }
            both = (left, right)
        } catch {
            // Cassandra says of the whole what is wrong with a part.
            throw Self.invalid(text)
        }
        switch both {
        case (.percentile(let percentile), .milliseconds(let milliseconds)),
            (.milliseconds(let milliseconds), .percentile(let percentile)):
            self =
                isEarlier
                ? .earlier(percentile: percentile, milliseconds: milliseconds)
                : .later(percentile: percentile, milliseconds: milliseconds)
        case (.percentile, _): throw Self.same("PERCENTILE", text)
        default: throw Self.same("FIXED", text)
        }
    }

    /// The parts of MIN(a,b) or MAX(a,b); blanks may only stand around the comma.
    private static func function(
        _ upper: String
    ) -> (isEarlier: Bool, first: String, second: String)? {
        let isEarlier = upper.hasPrefix("MIN(")
        guard isEarlier || upper.hasPrefix("MAX("), upper.hasSuffix(")") else { return nil }
        let parts = upper.dropFirst(4).dropLast().split(
            separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let first = String(parts[0].reversed().drop(while: \.isWhitespace).reversed())
        let second = String(parts[1].drop(while: \.isWhitespace))
        func isNumberWithUnit(_ part: String) -> Bool {
            let unit = part.drop { isDigit($0) }
            return unit.count < part.count && !unit.isEmpty
                && unit.allSatisfy { ("A"..."Z").contains($0) }
        }
        guard isNumberWithUnit(first), isNumberWithUnit(second) else { return nil }
        return (isEarlier, first, second)
    }

    private static func isDigit(_ character: Character) -> Bool {
        ("0"..."9").contains(character) || character == "."
    }

    private static func simple(_ upper: String, of text: String) throws(CQLError) -> Self? {
        let digits = upper.prefix { isDigit($0) }
        guard !digits.isEmpty else { return nil }
        switch upper.dropFirst(digits.count) {
        case "P", "PERCENTILE":
            guard let value = number(digits) else { throw invalid(text) }
            guard value > 0, value < 100 else {
                throw .configuration(
                    "Invalid value \(text) for PERCENTILE option 'speculative_retry':"
                        + " must be between (0.0 and 100.0)")
            }
            return .percentile(value)
        case "MS":
            guard let value = number(digits) else { throw invalid(text) }
            // What does not fit counts as the largest that does, and fractions are cut off.
            return .milliseconds(Int32(min(value, Double(Int32.max))))
        default: return nil
        }
    }

    /// Java takes a point at either end of a number.
    private static func number(_ digits: Substring) -> Double? {
        digits == "." ? nil : Double("0\(digits)\(digits.contains(".") ? "0" : "")")
    }

    private static func invalid(_ text: String) -> CQLError {
        .configuration("Invalid value \(text) for option 'speculative_retry'")
    }

    private static func same(_ kind: String, _ text: String) -> CQLError {
        .configuration(
            "Invalid value \(text) for option 'speculative_retry': MIN()/MAX() arguments should be"
                + " of different types, but both are of type \(kind)")
    }

    package var description: String {
        switch self {
        case .milliseconds(let count): "\(count)ms"
        case .percentile(let value): "\(Self.shown(value))p"
        case .earlier(let value, let count): "MIN(\(Self.shown(value))p,\(count)ms)"
        case .later(let value, let count): "MAX(\(Self.shown(value))p,\(count)ms)"
        }
    }

    /// Four digits behind the point at most, and always something that can be read again.
    private static func shown(_ value: Double) -> String {
        let rounded = (value * 10_000).rounded(.toNearestOrEven) / 10_000
        let shown = min(max(rounded, 0.0001), 99.9999)
        return shown == shown.rounded() ? String(Int(shown)) : "\(shown)"
    }
}
