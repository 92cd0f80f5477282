// The tail of an SSTable: written and read in pieces, and what is in memory meanwhile.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

extension SSTableWriter {
    /// Ends the file; all of its bytes that were not written away before.
    func finishWhole() -> (metadata: SSTableMetadata, bytes: [UInt8]) {
        var bytes: [UInt8] = []
        while true {
            let built = finish()
            bytes += output.array
            outputWritten()
            if let built { return (built, bytes) }
        }
    }
}

@Suite("The tail of an SSTable")
struct SSTableTailTests {
    private let nothing = UnsafeRawBufferPointer(start: nil, count: 0)

    private func writer() -> SSTableWriter {
        SSTableWriter(
            file: FileName("x"), identity: 1,
            layout: SSTableLayout(
                table: testTable, blockBytes: 64, compression: TableCompression(stored: [:]),
                falsePositiveChance: 0.001),
            expectedPartitions: 1)
    }

    /// Partitions without rows, some of which go on over several blocks.
    private func fill(_ writer: SSTableWriter, _ tokens: [Int64], every: Int) throws {
        let row = ByteWriter()
        var head = RowWriter()
        head.begin(
            liveness: Liveness(timestamp: 5), deletion: .none, baseTimestamp: 5, into: row)
        for (index, token) in tokens.enumerated() {
            try writer.beginPartition(
                token: token, key: nothing,
                deletion: Deletion(timestamp: 5, localDeletionTime: 5), staticRow: nothing)
            if index % every == 0 {
                for clustering in UInt8(0)..<8 {
                    try Array(repeating: clustering, count: 40).withBytes {
                        (key) throws(StorageError) in
                        if writer.wantsCut(before: key.count + row.count) {
                            try writer.cut(before: key, ranges: [])
                        }
                        try writer.addRow(key: key, row: row.bytes)
                    }
                }
            }
            try writer.endPartition(ranges: [])
        }
    }

    @Test(arguments: [1, 3_000, 60_000])
    func comesBackAsItWasWritten(partitions: Int) throws {
        var random = RandomStream(seed: 11, name: "tail")
        let tokens = (0..<partitions).map { _ in Int64(bitPattern: random.next()) }.sorted()
        for every in [7, partitions + 1] {
            let writer = writer()
            try fill(writer, tokens, every: every)
            let blocksEnd = writer.output.count
            #expect(writer.memoryBytes > partitions * 8)
            var bytes: [UInt8] = []
            var built: SSTableMetadata?
            while built == nil {
                built = writer.finish()
                // The last block, which is open until now, and one entry may pass the limit.
                if !bytes.isEmpty { #expect(writer.output.count <= SSTableTail.pieceBytes + 200) }
                bytes += writer.output.array
                writer.outputWritten()
            }
            let metadata = try #require(built)
            #expect(metadata.bytes == bytes.count)
            #expect(writer.memoryBytes == 0)
            if partitions == 60_000 {
                #expect(bytes.count - blocksEnd > 3 * SSTableTail.pieceBytes)
            }
            let files = MemoryFiles()
            let inode = MemoryFiles.Inode()
            inode.bytes = bytes
            files.names[FileName("x")] = inode
            let loaded = try SSTableMetadata.load(FileName("x"), from: files)
            #expect(loaded.blocks == metadata.blocks)
            #expect(loaded.statistics == metadata.statistics)
            #expect(loaded.bytes == metadata.bytes)
            #expect(loaded.residentBytes == metadata.residentBytes)
            #expect(tokens.allSatisfy { loaded.filter.mayContain($0) })
            let wrong = (0..<20_000).count { _ in
                loaded.mayContain(Int64(bitPattern: random.next()))
            }
            #expect(wrong < 100, "\(wrong) of 20,000")
        }
    }

    @Test func eachDamagedByteIsFound() throws {
        let writer = writer()
        try fill(writer, Array(stride(from: -500, to: 500, by: 10)), every: 9)
        let start = writer.output.count
        let (metadata, bytes) = writer.finishWhole()
        #expect(metadata.blocks.count > 50)
        let files = MemoryFiles()
        let inode = MemoryFiles.Inode()
        files.names[FileName("x")] = inode
        for offset in stride(from: start + 100, to: bytes.count, by: 37) {
            inode.bytes = bytes
            inode.bytes[offset] ^= 0x10
            #expect(throws: StorageError.self) {
                try SSTableMetadata.load(FileName("x"), from: files)
            }
        }
    }

    @Test func aBlockThatBeginsInsideAPartitionKeepsItsBound() throws {
        var index = BlockIndex()
        for (block, start) in [0, 1, 1, 1, 4].enumerated() {
            index.append(
                BlockEntry(
                    firstToken: Int64(start), lastToken: Int64(start), offset: 16 + block * 100,
                    length: 100, startBlock: start),
                spanStart: start == block ? [] : [UInt8(block)])
        }
        #expect(index.map(\.startBlock) == [0, 1, 1, 1, 4])
        #expect(index.map(\.offset) == [16, 116, 216, 316, 416])
        #expect(index.compareSpanStart(0, to: [0]) < 0)
        #expect(index.compareSpanStart(2, to: [2]) == 0)
        #expect(index.compareSpanStart(3, to: [2]) > 0)
        #expect(index.compareSpanStart(3, to: [3, 0]) < 0)
        #expect(index.compareSpanStart(4, to: [0]) < 0)
        #expect(index.lastBlock(ofPartitionFrom: 1, token: 1) == 3)
        #expect(index.byteCount == 5 * 40 + 2)
    }
}
