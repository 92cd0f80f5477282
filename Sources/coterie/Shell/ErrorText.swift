// Errors for a person: the name that drivers give them, the server's text, the numbers that belong to
// it, and for a statement that does not parse the place.

internal import Model
internal import NativeClient
internal import NativeProtocol

/// Texts of errors.
enum ErrorText {
    /// One line, or a few if `statement` can show where the error is.
    static func text(_ error: any Error, statement: String? = nil) -> String {
        guard let answer = error as? ErrorAnswer else { return "\(error)" }
        let line = "\(name(answer)): \(answer.error.message)\(details(answer.error))"
        guard let statement, let pointer = pointer(answer.error.message, statement) else {
            return line
        }
        return line + "\n" + pointer
    }

    /// What a caller can do something about.
    enum Cause { case unprepared, other }

    /// Why a request failed.
    static func cause(_ error: any Error) -> Cause {
        guard let answer = error as? ErrorAnswer, case .unprepared = answer.error else {
            return .other
        }
        return .unprepared
    }

    private static func name(_ answer: ErrorAnswer) -> String {
        switch answer.error {
        case .serverError: serverErrorName(answer.code)
        case .protocolError: "ProtocolError"
        case .badCredentials: "AuthenticationFailed"
        case .unavailable: "Unavailable"
        case .overloaded: "Overloaded"
        case .bootstrapping: "IsBootstrapping"
        case .truncateError: "TruncateError"
        case .writeTimeout, .conditionalTimeout: "WriteTimeout"
        case .conditionalUnknown: "CASWriteUnknown"
        case .readTimeout: "ReadTimeout"
        case .readFailure: "ReadFailure"
        case .writeFailure: "WriteFailure"
        case .syntax: "SyntaxException"
        case .unauthorized: "Unauthorized"
        case .invalid: "InvalidRequest"
        case .configuration: "ConfigurationException"
        case .alreadyExists: "AlreadyExists"
        case .functionFailure: "FunctionFailure"
        case .unprepared: "Unprepared"
        }
    }

    private static func serverErrorName(_ code: Int32) -> String {
        switch code {
        case 0x0000: "ServerError"
        case 0x1400: "FunctionFailure"
        case 0x1600: "CDCWriteFailure"
        case 0x1700: "CASWriteUnknown"
        default: "Error 0x\(String(code, radix: 16))"
        }
    }

    private static func details(_ error: CQLError) -> String {
        switch error {
        case .unavailable(_, let consistency, let required, let alive):
            " (consistency \(consistency), required \(required), alive \(alive))"
        case .writeTimeout(_, let consistency, let received, let required, let type):
            " (consistency \(consistency), required \(required), received \(received), "
                + "\(type.rawValue))"
        case .conditionalTimeout(
            _, let consistency, let received, let required, let contentions):
            " (consistency \(consistency), required \(required), received \(received), CAS, "
                + "\(contentions) contentions)"
        case .conditionalUnknown(_, let consistency, let received, let required):
            " (consistency \(consistency), required \(required), received \(received))"
        case .readTimeout(_, let consistency, let received, let required, let dataPresent):
            " (consistency \(consistency), required \(required), received \(received), "
                + "data \(dataPresent ? "present" : "missing"))"
        case .readFailure(_, let consistency, let received, let required, let failures, _):
            " (consistency \(consistency), required \(required), received \(received), "
                + "failed \(failures.count))"
        case .writeFailure(_, let consistency, let received, let required, let failures, let type):
            " (consistency \(consistency), required \(required), received \(received), "
                + "failed \(failures.count), \(type.rawValue))"
        default: ""
        }
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
