// Internet addresses from text, as settings, command lines and the metadata store hold them.

/// Reads the text of an address into its bytes.
package enum InternetAddress {
    /// Four or sixteen bytes, or nil if the text is no numeric address. Names are not looked up.
    package static func parse(_ text: String) -> [UInt8]? {
        text.utf8.contains(UInt8(ascii: ":")) ? parseVersion6(text) : parseVersion4(text)
    }

    private static func parseVersion4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard isDecimal(part), let byte = UInt8(part) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    private static func isDecimal(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Groups of up to four hexadecimal digits, at most one `::` for a run of zeros, and an IPv4
    /// address in place of the last two groups (RFC 4291, section 2.2).
    private static func parseVersion6(_ text: String) -> [UInt8]? {
        var halves: [[UInt8]] = [[]]
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 3, parts.count <= 9 else { return nil }
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.isEmpty {
                // The ends of a leading or trailing `::` come out as two empty parts.
                if index == 0 {
                    guard parts[1].isEmpty else { return nil }
                } else if isLast {
                    guard parts[index - 1].isEmpty else { return nil }
                } else {
                    halves.append([])
                }
                continue
            }
            if isLast, part.utf8.contains(UInt8(ascii: ".")) {
                guard let tail = parseVersion4(String(part)) else { return nil }
                halves[halves.count - 1] += tail
                continue
            }
            guard part.utf8.count <= 4, part.allSatisfy(\.isHexDigit),
                let group = UInt16(part, radix: 16)
            else { return nil }
            halves[halves.count - 1] += [UInt8(group >> 8), UInt8(group & 0xFF)]
        }
        if halves.count == 1 { return halves[0].count == 16 ? halves[0] : nil }
        let known = halves[0].count + halves[1].count
        guard halves.count == 2, known < 16 else { return nil }
        return halves[0] + [UInt8](repeating: 0, count: 16 - known) + halves[1]
    }
}
