// What a table holds before anything is merged, as a table itself: SELECT ... FROM MUTATION_FRAGMENTS(t)
// of Scylla's CQL. Each memtable and each SSTable that has a partition shows its own stream of fragments:
//
//     partition start | [static row] | (clustering row | range tombstone change)* | partition end
//
//     PRIMARY KEY ((t's partition key), mutation_source, partition_region, t's clustering columns,
//                  position_weight)
//     metadata, mutation_fragment_kind, value text
//
// The rows are ordinary ones of that schema, so that relations, limits, pages and aggregates work on them.
// Their keys are clustering keys, with two additions: a change that stands before or behind all rows with a
// prefix of t's clustering columns has a mark of its own after that prefix, which no key of a table has. Its
// values, with nulls for what the prefix lacks, travel beside the key.
//
//     key = source region { mark value }... weight 38
//     key = source region { mark value }... 30 | 50 weight 38        change at a prefix
//
// Invariant: the order of the keys is the order in which the fragments come.

package import Encoding

/// The shape of mutation fragments.
package enum MutationFragments {
    /// The parts of a partition, in their order.
    package enum Region: UInt8, Sendable {
        case partitionStart = 0
        case staticRow = 1
        case clustered = 2
        case partitionEnd = 3
    }

    /// What a fragment is.
    package enum Kind: String, Sendable {
        case partitionStart = "partition start"
        case staticRow = "static row"
        case clusteringRow = "clustering row"
        case rangeTombstoneChange = "range tombstone change"
        case partitionEnd = "partition end"
    }

    /// The columns that hold the fragment, by rising id.
    package struct Columns: Equatable, Sendable {
        package let metadata: UInt32
        package let kind: UInt32
        package let value: UInt32
    }

    private static let added = [
        "mutation_source", "partition_region", "position_weight", "metadata",
        "mutation_fragment_kind", "value",
    ]

    /// The ids of the columns that are not part of the key.
    package static func columns(of table: TableSchema) -> Columns {
        let first = UInt32(table.partitionKey.count + table.clustering.count + 3)
        return Columns(metadata: first, kind: first + 1, value: first + 2)
    }

    /// The table of `table`'s fragments, under the same id.
    ///
    /// - Throws: `CQLError` if a key column has the name of a column that is added.
    package static func schema(of table: TableSchema) throws(CQLError) -> TableSchema {
        for column in table.partitionKey + table.clustering where added.contains(column.name) {
            throw .invalid(
                "SELECT FROM MUTATION_FRAGMENTS() has a column \(column.name) of its own, which is the "
                    + "name of a key column of \(table.keyspace).\(table.name)")
        }
        var columns: [ColumnSchema] = []
        func add(_ name: String, _ type: CQLType, _ kind: ColumnSchema.Kind) {
            columns.append(
                ColumnSchema(
                    id: ColumnID(UInt32(columns.count)), name: name, type: type, kind: kind))
        }
        for column in table.partitionKey { add(column.name, column.type, column.kind) }
        add("mutation_source", .text, .clustering(position: 0, order: .ascending))
        add("partition_region", .tinyint, .clustering(position: 1, order: .ascending))
        for (index, order) in table.clusteringOrders.enumerated() {
            let column = table.clustering[index]
            add(column.name, column.type, .clustering(position: index + 2, order: order))
        }
        add(
            "position_weight", .tinyint,
            .clustering(position: table.clustering.count + 2, order: .ascending))
        add("metadata", .text, .regular)
        add("mutation_fragment_kind", .text, .regular)
        add("value", .text, .regular)
        return TableSchema(
            id: table.id, keyspace: table.keyspace, name: table.name + "_$mutation_fragments",
            columns: columns, nextColumnID: UInt32(columns.count))
    }
}

/// Writes the keys of one source's fragments.
package struct MutationFragmentKeys {
    private let columns: [ColumnSchema]
    private let source: [UInt8]

    private enum Mark {
        static let before: UInt8 = 0x30
        static let behind: UInt8 = 0x50
    }

    /// `table` is the one that is looked into; `source` its memtable or file by name.
    package init(_ table: TableSchema, source: String) {
        columns = table.clustering
        self.source = Array(source.utf8)
    }

    /// Appends what the keys of one region begin with.
    package func appendPrefix(_ region: MutationFragments.Region, into writer: ByteWriter) {
        source.withUnsafeBytes {
            ClusteringKey.appendComponent($0, type: .text, order: .ascending, into: writer)
        }
        append(region.rawValue, into: writer)
    }

    private func append(_ byte: UInt8, into writer: ByteWriter) {
        withUnsafeBytes(of: byte) {
            ClusteringKey.appendComponent($0, type: .tinyint, order: .ascending, into: writer)
        }
    }

    private func appendEnd(weight: Int8, into writer: ByteWriter) {
        append(UInt8(bitPattern: weight), into: writer)
        ClusteringKey.appendTerminator(into: writer)
    }

    /// Appends the key of a fragment that has no place among the rows.
    package func appendEdge(_ region: MutationFragments.Region, into writer: ByteWriter) {
        appendPrefix(region, into: writer)
        for column in columns {
            ClusteringKey.appendComponent(
                nil, type: column.type, order: column.isDescending ? .descending : .ascending,
                into: writer)
        }
        ClusteringKey.appendComponent(nil, type: .tinyint, order: .ascending, into: writer)
        ClusteringKey.appendTerminator(into: writer)
    }

    /// Appends the key of a row. `original` are the row's clustering values as first written, or nothing;
    /// what has to travel beside the new key is appended to `values`.
    package func appendRow(
        _ key: UnsafeRawBufferPointer, original: UnsafeRawBufferPointer, into writer: ByteWriter,
        values: ByteWriter
    ) {
        appendPrefix(.clustered, into: writer)
        writer.append(UnsafeRawBufferPointer(rebasing: key.dropLast()))
        appendEnd(weight: 0, into: writer)
        guard !original.isEmpty else { return }
        appendHead(into: values)
        values.append(original)
        appendValue([0], into: values)
    }

    /// Appends the key of a change of the open range deletion at a clustering bound. What has to travel
    /// beside the key is appended to `values`.
    ///
    /// - Throws: `MalformedBytes` if these are not the bytes of a bound, or of a key.
    package func appendChange(
        at bound: UnsafeRawBufferPointer, into writer: ByteWriter, values: ByteWriter
    ) throws(MalformedBytes) {
        let decoded = ByteWriter()
        var ranges: [ByteRange] = []
        var reader = KeyReader(bound)
        while ranges.count < columns.count, reader.position < bound.count,
            !Self.isEnd(bound[reader.position])
        {
            let column = columns[ranges.count]
            try ClusteringKey.decodeComponent(
                &reader, column.type, column.isDescending, into: decoded, ranges: &ranges)
        }
        let length = reader.position
        let mark = try reader.readByte()
        guard Self.isEnd(mark) else {
            throw MalformedBytes("a bound does not end after its columns", offset: length)
        }
        // A stretch that was cut behind a row begins at its key with a zero.
        let isBehind = mark == ClusteringKey.Mark.above || !reader.isAtEnd
        appendPrefix(.clustered, into: writer)
        writer.append(UnsafeRawBufferPointer(rebasing: bound[..<length]))
        if ranges.count < columns.count { writer.append(isBehind ? Mark.behind : Mark.before) }
        appendEnd(weight: isBehind ? 1 : -1, into: writer)
        guard ranges.count < columns.count else { return }
        appendHead(into: values)
        for range in ranges {
            appendValue(range.count < 0 ? nil : [UInt8](decoded[range]), into: values)
        }
        for _ in ranges.count..<columns.count { appendValue(nil, into: values) }
        appendValue([UInt8(bitPattern: isBehind ? 1 : -1)], into: values)
    }

    private static func isEnd(_ byte: UInt8) -> Bool {
        byte == ClusteringKey.Mark.below || byte == ClusteringKey.Mark.above
            || byte == ClusteringKey.Mark.end
    }

    /// Source and region of what travels beside a key.
    private func appendHead(into values: ByteWriter) {
        appendValue(source, into: values)
        appendValue([MutationFragments.Region.clustered.rawValue], into: values)
    }

    private func appendValue(_ value: [UInt8]?, into values: ByteWriter) {
        values.appendLittleEndian(Int32(value?.count ?? -1))
        if let value { values.append(value) }
    }

    /// Where in the table's own rows the reading of a region begins for fragments from `lower` on; nil: at
    /// the first row. `prefix` is the region's.
    package func rowBound(
        for lower: UnsafeRawBufferPointer, prefix: UnsafeRawBufferPointer
    ) -> [UInt8]? {
        guard lower.count > prefix.count, lower.starts(with: prefix) else { return nil }
        let rest = UnsafeRawBufferPointer(rebasing: lower[prefix.count...])
        do throws(MalformedBytes) {
            let length = try ClusteringKey.prefixLength(
                of: rest, columns: columns, count: columns.count)
            return [UInt8](rest[..<length])
        } catch {
            // A bound with fewer columns: it lies among the rows' keys as it is.
            return [UInt8](rest)
        }
    }
}
