// Mutations, partitions, rows and clustering keys: the bytes that lie in every file.

import Encoding
import Environment
import Model

enum RowTargets {
    private static let types: [CQLType] = [
        .int, .text, .blob, .decimal, .varint, .boolean, .double, .duration, .inet, .timeuuid,
        .date, .list(.int, frozen: true), .map(.text, .decimal, frozen: true),
        .tuple([.int, .text]), .vector(.int, dimensions: 3), .set(.varint, frozen: true),
    ]

    /// Two mutations: each is checked; sound ones are merged, and the merge must be sound.
    @Sendable static func row(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let first = input.take(input.short())
        let second = input.rest()
        attempt { try MutationView(first).validate() }
        attempt {
            let one = try PartitionView(first)
            try one.validate()
            let rule = PurgeRule(nowInSeconds: 1_000, gcBefore: 900)
            var cursor = one.rows
            while let (_, row) = try cursor.next() {
                let scratch = ByteWriter()
                let view = try RowView(row)
                _ = try RowPurge.inspect(view, rule)
                if try RowPurge.rewrite(view, rule, into: scratch) {
                    try RowView(scratch.bytes).validate()
                }
            }
            let other = try PartitionView(second)
            try other.validate()
            let there = ByteWriter()
            try PartitionMerge.merge([one, other], into: there)
            try sound(there)
            let back = ByteWriter()
            try PartitionMerge.merge([other, one], into: back)
            try sound(back)
            _ = try ReadCommandBytes.check(second)
        }
        attempt { try ReadCommandBytes.check(first) }
    }

    private static func sound(_ merged: ByteWriter) throws {
        do { try PartitionView(merged.bytes).validate() } catch {
            preconditionFailure("a merge of sound partitions is malformed: \(error)")
        }
    }

    /// A key of up to three columns of any type and order.
    @Sendable static func clusteringKey(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let count = 1 + Int(input.byte() % 3)
        let columns = (0..<count).map { index in
            let choice = input.byte()
            return ColumnSchema(
                id: ColumnID(UInt32(index)), name: "c\(index)",
                type: types[Int(choice >> 1) % types.count],
                kind: .clustering(
                    position: index, order: choice & 1 == 0 ? .ascending : .descending))
        }
        let key = input.rest()
        attempt {
            let values = try ClusteringKey.decode(key, columns: columns)
            precondition(values.count == count)
            let again = ByteWriter()
            for (column, value) in zip(columns, values) {
                guard case .clustering(_, let order) = column.kind else { continue }
                if let value {
                    value.withUnsafeBytes { raw in
                        ClusteringKey.appendComponent(
                            raw, type: column.type, order: order, into: again)
                    }
                } else {
                    ClusteringKey.appendComponent(
                        nil, type: column.type, order: order, into: again)
                }
            }
            ClusteringKey.appendTerminator(into: again)
        }
        for length in 0...count {
            attempt { _ = try ClusteringKey.prefixLength(of: key, columns: columns, count: length) }
        }
    }
}

enum ReadCommandBytes {
    /// A read command and a read result, as peers send them.
    static func check(_ bytes: UnsafeRawBufferPointer) throws {
        var reader = ByteReader(bytes)
        let command = try ReadCommand(from: &reader)
        let writer = ByteWriter()
        command.encode(into: writer)
        var again = ByteReader(writer.bytes)
        let decoded = try ReadCommand(from: &again)
        precondition(decoded == command, "a read command changes when it is encoded again")
    }
}
