// From the bytes that a terminal sends to keys (ECMA-48 control sequences, as xterm sends them).

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Reads keys from a terminal in raw mode.
struct KeyReader {
    enum Key: Equatable {
        case character(Character)
        /// With the Control key, by its lower-case letter.
        case control(Character)
        case enter, tab, backspace, delete
        case left, right, up, down, home, end, wordLeft, wordRight
        case unknown
        case endOfInput
    }

    // How long the rest of a control sequence may take; a lone Escape is one that has no rest.
    private static let escapeMilliseconds: Int32 = 50

    private let descriptor: Int32
    private var bytes: [UInt8] = []
    private var position = 0

    /// The standard input if not told otherwise.
    init(descriptor: Int32 = STDIN_FILENO) {
        self.descriptor = descriptor
    }

    /// Whether more input is here already, as after pasting: then drawing can wait.
    var hasMore: Bool { position < bytes.count }

    /// Whether other input than tabs is here already: so a tab that was just read was pasted with it. Who
    /// presses the key twice may send both at once.
    var hasMoreThanTabs: Bool { bytes[position...].contains { $0 != 0x09 } }

    private mutating func nextByte(timeout: Int32 = -1) -> UInt8? {
        if position == bytes.count {
            var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            while true {
                let ready = poll(&request, 1, timeout)
                if ready < 0, errno == EINTR { continue }
                guard ready > 0 else { return nil }
                break
            }
            bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(descriptor, &bytes, bytes.count)
            bytes.removeLast(bytes.count - max(count, 0))
            position = 0
            guard count > 0 else { return nil }
        }
        defer { position += 1 }
        return bytes[position]
    }

    /// The next key; waits for it.
    mutating func next() -> Key {
        guard let byte = nextByte() else { return .endOfInput }
        switch byte {
        case 0x0D, 0x0A: return .enter
        case 0x7F: return .backspace
        case 0x09: return .tab
        case 0x1B: return escapeSequence()
        case 0x01...0x1A: return .control(Character(Unicode.Scalar(byte + 0x60)))
        case 0x00, 0x1C...0x1F: return .unknown
        case 0x20...0x7E: return .character(Character(Unicode.Scalar(byte)))
        default: return utf8(byte)
        }
    }

    private mutating func utf8(_ first: UInt8) -> Key {
        let count = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
        var sequence = [first]
        while sequence.count < count {
            guard let byte = nextByte(timeout: Self.escapeMilliseconds), byte & 0xC0 == 0x80 else {
                return .unknown
            }
            sequence.append(byte)
        }
        guard let text = String(validating: sequence, as: UTF8.self), let character = text.first
        else {
            return .unknown
        }
        return .character(character)
    }

    private mutating func escapeSequence() -> Key {
        switch nextByte(timeout: Self.escapeMilliseconds) {
        case UInt8(ascii: "["): return controlSequence()
        case UInt8(ascii: "O"):
            return nextByte(timeout: Self.escapeMilliseconds).map { Self.key($0, modified: false) }
                ?? .unknown
        case UInt8(ascii: "b"): return .wordLeft
        case UInt8(ascii: "f"): return .wordRight
        case 0x7F: return .control("w")
        default: return .unknown
        }
    }

    private mutating func controlSequence() -> Key {
        var parameters = ""
        while let byte = nextByte(timeout: Self.escapeMilliseconds) {
            if (0x40...0x7E).contains(byte) {
                guard byte == UInt8(ascii: "~") else {
                    return Self.key(byte, modified: parameters.contains(";"))
                }
                return switch parameters.prefix(while: { $0 != ";" }) {
                case "1", "7": .home
                case "3": .delete
                case "4", "8": .end
                default: .unknown
                }
            }
            parameters.append(Character(Unicode.Scalar(byte)))
            if parameters.count > 16 { return .unknown }
        }
        return .unknown
    }

    private static func key(_ final: UInt8, modified: Bool) -> Key {
        switch final {
        case UInt8(ascii: "A"): .up
        case UInt8(ascii: "B"): .down
        case UInt8(ascii: "C"): modified ? .wordRight : .right
        case UInt8(ascii: "D"): modified ? .wordLeft : .left
        case UInt8(ascii: "H"): .home
        case UInt8(ascii: "F"): .end
        default: .unknown
        }
    }
}
