// The system's errors, by number and by text.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the shell says about errors of the system's.
enum SystemErrors {
    static let connectionRefused = ECONNREFUSED

    /// The system's text for an error number.
    static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
