// Texts in the words of cqlsh's driver: the form in which scripts find an error in the output.
//
// cqlsh prints Python's exceptions. Most are `Class: message`; those of a coordinator carry their code
// and numbers (`Error from server: code=1100 [...] message="..." info={...}`); and where the driver
// would have asked the next node, and there is none, the answer stands inside of a NoHostAvailable.

internal import Model
internal import NativeClient
internal import NativeProtocol

/// The node that a text is about.
struct NamedNode: Equatable {
    /// `address:port`.
    let endpoint: String
    /// Nil where nobody answers who could tell.
    let datacenter: String?

    var text: String { "<Host: \(endpoint)\(datacenter.map { " " + $0 } ?? "")>" }
}

/// Renders errors as cqlsh's driver does.
struct DriverText {
    let node: NamedNode

    /// The exception's class and what stands after it.
    func parts(_ error: any Error) -> (name: String, message: String) {
        if let answer = error as? ErrorAnswer { return parts(answer) }
        switch error {
        case ClientError.timedOut:
            let endpoint = node.endpoint
            return (
                "OperationTimedOut",
                "errors={'\(endpoint)': 'Client request timeout. "
                    + "See Session.execute[_async](timeout)'}, last_host=\(endpoint)"
            )
        case ClientError.closed:
            let text = "Connection to \(node.endpoint) was closed"
            return noHost("ConnectionShutdown(\(PythonText.quoted(text)))")
        case ClientError.cannotConnect:
            let parts = node.endpoint.split(separator: ":")
            let port = parts.last.flatMap { Int($0) } ?? 0
            let host = node.endpoint.dropLast(parts.last.map { $0.count + 1 } ?? 0)
            return ("NoHostAvailable", Self.connection(error, host: String(host), port: port))
        case let error as ShellFailure: return ("", "\(error)")
        default: return ("Error", "\(error)")
        }
    }

    private func parts(_ answer: ErrorAnswer) -> (name: String, message: String) {
        let summary = Self.summary(answer)
        let message = answer.error.message
        switch answer.error {
        case .serverError where answer.code != 0:
            // Codes without a class of their own.
            return (answer.code == 0x1600 ? "CDCWriteException" : "ErrorMessage", message)
        case .serverError, .overloaded, .bootstrapping, .truncateError:
            return noHost("<\(summary)>")
        case .unavailable:
            return noHost("Unavailable(\(PythonText.quoted(summary + Self.information(answer))))")
        case .protocolError: return ("ProtocolException", message)
        case .badCredentials: return ("BadCredentials", message)
        case .writeTimeout, .conditionalTimeout:
            return ("WriteTimeout", summary + Self.information(answer))
        case .readTimeout: return ("ReadTimeout", summary + Self.information(answer))
        case .readFailure: return ("ReadFailure", summary + Self.information(answer))
        case .writeFailure: return ("WriteFailure", summary + Self.information(answer))
        case .conditionalUnknown: return ("ErrorMessage", message)
        case .functionFailure: return ("FunctionFailure", summary)
        case .syntax: return ("SyntaxException", message)
        case .unauthorized: return ("Unauthorized", summary)
        case .invalid: return ("InvalidRequest", summary)
        case .configuration: return ("ConfigurationException", message)
        case .alreadyExists(_, let keyspace, let table):
            return (
                "AlreadyExists",
                table.isEmpty
                    ? "Keyspace '\(keyspace)' already exists"
                    : "Table '\(keyspace).\(table)' already exists"
            )
        case .unprepared: return ("PreparedQueryNotFound", message)
        }
    }

    private func noHost(_ reason: String) -> (name: String, message: String) {
        (
            "NoHostAvailable",
            "('Unable to complete the operation against any hosts', {\(node.text): \(reason)})"
        )
    }

    /// `Error from server: code=2200 [Invalid query] message="..."`.
    static func summary(_ answer: ErrorAnswer) -> String {
        let digits = String(answer.code, radix: 16)
        let code = String(repeating: "0", count: max(4 - digits.count, 0)) + digits
        return "Error from server: code=\(code) [\(title(answer.error))] "
            + "message=\"\(answer.error.message)\""
    }

    private static func title(_ error: CQLError) -> String {
        switch error {
        case .serverError: "Server error"
        case .protocolError: "Protocol error"
        case .badCredentials: "Bad credentials"
        case .unavailable: "Unavailable exception"
        case .overloaded: "Coordinator node overloaded"
        case .bootstrapping: "Coordinator node is bootstrapping"
        case .truncateError: "Error during truncate"
        case .writeTimeout, .conditionalTimeout, .readTimeout:
            "Coordinator node timed out waiting for replica nodes' responses"
        case .conditionalUnknown: "Unknown"
        case .readFailure: "Replica(s) failed to execute read"
        case .writeFailure: "Replica(s) failed to execute write"
        case .functionFailure: "User Defined Function failure"
        case .syntax: "Syntax error in CQL query"
        case .unauthorized: "Unauthorized"
        case .invalid: "Invalid query"
        case .configuration: "Query invalid because of configuration issue"
        case .alreadyExists: "Item already exists"
        case .unprepared: "Matching prepared statement not found on this node"
        }
    }

    /// ` info={...}`: the numbers that belong to the error.
    private static func information(_ answer: ErrorAnswer) -> String {
        func responses(_ level: ConsistencyLevel, _ required: Int, _ received: Int) -> String {
            "'consistency': '\(level)', 'required_responses': \(required), "
                + "'received_responses': \(received)"
        }
        let fields: String
        switch answer.error {
        case .unavailable(_, let level, let required, let alive):
            fields =
                "'consistency': '\(level)', 'required_replicas': \(required), "
                + "'alive_replicas': \(alive)"
        case .writeTimeout(_, let level, let received, let required, let type):
            fields = responses(level, required, received) + ", 'write_type': '\(type.rawValue)'"
        case .conditionalTimeout(_, let level, let received, let required, _):
            fields = responses(level, required, received) + ", 'write_type': 'CAS'"
        case .readTimeout(_, let level, let received, let required, _):
            fields = responses(level, required, received)
        case .readFailure(_, let level, let received, let required, let failures, _),
            .writeFailure(_, let level, let received, let required, let failures, _):
            fields = responses(level, required, received) + Self.failed(failures)
        default: return ""
        }
        return " info={\(fields)}"
    }

    private static func failed(_ failures: [CQLError.ReplicaFailure]) -> String {
        let count = ", 'failures': \(failures.count)"
        // Before v5 only their number is known.
        guard failures.allSatisfy({ !$0.address.isEmpty }) else { return count }
        let reasons = failures.map { failure in
            let digits = String(failure.reason, radix: 16)
            let zeros = String(repeating: "0", count: 4 - digits.count)
            return "'\(CQLType.inet.parsed(failure.address))': '0x\(zeros)\(digits)'"
        }
        return count + ", 'error_code_map': {\(reasons.joined(separator: ", "))}"
    }

    // MARK: - Connections

    /// What stands after `Connection error: `, or after LOGIN that was refused.
    static func connection(_ error: any Error, host: String, port: Int) -> String {
        let endpoint = "\(host):\(port)"
        let reason: String
        switch error {
        case ClientError.cannotConnect(_, let code?):
            // The class that Python has for the system's error.
            let isRefused = code == SystemErrors.connectionRefused
            let name = isRefused ? "ConnectionRefusedError" : "OSError"
            let tried =
                "Tried connecting to [('\(host)', \(port))]. Last error: "
                + SystemErrors.text(code)
            reason = "\(name)(\(code), \(PythonText.quoted(tried)))"
        case ClientError.credentialsNeeded:
            reason = "AuthenticationFailed('Remote end requires authentication')"
        case ClientError.unsupportedVersion(let version, let supported):
            let list = supported.map(PythonText.quoted).joined(separator: ", ")
            let text =
                "cql_version \(PythonText.quoted(version)) is not supported by remote "
                + "(w/ native protocol). Supported versions: [\(list)]"
            reason = "ProtocolError(\(PythonText.quoted(text)))"
        case let answer as ErrorAnswer:
            guard case .badCredentials = answer.error else {
                reason = "<\(summary(answer))>"
                break
            }
            let text = "Failed to authenticate to \(endpoint): \(summary(answer))"
            reason = "AuthenticationFailed(\(PythonText.quoted(text)))"
        default: return "\(error)"
        }
        return "('Unable to connect to any servers', {'\(endpoint)': \(reason)})"
    }
}

/// Texts as Python's `repr` writes them.
enum PythonText {
    /// The text in single quotes, or in double ones if only the single occur in it.
    static func quoted(_ text: String) -> String {
        let quote: Character = text.contains("'") && !text.contains("\"") ? "\"" : "'"
        var result = String(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where Character(scalar) == quote: result += "\\" + String(quote)
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                result += "\\x" + String(repeating: "0", count: 2 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + String(quote)
    }

    /// A dictionary of strings, in the given order.
    static func dictionary(_ entries: [(name: String, value: String)]) -> String {
        "{" + entries.map { "\(quoted($0.name)): \(quoted($0.value))" }.joined(separator: ", ")
            + "}"
    }

    /// `[Errno 2] No such file or directory: 'path'`, as an OSError about a file says it.
    static func fileError(_ code: Int32, _ path: String) -> String {
        "[Errno \(code)] \(SystemErrors.text(code)): \(quoted(path))"
    }
}
