// Responses: what our server writes, our client reads; and the bytes are those of
// Fixtures/native-protocol/responses.txt, which check_responses.py had the Python driver decode.
//
// To renew the fixture: COTERIE_UPDATE_FIXTURES=1 swift test --filter ResponseTests, then run the script.

import Encoding
import Foundation
import Model
import NativeProtocol
import Testing

@Suite struct ResponseTests {
    private static let point = UserDefinedType(
        keyspace: "ks", name: "point",
        fields: [.init(name: "x", type: .int), .init(name: "y", type: .duration)])

    private static let everyType: [CQLType] = [
        .ascii, .bigint, .blob, .boolean, .counter, .date, .decimal, .double, .duration, .float,
        .inet, .int, .smallint, .text, .time, .timestamp, .timeuuid, .tinyint, .uuid, .varint,
        .list(.int, frozen: false), .set(.text, frozen: false),
        .map(.text, .list(.duration, frozen: false), frozen: false), .tuple([.int, .text]),
        .vector(.float, dimensions: 3), .userDefined(point, frozen: false),
        .vector(.vector(.int, dimensions: 2), dimensions: 2),
    ]

    private static func columns(_ types: [CQLType], sameTable: Bool = true) -> [ColumnSpecification]
    {
        types.enumerated().map { index, type in
            ColumnSpecification(
                keyspace: "ks", table: sameTable ? "t" : "t\(index)", name: "c\(index)", type: type)
        }
    }

    private static let failures = [
        CQLError.ReplicaFailure(address: [10, 0, 0, 1], reason: 1),
        CQLError.ReplicaFailure(address: [UInt8](repeating: 0xFE, count: 16), reason: 5),
    ]

    /// Not among the bytes that were recorded.
    static let conditionalErrors: [CQLError] = [
        .conditionalTimeout(
            "slow", consistency: .serial, received: 1, required: 2, contentions: 7),
        .conditionalUnknown("perhaps", consistency: .localSerial, received: 1, required: 2),
    ]

    static let errors: [CQLError] = [
        .serverError("boom"), .protocolError("bad frame"), .badCredentials("who?"),
        .unavailable("too few", consistency: .quorum, required: 2, alive: 1),
        .overloaded("busy"), .bootstrapping("soon"), .truncateError("no"),
        .writeTimeout("slow", consistency: .all, received: 1, required: 3, type: .unloggedBatch),
        .writeTimeout("slow", consistency: .serial, received: 1, required: 3, type: .compareAndSet),
        .readTimeout("slow", consistency: .two, received: 1, required: 2, dataPresent: true),
        .readFailure(
            "sad", consistency: .one, received: 0, required: 1, failures: failures,
            dataPresent: false),
        .writeFailure(
            "sad", consistency: .one, received: 0, required: 1, failures: failures, type: .simple),
        .syntax("line 1:7 no viable alternative"), .unauthorized("not you"), .invalid("nonsense"),
        .configuration("odd"), .alreadyExists("there", keyspace: "ks", table: "t"),
        .unprepared("gone", id: [UInt8](repeating: 0xAB, count: 16)),
    ]

    static let events: [ServerEvent] = [
        .topology(.newNode, address: [10, 0, 0, 2], port: 9042),
        .status(.down, address: [UInt8](repeating: 1, count: 16), port: 9043),
        .schema(SchemaChange(.created, keyspace: "ks", .keyspace)),
        .schema(SchemaChange(.updated, keyspace: "ks", .table("t"))),
        .schema(SchemaChange(.dropped, keyspace: "ks", .type("point"))),
        .schema(
            SchemaChange(.created, keyspace: "ks", .function("f", arguments: ["int", "text"]))),
        .schema(SchemaChange(.dropped, keyspace: "ks", .aggregate("a", arguments: []))),
    ]

    private static let prefix = ResponsePrefix(
        tracingID: UniqueID(high: 1, low: 2), warnings: ["careful", "very"],
        customPayload: [("k", [1, 2]), ("n", nil)])

    /// Every response of the fixture, by name.
    private func cases(_ version: ProtocolVersion) -> [(name: String, bytes: [UInt8])] {
        var cases: [(String, [UInt8])] = []
        func add(_ name: String, _ write: (FrameEncoder) -> Void) {
            cases.append((name, encoded(.server, .plain(nil), write)))
        }
        add("ready") { $0.ready(version, stream: 3) }
        add("authenticate") { $0.authenticate(version, stream: 3) }
        add("auth_success") { $0.authSuccess(version, stream: 3) }
        add("supported") {
            $0.supported(
                version, stream: 3,
                [
                    ("COMPRESSION", ["snappy", "lz4"]), ("CQL_VERSION", ["3.4.7"]),
                    ("PROTOCOL_VERSIONS", ProtocolVersion.supported),
                ])
        }
        add("void") { $0.void(version, stream: 3) }
        add("void_prefix") { $0.void(version, stream: 3, prefix: Self.prefix) }
        add("set_keyspace") { $0.setKeyspace(version, stream: 3, "ks") }
        for (index, error) in Self.errors.enumerated() {
            add("error_\(index)") { $0.error(version, stream: 3, error) }
        }
        for (index, event) in Self.events.enumerated() {
            add("event_\(index)") { $0.event(version, event) }
            if case .schema(let change) = event {
                add("schema_change_\(index)") { $0.schemaChange(version, stream: 3, change) }
            }
        }
        add("prepared") {
            $0.prepared(
                version, stream: 3,
                PreparedAnswer(
                    id: [UInt8](repeating: 0xCD, count: 16),
                    markers: RowsMetadata(Self.columns([.int, .text])),
                    partitionKeyMarkers: [1, 0],
                    columns: RowsMetadata(Self.columns([.uuid]))))
        }
        add("prepared_insert") {
            $0.prepared(
                version, stream: 3,
                PreparedAnswer(
                    id: [1], markers: .empty, partitionKeyMarkers: [], columns: .empty))
        }
        add("rows_types") { encoder in
            let metadata = RowsMetadata(Self.columns(Self.everyType))
            var rows = RowsWriter(encoder, version, stream: 3, metadata)
            for _ in metadata.columns { rows.append(nil) }
            rows.endRow()
            rows.finish()
        }
        add("rows_paged") { encoder in
            let metadata = RowsMetadata(Self.columns([.int, .text], sameTable: false))
            var rows = RowsWriter(encoder, version, stream: 3, metadata)
            for index in 0..<3 {
                let start = rows.frames.beginValue()
                rows.frames.appendBigEndian(Int32(index))
                rows.frames.endValue(start)
                Array("row\(index)".utf8).withUnsafeBytes { rows.append($0) }
                rows.endRow()
            }
            rows.finish(pagingState: [9, 8, 7])
        }
        add("rows_metadata_changed") { encoder in
            let metadata = RowsMetadata(Self.columns([.int]))
            var rows = RowsWriter(
                encoder, version, stream: 3, metadata, skipMetadata: true,
                hasOtherColumns: true)
            rows.append(nil)
            rows.endRow()
            rows.finish(pagingState: [1])
        }
        return cases
    }

    @Test func bytesAreThoseThatThePythonDriverAccepted() throws {
        var lines = ["# name, version, bytes; see check_responses.py"]
        for version in ProtocolVersion.allCases {
            for (name, bytes) in cases(version) {
                lines.append("\(name) \(version.rawValue) \(hex(bytes))")
            }
        }
        let file = fixtures.appendingPathComponent("responses.txt")
        if ProcessInfo.processInfo.environment["COTERIE_UPDATE_FIXTURES"] != nil {
            try (lines.joined(separator: "\n") + "\n")
                .write(to: file, atomically: true, encoding: .utf8)
        }
        let golden = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(golden.count == lines.count)
        for (ours, theirs) in zip(lines, golden) { #expect(ours == theirs) }
    }

    private func response(_ version: ProtocolVersion, _ write: (FrameEncoder) -> Void) throws
        -> (Response, FrameHeader)
    {
        let decoder = FrameDecoder(side: .client)
        let frames = try decode([encoded(.server, .plain(nil), write)], with: decoder)
        let frame = try #require(frames.first)
        #expect(frame.header.version == version)
        return (try frame.withFrame { try Response($0) }, frame.header)
    }

    @Test func errorsComeBackWithTheirDetails() throws {
        for version in ProtocolVersion.allCases {
            for error in Self.errors + Self.conditionalErrors {
                let (response, _) = try response(version) { $0.error(version, stream: 1, error) }
                guard case .error(let answer) = response.message else {
                    Issue.record("no error: \(response.message)")
                    continue
                }
                #expect(answer.error == expected(error, version), "\(version)")
                #expect(answer.code == ErrorBody.code(error, version))
            }
        }
    }

    /// What is left of an error in older versions.
    private func expected(_ error: CQLError, _ version: ProtocolVersion) -> CQLError {
        let unnamed = [CQLError.ReplicaFailure](repeating: .init(address: [], reason: 0), count: 2)
        switch (error, version) {
        case (.readFailure(let text, let level, let received, let required, _, let data), .v4):
            return .readFailure(
                text, consistency: level, received: received, required: required,
                failures: unnamed, dataPresent: data)
        case (.writeFailure(let text, let level, let received, let required, _, let type), .v4):
            return .writeFailure(
                text, consistency: level, received: received, required: required,
                failures: unnamed, type: type)
        case (.writeTimeout(let text, let level, let received, let required, .compareAndSet), .v5):
            // v5 adds how many ballots were lost; who does not know says none.
            return .conditionalTimeout(
                text, consistency: level, received: received, required: required, contentions: 0)
        case (.conditionalTimeout(let text, let level, let received, let required, _), .v3),
            (.conditionalTimeout(let text, let level, let received, let required, _), .v4),
            (.conditionalUnknown(let text, let level, let received, let required), .v3),
            (.conditionalUnknown(let text, let level, let received, let required), .v4):
            return .writeTimeout(
                text, consistency: level, received: received, required: required,
                type: .compareAndSet)
        case (.readFailure(let text, let level, let received, let required, _, let data), .v3):
            return .readTimeout(
                text, consistency: level, received: received, required: required,
                dataPresent: data)
        case (.writeFailure(let text, let level, let received, let required, _, let type), .v3):
            return .writeTimeout(
                text, consistency: level, received: received, required: required, type: type)
        default: return error
        }
    }

    @Test func eventsComeBackOnTheStreamOfEvents() throws {
        for version in ProtocolVersion.allCases {
            for event in Self.events {
                let (response, header) = try response(version) { $0.event(version, event) }
                #expect(header.stream == -1)
                guard case .event(let received) = response.message else {
                    Issue.record("no event: \(response.message)")
                    continue
                }
                #expect(received == event)
            }
        }
    }

    @Test func prefixComesBackExceptWhatVersionThreeLacks() throws {
        for version in ProtocolVersion.allCases {
            let (response, header) = try response(version) {
                $0.void(version, stream: 1, prefix: Self.prefix)
            }
            #expect(response.prefix.tracingID == Self.prefix.tracingID)
            #expect(response.prefix.warnings == (version >= .v4 ? ["careful", "very"] : []))
            #expect(response.prefix.customPayload.count == (version >= .v4 ? 2 : 0))
            #expect(header.flags.rawValue == (version >= .v4 ? 0x0E : 0x02))
            guard case .void = response.message else {
                Issue.record("not void: \(response.message)")
                return
            }
        }
    }

    @Test func everyTypeComesBackInEveryVersion() throws {
        for version in ProtocolVersion.allCases {
            let metadata = RowsMetadata(Self.columns(Self.everyType))
            let (response, _) = try response(version) { encoder in
                var rows = RowsWriter(encoder, version, stream: 1, metadata)
                rows.finish()
            }
            guard case .rows(let rows) = response.message else {
                Issue.record("no rows: \(response.message)")
                continue
            }
            #expect(rows.columns == metadata.columns && rows.rowCount == 0)
        }
    }

    @Test func durationIsANumberOnlyInVersionFive() {
        for (version, expected) in [(ProtocolVersion.v4, "0000"), (.v5, "0015")] {
            let writer = ByteWriter()
            writer.append(CQLType.duration, version)
            #expect(hex(writer.array).hasPrefix(expected))
        }
    }

    @Test func rowsComeBackWithPagingStateAndNulls() throws {
        let metadata = RowsMetadata(Self.columns([.int, .blob]))
        let (response, _) = try response(.v4) { encoder in
            var rows = RowsWriter(encoder, .v4, stream: 1, metadata)
            for _ in 0..<2 {
                rows.append(nil)
                [UInt8]([5, 6]).withUnsafeBytes { rows.append($0) }
                rows.endRow()
            }
            #expect(rows.byteCount == 2 * (4 + 6))
            rows.finish(pagingState: [1, 2, 3, 4, 5])
        }
        guard case .rows(let rows) = response.message else {
            Issue.record("no rows: \(response.message)")
            return
        }
        #expect(rows.rowCount == 2 && rows.columnCount == 2)
        #expect(rows.pagingState == [1, 2, 3, 4, 5])
        #expect(rows.value(row: 1, column: 0) == nil)
        #expect(rows.value(row: 1, column: 1) == [5, 6])
    }

    @Test func columnsAreLeftOutOnlyIfTheClientHasTheRightOnes() throws {
        let metadata = RowsMetadata(Self.columns([.int]))
        func rows(_ version: ProtocolVersion, hasOtherColumns: Bool) throws -> ResultRows? {
            let (response, _) = try response(version) { encoder in
                var rows = RowsWriter(
                    encoder, version, stream: 1, metadata, skipMetadata: true,
                    hasOtherColumns: hasOtherColumns)
                rows.finish()
            }
            guard case .rows(let rows) = response.message else { return nil }
            return rows
        }
        #expect(try rows(.v5, hasOtherColumns: false)?.columns == nil)
        #expect(try rows(.v5, hasOtherColumns: true)?.columns == metadata.columns)
        #expect(try rows(.v5, hasOtherColumns: true)?.newMetadataID == metadata.id)
        #expect(try rows(.v4, hasOtherColumns: true)?.columns == nil)
    }

    @Test func metadataIDChangesWithNameTypeAndOrder() {
        let ids = [
            Self.columns([.int, .text]), Self.columns([.text, .int]), Self.columns([.int]), [],
            Self.columns([.int, .text], sameTable: false),
        ].map { hex(RowsMetadata($0).id) }
        #expect(Set(ids).count == ids.count)
        #expect(ids[0] == hex(RowsMetadata(Self.columns([.int, .text])).id))
    }

    @Test func preparedAnswerComesBack() throws {
        for version in ProtocolVersion.allCases {
            let answer = PreparedAnswer(
                id: [1, 2, 3], markers: RowsMetadata(Self.columns([.int, .text])),
                partitionKeyMarkers: [1, 0], columns: RowsMetadata(Self.columns([.uuid])))
            let (response, _) = try response(version) {
                $0.prepared(version, stream: 1, answer)
            }
            guard case .prepared(let prepared) = response.message else {
                Issue.record("not prepared: \(response.message)")
                continue
            }
            #expect(prepared.id == answer.id)
            #expect(prepared.markers == answer.markers.columns)
            #expect(prepared.columns == answer.columns.columns)
            #expect(prepared.partitionKeyMarkers == (version >= .v4 ? [1, 0] : []))
            #expect(prepared.resultMetadataID == (version >= .v5 ? answer.columns.id : []))
        }
    }

    @Test func rowsThatAreEncodedAlreadyCountAsRows() throws {
        let values = ByteWriter()
        for text in ["a", "b", "c"] { values.appendValue(Array(text.utf8)) }
        let (response, _) = try response(.v4) { encoder in
            var rows = RowsWriter(encoder, .v4, stream: 1, RowsMetadata(Self.columns([.text])))
            rows.appendRows(values.bytes, count: 3)
            rows.finish()
        }
        guard case .rows(let rows) = response.message else {
            Issue.record("no rows: \(response.message)")
            return
        }
        #expect((0..<rows.rowCount).map { rows.value(row: $0, column: 0) } == [[97], [98], [99]])
    }

    @Test func cancelledRowsLeaveNothingBehind() {
        let bytes = encoded(.server) { encoder in
            encoder.void(.v4, stream: 1)
            let rows = RowsWriter(encoder, .v4, stream: 2, RowsMetadata(Self.columns([.int])))
            rows.append(nil)
            rows.cancel()
            encoder.error(
                .v4, stream: 2,
                .readTimeout(
                    "late", consistency: .one, received: 0, required: 1, dataPresent: false))
        }
        let plain = encoded(.server) { encoder in
            encoder.void(.v4, stream: 1)
            encoder.error(
                .v4, stream: 2,
                .readTimeout(
                    "late", consistency: .one, received: 0, required: 1, dataPresent: false))
        }
        #expect(bytes == plain)
    }

    @Test func longErrorTextIsCutAtACharacter() throws {
        let text = "x" + String(repeating: "ü", count: 40_000)
        let (response, _) = try response(.v4) { $0.error(.v4, stream: 1, .invalid(text)) }
        guard case .error(let answer) = response.message else {
            Issue.record("no error")
            return
        }
        #expect(answer.error.message == "x" + String(repeating: "ü", count: 32_767))
    }

    @Test func smallResponsesOfAStepShareASegment() throws {
        let framing = Framing.segments(compressed: false)
        let bytes = encoded(.server, framing) { encoder in
            for stream in 0..<100 { encoder.void(.v5, stream: Int16(stream)) }
        }
        // One segment: header 6, 100 frames of 13 bytes, CRC32 4.
        #expect(bytes.count == 6 + 100 * 13 + 4)
        let decoder = FrameDecoder(side: .client)
        decoder.framing = framing
        let frames = try decode([bytes], with: decoder)
        #expect(frames.map(\.header.stream) == (0..<100).map { Int16($0) })
    }
}
