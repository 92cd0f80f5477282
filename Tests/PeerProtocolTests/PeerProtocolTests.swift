import Encoding
import Environment
import Model
import PeerProtocol
import Testing

private func id(_ low: UInt64) -> UniqueID { UniqueID(high: 0xABCD, low: low) }

private func header(_ kind: PeerMessageKind, traced: Bool = false) -> PeerHeader {
    PeerHeader(
        kind: kind, clusterID: id(1), lineage: 3, sender: HostID(id(2)),
        senderIncarnation: Incarnation(77), senderShard: ShardIndex(2), targetShard: ShardIndex(1),
        routeToken: Token(-5), epoch: 1 << 40, request: RequestID(0x0102_0304_0506_0708),
        hybridTime: 1_700_000_000_000_000, remainingBudget: 5_000_000,
        traceID: traced ? id(9) : nil)
}

private func message(_ header: PeerHeader, _ body: (ByteWriter) -> Void) throws -> [UInt8] {
    let writer = ByteWriter()
    writer.append(utf8: "before")
    let start = PeerEnvelope.begin(header, into: writer)
    body(writer)
    let range = try #require(PeerEnvelope.end(start, in: writer))
    return Array(writer[range])
}

private func decode<T>(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws -> T
) throws -> T {
    try bytes.withUnsafeBytes { try body($0) }
}

struct PeerEnvelopeTests {
    @Test(arguments: [false, true])
    func headerAndBodyComeBackAsTheyWere(traced: Bool) throws {
        for kind in PeerMessageKind.allCases {
            let bytes = try message(header(kind, traced: traced)) { $0.append([1, 2, 3]) }
            try bytes.withUnsafeBytes { raw in
                let (decoded, body) = try PeerEnvelope.decode(raw)
                #expect(decoded == header(kind, traced: traced))
                #expect(Array(body) == [1, 2, 3])
                #expect(try PeerEnvelope.messageLength(ofPrefix: raw) == raw.count)
            }
        }
    }

    @Test func layoutIsThatOfTheFormatPage() throws {
        let bytes = try message(header(.ping)) { _ in }
        #expect(bytes.count == 96)
        #expect(
            HexText.text(bytes) == """
                c701080007cd5cdc0000000003000000000000000000abcd0000000000000001\
                000000000000abcd00000000000000024d00000002000100fbffffffffffffff\
                0000000000010000080706050403020100401e18240a0600404b4c0000000000
                """)
    }

    @Test func everyFlippedBitIsSeen() throws {
        let bytes = try message(header(.mutation, traced: true)) { $0.append([1, 2, 3]) }
        for bit in 0..<bytes.count * 8 {
            var broken = bytes
            broken[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: MalformedBytes.self, "bit \(bit)") {
                try decode(broken) { _ = try PeerEnvelope.decode($0) }
            }
        }
    }

    @Test func tooLongABodyIsRefusedByTheSender() {
        let writer = ByteWriter()
        writer.append(7)
        let start = PeerEnvelope.begin(header(.mutation), into: writer)
        writer.appendZeros(PeerEnvelope.maximumBodyBytes + 1)
        #expect(PeerEnvelope.end(start, in: writer) == nil)
        #expect(writer.count == 1)
    }

    @Test func requestIDsNeverRepeatAcrossShardsAndLives() {
        var seen: Set<RequestID> = []
        for incarnation in UInt32(0)..<4 {
            for shard in 0..<3 {
                var source = RequestIDSource(
                    incarnation: Incarnation(incarnation), shard: ShardIndex(shard))
                for _ in 0..<100 {
                    let next = source.next()
                    #expect(next != .none && seen.insert(next).inserted)
                }
            }
        }
    }
}

struct PeerRoutingTests {
    @Test func requestsGoByTokenResponsesByShardTheRestToShardZero() throws {
        for kind in PeerMessageKind.allCases {
            var sent = header(kind)
            sent.routeToken = Token(.max)
            sent.targetShard = ShardIndex(1)
            let bytes = try message(sent) { _ in }
            let shard = bytes.withUnsafeBytes { PeerRouting.shard(of: $0, shardCount: 3).value }
            switch kind.route {
            case .token: #expect(shard == 2)
            case .shard: #expect(shard == 1)
            case .control: #expect(shard == 0)
            }
        }
    }

    @Test func responseToAShardThatIsGoneGoesToShardZero() throws {
        var sent = header(.readResponse)
        sent.targetShard = ShardIndex(7)
        let bytes = try message(sent) { _ in }
        #expect(bytes.withUnsafeBytes { PeerRouting.shard(of: $0, shardCount: 2).value } == 0)
    }
}

struct PeerBodyTests {
    private func encoded(_ body: (ByteWriter) -> Void) -> [UInt8] {
        let writer = ByteWriter()
        body(writer)
        return writer.array
    }

    @Test func replicaMessagesComeBack() throws {
        try [UInt8]([9, 8]).withUnsafeBytes { payload in
            let mutation = encoded(
                MutationRequest(flags: [.isHint], mutation: payload).encode(into:))
            try mutation.withUnsafeBytes { raw in
                let decoded = try MutationRequest(raw)
                #expect(decoded.flags == [.isHint] && Array(decoded.mutation) == [9, 8])
            }
            let read = encoded(ReadRequest(wantsDigest: true, command: payload).encode(into:))
            try read.withUnsafeBytes { raw in
                let decoded = try ReadRequest(raw)
                #expect(decoded.wantsDigest && Array(decoded.command) == [9, 8])
            }
            let data = encoded(ReadResponse.data(payload).encode(into:))
            try data.withUnsafeBytes { raw in
                guard case .data(let rows) = try ReadResponse(raw) else {
                    Issue.record("not data")
                    return
                }
                #expect(Array(rows) == [9, 8])
            }
        }
        for outcome in [MutationResponse.applied, .failed(.timeout), .failed(.unknown)] {
            let bytes = encoded(outcome.encode(into:))
            #expect(try decode(bytes) { try MutationResponse($0) } == outcome)
        }
        let digest = encoded(ReadResponse.digest(id(5)).encode(into:))
        try digest.withUnsafeBytes { raw in
            guard case .digest(let found) = try ReadResponse(raw) else {
                Issue.record("not a digest")
                return
            }
            #expect(found == id(5))
        }
        let truncate = TruncateRequest(table: id(4), timestamp: -3)
        let truncateBytes = encoded(truncate.encode(into:))
        #expect(try decode(truncateBytes) { try TruncateRequest($0) } == truncate)
        let epochBytes = encoded(WrongEpoch(epoch: 12).encode(into:))
        #expect(try decode(epochBytes) { try WrongEpoch($0) } == WrongEpoch(epoch: 12))
    }

    @Test func gossipAndMetadataMessagesComeBack() throws {
        let state = EndpointState(
            host: HostID(id(1)), generation: 2, heartbeat: 3,
            clientAddress: SocketAddress(address: [127, 0, 0, 1], port: 9042),
            peerAddress: SocketAddress(address: [UInt8](repeating: 7, count: 16), port: 7000),
            epoch: 4, isReady: true, load: 5)
        let gossip: [GossipMessage] = [
            .syn([]), .syn([state.digest]), .ack(states: [state], wanted: [state.digest]),
            .ack2([state, state]),
        ]
        for original in gossip {
            let bytes = encoded(original.encode(into:))
            let back = try decode(bytes) { try GossipMessage(kind: original.kind, $0) }
            #expect(back == original)
        }
        let ballot = Ballot(round: 3, host: HostID(id(1)))
        let metadata: [MetadataMessage] = [
            .prepare(epoch: 1, ballot: ballot),
            .promise(epoch: 1, ballot: ballot, promised: ballot, accepted: nil),
            .promise(
                epoch: 1, ballot: ballot, promised: .zero,
                accepted: AcceptedValue(ballot: ballot, value: [1])),
            .accept(epoch: 1, ballot: ballot, value: [1, 2]),
            .accepted(epoch: 1, ballot: ballot, promised: ballot), .catchUp(from: 7),
            .entries([]), .entries([MetadataEntryBytes(epoch: 7, body: [1, 2, 3])]),
        ]
        for original in metadata {
            let bytes = encoded(original.encode(into:))
            let back = try decode(bytes) { try MetadataMessage(kind: original.kind, $0) }
            #expect(back == original)
        }
    }

    /// Goal: no bytes trap a decoder. Method: random bytes, and valid messages cut, grown and
    /// flipped.
    @Test func randomBytesNeverTrap() throws {
        let seed: UInt64 = 11
        var random = RandomStream(seed: seed, name: "peer fuzz")
        let ballot = Ballot(round: 3, host: HostID(id(1)))
        let seeds: [[UInt8]] = [
            encoded(
                MetadataMessage.promise(
                    epoch: 1, ballot: ballot, promised: .zero,
                    accepted: AcceptedValue(ballot: ballot, value: [1])
                ).encode(into:)),
            encoded(
                MetadataMessage.entries([
                    MetadataEntryBytes(epoch: 7, body: [1, 2, 3]),
                    MetadataEntryBytes(epoch: 8, body: []),
                ]).encode(into:)),
            encoded(GossipMessage.syn([]).encode(into:)),
            try message(header(.readResponse)) { $0.append([0, 1]) },
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            if random.chance(1, outOf: 2) {
                bytes = seeds[Int(random.below(UInt64(seeds.count)))]
                for _ in 0...random.below(3) where !bytes.isEmpty {
                    let at = Int(random.below(UInt64(bytes.count)))
                    bytes[at] = UInt8(truncatingIfNeeded: random.next())
                }
                bytes.removeLast(Int(random.below(UInt64(bytes.count / 4 + 1))))
            } else {
                for _ in 0..<random.below(200) {
                    bytes.append(UInt8(truncatingIfNeeded: random.next()))
                }
                if random.chance(1, outOf: 2), bytes.count > 12 {
                    bytes[0] = PeerEnvelope.magic
                    bytes[1] = PeerEnvelope.version
                    bytes[3] &= 1
                }
            }
            bytes.withUnsafeBytes { raw in
                _ = PeerRouting.shard(of: raw, shardCount: 3)
                func attempt(_ decode: () throws -> Void) {
                    do {
                        try decode()
                        accepted += 1
                    } catch {
                        #expect(error is MalformedBytes, "seed \(seed)")
                    }
                }
                attempt { _ = try PeerEnvelope.decode(raw) }
                attempt { _ = try PeerEnvelope.decode(raw, verifyingChecksum: false) }
                attempt { _ = try MutationRequest(raw) }
                attempt { _ = try MutationResponse(raw) }
                attempt { _ = try ReadRequest(raw) }
                attempt { _ = try ReadResponse(raw) }
                attempt { _ = try TruncateRequest(raw) }
                attempt { _ = try WrongEpoch(raw) }
                for kind in PeerMessageKind.allCases {
                    attempt { _ = try GossipMessage(kind: kind, raw) }
                    attempt { _ = try MetadataMessage(kind: kind, raw) }
                }
            }
        }
        #expect(accepted > 100)
    }
}
