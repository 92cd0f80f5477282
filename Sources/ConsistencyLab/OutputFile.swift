// A text file that is written line by line, for traces and reports.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file could not be written.
package struct OutputFailure: Error, CustomStringConvertible {
    package let description: String
}

/// A text file being written; buffered, closed by `close`.
package final class OutputFile {
    private let path: String
    private var stream: UnsafeMutablePointer<FILE>?
    private var hasFailed = false

    /// Creates or replaces the file.
    package init(path: String) throws(OutputFailure) {
        self.path = path
        stream = fopen(path, "w")
        guard stream != nil else { throw OutputFile.failure(path, errno) }
    }

    deinit { if let stream { fclose(stream) } }

    /// Appends text; a failure shows at `close`.
    package func write(_ text: String) {
        guard let stream else { return }
        var text = text
        text.withUTF8 { bytes in
            if fwrite(bytes.baseAddress, 1, bytes.count, stream) != bytes.count { hasFailed = true }
        }
    }

    /// Ends the file; throws if anything of it could not be written.
    package func close() throws(OutputFailure) {
        guard let stream else { return }
        self.stream = nil
        if fclose(stream) != 0 || hasFailed { throw OutputFile.failure(path, errno) }
    }

    private static func failure(_ path: String, _ code: Int32) -> OutputFailure {
        OutputFailure(description: "\(path): \(String(cString: strerror(code)))")
    }
}
