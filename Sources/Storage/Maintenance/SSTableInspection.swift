// An SSTable for a person: what it is, its partitions with their sizes, and its content in the shape of
// Cassandra's sstabledump. It reads the file of a stopped or running node and changes nothing.

internal import Encoding
package import Environment
package import Model

/// Looks into one SSTable.
package struct SSTableInspection {
    private let metadata: SSTableMetadata
    private let files: any FileSystem

    /// Reads the tail; throws what is damaged, with file and offset.
    package init(_ file: FileName, _ files: any FileSystem) throws(StorageError) {
        metadata = try SSTableMetadata.load(file, from: files)
        self.files = files
    }

    /// The figures of the file.
    package var summary: AdminValue {
        let statistics = metadata.statistics
        let plain = Double(statistics.plainBytes)
        let isEmpty = statistics.minimumTimestamp > statistics.maximumTimestamp
        return [
            "file": .text(metadata.file.text), "bytes": .count(metadata.bytes),
            "identity": .text(String(metadata.identity, radix: 16)),
            "blocks": .count(metadata.blocks.count), "partitions": .count(statistics.partitions),
            "rows": .count(statistics.rows), "tombstones": .count(statistics.tombstones),
            "uncompressed_bytes": .count(statistics.plainBytes),
            "compression_ratio": plain > 0 ? .number(Double(metadata.bytes) / plain) : .null,
            "first_token": .text(String(statistics.minimumToken)),
            "last_token": .text(String(statistics.maximumToken)),
            "minimum_timestamp": isEmpty ? .null : .integer(statistics.minimumTimestamp),
            "maximum_timestamp": isEmpty ? .null : .integer(statistics.maximumTimestamp),
            "minimum_local_deletion_time": statistics.maximumLocalDeletionTime == 0
                ? .null : .integer(Int64(statistics.minimumLocalDeletionTime)),
            "maximum_local_deletion_time": statistics.maximumLocalDeletionTime == 0
                ? .null : .integer(Int64(statistics.maximumLocalDeletionTime)),
            "filter_bytes": .count(metadata.filter.byteCount),
        ]
    }

    /// Every block held against its checksum, its index and its order.
    package func verify() throws(DiskFailure) -> MaintenanceReport {
        let job = VerifyJob(title: "verify", metadata)
        while case .more = try job.step(files, budgetBytes: 1 << 20) {}
        return job.report
    }

    /// The largest partitions, by the bytes of their rows, largest first.
    package func largestPartitions(
        _ count: Int, of table: TableSchema?
    ) throws(StorageError) -> [AdminValue] {
        var found: [(bytes: Int, rows: Int, token: Int64, key: [UInt8])] = []
        try walk { (scan) throws(StorageError) in
            var bytes = scan.staticRow.count
            var rows = 0
            while scan.rows.state == .row {
                bytes += scan.rows.key.count + scan.rows.row.count
                rows += 1
                try scan.rows.advance()
            }
            found.append((bytes, rows, scan.token, [UInt8](scan.key)))
            if found.count > max(1, count) * 8 {
                found.sort { $0.bytes > $1.bytes }
                found.removeSubrange(count...)
            }
        }
        found.sort { $0.bytes > $1.bytes }
        return found.prefix(count).map { entry in
            [
                "key": InspectedKey.value(entry.key, table), "token": .text(String(entry.token)),
                "bytes": .count(entry.bytes), "rows": .count(entry.rows),
            ]
        }
    }

    /// Hands every partition to `body`, in the shape of sstabledump. With `key` only that one.
    package func dump(
        _ table: TableSchema?, key: [UInt8]? = nil, keysOnly: Bool = false,
        _ body: (AdminValue) -> Void
    ) throws(StorageError) {
        try walk { (scan) throws(StorageError) in
            if let key, !key.withUnsafeBytes({ equalBytes($0, scan.key) }) {
                while scan.rows.state == .row { try scan.rows.advance() }
                return
            }
            var partition: [AdminField] = [
                AdminField("key", InspectedKey.value([UInt8](scan.key), table)),
                AdminField("token", .text(String(scan.token))),
            ]
            if !scan.deletion.isNone {
                partition.append(AdminField("deletion_info", InspectedRow.value(scan.deletion)))
            }
            var rows: [AdminValue] = []
            do throws(MalformedBytes) {
                if !scan.staticRow.isEmpty {
                    rows.append(
                        try InspectedRow.value(try RowView(scan.staticRow), key: nil, table))
                }
                while scan.rows.state == .row {
                    if !keysOnly {
                        rows.append(
                            try InspectedRow.value(
                                try RowView(scan.rows.row), key: [UInt8](scan.rows.key), table))
                    }
                    do throws(StorageError) { try scan.rows.advance() } catch {
                        throw MalformedBytes("\(error)", offset: 0)
                    }
                }
            } catch {
                throw .corruption(
                    CorruptionError(file: metadata.file, offset: 0, detail: error.reason))
            }
            for range in scan.rows.ranges where !keysOnly {
                rows.append([
                    "type": "range_tombstone_bound",
                    "start": InspectedRow.clustering(range.start, table),
                    "end": InspectedRow.clustering(range.end, table),
                    "deletion_info": InspectedRow.value(range.deletion),
                ])
            }
            var value: [AdminField] = [
                AdminField("table kind", "REGULAR"), AdminField("partition", .map(partition)),
            ]
            if !keysOnly { value.append(AdminField("rows", .list(rows))) }
            body(.map(value))
        }
    }

    private func walk(
        _ body: (SSTableScan) throws(StorageError) -> Void
    ) throws(StorageError) {
        let scan = SSTableScan(metadata, slice: .min ... .max)
        scan.setFiles(files)
        try scan.nextPartition(files)
        while !scan.isAtEnd {
            try body(scan)
            try scan.nextPartition(files)
        }
    }
}

/// Partition keys for a person.
enum InspectedKey {
    static func value(_ key: [UInt8], _ table: TableSchema?) -> AdminValue {
        guard let table else { return .list([.text(hex(key))]) }
        return key.withUnsafeBytes { raw in
            do throws(MalformedBytes) {
                let ranges = try PartitionKey.components(of: raw, count: table.partitionKey.count)
                return .list(
                    zip(table.partitionKey, ranges).map { column, range in
                        let part = UnsafeRawBufferPointer(
                            rebasing: raw[range.offset..<range.offset + range.count])
                        return .text(column.type.display(part))
                    })
            } catch {
                return .list([.text(hex(key))])
            }
        }
    }

    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        var text = "0x"
        for byte in bytes { text += (byte < 16 ? "0" : "") + String(byte, radix: 16) }
        return text
    }
}

/// Rows for a person.
enum InspectedRow {
    static func value(_ deletion: Deletion) -> AdminValue {
        [
            "marked_deleted": .integer(deletion.timestamp),
            "local_delete_time": .integer(Int64(deletion.localDeletionTime)),
        ]
    }

    /// The clustering values; the bytes where they are a bound or the schema is not known.
    static func clustering(_ key: [UInt8], _ table: TableSchema?) -> AdminValue {
        guard let table else { return .list([.text(InspectedKey.hex(key))]) }
        return key.withUnsafeBytes { raw in
            do throws(MalformedBytes) {
                let values = try ClusteringKey.decode(raw, columns: table.clustering)
                return .list(
                    zip(table.clustering, values).map { column, value in
                        value.map { .text($0.withUnsafeBytes(column.type.display)) } ?? .null
                    })
            } catch {
                return .list([.text(InspectedKey.hex(key))])
            }
        }
    }

    /// `key` is nil for a static row.
    static func value(
        _ row: RowView, key: [UInt8]?, _ table: TableSchema?
    ) throws(MalformedBytes) -> AdminValue {
        var fields = [AdminField("type", key == nil ? "static_block" : "row")]
        if let key, table?.clustering.isEmpty != true {
            fields.append(AdminField("clustering", clustering(key, table)))
        }
        if !row.liveness.isNone {
            var info = [AdminField("tstamp", .integer(row.liveness.timestamp))]
            if row.liveness.isExpiring {
                info.append(AdminField("ttl", .integer(Int64(row.liveness.timeToLive))))
                info.append(AdminField("expires_at", .integer(Int64(row.liveness.expiresAt))))
            }
            fields.append(AdminField("liveness_info", .map(info)))
        }
        if !row.deletion.isNone { fields.append(AdminField("deletion_info", value(row.deletion))) }
        var cells: [AdminValue] = []
        var cursor = row.cells
        while let cell = try cursor.next() { cells.append(value(cell, table)) }
        fields.append(AdminField("cells", .list(cells)))
        return .map(fields)
    }

    private static func value(_ cell: Cell, _ table: TableSchema?) -> AdminValue {
        let column = table?.allColumns.first { $0.id.value == cell.column }
        let name = column?.name ?? "column \(cell.column)"
        var fields = [AdminField("name", .text(name))]
        if cell.isComplexDeletion {
            fields.append(
                AdminField(
                    "deletion_info",
                    value(
                        Deletion(
                            timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime))))
            return .map(fields)
        }
        if !cell.path.isEmpty {
            fields.append(AdminField("path", .list([.text(InspectedKey.hex(cell.path))])))
        }
        if cell.isTombstone {
            fields.append(
                AdminField(
                    "deletion_info",
                    ["local_delete_time": .integer(Int64(cell.localDeletionTime))]))
        } else if let column, cell.path.isEmpty, !column.type.isMultiCell, column.type != .counter {
            fields.append(AdminField("value", .text(column.type.display(cell.value))))
        } else {
            fields.append(AdminField("value", .text(InspectedKey.hex(cell.value))))
        }
        fields.append(AdminField("tstamp", .integer(cell.timestamp)))
        if cell.flags.contains(.expiring) {
            fields.append(AdminField("ttl", .integer(Int64(cell.timeToLive))))
            fields.append(AdminField("expires_at", .integer(Int64(cell.localDeletionTime))))
        }
        return .map(fields)
    }
}
