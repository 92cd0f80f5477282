// Tokens, their places, and that no bytes trap.

import Testing

@testable import CQL

private func kinds(_ text: String) throws -> [LexicalToken.Kind] {
    try Lexer.tokens(of: Array(text.utf8)).map(\.kind).dropLast()
}

private func texts(_ text: String) throws -> [String] {
    try Lexer.tokens(of: Array(text.utf8)).map(\.text).dropLast()
}

@Suite struct LexerTests {
    @Test func unquotedNamesFoldToLowerCase() throws {
        #expect(try texts("FooBar \"FooBar\" \"a\"\"b\"") == ["foobar", "FooBar", "a\"b"])
        #expect(try kinds("x \"x\" \"\"") == [.identifier, .quotedName, .emptyQuotedName])
    }

    @Test func stringsDoubleTheirQuotes() throws {
        #expect(try texts("'it''s' $$it's$$ ''") == ["it's", "it's", ""])
    }

    @Test func numbersTakeTheirSign() throws {
        #expect(
            try kinds("1 -1 1.5 1. -2e10 1E-3 x-3")
                == [.integer, .integer, .float, .float, .float, .float, .identifier, .integer])
        #expect(try kinds("1..2") == [.integer, .symbol(.range), .integer])
        #expect(try kinds("1...2.") == [.float, .symbol(.range), .float])
        #expect(try kinds("1.5..2") == [.float, .symbol(.range), .integer])
        #expect(try kinds("- 1") == [.symbol(.minus), .integer])
    }

    @Test func durationsUUIDsAndHexadecimals() throws {
        #expect(
            try kinds("12h30m 1y2mo 89us 3µs P1Y2M PT5H P2W -P1D P0001-02-03T04:05:06 P1Y_x")
                == [
                    .duration, .duration, .duration, .duration, .duration, .duration, .duration,
                    .duration, .duration, .identifier,
                ])
        #expect(
            try kinds("f47ac10b-58cc-4372-a567-0e02b2c3d479 0xCAFE 0x abcdefab-1")
                == [.uuid, .hexadecimal, .hexadecimal, .identifier, .integer])
    }

    @Test func specialFloatsAreConstants() throws {
        #expect(
            try kinds("NaN -nan Infinity -infinity true FALSE")
                == [
                    .keyword(.nan), .negativeNaN, .keyword(.infinity), .negativeInfinity, .boolean,
                    .boolean,
                ])
    }

    @Test func commentsAreBlanks() throws {
        #expect(try texts("a -- b\n c // d\n /* e\n */ f -- g") == ["a", "c", "f"])
    }

    @Test func placesCountLinesFromOneAndCharactersFromZero() throws {
        let tokens = try Lexer.tokens(of: Array("a\n  'äö' b".utf8))
        #expect(tokens[1].position == SourcePosition(line: 2, column: 2))
        #expect(tokens[2].position == SourcePosition(line: 2, column: 7))
    }

    @Test func openStringsAndStrangeCharactersAreSyntaxErrors() {
        for (text, expected) in [
            ("select 'abc", "line 1:11 mismatched character '<EOF>' expecting '''"),
            ("select #", "line 1:7 no viable alternative at character '#'"),
            ("/* a", "line 1:0 a comment that begins with '/*' has no end"),
            ("select $$a", "line 1:10 mismatched character '<EOF>' expecting '$$'"),
        ] {
            #expect(throws: syntaxError(expected)) { try Lexer.tokens(of: Array(text.utf8)) }
        }
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix(seed: 42)
        let alphabet = Array(
            "select from where '\"$-/*.?:;,(){}[]<>=!+%0123456789abcdefPTYWµé \n\u{0}".utf8)
        var failures = 0
        for round in 0..<4_000 {
            let bytes = (0..<Int(random.next() % 60)).map { _ in
                round % 2 == 0
                    ? alphabet[Int(random.next() % UInt64(alphabet.count))]
                    : UInt8(truncatingIfNeeded: random.next())
            }
            do {
                let tokens = try Lexer.tokens(of: bytes)
                #expect(tokens.last?.kind == .end)
            } catch {
                failures += 1
            }
        }
        #expect(failures > 100 && failures < 4_000)
    }
}
