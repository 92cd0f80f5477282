// The bytes of operators' commands: whole, cut short, flipped, too long, of another version.

import Encoding
import Environment
import Testing

@testable import Server

@Suite struct AdminWireTests {
    private let value: AdminValue = [
        "null": .null, "flags": [true, false], "whole": -7, "number": .number(0.5),
        "text": "ü\n\"", "inner": ["list": [1, 2, ["a": "b"]]],
    ]

    @Test func requestsAndAnswersComeBack() throws {
        let request = AdminRequest(["snapshot", "-t", "two words", ""])
        let frame = AdminWire.frame(request)
        let read = try #require(try AdminWire.read(frame, limit: 1 << 16))
        #expect(read.kind == .request)
        #expect(try AdminWire.request(read.payload) == request)
        for answer in [AdminAnswer.value(value), .value(.null), .refused("no")] {
            let bytes = AdminWire.frame(answer)
            let (kind, payload) = try #require(try AdminWire.read(bytes, limit: 1 << 16))
            #expect(try AdminWire.answer(kind, payload) == answer)
        }
    }

    @Test func aFrameIsReadOnlyWhenItIsWhole() throws {
        let frame = AdminWire.frame(.value(value))
        for count in 0..<frame.count {
            let isWhole = try AdminWire.read(Array(frame[..<count]), limit: 1 << 16) != nil
            #expect(!isWhole, "\(count) bytes")
        }
    }

    @Test func damageIsSeen() throws {
        let frame = AdminWire.frame(.value(value))
        for index in frame.indices where index != 6 && index != 7 {
            var flipped = frame
            flipped[index] ^= 0x01
            // A longer length waits for more bytes; the kind may become another one.
            let read: (kind: AdminWire.Kind, payload: [UInt8])?
            do { read = try AdminWire.read(flipped, limit: 1 << 16) } catch { continue }
            #expect(read == nil || index == 5, "byte \(index)")
        }
    }

    @Test func longFramesAndOtherVersionsAreRefused() {
        let frame = AdminWire.frame(.value(value))
        #expect(throws: MalformedBytes.self) { try AdminWire.read(frame, limit: 8) }
        var newer = frame
        newer[4] = 2
        let error = #expect(throws: MalformedBytes.self) {
            try AdminWire.read(newer, limit: 1 << 16)
        }
        #expect(error?.reason.contains("version 2") == true)
    }

    @Test func valuesInValuesHaveALimit() throws {
        var deep = AdminValue.null
        for _ in 0..<40 { deep = .list([deep]) }
        let (kind, payload) = try #require(
            try AdminWire.read(AdminWire.frame(.value(deep)), limit: 1 << 16))
        #expect(throws: MalformedBytes.self) { try AdminWire.answer(kind, payload) }
    }

    @Test func valuesOfShardsAddUp() {
        let one: AdminValue = ["count": 1, "files": ["a"], "inner": ["x": 2], "name": "first"]
        let two: AdminValue = ["count": 4, "files": ["b"], "inner": ["y": 3], "name": "second"]
        #expect(
            one.joined(with: two) == [
                "count": 5, "files": ["a", "b"], "inner": ["x": 2, "y": 3], "name": "first",
            ])
        #expect(AdminValue.null.joined(with: two) == two)
    }
}
