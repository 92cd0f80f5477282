// Values with the settings that cqlsh has for them.

import Model
import Testing

@testable import coterie

@Suite struct ValueFormatTests {
    private func shown(_ text: String, _ type: CQLType, _ format: ValueFormat) throws -> String {
        try type.parse(text).withUnsafeBytes { format.shown($0, type).text }
    }

    @Test func digitsCanBeChosen() throws {
        let three = ValueFormat(floatPrecision: 3, doublePrecision: 9)
        #expect(try shown("0.0001", .float, three) == "0.0001")
        #expect(try shown("123456.789", .float, three) == "1.23e+05")
        #expect(try shown("3.14159265358979", .double, three) == "3.141592654")
        #expect(try shown("3.14159265358979", .double, ValueFormat()) == "3.14159")
    }

    @Test func separatorsCanBeChosen() throws {
        let german = ValueFormat(
            doublePrecision: 12, decimalSeparator: ",", thousandsSeparator: ".")
        #expect(try shown("1234567.25", .double, german) == "1.234.567,25")
        #expect(try shown("-1234567", .int, german) == "-1.234.567")
        #expect(try shown("999", .bigint, german) == "999")
        #expect(try shown("9223372036854775807", .bigint, german) == "9.223.372.036.854.775.807")
        let comma = ValueFormat(decimalSeparator: ",")
        #expect(try shown("1.5", .double, comma) == "1,5")
    }

    @Test func coloursDoubleNoBackslashAndMarkEscapes() {
        let value = ShownValue(string: "a\\b\n", .yellow)
        #expect(value.text == "a\\\\b\\n")
        let dark = ShellOutput.Color.darkMagenta.rawValue
        let yellow = ShellOutput.Color.yellow.rawValue
        #expect(value.colored == yellow + "a\\b" + dark + "\\n" + yellow + ShellOutput.reset)
    }

    @Test func timesFollowThePattern() {
        let time: Int64 = 1_709_210_096_789
        func text(_ pattern: String) -> String { TimestampFormat(pattern: pattern).text(time) }
        #expect(text("%Y-%m-%d %H:%M:%S.%f%z") == "2024-02-29 12:34:56.789000+0000")
        #expect(text("%d/%m/%y %I:%M %p") == "29/02/24 12:34 PM")
        #expect(text("%a %d %b %j %% %Z") == "Thu 29 Feb 060 % UTC")
        #expect(
            TimestampFormat(isCutToMilliseconds: true).text(time) == "2024-02-29 12:34:56.789+0000")
        #expect(TimestampFormat().text(-99_999_999_999_999) == "-99999999999999")
    }

    @Test(arguments: [
        "%Y-%m-%d %H:%M:%S.%f%z", "%d/%m/%Y %H:%M:%S.%f", "%B %d, %Y %I:%M:%S %p .%f",
    ])
    func timesAreReadByThePatternThatWroteThem(pattern: String) {
        let format = TimestampFormat(pattern: pattern)
        var random = SeededNumbers(seed: 11)
        for _ in 0..<200 {
            let time = Int64(random.next(1 << 30)) * 3_000 + Int64(random.next(1_000))
            #expect(format.parse(format.text(time)) == time)
        }
        #expect(format.parse("nonsense") == nil && format.parse("") == nil)
    }

    @Test func JSONKeepsWhatValuesAre() throws {
        func json(_ text: String, _ type: CQLType) throws -> String {
            try type.parse(text).withUnsafeBytes { JSONLines.text($0, type) }
        }
        #expect(try json("a\"b\n\u{1}", .text) == #""a\"b\n\u0001""#)
        #expect(try json("NaN", .double) == "\"NaN\"")
        #expect(try json("0.1", .double) == "0.1")
        #expect(try json("0xff", .blob) == "\"0xff\"")
        #expect(JSONLines.text(nil, .int) == "null")
    }

    @Test func settingsFilesAreReadAsPythonReadsThem() throws {
        let file = SettingsFile(
            "[ui]\ntime_format = %Y: x\n; no\n# no\nFloat_precision: 3\n[copy]\nheader=true\n"
                + "null = a\n  b\n[UI]\ntty = on")
        #expect(file.value("ui", "time_format") == "%Y: x")
        #expect(file.value("ui", "float_precision") == "3")
        #expect(file.value("copy", "null") == "a\nb")
        // Sections count as they are written, names do not.
        #expect(file.value("ui", "tty") == nil)
        var configuration = ShellConfiguration()
        try configuration.add(file, path: "f")
        #expect(configuration.format.floatPrecision == 3)
        #expect(configuration.warnings == ["Warning: f: [UI] tty is not honoured"])
        try configuration.add(SettingsFile("[ui]\nbrowser = x"), path: "f")
        #expect(configuration.warnings.last == "Warning: f: [ui] browser is not honoured")
        #expect(throws: ShellFailure.self) {
            try configuration.add(SettingsFile("[connection]\nssl = true"), path: "f")
        }
    }

    @Test func providersOfCredentialsAreThoseOfTheirSection() throws {
        func credentials(_ rules: String) throws -> (Credentials, [String]) {
            var warnings: [String] = []
            let file = "/nowhere/credentials"
            let read = try Credentials.read(
                SettingsFile(rules), path: "/nowhere/cqlshrc", file: file, &warnings)
            return (read, warnings)
        }
        let provider =
            "[auth_provider]\nmodule = cassandra.auth\nclassname = PlainTextAuthProvider\n"
        let (read, warnings) = try credentials(provider + "username = u\npassword = p")
        #expect(read == Credentials(user: "u", password: "p"))
        #expect(warnings.count == 1 && warnings[0].contains("Credentials in the cqlshrc file"))
        #expect(try credentials("[auth_provider]\nmodule = x\nusername = u").0 == Credentials())
        #expect(try credentials("[authentication]\nusername = u").0.user == "u")
        #expect(throws: ShellFailure.self) {
            try credentials("[auth_provider]\nmodule = x\nclassname = Y")
        }
    }

    @Test func nothingInsideOfATupleIsNone() {
        let type = CQLType.tuple([.int, .text])
        func shown(_ bytes: [UInt8]) -> String {
            bytes.withUnsafeBytes { ValueFormat().shown($0, type).text }
        }
        #expect(shown([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1, 0x61]) == "(None, 'a')")
        #expect(shown([0, 0, 0, 4, 0, 0, 0, 1]) == "(1, None)")
    }
}
