// The fuzz targets: for each decoder of bytes from a disk or a network one function that takes any
// bytes. A target never judges what a decoder makes of them: it must come back, and not trap, run
// past its memory, or take memory for a length that is merely claimed.
//
// Where a checksum stands before a decoder, the target computes it over the input, because otherwise
// the fuzzer would never get past it. So the input is the *content*, and the target the honest frame.

import Encoding

/// One target with its name: the name of its folder in `Fixtures/fuzz` too.
package struct FuzzTarget: Sendable {
    package let name: String
    /// Decodes bytes of a disk; the others decode a network's, or text.
    package let isOfDisk: Bool
    package let run: @Sendable (UnsafeRawBufferPointer) -> Void

    /// All of them, those of the disk first.
    package static let all: [FuzzTarget] = disk + network

    /// The target of that name.
    package static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }

    private static let disk: [FuzzTarget] = [
        FuzzTarget(name: "log-record", isOfDisk: true, run: LogTargets.record),
        FuzzTarget(name: "log-segment", isOfDisk: true, run: LogTargets.segment),
        FuzzTarget(name: "manifest", isOfDisk: true, run: LogTargets.manifest),
        FuzzTarget(name: "hints", isOfDisk: true, run: LogTargets.hints),
        FuzzTarget(name: "sstable-tail", isOfDisk: true, run: SSTableTargets.tail),
        FuzzTarget(name: "block", isOfDisk: true, run: SSTableTargets.block),
        FuzzTarget(name: "row", isOfDisk: true, run: RowTargets.row),
        FuzzTarget(name: "clustering-key", isOfDisk: true, run: RowTargets.clusteringKey),
    ]

    private static let network: [FuzzTarget] = [
        FuzzTarget(name: "cql", isOfDisk: false, run: WireTargets.cql),
        FuzzTarget(name: "frame", isOfDisk: false, run: WireTargets.frames),
        FuzzTarget(name: "segment", isOfDisk: false, run: WireTargets.segments),
        FuzzTarget(name: "request", isOfDisk: false, run: WireTargets.request),
        FuzzTarget(name: "response", isOfDisk: false, run: WireTargets.response),
        FuzzTarget(name: "peer", isOfDisk: false, run: WireTargets.peer),
    ]
}

/// Takes an input apart: choices first, content behind. At the end it gives zeros.
struct FuzzInput {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() -> UInt8 {
        guard position < bytes.count else { return 0 }
        position += 1
        return bytes[position - 1]
    }

    mutating func short() -> Int { Int(byte()) | Int(byte()) << 8 }

    /// At most `count` bytes.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = min(count, bytes.count - position)
        position += taken
        return UnsafeRawBufferPointer(rebasing: bytes[position - taken..<position])
    }

    mutating func rest() -> UnsafeRawBufferPointer { take(bytes.count) }
}

/// Runs a decoder. Refusing the bytes is as good as taking them.
func attempt(_ body: () throws -> Void) {
    do { try body() } catch {
        // Every error has words; making them must not trap either.
        precondition(!"\(error)".isEmpty)
    }
}
