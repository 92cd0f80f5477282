// A manifest that was never completed is told from one that was damaged.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct ManifestTests {
    private let file = FileName("g1s0-manifest-7.log")
    private let entry = ManifestEntry(
        number: 17, table: testTable, position: LogPosition(segment: 3, offset: 4_096))

    private var checkpoint: [UInt8] {
        ManifestFile.header(file) + ManifestFile.record([.clear, .nextNumber(17)], file)
    }

    private var mark: [UInt8] { ManifestFile.mark(file) }

    private func load(_ bytes: [UInt8]) throws(StorageError) -> ManifestState? {
        let files = MemoryFiles()
        let inode = MemoryFiles.Inode()
        inode.bytes = bytes
        files.names[file] = inode
        return try ManifestFile.load(file, from: files)
    }

    /// Whatever bit changes, the state is the true one or the file is named.
    @Test func aFlippedBitIsReportedOrHarmless() throws {
        let bytes = checkpoint + mark + ManifestFile.record([.add(entry)], file) + mark
        let state = try #require(try load(bytes))
        #expect(state.entries == [17: entry])
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << (bit % 8)
            do throws(StorageError) {
                let found = try load(flipped)
                #expect(found == state, "bit \(bit)")
                #expect(bit / 8 >= bytes.count - mark.count, "bit \(bit) is not of the last mark")
            } catch .corruption(let error) {
                #expect(error.file == file)
            }
        }
    }

    /// The mark may be lost with the power; the checkpoint behind a bad header tells it from a torn file.
    @Test func aBadHeaderBeforeACheckpointIsReported() {
        for byte in 0..<ManifestFile.headerBytes {
            var flipped = checkpoint
            flipped[byte] ^= 0x10
            #expect(throws: StorageError.self, "byte \(byte)") { try load(flipped) }
        }
    }

    @Test func oneThatWasNeverCompletedIsNone() throws {
        for count in 0..<checkpoint.count {
            #expect(try load(Array(checkpoint[..<count])) == nil, "\(count) bytes")
        }
        // Sectors that never reached the disk.
        #expect(try load(Array(repeating: 0, count: checkpoint.count)) == nil)
    }
}
