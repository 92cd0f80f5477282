// Bytes that are no frame, and requests that are malformed: what the client is told.

import Encoding
import Model
import NativeProtocol
import Testing

@Suite struct FrameErrorTests {
    private func failure(
        _ stream: String, framing: Framing = .plain(nil), after first: String = "",
        maximumBodyBytes: Int = FrameHeader.maximumBodyBytes
    ) -> FrameError? {
        let decoder = FrameDecoder(side: .server, maximumBodyBytes: maximumBodyBytes)
        decoder.framing = framing
        do {
            if !first.isEmpty { _ = try decode([bytes(hex: first)], with: decoder) }
            _ = try decode([bytes(hex: stream)], with: decoder)
            return nil
        } catch {
            return error
        }
    }

    private func text(_ error: FrameError?) -> String { error?.error.message ?? "no error" }

    @Test func unknownVersionIsRefusedInTheWordsThatDriversMatch() throws {
        for version in [UInt8(66), 65, 6, 2, 1] {
            let error = try #require(failure(hex([version]) + "00000705 00000000"))
            #expect(
                text(error) == "Invalid or unsupported protocol version (\(version)); "
                    + "supported versions are (3/v3, 4/v4, 5/v5)")
            #expect(error.version == .v4 && error.stream == 7)
        }
    }

    @Test func answerToAnUnknownVersionIsAnOldFrameWithItsStream() throws {
        let error = try #require(failure("42 00 0102 05 00000000"))
        let answer = encoded(.server) { $0.error(error) }
        #expect(hex(answer[0..<5]) == "8400010200")
        #expect(hex(answer[9..<13]) == "0000000a")
    }

    @Test func shortHeaderOfOldestVersionsIsRefusedToo() {
        #expect(text(failure("01 00 07 05 00000000")).contains("protocol version (1)"))
    }

    @Test func negativeStreamIsRefusedAndAnsweredOnStreamZero() throws {
        let error = try #require(failure("04 00 ffff 05 00000000"))
        #expect(text(error).contains("Invalid stream id -1"))
        #expect(error.stream == 0)
    }

    @Test func responsesAndUnknownOpcodesAreRefusedByAServer() {
        #expect(text(failure("84 00 0001 05 00000000")).contains("direction"))
        #expect(text(failure("04 00 0001 08 00000000")) == "Unexpected opcode 0x08")
        #expect(text(failure("04 00 0001 7f 00000000")) == "Unexpected opcode 0x7f")
    }

    @Test func lengthsOverTheLimitAreRefusedBeforeTheBodyComes() {
        #expect(text(failure("04 00 0001 07 10000001")).contains("too big"))
        #expect(text(failure("04 00 0001 07 ffffffff")).contains("too big"))
        #expect(failure("04 00 0001 07 10000000") == nil)
        #expect(text(failure("04 00 0001 07 00000101", maximumBodyBytes: 256)).contains("too big"))
    }

    @Test func versionMustStayTheSame() {
        let error = failure("05 00 0001 05 00000000", after: "04 00 0001 05 00000000")
        #expect(
            text(error) == "Invalid message version. Got 5/v5 but previous messages on this "
                + "connection had version 4/v4")
    }

    @Test func compressedFrameNeedsAnAgreement() {
        #expect(text(failure("04 01 0001 07 00000001 00")).contains("no compression was agreed"))
    }

    @Test func compressedBodyCannotClaimMoreThanItCanHold() {
        let error = failure(
            "04 01 0001 07 00000008 0fffffff 00000000", framing: .plain(.lz4))
        #expect(text(error).contains("claims 268435455 bytes"))
    }

    @Test func everyDamagedBitOfASegmentIsNoticed() {
        for compressed in [false, true] {
            let framing = Framing.segments(compressed: compressed)
            let whole = encoded(.client, framing) { $0.query(.v5, stream: 1, "SELECT 1") }
            #expect(failure(hex(whole), framing: framing) == nil)
            for bit in 0..<whole.count * 8 {
                var damaged = whole
                damaged[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(
                    text(failure(hex(damaged), framing: framing)).contains("Corrupt segment"),
                    "bit \(bit)")
            }
        }
    }

    @Test func segmentsThatContradictThemselvesAreRefused() {
        func segment(_ payload: [UInt8], isSelfContained: Bool) -> String {
            let writer = ByteWriter()
            SegmentHeader(
                payloadBytes: payload.count, isSelfContained: isSelfContained,
                isCompressedForm: false
            ).encode(into: writer)
            writer.append(payload)
            writer.appendLittleEndian(payload.withUnsafeBytes { SegmentChecksum.payload($0) })
            return hex(writer.array)
        }
        let framing = Framing.segments(compressed: false)
        let options = bytes(hex: "05 00 0001 05 00000000")
        let query = bytes(hex: "05 00 0001 07 00000004 00000000")
        #expect(failure(segment(options + options, isSelfContained: true), framing: framing) == nil)
        #expect(
            text(failure(segment(Array(query.dropLast()), isSelfContained: true), framing: framing))
                .contains("ends inside a frame"))
        #expect(
            text(failure(segment(options + [5], isSelfContained: true), framing: framing))
                .contains("ends inside a frame"))
        #expect(
            text(failure(segment(query + [0], isSelfContained: false), framing: framing))
                .contains("overruns"))
        let interrupted =
            segment(Array(query[0..<10]), isSelfContained: false)
            + segment(options, isSelfContained: true)
        #expect(text(failure(interrupted, framing: framing)).contains("interrupts"))
        // A segment with nothing in it is odd, but harms nobody.
        #expect(failure(segment([], isSelfContained: true), framing: framing) == nil)
    }

    @Test func nothingComesAfterAnError() throws {
        let decoder = FrameDecoder(side: .server)
        #expect(throws: FrameError.self) {
            _ = try decode([bytes(hex: "42 00 0001 05 00000000")], with: decoder)
        }
        #expect(try decode([bytes(hex: "04 00 0001 05 00000000")], with: decoder).isEmpty)
    }

    @Test func malformedRequestsSayWhatAndWhere() {
        func query(_ body: String, _ version: ProtocolVersion = .v4) -> String {
            bytes(hex: body).withUnsafeBytes { raw in
                protocolError { () throws(CQLError) in
                    var parameters = QueryParameters()
                    _ = try QueryRequest(raw, version, parameters: &parameters)
                }
            }
        }
        #expect(query("") == "Malformed QUERY message: need 4 bytes, have 0 at byte 0")
        #expect(query("00000009 41").contains("need 9 bytes, have 1"))
        #expect(query("ffffffff").contains("negative length"))
        #expect(query("00000001 41 0011 00").contains("Unknown code 17 for a consistency level"))
        #expect(query("00000001 41 0001 80").contains("unknown query flags 0x80"))
        #expect(query("00000001 41 0001 00000200", .v5).contains("unknown query flags 0x200"))
        #expect(query("00000001 41 0001 01 0001 fffffffd").contains("Invalid ByteBuf length -3"))
        #expect(query("00000001 41 0001 01 ffff 00000000").contains("need 4 bytes"))
        #expect(query("00000001 41 0001 20 8000000000000000").contains("Out of bound timestamp"))
        #expect(
            query("00000001 41 0001 41 0001 0001 ff 00000000").contains("text is not UTF-8"))
    }

    @Test func malformedBatchesSayWhatAndWhere() {
        func batch(_ body: String) -> String {
            bytes(hex: body).withUnsafeBytes { raw in
                protocolError { () throws(CQLError) in
                    var parameters = QueryParameters()
                    _ = try BatchRequest(raw, .v4, parameters: &parameters)
                }
            }
        }
        #expect(batch("03 0000 0001 00").contains("Invalid BATCH message type 3"))
        #expect(batch("00 0001 02").contains("Must be 0 or 1 but got 2"))
        #expect(batch("00 0000 0001 01 0000").contains("flags of a QUERY"))
        #expect(batch("00 0000 0001 40").contains("cannot name its values"))
        #expect(batch("00 ffff").contains("need 1 bytes"))
        #expect(batch("00 0000 0001 00") == "nothing thrown")
    }

    @Test func unknownCompressionAndEventsAreNamed() throws {
        func startup(_ name: String, _ version: ProtocolVersion) throws -> String {
            let frame = encoded(.client) { $0.startup(version, stream: 0, [("COMPRESSION", name)]) }
            return try frame[9...].withUnsafeBytes { raw in
                let request = try StartupRequest(raw)
                return protocolError { () throws(CQLError) in _ = try request.compression(version) }
            }
        }
        #expect(try startup("zstd", .v4) == "Unknown compression algorithm: zstd")
        #expect(try startup("snappy", .v5).contains("not supported with protocol version 5/v5"))
        #expect(try startup("snappy", .v4) == "nothing thrown")
        let wrong = bytes(hex: "0001 0003 414243")
        let text = wrong.withUnsafeBytes { raw in
            protocolError { () throws(CQLError) in _ = try RegisterRequest(raw) }
        }
        #expect(text == "Invalid value 'ABC' for Type")
    }

    @Test func valuesByNameKeepTheirNames() throws {
        let frame = encoded(.client) {
            $0.query(
                .v4, stream: 0, "SELECT",
                QueryOptions(values: [.bytes([1]), .unset], names: ["a", "b"]))
        }
        try frame[9...].withUnsafeBytes { raw in
            var parameters = QueryParameters()
            _ = try QueryRequest(raw, .v4, parameters: &parameters)
            #expect(parameters.values.names == ["a", "b"])
            #expect(parameters.values.slice(1..<2).names == ["b"])
            // The next request must not see them.
            let plain = encoded(.client) { $0.query(.v4, stream: 0, "SELECT") }
            try plain[9...].withUnsafeBytes { raw in
                _ = try QueryRequest(raw, .v4, parameters: &parameters)
            }
            #expect(parameters.values.names == nil && parameters.values.isEmpty)
        }
    }

    @Test func customPayloadIsSkipped() throws {
        let payload = bytes(hex: "0002 0001 61 00000002 0102 0001 62 ffffffff")
        let body = payload + bytes(hex: "00000001 41 0001 00")
        let header = FrameHeader(
            version: .v4, flags: .customPayload, stream: 0, opcode: .query, bodyLength: body.count)
        try body.withUnsafeBytes { raw in
            var parameters = QueryParameters()
            let frame = Frame(header: header, body: raw)
            let query = try QueryRequest(
                try frame.requestBody(), .v4, parameters: &parameters)
            #expect(try query.text.string() == "A")
        }
    }
}
