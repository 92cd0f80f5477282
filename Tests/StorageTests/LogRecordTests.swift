// The search for records behind a log's tail.

import Encoding
import Testing

@testable import Storage

struct LogRecordTests {
    /// A record as a former life of the segment wrote it: short numbers amid zeros, as in mutations.
    private func appendFormerRecord(_ number: UInt32, to writer: ByteWriter) {
        var body: [UInt8] = [1, 4, 2, 3, 0, 0, 0]
        for _ in 0..<3 { body += [0, 0, 0, 0, UInt8(number % 7), UInt8(number >> 8 & 0x7F), 0, 0] }
        body += (0..<100).map { UInt8(truncatingIfNeeded: number &* 0x9E37 &+ $0 &* $0) }
        body.withUnsafeBytes {
            LogRecord.append(
                $0, synced: LogPosition(segment: 2, offset: number), seed: 1, into: writer)
        }
    }

    @Test func soundRecordsAreFoundBehindThoseOfAFormerLifeAndInTime() {
        let writer = ByteWriter()
        var number: UInt32 = 0
        while writer.count < 8 << 20 {
            appendFormerRecord(number, to: writer)
            number += 1
        }
        let synced = LogPosition(segment: 5, offset: 77)
        for length in [10, 5_000, 100_000] {
            [UInt8](repeating: 7, count: length).withUnsafeBytes {
                LogRecord.append($0, synced: synced, seed: 2, into: writer)
            }
        }
        // Quadratic, it takes a minute.
        let found = LogRecord.searchBehind(writer.bytes, from: 1, segment: 6, seed: 2)
        #expect(found.count == 3)
        #expect(found.synced == synced)
    }

    @Test(arguments: 0..<40)
    func aSoundRecordIsFoundBehindZerosAtEveryPlace(_ gap: Int) {
        let writer = ByteWriter()
        writer.appendZeros(100_000 + gap)
        let synced = LogPosition(segment: 3, offset: 9)
        [UInt8](repeating: 0, count: gap + 1).withUnsafeBytes {
            LogRecord.append($0, synced: synced, seed: 2, into: writer)
        }
        writer.appendZeros(50)
        let found = LogRecord.searchBehind(writer.bytes, from: 5, segment: 3, seed: 2)
        #expect(found.count == 1)
        #expect(found.synced == synced)
    }

    @Test(arguments: [UInt32(3), 255, 65_535, 65_536, 1 << 24])
    func aSoundRecordIsFoundBehindOtherBytesAtEveryPlace(_ segment: UInt32) {
        for gap in 0..<40 {
            for former in [UInt8(0), 1, 0xFF] {
                let writer = ByteWriter()
                for index in 0..<100 + gap { writer.append(index % 3 == 0 ? former : 0x5A) }
                let synced = LogPosition(segment: segment, offset: 9)
                [UInt8](1...3).withUnsafeBytes {
                    LogRecord.append($0, synced: synced, seed: 2, into: writer)
                }
                let found = LogRecord.searchBehind(
                    writer.bytes, from: 5, segment: segment, seed: 2)
                #expect(found.count == 1)
                #expect(found.synced == synced)
            }
        }
    }
}
