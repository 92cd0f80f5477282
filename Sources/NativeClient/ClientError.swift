// What can go wrong on the client's side. What the server answers is an `ErrorAnswer` instead.

/// A failure of the connection, not of a statement.
package enum ClientError: Error, Equatable, CustomStringConvertible {
    /// No connection could be made; `systemError` is the system's number for why, if it has one.
    case cannotConnect(String, systemError: Int32?)
    /// The server does not speak the version of CQL that was asked for; it speaks these.
    case unsupportedVersion(String, supported: [String])
    /// The server wants credentials, and none were given.
    case credentialsNeeded(authenticator: String)
    /// The connection ended while the request was under way: its result is unknown.
    case closed(String)
    /// No answer in time: the request's result is unknown.
    case timedOut(milliseconds: Int64)
    /// The server sent what no server should.
    case unexpectedAnswer(String)
    /// All streams of the connection are taken.
    case tooManyRequests

    package var description: String {
        switch self {
        case .cannotConnect(let reason, _): "Unable to connect: \(reason)"
        case .unsupportedVersion(let version, let supported):
            "CQL \(version) is not supported by the server, which speaks "
                + supported.joined(separator: ", ")
        case .credentialsNeeded(let authenticator):
            "The server requires credentials (\(authenticator)); give a user name and a password"
        case .closed(let reason): "Connection closed: \(reason)"
        case .timedOut(let milliseconds):
            "No answer within \(milliseconds) ms; the request may still take effect"
        case .unexpectedAnswer(let what): "Unexpected answer from the server: \(what)"
        case .tooManyRequests: "Too many requests at a time on one connection"
        }
    }
}
