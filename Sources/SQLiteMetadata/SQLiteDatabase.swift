// The few calls of SQLite that the metadata store needs, with Swift's errors.
//
// A database belongs to one thread at a time; the store serialises its users.

internal import CSQLite

/// SQLite said no, or the file is not what it should be.
package struct MetadataStoreFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file, so that a person knows where to look.
    package let path: String
    package let detail: String

    package init(path: String, detail: String) {
        self.path = path
        self.detail = detail
    }

    package var description: String { "\(path): \(detail)" }
}

/// An open database file.
final class SQLiteDatabase {
    let path: String
    private let handle: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    /// A value of a column or of a parameter.
    enum Value {
        case integer(Int64)
        case text(String)
        case blob([UInt8])
    }

    /// Opens or creates the file.
    init(path: String, isReadOnly: Bool = false) throws(MetadataStoreFailure) {
        var handle: OpaquePointer?
        let mode = isReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
        let flags = mode | SQLITE_OPEN_FULLMUTEX
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            let detail = handle.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(handle)
            throw MetadataStoreFailure(path: path, detail: detail)
        }
        self.path = path
        self.handle = handle
        sqlite3_busy_timeout(handle, 5_000)
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    /// Runs statements without parameters and without a result that matters.
    func execute(_ sql: String) throws(MetadataStoreFailure) {
        if sqlite3_exec(handle, sql, nil, nil, nil) != SQLITE_OK { throw failure(doing: sql) }
    }

    /// Runs one statement with its parameters.
    func run(_ sql: String, _ parameters: [Value] = []) throws(MetadataStoreFailure) {
        try query(sql, parameters) { _ throws(MetadataStoreFailure) in }
    }

    /// Runs one statement and hands each row to `body`.
    func query(
        _ sql: String, _ parameters: [Value] = [],
        _ body: (Row) throws(MetadataStoreFailure) -> Void
    ) throws(MetadataStoreFailure) {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (index, parameter) in parameters.enumerated() {
            try bind(parameter, at: Int32(index + 1), of: statement, sql)
        }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: try body(Row(statement: statement, path: path))
            case SQLITE_DONE: return
            default: throw failure(doing: sql)
            }
        }
    }

    private func prepared(_ sql: String) throws(MetadataStoreFailure) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK, let statement
        else {
            throw failure(doing: sql)
        }
        statements[sql] = statement
        return statement
    }

    private func bind(
        _ value: Value, at index: Int32, of statement: OpaquePointer, _ sql: String
    ) throws(MetadataStoreFailure) {
        // SQLite copies the bytes before the call returns (SQLITE_TRANSIENT, a macro that is not
        // imported).
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let code: Int32 =
            switch value {
            case .integer(let number): sqlite3_bind_int64(statement, index, number)
            case .text(let text):
                sqlite3_bind_text(statement, index, text, Int32(text.utf8.count), transient)
            case .blob(let bytes) where bytes.isEmpty: sqlite3_bind_zeroblob(statement, index, 0)
            case .blob(let bytes):
                bytes.withUnsafeBytes {
                    sqlite3_bind_blob64(
                        statement, index, $0.baseAddress, UInt64($0.count), transient)
                }
            }
        if code != SQLITE_OK { throw failure(doing: sql) }
    }

    private func failure(doing sql: String) -> MetadataStoreFailure {
        let code = sqlite3_errcode(handle)
        let words = String(cString: sqlite3_errmsg(handle))
        let hint =
            code == SQLITE_CORRUPT || code == SQLITE_NOTADB
            ? " (the node's metadata is damaged: restore metadata.db from a copy, or replace the node)"
            : ""
        return MetadataStoreFailure(path: path, detail: "\(words)\(hint), doing: \(sql)")
    }

    /// The current row of a running query.
    struct Row {
        let statement: OpaquePointer
        let path: String

        func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

        func text(_ column: Int32) throws(MetadataStoreFailure) -> String {
            let bytes = blob(column)
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw MetadataStoreFailure(path: path, detail: "text that is not UTF-8")
            }
            return text
        }

        func blob(_ column: Int32) -> [UInt8] {
            let count = Int(sqlite3_column_bytes(statement, column))
            guard count > 0, let base = sqlite3_column_blob(statement, column) else { return [] }
            return Array(UnsafeRawBufferPointer(start: base, count: count))
        }
    }
}
