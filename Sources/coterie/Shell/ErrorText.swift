// Where in a statement an error is: for a person at the terminal the line and a caret under the column.

internal import Model
internal import NativeClient
internal import NativeProtocol

/// What errors say beyond their text.
enum ErrorText {
    /// What a caller can do something about.
    enum Cause { case unprepared, other }

    /// Why a request failed.
    static func cause(_ error: any Error) -> Cause {
        guard let answer = error as? ErrorAnswer, case .unprepared = answer.error else {
            return .other
        }
        return .unprepared
    }

    /// The line of the statement that `message` names as `line L:C`, and a caret under its column.
    static func pointer(_ message: String, _ statement: String) -> String? {
        guard message.hasPrefix("line ") else { return nil }
        let numbers = message.dropFirst(5).prefix { $0.isNumber || $0 == ":" }
            .split(separator: ":").compactMap { Int($0) }
        guard numbers.count == 2 else { return nil }
        let lines = statement.split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard numbers[0] >= 1, numbers[0] <= lines.count else { return nil }
        let line = lines[numbers[0] - 1]
        // The server counts scalars, and an error at the end is behind the last one.
        let before = String(
            String.UnicodeScalarView(line.unicodeScalars.prefix(max(numbers[1], 0))))
        let shown = line.map { $0 == "\t" ? " " : String($0) }.joined()
        let blank = before.map { $0 == "\t" ? 1 : TextWidth.columns($0) }.reduce(0, +)
        return "  \(shown)\n  \(String(repeating: " ", count: blank))^"
    }
}
