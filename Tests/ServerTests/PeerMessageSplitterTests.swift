// Cutting a peer connection's bytes into messages, however the network joined and split them.

import Encoding
import Testing

@testable import Server

@Suite struct PeerMessageSplitterTests {
    private func receive(
        _ splitter: inout PeerMessageSplitter, _ bytes: some Collection<UInt8>
    ) throws(MalformedBytes) -> [[UInt8]] {
        var messages: [[UInt8]] = []
        let copy = Array(bytes)
        let result = copy.withUnsafeBytes { raw in
            Result { () throws(MalformedBytes) in
                try splitter.receive(raw) { messages.append(Array($0)) }
            }
        }
        try result.get()
        return messages
    }

    private func stream(_ messages: [[UInt8]]) -> [UInt8] {
        messages.reduce(PeerWire.preface) { bytes, message in
            bytes + withUnsafeBytes(of: UInt32(message.count).littleEndian, Array.init) + message
        }
    }

    @Test(arguments: 1...64)
    func piecesOfAnySizeGiveTheSameMessages(pieceBytes: Int) throws {
        let messages: [[UInt8]] = [[], [1], Array(repeating: 2, count: 300), [], [3, 4, 5]]
        let bytes = stream(messages)
        var splitter = PeerMessageSplitter()
        var received: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            received += try receive(
                &splitter, bytes[start..<min(start + pieceBytes, bytes.count)])
        }
        #expect(received == messages)
    }

    @Test func strangerIsRefusedByItsFirstBytes() {
        var splitter = PeerMessageSplitter()
        #expect(throws: MalformedBytes.self) {
            try receive(&splitter, Array("GET / HTTP/1.1\r\n".utf8))
        }
    }

    @Test func hugeLengthIsRefusedBeforeItsBytesArrive() {
        var splitter = PeerMessageSplitter()
        #expect(throws: MalformedBytes.self) {
            try receive(&splitter, PeerWire.preface + [255, 255, 255, 255])
        }
    }
}
