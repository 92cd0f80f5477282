// What a node reads at its start: the commit log, the manifest, hints.

import Encoding
import Environment
import Model

@testable import Storage

enum LogTargets {
    static let table = TableID(UniqueID(high: 0x1234, low: 0x5678))
    static let clock = ClockReading(
        monotonic: Instant(nanoseconds: 0), wall: WallTime(microseconds: 1_000_000_000))

    static let schema: SchemaSnapshot = {
        let columns = [
            ColumnSchema(
                id: ColumnID(0), name: "k", type: .blob, kind: .partitionKey(position: 0)),
            ColumnSchema(
                id: ColumnID(1), name: "c", type: .blob,
                kind: .clustering(position: 0, order: .ascending)),
            ColumnSchema(id: ColumnID(2), name: "s", type: .blob, kind: .static),
            ColumnSchema(id: ColumnID(3), name: "v", type: .blob, kind: .regular),
        ]
        let schema = TableSchema(
            id: table, keyspace: "ks", name: "t", columns: columns, options: TableOptions(),
            nextColumnID: 10)
        return SchemaSnapshot(
            epoch: 1, version: UniqueID(high: 1, low: 1),
            keyspaces: [
                KeyspaceSchema(
                    name: "ks",
                    replication: ReplicationParameters(
                        strategyClass: "SimpleStrategy", options: [:]), tables: [schema])
            ])
    }()

    /// Bytes where records belong: reading one, and searching behind a bad place.
    @Sendable static func record(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let seed = UInt32(input.byte()) &* 0x0101_0101
        let offset = Int(input.byte())
        let framed = ByteWriter()
        // Some of the records are sound.
        while !input.isAtEnd {
            let kind = input.byte()
            let body = input.take(Int(input.byte()))
            if kind & 1 == 0 {
                LogRecord.append(
                    body,
                    synced: LogPosition(
                        segment: UInt32(kind >> 4), offset: UInt32(kind) << 5), seed: seed,
                    into: framed)
            } else {
                framed.append(body)
            }
        }
        var position = min(offset, framed.count)
        reading: while true {
            switch LogRecord.read(framed.bytes, at: position, seed: seed) {
            case .record(let body, _, let next):
                precondition(body.count > 0 && next > position && next <= framed.count)
                position = next
            case .end(_, let next):
                precondition(next > position && next <= framed.count)
                position = next
            case .nothing: break reading
            }
        }
        let behind = LogRecord.searchBehind(framed.bytes, from: position, segment: 3, seed: seed)
        precondition(behind.count >= 0)
    }

    /// A segment whose frames are sound and whose mutations are the input's: a whole start of an engine.
    @Sendable static func segment(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let prefix = "g1s0-"
        let identity = CommitLog.identity(prefix, 3, Incarnation(1))
        let seed = CommitLog.seed(identity)
        let file = ByteWriter()
        file.append(CommitLog.header(number: 3, identity: identity))
        while !input.isAtEnd {
            let kind = input.byte()
            let body = input.take(input.short())
            switch kind & 7 {
            case 7: file.append(body)
            default:
                let mutation = ByteWriter()
                // Most mutations are of a table that is there.
                if kind & 7 != 6 { mutation.append(table.value) }
                mutation.append(body)
                LogRecord.append(
                    mutation.bytes,
                    synced: kind & 8 == 0
                        ? .zero : LogPosition(segment: 3, offset: UInt32(input.short())),
                    seed: seed, into: file)
            }
        }
        let files = FuzzFiles([CommitLog.fileName(prefix, 3): file.array])
        attempt {
            let engine = try open(files, prefix)
            try read(engine, files)
        }
    }

    /// A manifest whose record is sound and whose edits are the input's.
    @Sendable static func manifest(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let prefix = "g1s0-"
        let name = ManifestFile.name(prefix, 1 + UInt64(input.byte() & 3))
        let seed = CommitLog.seed(ManifestFile.identity(name))
        let file = ByteWriter()
        file.append(ManifestFile.header(name))
        while !input.isAtEnd {
            let kind = input.byte()
            let body = input.take(input.short())
            if kind & 7 == 7 {
                file.append(body)
            } else {
                LogRecord.append(body, synced: .zero, seed: seed, into: file)
            }
        }
        let files = FuzzFiles([name: file.array])
        attempt { _ = try ManifestFile.load(name, from: files)?.checkpoint }
        attempt { _ = try open(files, prefix) }
    }

    /// A hints file with sound checksums around the input's records.
    @Sendable static func hints(_ bytes: UnsafeRawBufferPointer) {
        var input = FuzzInput(bytes)
        let host = UniqueID(high: 7, low: 9)
        let name = FileName("g1s0-hints-\(host)-1.hint")
        let file = ByteWriter()
        let maximum = 1 + Int(input.byte() & 15)
        if maximum & 7 != 7 {
            // An honest header: "CTHN", version 1, number 1.
            for word in [0x4E48_5443, 1, 1, 0] as [UInt32] { file.appendLittleEndian(word) }
            file.appendLittleEndian(CRC32C.checksum(file.bytes))
            file.appendLittleEndian(UInt32(0))
        }
        while !input.isAtEnd {
            let kind = input.byte()
            let body = input.take(input.short())
            if kind & 7 != 7 {
                file.appendLittleEndian(UInt32(body.count))
                file.appendLittleEndian(CRC32C.checksum(body, seed: 1))
            }
            file.append(body)
        }
        let files = FuzzFiles([name: file.array])
        attempt {
            let store = try HintStore.open(
                HintStoreStart(
                    prefix: "g1s0-", maximumBytesPerHost: 1 << 20,
                    effectIDs: EffectIDs(incarnation: Incarnation(1))), files: files, clock: clock)
            let outbox = Outbox()
            for _ in 0..<64 {
                let batch = store.nextBatch(
                    HostID(host), maximum: maximum, clock: clock, outbox: outbox)
                precondition(batch.count <= maximum)
                if !batch.isEmpty { _ = store.batchDelivered(HostID(host), outbox: outbox) }
                let effects = outbox.effects
                outbox.removeAll()
                if effects.isEmpty, batch.isEmpty { break }
                for effect in effects {
                    guard case .readBlock(let id, let file, let offset, let count) = effect else {
                        continue
                    }
                    let block = ByteWriter()
                    try files.read(file, at: offset, count: count, into: block)
                    _ = try store.receive(
                        .blockRead(id, .bytes(block.array)), clock: clock, outbox: outbox)
                }
            }
        }
    }

    /// Opens an engine over the files.
    static func open(_ files: FuzzFiles, _ prefix: String) throws -> StorageEngine {
        var configuration = Configuration.Storage()
        configuration.memtableBytes = 20_000
        configuration.commitLogSegmentBytes = 1 << 16
        configuration.blockCacheBytes = 1 << 16
        configuration.blockBytes = 300
        return try StorageEngine.open(
            StorageStart(
                configuration: configuration, prefix: prefix, slice: .min ... .max, schema: schema,
                incarnation: Incarnation(2), truncations: [:],
                effectIDs: EffectIDs(incarnation: Incarnation(2))), files: files, clock: clock)
    }

    /// Reads everything, forwards and backwards.
    static func read(_ engine: StorageEngine, _ files: FuzzFiles) throws {
        for reversed in [false, true] {
            let outbox = Outbox()
            let writer = ByteWriter()
            var status = try engine.read(
                ReadCommand(
                    table: table, scope: .range(ReadCommand.TokenScope(start: .min, end: .max)),
                    reversed: reversed, nowInSeconds: 1_000), tag: 1, clock: clock, outbox: outbox,
                into: writer)
            while status == .parked {
                let effects = outbox.effects
                outbox.removeAll()
                for effect in effects {
                    guard case .readBlock(let id, let file, let offset, let count) = effect else {
                        continue
                    }
                    let block = ByteWriter()
                    try files.read(file, at: offset, count: count, into: block)
                    try engine.receive(
                        .blockRead(id, .bytes(block.array)), clock: clock, outbox: outbox)
                }
                if let ended = engine.completedReads.popLast() {
                    writer.append(try ended.result.get())
                    status = .done
                }
            }
            let view = try ReadResultView(writer.bytes)
            var partitions = view.partitions
            while let partition = try partitions.next() {
                try PartitionView(partition.partition).validate(reversed: reversed)
            }
        }
    }
}
