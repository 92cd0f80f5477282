// Arithmetic on decimals: the scales are those of java.math.BigDecimal.

import Testing

@testable import Model

private func decimal(_ text: String) throws -> DecimalNumber {
    let parsed = try #require(CQLDecimal(text))
    return try #require(DecimalNumber(serialized: parsed.bytes))
}

@Suite struct DecimalNumberTests {
    /// left, right, what is left of the division, digit by digit.
    private static let remainders: [(String, String, String)] = [
        ("7", "8.5", "7"), ("7.0", "8.5", "7.0"), ("20", "8.5", "3.0"), ("85", "8.5", "0"),
        ("90", "8.5", "5"), ("850", "8.5", "0"), ("8.5", "7", "1.5"), ("8.50", "7", "1.50"),
        ("-7", "8.5", "-7"), ("-20", "8.5", "-3.0"), ("0", "8.5", "0"), ("0.00", "8.5", "0.00"),
        ("1E+3", "7", "6"), ("1E+3", "8", "0"), ("100", "3", "1"), ("1", "0.03", "0.01"),
        ("3", "0.03", "0"), ("10", "2.5", "0.0"),
    ]

    @Test func aRemainderHasTheScaleOfTheDifferenceThatItIs() throws {
        for (left, right, expected) in Self.remainders {
            let result = try #require(DecimalNumber.remainder(decimal(left), decimal(right)))
            #expect(result == (try decimal(expected)), "\(left) % \(right)")
        }
    }
}
