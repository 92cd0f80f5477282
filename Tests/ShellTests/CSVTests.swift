// CSV as Python's csv module has it, with cqlsh's marks.

import Testing

@testable import coterie

@Suite struct CSVTests {
    private func written(_ fields: [String], _ dialect: CSVDialect = CSVDialect()) -> String {
        var output: [UInt8] = []
        dialect.append(fields, to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    private func read(
        _ text: String, _ dialect: CSVDialect = CSVDialect(), chunk: Int = .max
    ) -> [[String]] {
        var reader = CSVReader(dialect)
        var records: [[String]] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            reader.append(rest.prefix(chunk))
            rest = rest.dropFirst(chunk)
            while let record = reader.next() { records.append(record) }
        }
        reader.finish()
        while let record = reader.next() { records.append(record) }
        return records
    }

    @Test func fieldsAreQuotedOnlyWhereTheyMust() {
        #expect(written(["a", "b"]) == "a,b\r\n")
        #expect(written(["a,b", ""]) == "\"a,b\",\r\n")
        #expect(written(["say \"hi\"", "back\\"]) == "say \\\"hi\\\",back\\\\\r\n")
        #expect(written([""]) == "\"\"\r\n")
        #expect(written(["two\nlines"]) == "\"two\nlines\"\r\n")
    }

    @Test func quotesAreDoubledWithoutAnEscape() {
        let dialect = CSVDialect(quote: UInt8(ascii: "'"), escape: nil)
        #expect(written(["it's", "\\"], dialect) == "'it''s',\\\r\n")
        #expect(read("'it''s','a,b'\n", dialect) == [["it's", "a,b"]])
    }

    @Test func recordsEndWithAnyLineEnd() {
        #expect(
            read("a,b\r\nc,d\ne,f\rg,h") == [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]])
        #expect(read("") == [])
        #expect(read("\n\na\n") == [[], [], ["a"]])
        #expect(read(",\n") == [["", ""]])
    }

    @Test func quotedFieldsHoldLinesAndMarks() {
        #expect(read("1,\"a, b\"\n2,\"x\ny\"\n") == [["1", "a, b"], ["2", "x\ny"]])
        #expect(read("\"say \\\"hi\\\"\",\\,\n") == [["say \"hi\"", ","]])
    }

    @Test(arguments: [UInt64(1), 7, 42, 20_240_229])
    func whatIsWrittenIsReadBackInChunksOfAnySize(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let letters = Array("ab,\"\\'\n\r;ü東 ")
        for dialect in [
            CSVDialect(), CSVDialect(escape: nil),
            CSVDialect(delimiter: UInt8(ascii: ";"), quote: UInt8(ascii: "'")),
        ] {
            let records = (0..<40).map { _ in
                (0..<(random.next(3) + 1)).map { _ in
                    String((0..<random.next(7)).map { _ in letters[random.next(letters.count)] })
                }
            }
            let text = records.map { written($0, dialect) }.joined()
            // A lone CR LF inside of a field is one character to Swift, two bytes to CSV.
            #expect(
                read(text, dialect, chunk: random.next(9) + 1) == records, "seed \(seed)")
        }
    }
}

/// A small generator of numbers that are the same for the same seed.
struct SeededNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    /// A number below `bound`.
    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}
