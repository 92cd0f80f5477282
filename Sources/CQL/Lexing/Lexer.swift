// Text to tokens (CQL specification, "Lexical structure"; the token rules are Cassandra 5.0's).
//
// Hand-written over UTF-8 bytes. Where two rules could match, the longer one wins, as in the original:
// `1d` is a duration, `1e5` a float, and eight hexadecimal digits and a dash begin a UUID only if the
// whole UUID is there. A sign belongs to a number that follows it directly, so `x-3` is two tokens.
//
// Every byte sequence gives tokens or a syntax error; nothing traps. The parser takes tokens as it goes on:
// a statement that is refused at its beginning is not read to its end. Cost: one pass, and one String for
// each token that carries more than fifteen bytes of text.

internal import Model

/// Turns the text of one statement into tokens.
struct Lexer {
    /// How many tokens a statement may have: each may become a term, which takes more room than its text.
    static let maximumTokens = 1_000_000

    private let bytes: [UInt8]
    private var count = 0
    private var offset = 0
    private var line = 1
    private var lineStart = 0
    /// Continuation bytes of UTF-8 since the start of the line, which count no column.
    private var continuationBytes = 0
    private var countedUntil = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// All tokens, the last one being `.end`.
    static func tokens(of bytes: [UInt8]) throws(CQLError) -> [LexicalToken] {
        var lexer = Lexer(bytes)
        var tokens: [LexicalToken] = []
        while tokens.last?.kind != .end { tokens.append(try lexer.next()) }
        return tokens
    }

    /// The next token; `.end` behind the last one.
    mutating func next() throws(CQLError) -> LexicalToken {
        let token = try read()
        count += 1
        guard count <= Self.maximumTokens else {
            throw .syntax("\(token.position) the statement has over \(Self.maximumTokens) tokens")
        }
        return token
    }

    // MARK: Places

    private func byte(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }

    private mutating func position(at index: Int) -> SourcePosition {
        while countedUntil < index {
            let current = bytes[countedUntil]
            countedUntil += 1
            if current == UInt8(ascii: "\n") {
                line += 1
                lineStart = countedUntil
                continuationBytes = 0
            } else if current & 0xC0 == 0x80 {
                continuationBytes += 1
            }
        }
        return SourcePosition(line: line, column: index - lineStart - continuationBytes)
    }

    private mutating func failure(_ reason: String, at index: Int) -> CQLError {
        .syntax("\(position(at: index)) \(reason)")
    }

    /// The text of bytes that are known to be ASCII.
    private func ascii(_ start: Int, _ end: Int) -> String {
        String(decoding: bytes[start..<end], as: UTF8.self)
    }

    private func text(_ start: Int, _ end: Int) throws(CQLError) -> String {
        guard let text = String(validating: bytes[start..<end], as: UTF8.self) else {
            throw .syntax("the statement is not valid UTF-8")
        }
        return text
    }

    // MARK: Tokens

    private mutating func read() throws(CQLError) -> LexicalToken {
        try skipBlanks()
        let start = offset
        let place = position(at: start)
        guard start < bytes.count else {
            return LexicalToken(
                kind: .end, start: start, end: start, position: place, text: "<EOF>")
        }
        let first = bytes[start]
        func token(_ kind: LexicalToken.Kind, _ end: Int) -> LexicalToken {
            LexicalToken(
                kind: kind, start: start, end: end, position: place, text: ascii(start, end))
        }
        if first == UInt8(ascii: "'") {
            return try quoted(UInt8(ascii: "'"), .string, place)
        }
        if first == UInt8(ascii: "\"") {
            let name = try quoted(UInt8(ascii: "\""), .quotedName, place)
            guard name.text.isEmpty else { return name }
            return LexicalToken(
                kind: .emptyQuotedName, start: start, end: offset, position: place, text: "")
        }
        if first == UInt8(ascii: "$"), byte(start + 1) == UInt8(ascii: "$") {
            return try dollarQuoted(place)
        }
        if Self.isHexadecimal(first), let end = endOfUUID(start) {
            offset = end
            return token(.uuid, end)
        }
        if Self.isLetter(first) { return try word(place) }
        let isSigned = first == UInt8(ascii: "-")
        if Self.isDigit(isSigned ? byte(start + 1) : first) { return try number(place) }
        if isSigned {
            if let end = endOfISODuration(start) {
                offset = end
                return token(.duration, end)
            }
            if let (kind, end) = negativeConstant(start) {
                offset = end
                return token(kind, end)
            }
        }
        return try symbol(place)
    }

    private mutating func skipBlanks() throws(CQLError) {
        while offset < bytes.count {
            let current = bytes[offset]
            switch current {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                offset += 1
            case UInt8(ascii: "-") where byte(offset + 1) == UInt8(ascii: "-"),
                UInt8(ascii: "/") where byte(offset + 1) == UInt8(ascii: "/"):
                while offset < bytes.count, bytes[offset] != UInt8(ascii: "\n"),
                    bytes[offset] != UInt8(ascii: "\r")
                {
                    offset += 1
                }
            case UInt8(ascii: "/") where byte(offset + 1) == UInt8(ascii: "*"):
                let start = offset
                offset += 2
                while true {
                    guard offset + 1 < bytes.count else {
                        throw failure("a comment that begins with '/*' has no end", at: start)
                    }
                    if bytes[offset] == UInt8(ascii: "*"), bytes[offset + 1] == UInt8(ascii: "/") {
                        break
                    }
                    offset += 1
                }
                offset += 2
            default: return
            }
        }
    }

    /// Text between two `mark`s, where a doubled mark stands for one.
    private mutating func quoted(
        _ mark: UInt8, _ kind: LexicalToken.Kind, _ place: SourcePosition
    ) throws(CQLError) -> LexicalToken {
        let start = offset
        // What of the content was copied, because a doubled mark stands in it.
        var content: [UInt8] = []
        var copied = start + 1
        var index = start + 1
        while true {
            guard index < bytes.count else {
                let expected = mark == UInt8(ascii: "'") ? "'''" : "'\"'"
                throw failure("mismatched character '<EOF>' expecting \(expected)", at: index)
            }
            if bytes[index] == mark {
                guard byte(index + 1) == mark else { break }
                content += bytes[copied...index]
                index += 1
                copied = index + 1
            }
            index += 1
        }
        offset = index + 1
        let rest = bytes[copied..<index]
        let text =
            content.isEmpty
            ? String(validating: rest, as: UTF8.self)
            : String(validating: content + rest, as: UTF8.self)
        guard let text else { throw failure("the text is not valid UTF-8", at: start) }
        return LexicalToken(kind: kind, start: start, end: offset, position: place, text: text)
    }

    private mutating func dollarQuoted(_ place: SourcePosition) throws(CQLError) -> LexicalToken {
        let start = offset
        var index = start + 2
        while byte(index) != UInt8(ascii: "$") || byte(index + 1) != UInt8(ascii: "$") {
            guard index < bytes.count else {
                throw failure("mismatched character '<EOF>' expecting '$$'", at: index)
            }
            index += 1
        }
        offset = index + 2
        return LexicalToken(
            kind: .string, start: start, end: offset, position: place,
            text: try text(start + 2, index))
    }

    private mutating func word(_ place: SourcePosition) throws(CQLError) -> LexicalToken {
        let start = offset
        var end = start
        while Self.isLetter(byte(end)) || Self.isDigit(byte(end)) || byte(end) == UInt8(ascii: "_")
        {
            end += 1
        }
        if let endOfDuration = endOfISODuration(start), endOfDuration >= end {
            offset = endOfDuration
            return LexicalToken(
                kind: .duration, start: start, end: endOfDuration, position: place,
                text: try text(start, endOfDuration))
        }
        offset = end
        let name = folded(start, end)
        let kind: LexicalToken.Kind
        if name == "true" || name == "false" {
            kind = .boolean
        } else if let keyword = Keyword.named(name) {
            kind = .keyword(keyword)
        } else {
            kind = .identifier
        }
        return LexicalToken(kind: kind, start: start, end: end, position: place, text: name)
    }

    /// A word in lower case.
    private func folded(_ start: Int, _ end: Int) -> String {
        String(unsafeUninitializedCapacity: end - start) { target in
            for index in start..<end {
                let letter = bytes[index]
                let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(letter)
                target[index - start] = isUpper ? letter | 0x20 : letter
            }
            return end - start
        }
    }

    private mutating func number(_ place: SourcePosition) throws(CQLError) -> LexicalToken {
        let start = offset
        let unsigned = bytes[start] == UInt8(ascii: "-") ? start + 1 : start
        func token(_ kind: LexicalToken.Kind, _ end: Int) -> LexicalToken {
            LexicalToken(
                kind: kind, start: start, end: end, position: place, text: ascii(start, end))
        }
        if bytes[start] == UInt8(ascii: "0"), byte(start + 1) | 0x20 == UInt8(ascii: "x") {
            var end = start + 2
            while Self.isHexadecimal(byte(end)) { end += 1 }
            offset = end
            return token(.hexadecimal, end)
        }
        var end = unsigned
        while Self.isDigit(byte(end)) { end += 1 }
        if let endOfUnits = endOfUnitDuration(unsigned) {
            offset = endOfUnits
            return token(.duration, endOfUnits)
        }
        var isFloat = false
        // Before a range, `0..3`, the point is not the number's; of three, `0...3`, the first one is.
        if isPoint(end), !isPoint(end + 1) || isPoint(end + 2) {
            isFloat = true
            end += 1
            while Self.isDigit(byte(end)) { end += 1 }
        }
        if byte(end) | 0x20 == UInt8(ascii: "e") {
            var exponent = end + 1
            if byte(exponent) == UInt8(ascii: "+") || byte(exponent) == UInt8(ascii: "-") {
                exponent += 1
            }
            if Self.isDigit(byte(exponent)) {
                isFloat = true
                while Self.isDigit(byte(exponent)) { exponent += 1 }
                end = exponent
            }
        }
        offset = end
        return token(isFloat ? .float : .integer, end)
    }

    private func isPoint(_ offset: Int) -> Bool { byte(offset) == UInt8(ascii: ".") }

    private mutating func symbol(_ place: SourcePosition) throws(CQLError) -> LexicalToken {
        let start = offset
        if let symbol = Symbol.at(byte(start), byte(start + 1)) {
            offset = start + symbol.rawValue.utf8.count
            return LexicalToken(
                kind: .symbol(symbol), start: start, end: offset, position: place,
                text: symbol.rawValue)
        }
        var end = start + 1
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
        let character = String(decoding: bytes[start..<end], as: UTF8.self)
        throw failure("no viable alternative at character '\(character)'", at: start)
    }

    // MARK: Literals with a shape of their own

    private func endOfUUID(_ start: Int) -> Int? {
        guard start + 36 <= bytes.count else { return nil }
        for index in 0..<36 {
            let current = bytes[start + index]
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard current == UInt8(ascii: "-") else { return nil }
            } else {
                guard Self.isHexadecimal(current) else { return nil }
            }
        }
        return start + 36
    }

    private func negativeConstant(_ start: Int) -> (LexicalToken.Kind, Int)? {
        var end = start + 1
        while Self.isLetter(byte(end)) || Self.isDigit(byte(end)) || byte(end) == UInt8(ascii: "_")
        {
            end += 1
        }
        switch String(decoding: bytes[(start + 1)..<end], as: UTF8.self).lowercased() {
        case "nan": return (.negativeNaN, end)
        case "infinity": return (.negativeInfinity, end)
        default: return nil
        }
    }

    /// The end of `12h30m` and the like, from the first digit on.
    private func endOfUnitDuration(_ start: Int) -> Int? {
        var index = start
        var end: Int?
        while true {
            let digits = index
            while Self.isDigit(byte(index)) { index += 1 }
            guard index > digits, let unit = lengthOfUnit(index) else { return end }
            index += unit
            end = index
        }
    }

    private func lengthOfUnit(_ index: Int) -> Int? {
        let first = byte(index) | 0x20
        let second = byte(index + 1) | 0x20
        switch first {
        case UInt8(ascii: "m"):
            return second == UInt8(ascii: "o") || second == UInt8(ascii: "s") ? 2 : 1
        case UInt8(ascii: "u"), UInt8(ascii: "n"):
            return second == UInt8(ascii: "s") ? 2 : nil
        case UInt8(ascii: "y"), UInt8(ascii: "w"), UInt8(ascii: "d"), UInt8(ascii: "h"),
            UInt8(ascii: "s"):
            return 1
        default:
            // The micro sign is two bytes of UTF-8.
            guard byte(index) == 0xC2, byte(index + 1) == 0xB5,
                byte(index + 2) | 0x20 == UInt8(ascii: "s")
            else { return nil }
            return 3
        }
    }

    /// The end of an ISO 8601 duration (`P1Y2M`, `PT5H`, `P2W`, `P0001-02-03T04:05:06`).
    private func endOfISODuration(_ start: Int) -> Int? {
        var index = byte(start) == UInt8(ascii: "-") ? start + 1 : start
        guard byte(index) == UInt8(ascii: "P") else { return nil }
        index += 1
        if let end = matching("dddd-dd-ddTdd:dd:dd", from: index) { return end }
        if let end = designators("W", from: index) { return end }
        let date = designators("YMD", from: index)
        let timeStart = date ?? index
        if byte(timeStart) == UInt8(ascii: "T"),
            let end = designators("HMS", from: timeStart + 1)
        {
            return end
        }
        return date
    }

    private func matching(_ pattern: String, from start: Int) -> Int? {
        var index = start
        for mark in pattern.utf8 {
            let current = byte(index)
            guard mark == UInt8(ascii: "d") ? Self.isDigit(current) : current == mark else {
                return nil
            }
            index += 1
        }
        return index
    }

    /// The end of `digits mark` groups whose marks come from `marks` in that order, at least one.
    private func designators(_ marks: String, from start: Int) -> Int? {
        var index = start
        var end: Int?
        for mark in marks.utf8 {
            var digits = index
            while Self.isDigit(byte(digits)) { digits += 1 }
            guard digits > index, byte(digits) == mark else { continue }
            index = digits + 1
            end = index
        }
        return end
    }

    // MARK: Characters

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}
