// Neighbouring blocks of a file, read as one: a scan asks for several blocks ahead, and one system call
// and one copy out of the kernel serve them all.

internal import Environment

/// A stretch of a file that holds one or more blocks which were asked for.
struct BlockSpan {
    /// One block, as the storage engine asked for it.
    struct Part {
        let id: EffectID
        let file: FileName
        let offset: Int
        let count: Int
    }

    /// By rising offset; never empty.
    private(set) var parts: [Part]
    private(set) var count: Int

    var file: FileName { parts[0].file }
    var offset: Int { parts[0].offset }

    /// Longer reads gain nothing, and would need a buffer of their own for each.
    private static let longestBytes = 256 << 10

    private init(_ part: Part) {
        parts = [part]
        count = part.count
    }

    /// Joins blocks that lie next to each other; the order of files stays.
    static func joined(_ wanted: [Part]) -> [BlockSpan] {
        var spans: [BlockSpan] = []
        for part in wanted {
            if let last = spans.indices.last, spans[last].take(part) { continue }
            spans.append(BlockSpan(part))
        }
        return spans
    }

    /// Takes the block in if it follows the last one.
    private mutating func take(_ part: Part) -> Bool {
        guard part.file == file, part.offset == offset + count,
            count + part.count <= Self.longestBytes
        else { return false }
        parts.append(part)
        count += part.count
        return true
    }
}
