// Keys and values as db_bench makes them: eight bytes of a number and eight of padding; pieces of text
// of which LZ4 takes about half away.

internal import Environment

/// The key of a number, in a buffer that is used again.
struct BenchKey {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 8)

    init() { memory.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: "0")) }

    func free() { memory.deallocate() }

    @inline(__always)
    func set(_ number: UInt64) -> UnsafeRawBufferPointer {
        memory.storeBytes(of: number.bigEndian, as: UInt64.self)
        return UnsafeRawBufferPointer(memory)
    }
}

/// Values cut out of a megabyte of half-random text.
struct BenchValues {
    private let memory: UnsafeMutableRawBufferPointer
    private let length: Int
    private var position = 0

    init(length: Int, seed: UInt64) {
        var random = RandomStream(seed: seed, name: "values")
        self.length = length
        memory = .allocate(byteCount: (1 << 20) + length, alignment: 8)
        let half = max(1, length / 2)
        for index in 0..<memory.count {
            // Each piece is random in its first half, and the same again in the second.
            let place = index % length
            memory[index] =
                place < half
                ? UInt8(32 + random.below(95)) : memory[index - half]
        }
    }

    func free() { memory.deallocate() }

    @inline(__always)
    mutating func next() -> UnsafeRawBufferPointer {
        if position + length > memory.count { position = 0 }
        let start = position
        position += length
        return UnsafeRawBufferPointer(rebasing: memory[start..<(start + length)])
    }
}
