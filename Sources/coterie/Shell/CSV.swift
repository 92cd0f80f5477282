// Records of comma-separated values, as Python's csv module reads and writes them: that is what cqlsh's
// COPY does.
//
// **Writing.** A field is quoted if it holds the delimiter or an end of line; a quote and an escape are
// escaped (a quote is doubled if there is no escape). A record ends with CR LF.
// **Reading.** An escape makes the next character plain, inside quotes or outside. A quoted field may
// hold line ends. Memory is one record, whatever the file's size.

/// The marks of a CSV file.
struct CSVDialect: Equatable {
    var delimiter = UInt8(ascii: ",")
    var quote = UInt8(ascii: "\"")
    /// Nil: a quote is doubled instead.
    var escape: UInt8? = UInt8(ascii: "\\")

    /// Adds one record to `output`.
    func append(_ fields: [String], to output: inout [UInt8]) {
        if fields.count == 1, fields[0].isEmpty {
            // An empty line would be no record at all.
            output += [quote, quote]
        }
        for (index, field) in fields.enumerated() {
            if index > 0 { output.append(delimiter) }
            append(field, to: &output)
        }
        output += [0x0D, 0x0A]
    }

    private func append(_ field: String, to output: inout [UInt8]) {
        var isQuoted = false
        var body: [UInt8] = []
        body.reserveCapacity(field.utf8.count)
        for byte in field.utf8 {
            if byte == quote {
                if let escape {
                    body.append(escape)
                } else {
                    body.append(quote)
                    isQuoted = true
                }
            } else if byte == escape {
                body.append(byte)
            } else if byte == delimiter || byte == 0x0D || byte == 0x0A {
                isQuoted = true
            }
            body.append(byte)
        }
        if isQuoted { output.append(quote) }
        output += body
        if isQuoted { output.append(quote) }
    }
}

/// Takes CSV apart, chunk by chunk.
struct CSVReader {
    private enum State { case startOfRecord, startOfField, field, quoted, afterQuote }

    private let dialect: CSVDialect
    private var state = State.startOfRecord
    private var isEscaped = false
    private var sawCarriageReturn = false
    private var field: [UInt8] = []
    private var fields: [String] = []
    /// Whole records that have not been taken; an empty line is an empty record.
    private var records: [[String]] = []
    private var taken = 0

    init(_ dialect: CSVDialect) { self.dialect = dialect }

    /// Takes bytes in.
    mutating func append(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { append(byte) }
    }

    /// The file has ended: what is under way is a record.
    mutating func finish() {
        if state != .startOfRecord { endRecord() }
    }

    /// The next whole record.
    mutating func next() -> [String]? {
        guard taken < records.count else {
            records.removeAll(keepingCapacity: true)
            taken = 0
            return nil
        }
        defer { taken += 1 }
        return records[taken]
    }

    private mutating func append(_ byte: UInt8) {
        if byte == 0x0A, sawCarriageReturn {
            sawCarriageReturn = false
            return
        }
        sawCarriageReturn = false
        if isEscaped {
            isEscaped = false
            field.append(byte)
            return
        }
        if byte == dialect.escape, state != .afterQuote {
            isEscaped = true
            if state != .quoted { state = .field }
            return
        }
        switch state {
        case .startOfRecord, .startOfField:
            if byte == dialect.quote {
                state = .quoted
            } else {
                plain(byte)
            }
        case .field: plain(byte)
        case .quoted:
            if byte == dialect.quote {
                // With an escape a quote inside is escaped, so this one is the end.
                state = dialect.escape == nil ? .afterQuote : .field
            } else {
                field.append(byte)
            }
        case .afterQuote:
            if byte == dialect.quote {
                field.append(byte)
                state = .quoted
            } else {
                plain(byte)
            }
        }
    }

    private mutating func plain(_ byte: UInt8) {
        switch byte {
        case dialect.delimiter:
            endField()
            state = .startOfField
        case 0x0D, 0x0A:
            sawCarriageReturn = byte == 0x0D
            if state == .startOfRecord {
                records.append([])
            } else {
                endRecord()
            }
        default:
            field.append(byte)
            state = .field
        }
    }

    private mutating func endField() {
        fields.append(String(decoding: field, as: UTF8.self))
        field.removeAll(keepingCapacity: true)
    }

    private mutating func endRecord() {
        endField()
        records.append(fields)
        fields.removeAll(keepingCapacity: true)
        state = .startOfRecord
        isEscaped = false
    }
}
