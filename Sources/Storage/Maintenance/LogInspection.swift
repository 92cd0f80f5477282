// Manifest, commit log and hints for a person: what stands in them, and where what cannot be read
// begins. The files may belong to a running node: nothing is changed, and a torn end is no damage.

internal import Encoding
package import Environment
package import Model

/// Reads the logs of a node's folder.
package enum LogInspection {
    /// The beginning of a shard's file names, of a name of any kind; nil for other files.
    package static func prefix(of file: FileName) -> String? {
        guard let end = file.text.firstIndex(of: "-"), file.text.hasPrefix("g"),
            file.text.dropFirst().first?.isNumber == true
        else { return nil }
        return String(file.text[...end])
    }

    /// The number in an SSTable's name.
    package static func sstableNumber(of file: FileName) -> UInt64? {
        prefix(of: file).flatMap { StorageEngine.sstableNumber(file, $0) }
    }

    /// The table that the newest manifest of the file's shard says an SSTable belongs to.
    package static func table(
        of file: FileName, _ files: any FileSystem
    ) throws(StorageError) -> TableID? {
        guard let prefix = prefix(of: file), let number = StorageEngine.sstableNumber(file, prefix)
        else { return nil }
        let names = try storing { () throws(DiskFailure) in try files.list() }
        let newest = names.compactMap { name in
            ManifestFile.number(of: name, prefix: prefix).map { ($0, name) }
        }.sorted { $0.0 > $1.0 }
        for (_, name) in newest {
            if let state = try ManifestFile.load(name, from: files) {
                return state.entries[number]?.table
            }
        }
        return nil
    }

    /// What a manifest says.
    package static func manifest(
        _ file: FileName, _ files: any FileSystem
    ) throws(StorageError) -> AdminValue {
        guard let state = try ManifestFile.load(file, from: files) else {
            throw .corruption(
                CorruptionError(file: file, offset: 0, detail: "no sound header and checkpoint"))
        }
        let prefix = prefix(of: file) ?? ""
        return [
            "file": .text(file.text), "next_number": .integer(Int64(state.nextNumber)),
            "sstables": .list(
                state.entries.values.sorted { $0.number < $1.number }.map { entry in
                    [
                        "file": .text(StorageEngine.sstableName(prefix, entry.number).text),
                        "table": .text(entry.table.description),
                        "level": .count(Int(entry.level)),
                        "repaired_at": .integer(entry.repairedAt),
                        "position": .text(entry.position.description),
                    ]
                }),
            "flushed": .map(
                state.flushed.sorted { $0.key < $1.key }.map {
                    AdminField($0.key.description, .text($0.value.description))
                }),
        ]
    }

    /// The records of a commit log segment, one value each; returns where they end and why.
    package static func commitLog(
        _ file: FileName, _ files: any FileSystem, _ body: (AdminValue) -> Void
    ) throws(StorageError) -> AdminValue {
        let buffer = try load(file, files)
        let bytes = buffer.bytes
        let number: UInt32
        let seed: UInt32
        do throws(MalformedBytes) {
            var reader = ByteReader(bytes)
            let magic = try reader.readLittleEndian(UInt32.self)
            let version = try reader.readLittleEndian(UInt32.self)
            number = try reader.readLittleEndian(UInt32.self)
            try reader.skip(4)
            seed = CommitLog.seed(try reader.readLittleEndian(UInt64.self))
            let crc = try reader.readLittleEndian(UInt32.self)
            guard magic == CommitLog.magic,
                crc == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<24]))
            else { throw MalformedBytes("damaged segment header", offset: 0) }
            guard version == CommitLog.formatVersion else {
                throw MalformedBytes("format version \(version)", offset: 4)
            }
        } catch {
            throw .corruption(
                CorruptionError(file: file, offset: error.offset, detail: error.reason))
        }
        var offset = CommitLog.headerBytes
        var count = 0
        var isClosed = false
        reading: while true {
            switch LogRecord.read(bytes, at: offset, seed: seed) {
            case .nothing: break reading
            case .end:
                isClosed = true
                break reading
            case .record(let record, let synced, let next):
                body(mutation(record, at: offset, synced: synced))
                count += 1
                offset = next
            }
        }
        let behind =
            isClosed
            ? 0
            : LogRecord.searchBehind(bytes, from: offset + 1, segment: number, seed: seed).count
        return [
            "file": .text(file.text), "segment": .integer(Int64(number)), "records": .count(count),
            "end": .count(offset), "closed": .bool(isClosed),
            "sound_records_behind": .count(behind),
        ]
    }

    private static func load(
        _ file: FileName, _ files: any FileSystem
    ) throws(StorageError) -> ByteWriter {
        let buffer = ByteWriter(capacity: 1 << 16)
        try storing { () throws(DiskFailure) in
            try files.read(file, at: 0, count: try files.size(of: file), into: buffer)
        }
        return buffer
    }

    private static func mutation(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, synced: LogPosition?
    ) -> AdminValue {
        var fields = [
            AdminField("offset", .count(offset)), AdminField("bytes", .count(bytes.count)),
        ]
        if let synced { fields.append(AdminField("synced", .text(synced.description))) }
        do throws(MalformedBytes) {
            let view = try MutationView(bytes)
            try view.validate()
            fields.append(AdminField("table", .text(view.table.description)))
            fields.append(AdminField("token", .text(String(view.token))))
            fields.append(AdminField("key", .text(InspectedKey.hex(view.key))))
            var rows = 0
            var cursor = try PartitionView(view.partition).rows
            while try cursor.next() != nil { rows += 1 }
            fields.append(AdminField("rows", .count(rows)))
        } catch {
            fields.append(AdminField("malformed", .text(error.reason)))
        }
        return .map(fields)
    }

    /// The records of a file of hints, one value each; returns where the sound ones end.
    package static func hints(
        _ file: FileName, _ files: any FileSystem, _ body: (AdminValue) -> Void
    ) throws(StorageError) -> AdminValue {
        let buffer = try load(file, files)
        let bytes = buffer.bytes
        let number = file.text.dropLast(5).split(separator: "-").last.flatMap { UInt64($0) } ?? 0
        try HintStore.refuseNewer(file, size: bytes.count, files)
        guard bytes.starts(with: HintStore.header(number: number)) else {
            throw .corruption(CorruptionError(file: file, offset: 0, detail: "damaged header"))
        }
        var offset = HintStore.fileHeaderBytes
        var count = 0
        while bytes.count - offset >= 24 {
            let length = Int(
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            let crc = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
            guard length >= 16, length <= bytes.count - offset - 8 else { break }
            let record = UnsafeRawBufferPointer(
                rebasing: bytes[(offset + 8)..<(offset + 8 + length)])
            guard
                CRC32C.checksum(record, seed: UInt32(truncatingIfNeeded: number)) == crc
            else { break }
            let created = Int64(
                littleEndian: record.loadUnaligned(fromByteOffset: 0, as: Int64.self))
            let expires = Int64(
                littleEndian: record.loadUnaligned(fromByteOffset: 8, as: Int64.self))
            let times: AdminValue = [
                "created": .integer(created), "expires": .integer(expires),
            ]
            let hint = mutation(
                UnsafeRawBufferPointer(rebasing: record[16...]), at: offset, synced: nil)
            body(hint.joined(with: times))
            count += 1
            offset += 8 + length
        }
        return [
            "file": .text(file.text), "records": .count(count), "end": .count(offset),
            "unread_bytes": .count(bytes.count - offset),
        ]
    }
}
