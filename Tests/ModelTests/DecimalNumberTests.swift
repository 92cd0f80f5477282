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

    /// left, right, their sum digit by digit.
    private static let sums: [(String, String, String)] = [
        ("1.5", "2.25", "3.75"), ("0.00", "5", "5.00"), ("5", "0.00", "5.00"),
        ("0", "0.000", "0.000"), ("-1.5", "1.5", "0.0"), ("1E+3", "1", "1001"),
    ]

    @Test func aSumHasTheLargerScale() throws {
        for (left, right, expected) in Self.sums {
            #expect(try decimal(left) + decimal(right) == decimal(expected), "\(left) + \(right)")
        }
    }

    @Test func sumsAndProductsHaveTenThousandDigitsAtMost() throws {
        let nines = String(repeating: "9", count: 10_000)
        let zeros = String(repeating: "0", count: 9_998)
        // 10,000 digits are kept, one more is rounded half away from zero.
        #expect(try decimal("1E+9999") + decimal("1") == decimal("1" + zeros + "1"))
        #expect(try decimal("1E+10000") + decimal("4") == decimal("1" + zeros + "0E+1"))
        #expect(try decimal("1E+10000") + decimal("5") == decimal("1" + zeros + "1E+1"))
        #expect(try decimal("-1E+10000") + decimal("-5") == decimal("-1" + zeros + "1E+1"))
        #expect(try decimal(nines) + decimal("0.5") == decimal("1" + zeros + "0E+1"))
        // What is far below the last digit counts by its sign.
        let far = try decimal("1E+1000000000") + decimal("-1E-1000000000")
        #expect(far == (try decimal("1" + zeros + "0E+999990001")))
        let product = try decimal(nines) * decimal(nines)
        #expect(product.unscaled.digitCount == 10_000)
        #expect(product.scale == -10_000)
    }
}
