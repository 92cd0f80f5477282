// `inet`: an IPv4 address in four bytes or an IPv6 address in sixteen, without a port.

/// Addresses as text. Names are not looked up.
enum CQLInet {
    /// Reads `a.b.c.d` or any form of RFC 4291, section 2.2. An IPv4-mapped IPv6 address becomes
    /// the IPv4 address that it stands for, as Java does it.
    static func parse(_ text: String) -> [UInt8]? {
        if let address = parseIPv4(text[...]) { return address }
        guard let address = parseIPv6(text) else { return nil }
        let isMapped =
            address.prefix(10).allSatisfy { $0 == 0 } && address[10] == 0xFF && address[11] == 0xFF
        return isMapped ? Array(address.suffix(4)) : address
    }

    private static func parseIPv4(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: [UInt8] = []
        for part in parts {
            guard part.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
                part.utf8.count <= 3, let byte = UInt8(part)
            else { return nil }
            address.append(byte)
        }
        return address
    }

    private static func parseIPv6(_ text: String) -> [UInt8]? {
        var head: [UInt8] = []
        var tail: [UInt8] = []
        var halves: [Substring] = []
        var rest = text[...]
        if let gap = Self.gap(in: text) {
            halves = [text[..<gap], text[text.utf8.index(gap, offsetBy: 2)...]]
            rest = ""
        }
        if halves.isEmpty {
            guard let groups = parseGroups(rest, mayBeEmpty: false), groups.count == 16 else {
                return nil
            }
            return groups
        }
        guard let first = parseGroups(halves[0], mayBeEmpty: true),
            let second = parseGroups(halves[1], mayBeEmpty: true),
            first.count + second.count <= 14, !halves[0].contains(".")
        else { return nil }
        head = first
        tail = second
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    /// Where `::` is.
    private static func gap(in text: String) -> String.Index? {
        let bytes = text.utf8
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let next = bytes.index(after: index)
            if next < bytes.endIndex, bytes[index] == UInt8(ascii: ":"),
                bytes[next] == UInt8(ascii: ":")
            {
                return index
            }
            index = next
        }
        return nil
    }

    private static func parseGroups(_ text: Substring, mayBeEmpty: Bool) -> [UInt8]? {
        if text.isEmpty { return mayBeEmpty ? [] : nil }
        let groups = text.split(separator: ":", omittingEmptySubsequences: false)
        guard groups.count <= 8 else { return nil }
        var bytes: [UInt8] = []
        for (index, group) in groups.enumerated() {
            if index == groups.count - 1, group.contains(".") {
                guard let address = parseIPv4(group) else { return nil }
                bytes += address
            } else {
                guard (1...4).contains(group.utf8.count),
                    group.utf8.allSatisfy({ CQLBlob.digit($0) != nil }),
                    let value = UInt16(group, radix: 16)
                else { return nil }
                bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
            }
        }
        return bytes
    }

    /// The address as RFC 5952 writes it; nil when it has another length than four or sixteen.
    static func text(_ address: UnsafeRawBufferPointer) -> String? {
        if address.count == 4 { return address.map { "\($0)" }.joined(separator: ".") }
        guard address.count == 16 else { return nil }
        let groups = (0..<8).map { address.bigEndian(UInt16.self, at: $0 * 2) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func joined(_ part: ArraySlice<UInt16>) -> String {
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return joined(groups[...]) }
        return joined(groups[..<best.lowerBound]) + "::" + joined(groups[best.upperBound...])
    }
}

/// Blobs as text.
enum CQLBlob {
    /// The value of a hexadecimal digit.
    static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Reads pairs of hexadecimal digits, with `0x` before them or not.
    static func parse(_ text: String) -> [UInt8]? {
        var digits = Array(text.utf8)[...]
        if digits.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "x")])
            || digits.starts(with: [UInt8(ascii: "0"), UInt8(ascii: "X")])
        {
            digits = digits.dropFirst(2)
        }
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        var high: UInt8?
        for byte in digits {
            guard let value = digit(byte) else { return nil }
            if let upper = high {
                bytes.append(upper << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}
