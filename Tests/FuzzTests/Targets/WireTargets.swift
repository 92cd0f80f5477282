// What clients and peers send.

import CQL
import Encoding
import Environment
import Model
import NativeProtocol
import PeerProtocol

enum WireTargets {
    /// A statement's text.
    @Sendable static func cql(_ bytes: UnsafeRawBufferPointer) {
        attempt { _ = try Parser.parse(utf8: Array(bytes)) }
    }

    private static let framings: [Framing] = [
        .plain(nil), .plain(.lz4), .plain(.snappy), .segments(compressed: false),
        .segments(compressed: true),
    ]

    /// A stream of a connection as it is, cut in two.
    @Sendable static func frames(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let choice = input.byte()
        let cut = input.short()
        let framing = framings[Int(choice & 7) % framings.count]
        feed(input.rest(), cut: cut, framing, side: choice & 8 == 0 ? .server : .client)
    }

    /// v5 segments with sound checksums and the input's payloads.
    @Sendable static func segments(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let isCompressed = input.byte() & 1 == 1
        let cut = input.short()
        let stream = ByteWriter()
        while !input.isAtEnd {
            let choice = input.byte()
            let payload = input.take(input.short())
            let header = SegmentHeader(
                payloadBytes: payload.count,
                uncompressedBytes: isCompressed ? Int(choice) << 9 | Int(choice & 31) : 0,
                isSelfContained: choice & 1 == 1, isCompressedForm: isCompressed)
            header.encode(into: stream)
            stream.append(payload)
            stream.appendLittleEndian(SegmentChecksum.payload(payload))
        }
        feed(stream.bytes, cut: cut, .segments(compressed: isCompressed), side: .server)
    }

    private static func feed(
        _ stream: UnsafeRawBufferPointer, cut: Int, _ framing: Framing, side: ConnectionSide
    ) {
        let decoder = FrameDecoder(side: side, maximumBodyBytes: 1 << 20)
        decoder.framing = framing
        let middle = min(cut, stream.count)
        for chunk in [stream[..<middle], stream[middle...]] {
            attempt {
                decoder.feed(UnsafeRawBufferPointer(rebasing: chunk))
                defer { decoder.finish() }
                while let frame = try decoder.next() {
                    if side == .server { decode(frame) } else { _ = try Response(frame) }
                }
            }
            // What a shard asks between chunks.
            precondition(decoder.awaitedBytes >= 0 && decoder.bufferedBytes >= 0)
        }
    }

    /// One request's body, for each version.
    @Sendable static func request(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        guard let opcode = Opcode(rawValue: input.byte()) else { return }
        let flags = input.byte()
        let body = input.rest()
        for version in [ProtocolVersion.v3, .v4, .v5] {
            decode(
                Frame(
                    header: FrameHeader(
                        version: version, flags: FrameFlags(rawValue: flags), stream: 1,
                        opcode: opcode, bodyLength: body.count), body: body))
        }
    }

    private static func decode(_ frame: Frame) {
        let version = frame.header.version
        attempt {
            let body = try frame.requestBody()
            var parameters = QueryParameters()
            switch frame.header.opcode {
            case .startup:
                let request = try StartupRequest(body)
                _ = try request.compression(version)
            case .authResponse: _ = try AuthResponseRequest(body).plainCredentials()
            case .register: _ = try RegisterRequest(body)
            case .query:
                let request = try QueryRequest(body, version, parameters: &parameters)
                _ = try Parser.parse(try request.text.string())
            case .prepare: _ = try PrepareRequest(body, version).text.string()
            case .execute: _ = try ExecuteRequest(body, version, parameters: &parameters)
            case .batch: _ = try BatchRequest(body, version, parameters: &parameters)
            default: break
            }
        }
    }

    /// One response, as the shell and the lab read it.
    @Sendable static func response(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        guard let opcode = Opcode(rawValue: input.byte()) else { return }
        let flags = input.byte()
        let body = input.rest()
        for version in [ProtocolVersion.v3, .v4, .v5] {
            attempt {
                _ = try Response(
                    Frame(
                        header: FrameHeader(
                            version: version, flags: FrameFlags(rawValue: flags), stream: 1,
                            opcode: opcode, bodyLength: body.count), body: body))
            }
        }
    }

    /// A peer's message as it is, and its body as that of each kind.
    @Sendable static func peer(_ bytes: UnsafeRawBufferPointer) {
        attempt {
            let length = try PeerEnvelope.messageLength(ofPrefix: bytes)
            precondition(length > 0)
        }
        attempt {
            let (header, body) = try PeerEnvelope.decode(bytes, verifyingChecksum: false)
            message(header.kind, body)
            _ = PeerRouting.shard(of: bytes, shardCount: 3)
        }
        var input = FuzzInput(bytes)
        guard let kind = PeerMessageKind(rawValue: input.byte()) else { return }
        message(kind, input.rest())
    }

    private static func message(_ kind: PeerMessageKind, _ body: UnsafeRawBufferPointer) {
        attempt {
            switch kind {
            case .mutation: try MutationView(MutationRequest(body).mutation).validate()
            case .mutationResponse: _ = try MutationResponse(body)
            case .read: try ReadCommandBytes.check(ReadRequest(body).command)
            case .readResponse: _ = try ReadResponse(body)
            case .truncate: _ = try TruncateRequest(body)
            case .truncateResponse, .ping, .pong: break
            case .wrongEpoch: _ = try WrongEpoch(body)
            case .gossipSyn, .gossipAck, .gossipAck2: _ = try GossipMessage(kind: kind, body)
            case .paxosPrepare, .paxosPromise, .paxosAccept, .paxosAccepted, .metadataCatchUp,
                .metadataEntries:
                _ = try MetadataMessage(kind: kind, body)
            case .conditionalPrepare:
                try ReadCommandBytes.check(ConditionalPrepare(body).command)
            case .conditionalPromise: _ = try ConditionalPromise(body)
            case .conditionalAccept: _ = try ConditionalAccept(body)
            case .conditionalAccepted: _ = try ConditionalAccepted(body)
            case .conditionalCommit:
                try MutationView(ConditionalCommit(body).mutation).validate()
            case .increment: try MutationView(IncrementRequest(body).mutation).validate()
            case .incrementResponse: _ = try IncrementResponse(body)
            }
        }
    }
}
