// A mutation: changes of one partition of one table, as bytes. The very same bytes go into the commit
// log, to the replicas, into hints and, row by row, into the memtable.
//
//     mutation := table 16 bytes | token i64 | key length varint, partition key | partition

package import Encoding

/// A mutation's bytes with the header read. A view: valid while the bytes are.
package struct MutationView {
    package let bytes: UnsafeRawBufferPointer
    package let table: TableID
    package let token: Int64
    /// The serialized partition key.
    package let key: UnsafeRawBufferPointer
    /// To be read by `PartitionView`.
    package let partition: UnsafeRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        table = TableID(try reader.readUniqueID())
        token = try reader.readLittleEndian(Int64.self)
        key = try reader.readLengthPrefixed()
        partition = try reader.readBytes(reader.remaining)
        self.bytes = bytes
        guard !partition.isEmpty else {
            throw MalformedBytes("mutation without a partition", offset: bytes.count)
        }
    }

    /// A mutation that was just written, by its parts: `key` lies inside of `bytes`, and the partition behind it.
    package init(
        table: TableID, token: Int64, key: UnsafeRawBufferPointer, of bytes: UnsafeRawBufferPointer
    ) {
        self.bytes = bytes
        self.table = table
        self.token = token
        self.key = key
        guard let start = bytes.baseAddress, let keyStart = key.baseAddress else {
            preconditionFailure("a mutation without bytes")
        }
        let head = keyStart - start + key.count
        precondition(head > 0 && head < bytes.count, "a mutation without a partition")
        partition = UnsafeRawBufferPointer(start: start + head, count: bytes.count - head)
    }

    /// Reads everything once: throws unless all is well-formed.
    package func validate() throws(MalformedBytes) {
        try PartitionView(partition).validate()
    }
}

/// Writes the header of a mutation; the partition follows by `PartitionWriter`.
package enum MutationWriter {
    package static func begin(
        table: TableID, token: Int64, key: UnsafeRawBufferPointer, into writer: ByteWriter
    ) {
        writer.append(table.value)
        writer.appendLittleEndian(token)
        writer.appendLengthPrefixed(key)
    }
}
