// What the operating system's error numbers mean here.

package import Environment

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The number and the words of the last failed system call.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    package let number: Int32
    /// What was tried, for example `open`.
    package let call: String

    /// Takes the current `errno`; to be made right after the failed call.
    package init(call: String) {
        self.init(call: call, number: errno)
    }

    package init(call: String, number: Int32) {
        self.number = number
        self.call = call
    }

    package var description: String { "\(call): \(SystemError.text(number))" }

    /// The system's words for an error number.
    package static func text(_ number: Int32) -> String {
        guard let words = strerror(number) else { return "error \(number)" }
        return String(cString: words)
    }

    /// The same for a file of the node's folder.
    package func failure(_ file: FileName) -> DiskFailure {
        let reason: DiskFailure.Reason =
            switch number {
            case ENOENT: .notFound
            case ENOSPC, EDQUOT: .full
            default: .inputOutput
            }
        return DiskFailure(reason, file: file, detail: description)
    }
}
