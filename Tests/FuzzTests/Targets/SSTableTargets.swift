// The parts of an SSTable.

import Encoding
import Environment
import Model

@testable import Storage

enum SSTableTargets {
    /// Index, filter and statistics with a sound footer.
    @Sendable static func tail(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let isRaw = input.byte() & 15 == 15
        let filterBytes = input.short()
        let statisticsBytes = input.short()
        let blocksBytes = 16 + input.short()
        let sections = input.rest()
        let name = FileName("g1s0-sst-1.db")
        let file = ByteWriter()
        file.appendZeros(blocksBytes)
        file.append(sections)
        if !isRaw {
            let filter = min(filterBytes, sections.count)
            let statistics = min(statisticsBytes, sections.count - filter)
            appendFooter(
                base: blocksBytes, index: sections.count - filter - statistics, filter: filter,
                statistics: statistics, identity: 77, to: file)
        }
        attempt {
            let metadata = try SSTableMetadata.load(name, from: FuzzFiles([name: file.array]))
            for token in [Int64.min, -1, 0, 12_345, .max] {
                _ = metadata.mayContain(token)
                for block in metadata.blocks.candidates(token) {
                    let start = metadata.blocks.startBlock(block)
                    let last = metadata.blocks.lastBlock(ofPartitionFrom: start, token: token)
                    precondition(start <= block && last >= start)
                }
                precondition(
                    metadata.blocks.firstBlock(endingAtOrAfter: token) <= metadata.blocks.count)
            }
            _ = metadata.mayOverlap([ClusteringSlice(lower: [1], upper: [2])])
        }
    }

    /// As the writer makes it (docs/formats/sstable.md).
    private static func appendFooter(
        base: Int, index: Int, filter: Int, statistics: Int, identity: UInt64, to file: ByteWriter
    ) {
        let sections = ByteRange(offset: base, count: index + filter + statistics)
        let crc = CRC32C.checksum(
            file[sections], seed: SSTableMetadata.seed(identity: identity, offset: base))
        let footer = file.count
        for value in [base, index, filter, statistics] { file.appendLittleEndian(UInt64(value)) }
        file.appendLittleEndian(identity)
        file.append(LogTargets.table.value)
        file.appendLittleEndian(crc)
        file.appendLittleEndian(SSTableMetadata.formatVersion)
        file.appendLittleEndian(CRC32C.checksum(file[ByteRange(offset: footer, count: 64)]))
        file.appendLittleEndian(SSTableMetadata.magic)
    }

    /// One block with a sound checksum, plain or compressed, and all that a read does with it.
    @Sendable static func block(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let method = input.byte() & 3
        let lengthBytes = input.short() | Int(input.byte() & 1) << 16
        let payload = input.rest()
        let stored = ByteWriter()
        stored.append(method)
        stored.appendLittleEndian(UInt32(method == 0 ? payload.count : lengthBytes))
        stored.append(payload)
        let entry = BlockEntry(
            firstToken: .min, lastToken: .max, offset: 16, length: stored.count + 4, startBlock: 0)
        var blocks = BlockIndex()
        blocks.append(entry)
        let metadata = SSTableMetadata(
            file: FileName("g1s0-sst-1.db"), identity: 77, table: LogTargets.table,
            blocks: blocks,
            filter: BloomFilter(count: 0, falsePositiveChance: 1), statistics: SSTableStatistics(),
            bytes: stored.count)
        stored.appendLittleEndian(
            CRC32C.checksum(
                stored.bytes, seed: SSTableMetadata.seed(identity: 77, offset: entry.offset)))
        attempt {
            let block = try Block.decode(stored.bytes, entry, metadata)
            walk(block)
        }
    }

    private static func walk(_ block: Block) {
        let cursor = FragmentCursor()
        for index in 0..<block.count {
            attempt {
                let fragment = try block.fragment(index)
                _ = try block.view.find(
                    token: block.token(index), key: fragment.key,
                    span: (block.token(0), block.token(block.count - 1)))
                for bound in [nil, [0x40, 0, 9], fragment.key.map { $0 }] as [[UInt8]?] {
                    try cursor.seekForward(fragment, bound)
                    while !cursor.isAtEnd {
                        _ = try? RowView(cursor.row).validate()
                        try cursor.next()
                    }
                    try cursor.seekBackward(fragment, bound)
                    while !cursor.isAtEnd { try cursor.previous() }
                }
            }
        }
    }
}
