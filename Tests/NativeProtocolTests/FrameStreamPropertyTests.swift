// Streams of frames cut at random places come out as the frames that went in, in every framing; and
// bytes that were damaged never come out as frames nor trap.

import Encoding
import Model
import NativeProtocol
import Testing

@Suite struct FrameStreamPropertyTests {
    private static let framings: [(ProtocolVersion, Framing)] = [
        (.v3, .plain(nil)), (.v4, .plain(nil)), (.v4, .plain(.lz4)), (.v4, .plain(.snappy)),
        (.v5, .plain(nil)), (.v5, .segments(compressed: false)),
        (.v5, .segments(compressed: true)),
    ]

    /// Bodies of all sizes: empty, small, at the edges of a segment, over several segments; some
    /// compressible, some not.
    private func randomFrames(
        _ version: ProtocolVersion, _ generator: inout SeededGenerator
    ) -> [(header: FrameHeader, body: [UInt8])] {
        let sizes = [0, 1, 40, 511, 600, 5000, 131_061, 131_062, 131_063, 300_000]
        return (0..<Int.random(in: 1...30, using: &generator)).map { _ in
            let few = Int.random(in: 0..<4, using: &generator) > 0
            let size = (few ? sizes[0..<6] : sizes[...]).randomElement(using: &generator) ?? 0
            let body =
                Bool.random(using: &generator)
                ? generator.bytes(size) : (0..<size).map { UInt8($0 / 7 % 50) }
            let header = FrameHeader(
                version: version, stream: Int16.random(in: 0...32767, using: &generator),
                opcode: .query, bodyLength: size)
            return (header, body)
        }
    }

    private func stream(
        _ frames: [(header: FrameHeader, body: [UInt8])], _ framing: Framing,
        _ generator: inout SeededGenerator
    ) -> [UInt8] {
        let encoder = FrameEncoder(side: .client)
        encoder.framing = framing
        let output = ByteWriter()
        for (header, body) in frames {
            encoder.begin(header.version, stream: header.stream, header.opcode)
            encoder.frames.append(body)
            encoder.end()
            if Bool.random(using: &generator) { encoder.flush(into: output) }
            // It may come at any time: what waits stays.
            if Bool.random(using: &generator) { encoder.giveBack() }
        }
        encoder.flush(into: output)
        return output.array
    }

    @Test func framesSurviveAnyCutInEveryFraming() throws {
        for seed in UInt64(1)...12 {
            var generator = SeededGenerator(state: seed)
            for (version, framing) in Self.framings {
                let sent = randomFrames(version, &generator)
                let bytes = stream(sent, framing, &generator)
                let decoder = FrameDecoder(side: .server)
                decoder.framing = framing
                let received = try decode(cut(bytes, using: &generator), with: decoder)
                #expect(received.count == sent.count, "seed \(seed) \(framing)")
                for (one, other) in zip(sent, received) {
                    #expect(
                        one.header.stream == other.header.stream && one.body == other.body,
                        "seed \(seed) \(framing)")
                }
                #expect(decoder.bufferedBytes == 0, "seed \(seed) \(framing)")
            }
        }
    }

    @Test func callerMayStopAskingAndGoOnWithTheNextChunk() throws {
        for seed in UInt64(100)...110 {
            var generator = SeededGenerator(state: seed)
            for (version, framing) in Self.framings {
                let sent = randomFrames(version, &generator)
                let chunks = cut(stream(sent, framing, &generator), using: &generator)
                let decoder = FrameDecoder(side: .server)
                decoder.framing = framing
                var received: [[UInt8]] = []
                for chunk in chunks + [[], []] {
                    try chunk.withUnsafeBytes { bytes in
                        decoder.feed(bytes)
                        // At most two frames of a chunk are taken, until the stream's end.
                        while let frame = try decoder.next() {
                            received.append(Array(frame.body))
                            if !chunk.isEmpty, received.count % 2 == 0 { break }
                        }
                        decoder.finish()
                    }
                }
                #expect(received == sent.map(\.body), "seed \(seed) \(framing)")
            }
        }
    }

    @Test func damagedSegmentsNeverYieldAWrongFrame() throws {
        for seed in UInt64(200)...260 {
            var generator = SeededGenerator(state: seed)
            let framing = Framing.segments(compressed: seed % 2 == 0)
            let sent = randomFrames(.v5, &generator)
            var bytes = stream(sent, framing, &generator)
            let position = Int.random(in: 0..<bytes.count, using: &generator)
            bytes[position] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            let decoder = FrameDecoder(side: .server)
            decoder.framing = framing
            var received: [OwnedFrame] = []
            var failed = false
            for chunk in cut(bytes, using: &generator) where !failed {
                do {
                    received += try decode([chunk], with: decoder)
                } catch {
                    failed = true
                }
            }
            #expect(failed, "seed \(seed): the damage at \(position) was not noticed")
            for (one, other) in zip(sent, received) {
                #expect(one.body == other.body, "seed \(seed)")
            }
        }
    }

    @Test func arbitraryBytesNeverTrap() {
        for seed in UInt64(300)...2300 {
            var generator = SeededGenerator(state: seed)
            let (version, framing) = Self.framings[Int(seed) % Self.framings.count]
            let decoder = FrameDecoder(side: seed % 3 == 0 ? .client : .server)
            decoder.framing = framing
            var bytes = generator.bytes(Int.random(in: 0...400, using: &generator))
            if bytes.count > 9, Bool.random(using: &generator) {
                // A plausible header, so that bodies are reached too.
                bytes[0] = version.rawValue | (seed % 3 == 0 ? 0x80 : 0)
                bytes[1] = UInt8.random(in: 0...1, using: &generator)
                bytes[2] = 0
                bytes[4] = seed % 3 == 0 ? 8 : 7
                bytes[5] = 0
                bytes[6] = 0
                bytes[7] = 0
            }
            do {
                for frame in try decode(cut(bytes, using: &generator), with: decoder) {
                    frame.withFrame { use($0) }
                }
            } catch {
                guard case .protocolError = error.error else {
                    Issue.record("seed \(seed): \(error)")
                    return
                }
            }
        }
    }

    @Test func arbitraryBodiesNeverTrap() {
        let opcodes: [Opcode] = [
            .startup, .query, .prepare, .execute, .register, .batch, .authResponse, .error,
            .supported, .result, .event, .authenticate, .authChallenge,
        ]
        for seed in UInt64(3000)...8000 {
            var generator = SeededGenerator(state: seed)
            var body = generator.bytes(Int.random(in: 0...120, using: &generator))
            // Small numbers more often than chance has them: they are lengths and counts.
            for index in body.indices where UInt8.random(in: 0...3, using: &generator) > 0 {
                body[index] = UInt8.random(in: 0...6, using: &generator)
            }
            let flags = FrameFlags(rawValue: UInt8.random(in: 0...15, using: &generator))
            let version = ProtocolVersion.allCases.randomElement(using: &generator) ?? .v4
            let opcode = opcodes.randomElement(using: &generator) ?? .query
            let header = FrameHeader(
                version: version, flags: flags, stream: 0, opcode: opcode, bodyLength: body.count)
            body.withUnsafeBytes { use(Frame(header: header, body: $0)) }
        }
    }

    /// Decodes the frame as what it says it is; errors are fine, traps are not.
    private func use(_ frame: Frame) {
        let version = frame.header.version
        var parameters = QueryParameters()
        guard frame.header.opcode.isRequest else {
            _ = try? Response(frame)
            return
        }
        guard let body = try? frame.requestBody() else { return }
        switch frame.header.opcode {
        case .startup: _ = try? StartupRequest(body)
        case .query: _ = try? QueryRequest(body, version, parameters: &parameters)
        case .prepare: _ = try? PrepareRequest(body, version)
        case .execute: _ = try? ExecuteRequest(body, version, parameters: &parameters)
        case .register: _ = try? RegisterRequest(body)
        case .batch: _ = try? BatchRequest(body, version, parameters: &parameters)
        case .authResponse: _ = try? AuthResponseRequest(body).plainCredentials()
        default: break
        }
        for index in 0..<parameters.values.count {
            if let value = parameters.values.bytes(at: index), let last = value.last {
                // Touches the memory that the table points to.
                blackHole(last)
            }
        }
    }

    @inline(never) private func blackHole(_ byte: UInt8) {}
}
