// When two replicas' answers count as equal.

import Encoding
import Model
import Testing

@testable import Replication

@Suite struct ReadDigestTests {
    private func digest(_ bytes: [UInt8]) throws -> ReadDigest {
        try bytes.withUnsafeBytes { raw in
            try ReadDigest(of: ReadResultView(raw), purgeBefore: 0, scratch: ByteWriter())
        }
    }

    /// The same rows, but behind them one replica has more and the other has not.
    @Test func anAnswerThatStoppedAtALimitDiffersFromOneThatEnded() throws {
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        let partition = ByteWriter()
        PartitionWriter.begin(
            staticRow: UnsafeRawBufferPointer(start: nil, count: 0), into: partition)
        let key: [UInt8] = [1, 2, 3, 4]
        key.withUnsafeBytes { raw in
            ReadResultWriter.append(token: 7, key: raw, partition: partition.bytes, into: writer)
        }
        ReadResultWriter.finish(start: start, isExhausted: false, into: writer)
        let stopped = try digest(writer.array)
        ReadResultWriter.finish(start: start, isExhausted: true, into: writer)
        let ended = try digest(writer.array)
        #expect(stopped != ended)
        #expect(try digest(writer.array) == ended)
    }
}
