// Both metadata stores, the one of the server and the one of the simulator, against one contract.

import Environment
import SQLiteMetadata
import Simulation
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct MetadataStoreContractTests {
    @Test func sqliteStoreKeepsTheContract() throws {
        let folder = TemporaryFolder()
        let violations = try MetadataStoreContract.violations(
            of: try SQLiteStoreUnderTest(path: folder.path + "/metadata.db"))
        #expect(violations == [])
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func simulatedStoreKeepsTheContract(seed: UInt64) throws {
        let violations = try MetadataStoreContract.violations(
            of: SimulatedMetadataStoreUnderTest(seed: seed))
        #expect(violations == [], "seed \(seed)")
    }
}

/// A fresh folder that is removed with its files.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/coterie-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { preconditionFailure("no temporary folder") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if let stream = opendir(path) {
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink(path + "/" + name)
            }
            closedir(stream)
        }
        rmdir(path)
    }
}

/// The SQLite store as the contract wants to see it. A commit that is cut off is made from real files:
/// the database as it was before, with the write-ahead log of the commit torn at some byte.
final class SQLiteStoreUnderTest: MetadataStoreUnderTest {
    private let path: String
    private var store: SQLiteMetadataStore?
    private var copies = 0

    init(path: String) throws {
        self.path = path
        store = try SQLiteMetadataStore(path: path)
    }

    private var opened: SQLiteMetadataStore {
        get throws {
            if let store { return store }
            let store = try SQLiteMetadataStore(path: path)
            self.store = store
            return store
        }
    }

    func load() throws -> MetadataImage { try opened.load() }
    func commit(_ batch: MetadataBatch) throws { try opened.commit(batch) }

    func reopen(losing batch: MetadataBatch?) throws {
        guard let batch else {
            store = nil
            return
        }
        let before = try opened.load()
        var after = before
        after.apply(batch)
        let database = try RawFile.read(path)
        try opened.commit(batch)
        let log = try RawFile.read(path + "-wal")
        store = nil
        // Every sector of the log, and torn in the middle of some.
        for length in stride(from: 0, through: log.count, by: 509) {
            copies += 1
            let copy = "\(path)-\(copies)"
            try RawFile.write(database, to: copy)
            try RawFile.write(Array(log[..<length]), to: copy + "-wal")
            let image = try SQLiteMetadataStore(path: copy).load()
            #expect(image == before || image == after, "the log torn at \(length)")
        }
        try RawFile.write(database, to: path)
        try RawFile.write(log, to: path + "-wal")
        #expect(try load() == after, "the whole log was written")
    }
}

/// Whole files, without a cache between.
enum RawFile {
    static func read(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY)
        try #require(file >= 0, "\(path): \(String(cString: strerror(errno)))")
        defer { close(file) }
        let size = Int(lseek(file, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: size)
        #expect(pread(file, &bytes, size, 0) == size)
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        try #require(file >= 0, "\(path): \(String(cString: strerror(errno)))")
        defer { close(file) }
        #expect(pwrite(file, bytes, bytes.count, 0) == bytes.count)
    }
}
