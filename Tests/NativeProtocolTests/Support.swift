// What the tests of this room share: hexadecimal, fixtures, and a seeded generator.

import Encoding
import Foundation
import Model
import NativeProtocol
import Testing

/// The bytes of a text of hexadecimal digits; spaces are ignored.
func bytes(hex: String) -> [UInt8] {
    let digits = hex.utf8.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") }
    return stride(from: 0, to: digits.count, by: 2).map { index in
        UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
    }
}

func hex(_ bytes: some Sequence<UInt8>) -> String { HexText.text(bytes) }

/// The folder of this room's fixtures.
let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/native-protocol")

/// The lines of a fixture, split at spaces; comments and empty lines left out.
func fixtureLines(_ name: String) throws -> [[String]] {
    let text = try String(contentsOf: fixtures.appendingPathComponent(name), encoding: .utf8)
    return text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        .map { $0.split(separator: " ").map(String.init) }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seeded, good enough to cut streams with.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

/// A frame copied out of the decoder.
struct OwnedFrame: Equatable {
    let header: FrameHeader
    let body: [UInt8]

    init(_ frame: Frame) {
        header = frame.header
        body = Array(frame.body)
    }

    func withFrame<Result>(_ use: (Frame) throws -> Result) rethrows -> Result {
        try body.withUnsafeBytes { try use(Frame(header: header, body: $0)) }
    }
}

/// Feeds `stream` in the given chunks and collects all frames.
///
/// The frames of a chunk are copied only when all of them are out, because they must all stay valid
/// until then; each chunk has memory of its own that is overwritten afterwards.
func decode(_ chunks: [[UInt8]], with decoder: FrameDecoder) throws(FrameError) -> [OwnedFrame] {
    var all: [OwnedFrame] = []
    for chunk in chunks {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk.count, alignment: 1)
        memory.copyBytes(from: chunk)
        defer {
            memory.initializeMemory(as: UInt8.self, repeating: 0xEE)
            memory.deallocate()
        }
        var frames: [Frame] = []
        decoder.feed(UnsafeRawBufferPointer(memory))
        while let frame = try decoder.next() { frames.append(frame) }
        all += frames.map { OwnedFrame($0) }
        decoder.finish()
        // What is under way stays.
        if all.count.isMultiple(of: 2) { decoder.giveBack() }
    }
    return all
}

/// Cuts `stream` at random, most often into small pieces.
func cut(_ stream: [UInt8], using generator: inout SeededGenerator) -> [[UInt8]] {
    var chunks: [[UInt8]] = []
    var start = 0
    while start < stream.count {
        let longest = [1, 3, 20, 1000, 200_000].randomElement(using: &generator) ?? 1
        let end = min(start + Int.random(in: 1...longest, using: &generator), stream.count)
        chunks.append(Array(stream[start..<end]))
        start = end
    }
    return chunks
}

/// What a client's or a server's encoder sends for what `write` writes.
func encoded(
    _ side: ConnectionSide, _ framing: Framing = .plain(nil), _ write: (FrameEncoder) -> Void
) -> [UInt8] {
    let encoder = FrameEncoder(side: side)
    encoder.framing = framing
    write(encoder)
    let output = ByteWriter()
    encoder.flush(into: output)
    return output.array
}

/// The protocol error's text of what `body` throws, or a failed test.
func protocolError(_ body: () throws(CQLError) -> Void) -> String {
    do throws(CQLError) {
        try body()
        return "nothing thrown"
    } catch {
        if case .protocolError(let text) = error { return text }
        return "another error: \(error)"
    }
}
