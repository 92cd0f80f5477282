// COPY: its statement, its options, its values.

import Model
import Testing

@testable import coterie

@Suite struct CopyTests {
    @Test func statementsAreReadWhole() throws {
        let copy = try CopyStatement(
            "COPY ks.\"T a\" (k, \"B\") TO '/tmp/it''s.csv' WITH HEADER = true AND null='x' "
                + "AND maxrows = -1")
        #expect(copy.keyspace == "ks" && copy.table == "T a" && copy.columns == ["k", "B"])
        #expect(copy.direction == .to && copy.file == "/tmp/it's.csv")
        #expect(copy.options.map(\.name) == ["header", "null", "maxrows"])
        #expect(copy.options.map(\.value) == ["true", "x", "-1"])
        #expect(try CopyStatement("copy t from stdin").file == nil)
    }

    @Test(arguments: [
        "COPY", "COPY t", "COPY t TO", "COPY t FROM file", "COPY t () TO 'x'", "COPY t TO STDIN",
        "COPY t TO 'x' WITH", "COPY t TO 'x' WITH a", "COPY t TO 'x' WITH a =", "COPY t TO 'x' y",
        "COPY t TO 'x", "COPY t TO 'x' WITH a = 1 AND",
    ])
    func improperStatementsAreRefused(text: String) {
        #expect(throws: ImproperCommand.self) { try CopyStatement(text) }
    }

    private func options(
        _ direction: CopyStatement.Direction, _ given: [(name: String, value: String)]
    ) throws -> CopyOptions {
        try CopyOptions(given, direction, keyspace: "ks", table: "t")
    }

    @Test func optionsHaveTheDefaultsOfCqlsh() throws {
        let options = try options(.from, [])
        #expect(options.chunkSize == 5_000 && options.maximumBatchSize == 20)
        #expect(options.errorFile == "import_ks_t.err")
        #expect(options.format.doublePrecision == 12 && options.format.floatPrecision == 5)
    }

    @Test func optionsThatCannotBeAreRefusedByName() throws {
        #expect(try options(.to, [("speed", "1")]).unrecognized == ["speed"])
        #expect(
            "\(failure(.to, ("pagesize", "x")))" == "invalid literal for int() with base 10: 'x'")
        #expect("\(failure(.from, ("chunksize", "0")))".contains("CHUNKSIZE = 0 is not between"))
        #expect("\(failure(.from, ("delimiter", "ab")))".contains("1-character"))
        #expect("\(failure(.to, ("begintoken", "x")))".contains("invalid literal"))
        #expect("\(failure(.to, ("boolstyle", "a,a")))".contains("Invalid boolean styles"))
        let notices = try options(
            .to, [("childtimeout", "4"), ("ttl", "1"), ("encoding", "latin1")]
        ).notices
        #expect(notices.count == 3)
        let given = try options(
            .from, [("skiprows", "-1"), ("maxattempts", "0"), ("preparedstatements", "False")])
        #expect(given.skippedRows == -1 && given.maximumAttempts == 0 && !given.isPrepared)
    }

    private func failure(
        _ direction: CopyStatement.Direction, _ option: (name: String, value: String)
    ) -> String {
        do {
            _ = try options(direction, [option])
            return ""
        } catch { return "\(error)" }
    }

    private func value(_ text: String, _ type: CQLType, null: String = "") throws -> String {
        var format = ValueFormat()
        format.nullText = null
        switch try CopyConversion(format: format).value(text, type) {
        case .null: return "NULL"
        case .bytes(let bytes): return bytes.withUnsafeBytes { type.format($0) }
        }
    }

    @Test func fieldsBecomeValues() throws {
        #expect(try value("1", .int) == "1")
        #expect(try value(" 'it''s' ", .text) == "'it''s'")
        #expect(try value("", .text) == "NULL")
        #expect(try value("", .text, null: "-") == "''")
        #expect(try value("", .int, null: "-") == "NULL")
        #expect(try value("TRUE", .boolean) == "true")
        #expect(try value("other", .boolean) == "false")
        #expect(try value("inf", .double) == "Infinity")
        #expect(
            try value("2024-02-29 12:00:00.500+0100", .timestamp)
                == "'2024-02-29 11:00:00.500+0000'")
        #expect(try value("-5", .timestamp) == "'1969-12-31 23:59:59.995+0000'")
        #expect(throws: CopyParseFailure.self) { try value("x", .int) }
        #expect(try value("1_000", .int) == "1000")
    }

    @Test func microsecondsAreCutTowardsTheEpoch() throws {
        #expect(
            try value("2024-02-29 12:00:00.123999+0000", .timestamp)
                == "'2024-02-29 12:00:00.123+0000'")
        #expect(
            try value("1969-12-31 23:59:59.999600+0000", .timestamp)
                == "'1970-01-01 00:00:00.000+0000'")
    }

    @Test func refusalsOfFieldsAreThoseOfPython() {
        func reason(_ text: String, _ type: CQLType) -> String {
            do { return try value(text, type) } catch { return "\(error)" }
        }
        #expect(
            reason("x", .int) == "Failed to parse x : invalid literal for int() with base 10: 'x'")
        #expect(
            reason("x", .double) == "Failed to parse x : could not convert string to float: 'x'")
        #expect(reason("x", .decimal) == "Failed to parse x : [<class 'decimal.ConversionSyntax'>]")
        #expect(reason("x", .uuid) == "Failed to parse x : badly formed hexadecimal UUID string")
        #expect(
            reason("0x1z", .blob)
                == "Failed to parse 0x1z : non-hexadecimal number found in fromhex() arg at position 1"
        )
        #expect(
            reason("x", .date)
                == "Failed to parse x : time data 'x' does not match format '%Y-%m-%d'")
    }

    @Test func nestedFieldsBecomeNestedValues() throws {
        let map = CQLType.map(.text, .list(.int, frozen: true), frozen: true)
        #expect(try value("{'a:b': [1, 2], 'c,d': []}", map) == "{'a:b': [1, 2], 'c,d': []}")
        #expect(try value("('x', null)", .tuple([.text, .int])) == "('x', null)")
        #expect(try value("[1, 2.5]", .vector(.float, dimensions: 2)) == "[1.0, 2.5]")
        #expect(try value("['a', 'bc']", .vector(.text, dimensions: 2)) == "['a', 'bc']")
        let type = UserDefinedType(
            keyspace: "ks", name: "u",
            fields: [.init(name: "a", type: .int), .init(name: "b", type: .text)])
        #expect(try value("{b: 'x', a: 1}", .userDefined(type, frozen: true)) == "{a: 1, b: 'x'}")
        #expect(
            try value("{b: '', a: ''}", .userDefined(type, frozen: true)) == "{a: null, b: null}")
        #expect(throws: CopyParseFailure.self) { try value("('x', )", .tuple([.text, .int])) }
        #expect(throws: CopyParseFailure.self) { try value("1, 2", .list(.int, frozen: true)) }
        #expect(throws: CopyParseFailure.self) { try value("[x]", .list(.int, frozen: true)) }
        #expect(throws: CopyParseFailure.self) {
            try value("[1]", .vector(.float, dimensions: 2))
        }
    }

    @Test func theRingIsCutAtItsTokens() {
        func cut(_ begin: Int64?, _ end: Int64?) -> [String] {
            TokenRanges.cut([30, 10, 20], begin: begin, end: end).map {
                "\($0.start.map(String.init) ?? "-"):\($0.end.map(String.init) ?? "-")"
            }
        }
        #expect(cut(nil, nil) == ["-:10", "10:20", "20:30", "30:-"])
        #expect(cut(15, nil) == ["15:20", "20:30", "30:-"])
        #expect(cut(nil, 20) == ["-:10", "10:20"])
        #expect(cut(12, 14) == ["12:14"])
        let ranges = TokenRanges([
            .init(end: 10, replicas: ["a"]), .init(end: -10, replicas: ["b"]),
        ])
        #expect(ranges.replicas(of: -10) == ["b"] && ranges.replicas(of: -9) == ["a"])
        #expect(ranges.replicas(of: 11) == ["b"])
    }

    @Test func intervalsAreSaidInWords() {
        #expect(CopyMeter.interval(1.25) == "1.250 seconds")
        #expect(CopyMeter.interval(61) == "1 minute and 1.000 seconds")
        #expect(CopyMeter.interval(7_322) == "2 hours, 2 minutes, and 2.000 seconds")
    }
}
