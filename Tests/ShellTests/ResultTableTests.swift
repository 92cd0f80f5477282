// Tables as cqlsh 6.2 prints the same rows.

import Encoding
import Model
import NativeProtocol
import Testing

@testable import coterie

@Suite struct ResultTableTests {
    private static let columns = [
        ColumnSpecification(keyspace: "ks", table: "t", name: "k", type: .int),
        ColumnSpecification(keyspace: "ks", table: "t", name: "name", type: .text),
    ]

    private func page(_ rows: [(Int32?, String?)]) throws -> ResultRows {
        let encoder = FrameEncoder(side: .server)
        var writer = RowsWriter(encoder, .v4, stream: 0, RowsMetadata(Self.columns))
        for (key, name) in rows {
            let bytes = key.map {
                [
                    UInt8($0 >> 24 & 255), UInt8($0 >> 16 & 255), UInt8($0 >> 8 & 255),
                    UInt8($0 & 255),
                ]
            }
            writer.frames.appendValue(bytes)
            writer.frames.appendValue(name.map { Array($0.utf8) })
            writer.endRow()
        }
        writer.finish()
        let header = FrameHeader(version: .v4, stream: 0, opcode: .result, bodyLength: 0)
        let body = UnsafeRawBufferPointer(rebasing: encoder.frames.bytes[9...])
        let response = try Response(Frame(header: header, body: body))
        guard case .rows(let rows) = response.message else {
            throw MalformedBytes("no rows", offset: 0)
        }
        return rows
    }

    private func printed(
        _ rows: [(Int32?, String?)], expanded: Bool = false, colors: Bool = false
    ) throws -> [String] {
        let output = ShellOutput(hasColors: colors)
        let table = ResultTable(try page(rows), Self.columns)
        if expanded {
            table.printExpanded(to: output, first: 3)
        } else {
            table.print(to: output, withHeader: true)
        }
        return output.pending.split(separator: "\n", omittingEmptySubsequences: false)
            .dropLast().map(String.init)
    }

    @Test func headersStandLeftAndValuesRight() throws {
        #expect(
            try printed([(1, "one"), (-20, "nineteen"), (nil, nil)]) == [
                " k    | name",
                "------+----------",
                "    1 |      one",
                "  -20 | nineteen",
                " null |     null",
            ])
    }

    @Test func noRowsLeaveTheHeader() throws {
        #expect(try printed([]) == [" k | name", "---+------"])
    }

    @Test func wideCharactersAndLineFeedsKeepTheColumns() throws {
        #expect(
            try printed([(1, "東京"), (2, "e\u{301}"), (3, "a\nb")]) == [
                " k | name",
                "---+------",
                " 1 | 東京",
                " 2 |    e\u{301}",
                " 3 | a\\nb",
            ])
    }

    @Test func expandedRowsAreLists() throws {
        #expect(
            try printed([(1, "one"), (2, nil)], expanded: true) == [
                "@ Row 3", "------+------", " k    | 1", " name | one", "",
                "@ Row 4", "------+------", " k    | 2", " name | null", "",
            ])
    }

    @Test func coloursDoNotShiftAnything() throws {
        let plain = try printed([(1, "one"), (nil, "x")])
        let colored = try printed([(1, "one"), (nil, "x")], colors: true).map { line in
            var text = ""
            var isEscape = false
            for scalar in line.unicodeScalars {
                if scalar == "\u{1B}" { isEscape = true }
                if !isEscape { text.unicodeScalars.append(scalar) }
                if scalar == "m" { isEscape = false }
            }
            return text
        }
        // Spaces at the end of the header are the only difference: they stand behind a colour.
        #expect(colored.map { $0.replacing(/[ ]+$/, with: "") } == plain)
        #expect(try printed([(1, nil)], colors: true)[2].contains("\u{1B}[0;1;31mnull"))
    }
}
