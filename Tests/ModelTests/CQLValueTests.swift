// Values: constants against what Cassandra's driver serializes and cqlsh shows, refusals, literals.

import Encoding
import Foundation
import Model
import Testing

private let fixture = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/cql/values.txt")

private func unescaped(_ text: Substring) -> String {
    text.replacingOccurrences(of: "\\\\", with: "\\")
}

private func refusal(_ type: CQLType, _ bytes: [UInt8]) -> String? {
    bytes.withUnsafeBytes { value in
        do throws(CQLValueError) {
            try type.validate(value)
            return nil
        } catch {
            return error.message
        }
    }
}

private func parseRefusal(_ type: CQLType, _ text: String) -> String? {
    do throws(CQLValueError) {
        _ = try type.parse(text)
        return nil
    } catch {
        return error.message
    }
}

private func format(_ type: CQLType, _ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { type.format($0) }
}
private func display(_ type: CQLType, _ bytes: [UInt8]) -> String {
    bytes.withUnsafeBytes { type.display($0) }
}

private func sized(_ bytes: [UInt8]) -> [UInt8] { bigEndian(Int32(bytes.count)) + bytes }
private func text(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct CQLValueTests {
    @Test func constantsAreSerializedAndShownAsCassandrasToolsDo() throws {
        var checked = 0
        for line in try String(contentsOf: fixture, encoding: .utf8).split(separator: "\n")
        where !line.hasPrefix("#") {
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false)
            try #require(cells.count == 4, "\(line)")
            let type = try #require(nativeTypes[String(cells[0])], "\(line)")
            let bytes = try type.parse(unescaped(cells[1]))
            #expect(HexText.text(bytes) == (cells[2] == "-" ? "" : cells[2]), "\(line)")
            #expect(refusal(type, bytes) == nil, "\(line)")
            #expect(display(type, bytes) == unescaped(cells[3]), "\(line)")
            checked += 1
        }
        #expect(checked > 450)
    }

    @Test(arguments: [41, 42] as [UInt64])
    func literalsGiveTheValueBack(seed: UInt64) throws {
        var generator = CQLValueGenerator(seed: seed)
        for _ in 0..<3_000 {
            let type = generator.random.pick(CQLValueGenerator.natives + [.duration])
            let value = generator.value(of: type)
            if value.isEmpty { continue }
            var literal = format(type, value)
            if literal.hasPrefix("'") {
                literal = String(literal.dropFirst().dropLast()).replacingOccurrences(
                    of: "''", with: "'")
            }
            let isCanonical = value.withUnsafeBytes { ClusteringKey.isCanonical($0, type: type) }
            let back: [UInt8]
            do {
                back = try type.parse(literal)
            } catch {
                // Bytes that are no time of a day are shown as a blob.
                #expect(
                    type == .time && literal.hasPrefix("0x"),
                    "seed \(seed): \(type) \(literal) \(error)")
                continue
            }
            let order = back.withUnsafeBytes { a in
                value.withUnsafeBytes { b in type.compare(a, b) }
            }
            let isMappedAddress = type == .inet && value.count == 16 && back.count == 4
            #expect(
                order == 0 || isMappedAddress,
                "seed \(seed): \(type) \(literal) \(HexText.text(value))")
            if isCanonical, !isMappedAddress, type != .decimal {
                #expect(back == value, "seed \(seed): \(type) \(literal)")
            }
        }
    }

    @Test func wrongLengthsAreRefusedInCassandrasWords() {
        #expect(refusal(.int, [1, 2, 3]) == "Expected 4 or 0 byte int (3)")
        #expect(refusal(.bigint, [1]) == "Expected 8 or 0 byte long (1)")
        #expect(refusal(.counter, [1]) == "Expected 8 or 0 byte long (1)")
        #expect(refusal(.smallint, []) == "Expected 2 bytes for a smallint (0)")
        #expect(refusal(.tinyint, []) == "Expected 1 byte for a tinyint (0)")
        #expect(refusal(.boolean, [1, 1]) == "Expected 1 or 0 byte value (2)")
        #expect(refusal(.float, [1]) == "Expected 4 or 0 byte value for a float (1)")
        #expect(refusal(.double, [1]) == "Expected 8 or 0 byte value for a double (1)")
        #expect(refusal(.timestamp, [1]) == "Expected 8 or 0 byte long for date (1)")
        #expect(refusal(.date, []) == "Expected 4 byte long for date (0)")
        #expect(refusal(.time, []) == "Expected 8 byte long for time (0)")
        #expect(refusal(.uuid, [1]) == "UUID should be 16 or 0 bytes (1)")
        #expect(refusal(.inet, [1, 2]) == "Expected 4 or 16 byte inetaddress; got 0102")
        #expect(refusal(.decimal, [0, 0, 0]) == "Expected 0 or at least 4 bytes (3)")
        #expect(refusal(.duration, [0, 0]) == "Expected at least 3 bytes for a duration (2)")
        var random = [UInt8](repeating: 7, count: 16)
        random[6] = 0x40
        #expect(refusal(.timeuuid, random) == "Invalid version for TimeUUID type: 0x4")
        for type in [
            CQLType.int, .bigint, .boolean, .float, .double, .timestamp, .uuid, .timeuuid, .inet,
            .decimal, .varint, .text, .blob,
        ] {
            #expect(refusal(type, []) == nil, "\(type)")
        }
    }

    @Test func textMustBeWellFormed() {
        let bad: [[UInt8]] = [
            [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80],
            [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xC3], [0xFF],
            text("12345678") + [0xC3], text("1234567") + [0xE2, 0x82],
        ]
        for bytes in bad { #expect(refusal(.text, bytes) == "String didn't validate.", "\(bytes)") }
        #expect(
            refusal(.text, text("aé日😀 and a longer run of plain text \u{10FFFF}\u{D7FF}")) == nil)
        #expect(refusal(.ascii, text("abc\u{7F}")) == nil)
        #expect(refusal(.ascii, [0x61, 0x80]) == "Invalid byte for ascii: -128")
    }

    @Test func collectionsAreCheckedToTheLastByte() {
        let list = CQLType.list(.int, frozen: true)
        let one = bigEndian(Int32(1)) + sized([0, 0, 0, 7])
        #expect(refusal(list, one) == nil)
        #expect(refusal(list, []) == "Not enough bytes to read a list")
        #expect(refusal(list, Array(one.dropLast())) == "Not enough bytes to read a list")
        #expect(refusal(list, one + [0]) == "Unexpected extraneous bytes after list value")
        #expect(
            refusal(list, bigEndian(Int32(-1))) == "The data cannot be deserialized as a list")
        #expect(refusal(list, bigEndian(Int32.max)) == "Not enough bytes to read a list")
        #expect(
            refusal(list, bigEndian(Int32(1)) + bigEndian(Int32(-1)))
                == "null is not supported inside collections")
        #expect(refusal(list, bigEndian(Int32(1)) + sized([1])) == "Expected 4 or 0 byte int (1)")
        #expect(
            refusal(.set(.text, frozen: false), bigEndian(Int32(1)) + sized([0xFF]))
                == "String didn't validate.")
        let map = CQLType.map(.text, .int, frozen: false)
        let pair = bigEndian(Int32(1)) + sized(text("k")) + sized([0, 0, 0, 7])
        #expect(refusal(map, pair) == nil)
        #expect(refusal(map, Array(pair.dropLast(8))) == "Not enough bytes to read a map")
        #expect(refusal(map, pair + [1]) == "Unexpected extraneous bytes after map value")
        let tuple = CQLType.tuple([.int, .text])
        #expect(refusal(tuple, []) == nil)
        #expect(refusal(tuple, sized([0, 0, 0, 1])) == nil)
        #expect(refusal(tuple, bigEndian(Int32(-1)) + sized(text("a"))) == nil)
        #expect(refusal(tuple, [0, 0]) == "Not enough bytes to read size of 0th component")
        #expect(
            refusal(tuple, bigEndian(Int32(5)) + [1]) == "Not enough bytes to read 0th component")
        #expect(
            refusal(tuple, sized([]) + sized([]) + [9])
                == "Invalid remaining data after end of tuple value")
        let vector = CQLType.vector(.float, dimensions: 2)
        #expect(refusal(vector, [0, 0, 0, 0, 0, 0, 0, 0]) == nil)
        #expect(refusal(vector, [0, 0, 0, 0]) == "Not enough bytes to read a vector")
        #expect(
            refusal(vector, [UInt8](repeating: 0, count: 12))
                == "Unexpected extraneous bytes after vector value")
        let texts = CQLType.vector(.text, dimensions: 2)
        #expect(refusal(texts, [1, 0x61, 2, 0x62, 0x63]) == nil)
        #expect(refusal(texts, [1, 0x61, 2, 0x62]) == "Not enough bytes to read a vector")
        #expect(display(texts, [1, 0x61, 2, 0x62, 0x63]) == "['a', 'bc']")
    }

    @Test func constantsThatSuitNoTypeAreRefusedInCassandrasWords() {
        #expect(parseRefusal(.int, "abc") == "Unable to make int from 'abc'")
        #expect(parseRefusal(.int, "2147483648") == "Unable to make int from '2147483648'")
        #expect(parseRefusal(.bigint, "1.5") == "Unable to make long from '1.5'")
        #expect(parseRefusal(.tinyint, "128") == "Unable to make byte from '128'")
        #expect(parseRefusal(.smallint, "x") == "Unable to make short from 'x'")
        #expect(parseRefusal(.boolean, "yes") == "Unable to make boolean from 'yes'")
        #expect(parseRefusal(.float, "0x1p3") == "Unable to make float from '0x1p3'")
        #expect(parseRefusal(.double, "1e") == "Unable to make double from '1e'")
        #expect(parseRefusal(.varint, "1.0") == "unable to make int from '1.0'")
        #expect(
            parseRefusal(.decimal, "1e99999999999")
                == "unable to make BigDecimal from '1e99999999999'")
        #expect(parseRefusal(.uuid, "not-a-uuid") == "Unable to make UUID from 'not-a-uuid'")
        #expect(
            parseRefusal(.timeuuid, "cc520882-9507-44fb-8fc9-b349ecdee658")
                == "TimeUUID supports only version 1 UUIDs")
        #expect(parseRefusal(.blob, "0xabc") == "cannot parse '0xabc' as hex bytes")
        #expect(
            parseRefusal(.duration, "1h1h")
                == "Invalid duration. The hours are specified multiple times")
        #expect(
            parseRefusal(.duration, "1h1d") == "Invalid duration. The hours should be after days")
        #expect(parseRefusal(.duration, "tomorrow") == "Unable to convert 'tomorrow' to a duration")
        #expect(
            parseRefusal(.duration, "178956971y")
                == "Invalid duration. The total number of months must be less or equal to 2147483647"
        )
        #expect(parseRefusal(.varint, String(repeating: "9", count: 70_000)) != nil)
        for bad in [
            "2011-02-30", "2011-13-01", "2011-02-03 24:00", "2011-02-03 ", "2011-02-03T",
            "2011-02-03 04:05 XYZ", "2011-02-03 04:05:06.", "2011-02-03 04:05+1", "noon",
            "2011-02-0304:05", "99999999999999999999", "2011-02-03 04:05Zulu", "999999999-01-01",
        ] {
            #expect(parseRefusal(.timestamp, bad) != nil, "\(bad)")
        }
        for bad in ["2011-02-30", "2011-2-3", "4294967296", "-1", "20110-01-01", "2011-02-03Z"] {
            #expect(parseRefusal(.date, bad) != nil, "\(bad)")
        }
        for bad in [
            "24:00:00", "12:30", "1:60:00", "12:00:60", "86400000000000", "-1", "12:00:00.",
            "12:00:00.0000000001",
        ] {
            #expect(parseRefusal(.time, bad) != nil, "\(bad)")
        }
        for bad in [
            "1.2.3", "1.2.3.256", "1.2.3.4.5", ":::", "1::2::3", "12345::", "host",
            "1:2:3:4:5:6:7:8:9", "::1.2.3", "1.2.3.4::", "1:2:3:4:5:6:7:8::",
        ] {
            #expect(parseRefusal(.inet, bad) == "Unable to make inet address from '\(bad)'")
        }
        #expect((try? CQLType.inet.parse("::ffff:1.2.3.4")) == [1, 2, 3, 4])
    }

    @Test func nestedValuesAreWrittenAsLiteralsAndAsTheShellShowsThem() throws {
        let list = CQLType.list(.text, frozen: false)
        let words = bigEndian(Int32(2)) + sized(text("it's")) + sized(text("b\\c"))
        #expect(format(list, words) == "['it''s', 'b\\c']")
        #expect(display(list, words) == "['it''s', 'b\\\\c']")
        let set = CQLType.set(.double, frozen: false)
        let numbers =
            bigEndian(Int32(2)) + sized(bigEndian(1.0.bitPattern))
            + sized(bigEndian(0.1.bitPattern))
        #expect(format(set, numbers) == "{1.0, 0.1}")
        #expect(display(set, numbers) == "{1, 0.1}")
        let map = CQLType.map(.timestamp, .inet, frozen: true)
        let entry = bigEndian(Int32(1)) + sized(bigEndian(Int64(0))) + sized([127, 0, 0, 1])
        #expect(format(map, entry) == "{'1970-01-01 00:00:00.000+0000': '127.0.0.1'}")
        #expect(display(map, entry) == "{'1970-01-01 00:00:00.000000+0000': '127.0.0.1'}")
        let address = CQLType.userDefined(
            UserDefinedType(
                keyspace: "ks", name: "address",
                fields: [
                    .init(name: "street", type: .text), .init(name: "Zip", type: .int),
                    .init(name: "x", type: .int),
                ]),
            frozen: true)
        let home = sized(text("Rue A")) + sized(bigEndian(Int32(75))) + bigEndian(Int32(-1))
        #expect(format(address, home) == "{street: 'Rue A', \"Zip\": 75, x: null}")
        #expect(display(address, home) == "{street: 'Rue A', Zip: 75, x: null}")
        #expect(display(address, sized(text("Rue A"))) == "{street: 'Rue A', Zip: null, x: null}")
        let tuple = CQLType.tuple([.boolean, .blob, .date])
        let three = sized([1]) + sized([0xCA]) + sized(bigEndian(UInt32(1) << 31))
        #expect(format(tuple, three) == "(true, 0xca, '1970-01-01')")
        #expect(display(tuple, three) == "(True, 0xca, 1970-01-01)")
        #expect(display(list, [0, 0, 0, 9]) == "0x00000009")
        #expect(display(.text, text("a\nb\u{1}")) == "a\\nb\\x01")
        #expect(format(.text, text("it's")) == "'it''s'")
    }

    @Test func aValueTooLongForItsConversionIsShownInHexadecimal() {
        let long = [UInt8](repeating: 0x77, count: 100_000)
        #expect(display(.varint, long).hasPrefix("0x7777"))
        #expect(format(.decimal, long).hasPrefix("0x7777"))
    }
}

@Suite struct CQLValueFuzzTests {
    @Test(arguments: [61, 62] as [UInt64])
    func anyTextIsParsedToAValidValueOrRefused(seed: UInt64) {
        var generator = CQLValueGenerator(seed: seed)
        let pieces = [
            "0", "1", "9", "-", "+", ".", ":", "e", "E", "x", "T", "Z", " ", "P", "Y", "M", "D",
            "W",
            "h", "m", "s", "ns", "µs", "2011-02-03", "04:05:06", "::", "ff", "é", "NaN",
            "Infinity", "99999999999999999999", "GMT", "\0", "00000000-0000-1000-8000-000000000000",
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let type = generator.random.pick(CQLValueGenerator.natives + [.duration])
            let text = (0..<generator.random.below(6)).map { _ in generator.random.pick(pieces) }
                .joined()
            guard let bytes = try? type.parse(text) else { continue }
            accepted += 1
            #expect(refusal(type, bytes) == nil, "seed \(seed): \(type) '\(text)'")
        }
        #expect(accepted > 2_000)
    }
}
