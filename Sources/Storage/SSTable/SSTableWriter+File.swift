// From an SSTable's writer into its file.

internal import Encoding
internal import Environment

extension SSTableWriter {
    /// Writes `output` away, into a new file at first.
    func write(to files: any FileSystem) throws(StorageError) {
        try storing { () throws(DiskFailure) in
            if !hasOpenFile {
                try files.create(file, preallocate: 0)
                hasOpenFile = true
            }
            if output.count > 0 { try files.write(file, at: outputOffset, output.bytes) }
        }
        outputWritten()
    }

    /// Completes the file, durably but for its name. nil, and no file, if nothing was written.
    func finish(to files: any FileSystem) throws(StorageError) -> SSTableMetadata? {
        if isEmpty {
            if hasOpenFile {
                try storing { () throws(DiskFailure) in try files.remove(file) }
                hasOpenFile = false
            }
            return nil
        }
        while true {
            let built = finish()
            try write(to: files)
            guard let built else { continue }
            try storing { () throws(DiskFailure) in try files.sync(file) }
            hasOpenFile = false
            return built
        }
    }
}
