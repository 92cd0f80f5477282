// How many columns of a terminal a text takes: two for East Asian wide characters and emoji, none for
// marks that combine with the character before (Unicode Standard Annex 11).
//
// Characters also change with what stands beside them, as terminals draw them and as the library of cqlsh
// counts them: what is joined by ZERO WIDTH JOINER takes the room of its first, a variation selector makes
// an emoji wide or narrow, two regional indicators are one flag, a skin colour is part of its emoji, and a
// conjunct of Indic letters takes two columns at most.

/// Widths on a terminal.
enum TextWidth {
    /// First and last scalar of the ranges that take two columns.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x2329...0x232A, 0x23E9...0x23EC, 0x23F0...0x23F0,
        0x23F3...0x23F3, 0x25FD...0x25FE, 0x2614...0x2615, 0x2648...0x2653, 0x267F...0x267F,
        0x2693...0x2693, 0x26A1...0x26A1, 0x26AA...0x26AB, 0x26BD...0x26BE, 0x26C4...0x26C5,
        0x26CE...0x26CE, 0x26D4...0x26D4, 0x26EA...0x26EA, 0x26F2...0x26F3, 0x26F5...0x26F5,
        0x26FA...0x26FA, 0x26FD...0x26FD, 0x2705...0x2705, 0x270A...0x270B, 0x2728...0x2728,
        0x274C...0x274C, 0x274E...0x274E, 0x2753...0x2755, 0x2757...0x2757, 0x2795...0x2797,
        0x27B0...0x27B0, 0x27BF...0x27BF, 0x2B1B...0x2B1C, 0x2B50...0x2B50, 0x2B55...0x2B55,
        0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
        0xA960...0xA97C, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6B,
        0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x1F004...0x1F004, 0x1F0CF...0x1F0CF,
        0x1F18E...0x1F18E, 0x1F191...0x1F19A, 0x1F1E6...0x1F1FF, 0x1F200...0x1F320,
        0x1F32D...0x1F335,
        0x1F337...0x1F37C, 0x1F37E...0x1F393, 0x1F3A0...0x1F3CA, 0x1F3CF...0x1F3D3,
        0x1F3E0...0x1F3F0, 0x1F3F4...0x1F3F4, 0x1F3F8...0x1F43E, 0x1F440...0x1F440,
        0x1F442...0x1F4FC, 0x1F4FF...0x1F53D, 0x1F54B...0x1F54E, 0x1F550...0x1F567,
        0x1F57A...0x1F57A, 0x1F595...0x1F596, 0x1F5A4...0x1F5A4, 0x1F5FB...0x1F64F,
        0x1F680...0x1F6C5, 0x1F6CC...0x1F6CC, 0x1F6D0...0x1F6D2, 0x1F6D5...0x1F6D7,
        0x1F6DC...0x1F6DF, 0x1F6EB...0x1F6EC, 0x1F6F4...0x1F6FC, 0x1F7E0...0x1F7EB,
        0x1F7F0...0x1F7F0, 0x1F90C...0x1F93A, 0x1F93C...0x1F945, 0x1F947...0x1F9FF,
        0x1FA70...0x1FAFF, 0x20000...0x3FFFD,
    ]

    /// Marks that join the consonants around them.
    private static let viramas: Set<UInt32> = [
        0x94D, 0x9CD, 0xA4D, 0xACD, 0xB4D, 0xBCD, 0xC4D, 0xCCD, 0xD4D, 0xDCA, 0x1039, 0x17D2,
        0x1A60,
        0x1B44, 0x1BAB, 0xA806, 0xA8C4, 0xA9C0, 0xAAF6, 0x10A3F, 0x11046, 0x110B9, 0x11133, 0x111C0,
        0x11235, 0x1134D, 0x113D0, 0x11442, 0x114C2, 0x115BF, 0x1163F, 0x116B6, 0x11839, 0x1193E,
        0x119E0, 0x11A47, 0x11A99, 0x11C3F, 0x11D45, 0x11D97, 0x11F42,
    ]
    private static let zeroWidthJoiner: UInt32 = 0x200D
    private static let textSelector: UInt32 = 0xFE0E
    private static let emojiSelector: UInt32 = 0xFE0F
    private static let regionalIndicators: ClosedRange<UInt32> = 0x1F1E6...0x1F1FF
    private static let skinColours: ClosedRange<UInt32> = 0x1F3FB...0x1F3FF

    /// The columns that `text` takes.
    static func columns(_ text: String) -> Int {
        // Most text is plain.
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) { return text.utf8.count }
        var meter = Meter()
        for scalar in text.unicodeScalars { meter.take(scalar) }
        return meter.columns
    }

    /// The columns that a character takes, its combining marks included.
    static func columns(_ character: Character) -> Int { columns(String(character)) }

    /// Counts scalar by scalar.
    private struct Meter {
        private var total = 0
        /// Of the character under way: what it takes so far.
        private var cluster = 0
        /// What a selector or mark may change: the last scalar that took room.
        private var base: Unicode.Scalar?
        private var last: Unicode.Scalar?
        private var isConjunct = false
        private var isJoined = false
        private var indicators = 0

        var columns: Int { total + cluster }

        mutating func take(_ scalar: Unicode.Scalar) {
            if isJoined {
                isJoined = false
                return
            }
            let value = scalar.value
            switch value {
            case TextWidth.zeroWidthJoiner:
                isJoined = !isConjunct
                return
            case TextWidth.emojiSelector where base != nil:
                if let base, base.properties.isEmoji { cluster = 2 }
                base = nil
                return
            case TextWidth.textSelector where base != nil:
                if let base, base.properties.isEmojiPresentation, cluster == 2 { cluster = 1 }
                base = nil
                return
            default: break
            }
            indicators = TextWidth.regionalIndicators.contains(value) ? indicators + 1 : 0
            if indicators > 0, indicators.isMultiple(of: 2) { return }
            if TextWidth.skinColours.contains(value), last?.properties.isEmoji == true { return }
            measure(scalar)
        }

        private mutating func measure(_ scalar: Unicode.Scalar) {
            let width = TextWidth.columns(scalar)
            if width > 0 {
                if isConjunct {
                    cluster = 2
                } else {
                    total += cluster
                    cluster = width
                }
                (base, last) = (scalar, scalar)
                isConjunct = false
            } else if TextWidth.viramas.contains(scalar.value) {
                isConjunct = true
            } else {
                isConjunct = false
                guard base != nil, scalar.properties.generalCategory == .spacingMark else { return }
                cluster = 2
                base = nil
            }
        }
    }

    private static func columns(_ scalar: Unicode.Scalar) -> Int {
        let value = scalar.value
        if value < 0x20 || (0x7F..<0xA0).contains(value) { return 0 }
        if value < 0x300 { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .spacingMark: return 0
        case .format: return (0x600...0x605).contains(value) || value == 0x6DD ? 1 : 0
        default: break
        }
        // Vowels and finals that are written into a Hangul syllable, and its filler.
        if (0x1160...0x11FF).contains(value) || (0xD7B0...0xD7FF).contains(value) || value == 0x3164
        {
            return 0
        }
        var low = 0
        var high = wide.count
        while low < high {
            let middle = (low + high) / 2
            if wide[middle].upperBound < value { low = middle + 1 } else { high = middle }
        }
        return low < wide.count && wide[low].contains(value) ? 2 : 1
    }
}
