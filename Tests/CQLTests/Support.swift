// What the tests of this room share: a seeded random stream, a schema built by statements, and a dumb
// table that keeps merged partitions and answers reads.

import Encoding
import Model
import Testing

@testable import CQL

/// A seeded random stream for property tests.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

func syntaxError(_ text: String) -> CQLError { .syntax(text) }

/// A schema that statements change.
struct SchemaBench {
    var snapshot = SchemaSnapshot(epoch: 1, version: .zero, keyspaces: [])
    var datacenters: [String] = []
    private var tables: UInt64 = 0

    init(_ statements: String...) throws {
        for statement in statements { try apply(statement) }
    }

    static func withKeyspace(_ statements: String...) throws -> SchemaBench {
        var bench = try SchemaBench(
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        for statement in statements { try bench.apply(statement) }
        return bench
    }

    func plan(_ text: String, keyspace: String? = "ks") throws -> PreparedPlan {
        try Planner.plan(
            try Parser.parse(text), schema: snapshot, keyspace: keyspace, datacenters: datacenters)
    }

    @discardableResult
    mutating func apply(_ text: String, at timestamp: Int64 = 1_000) throws -> SchemaChangeEvent? {
        guard case .schemaChange(let change) = try plan(text).plan else { throw Unexpected() }
        tables += 1
        let outcome = try change.apply(
            to: snapshot, tableID: TableID(UniqueID(high: 1, low: tables)), timestamp: timestamp)
        var keyspaces = snapshot.keyspaces
        switch outcome.effect {
        case .nothing: return outcome.event
        case .put(let keyspace):
            keyspaces.removeAll { $0.name == keyspace.name }
            keyspaces.append(keyspace)
        case .dropKeyspace(let name): keyspaces.removeAll { $0.name == name }
        }
        snapshot = SchemaSnapshot(
            epoch: snapshot.epoch + 1, version: UniqueID(high: 0, low: snapshot.epoch),
            keyspaces: keyspaces)
        return outcome.event
    }

    /// The error of planning, or of applying a change.
    func failure(_ text: String, keyspace: String? = "ks") -> CQLError? {
        do {
            if case .schemaChange(let change) = try plan(text, keyspace: keyspace).plan {
                _ = try change.apply(
                    to: snapshot, tableID: TableID(UniqueID(high: 2, low: 1)), timestamp: 1)
            }
            return nil
        } catch let error as CQLError {
            return error
        } catch {
            return nil
        }
    }
}

/// Partitions of all tables, merged when they are written and read naively.
struct TinyStore {
    struct Key: Hashable {
        let table: TableID
        let token: Int64
        let key: [UInt8]
    }

    var partitions: [Key: [UInt8]] = [:]
    /// Stops answers early by chance, as a byte limit would.
    var random: SplitMix?

    mutating func apply(_ sink: MutationSink) throws {
        for entry in sink.entries {
            let mutation = try MutationView(sink[entry])
            try mutation.validate()
            #expect(mutation.table == entry.table && mutation.token == entry.token)
            #expect(Array(mutation.key) == Array(sink.bytes[entry.key]))
            let key = Key(table: mutation.table, token: mutation.token, key: Array(mutation.key))
            let old = partitions[key] ?? []
            let writer = ByteWriter()
            try old.withUnsafeBytes { raw in
                var sources = [try PartitionView(mutation.partition)]
                if !raw.isEmpty { sources.append(try PartitionView(raw)) }
                try PartitionMerge.merge(sources, into: writer)
            }
            partitions[key] = writer.array
        }
    }

    mutating func read(_ command: ReadCommand) throws -> [UInt8] {
        var keys = partitions.keys.filter { $0.table == command.table }
        var after: ReadCommand.Position?
        switch command.scope {
        case .partition(let token, let key):
            keys = keys.filter { $0.token == token && $0.key == key }
        case .range(let scope):
            keys = keys.filter { $0.token > scope.start && $0.token <= scope.end }
            after = scope.after
        }
        keys.sort {
            ($0.token, $0.key.map(Int.init)).0 < $1.token
                || ($0.token == $1.token && compareBytes($0.key, $1.key) < 0)
        }
        if let after {
            keys.removeAll { key in
                if key.token != after.token { return key.token < after.token }
                let order = compareBytes(key.key, after.key)
                return order < 0 || (order == 0 && after.clustering == nil)
            }
        }
        let writer = ByteWriter()
        let start = ReadResultWriter.begin(into: writer)
        var rowsLeft = command.rowLimit
        var isExhausted = true
        scan: for key in keys {
            guard rowsLeft > 0 else {
                isExhausted = false
                break
            }
            let bytes = partitions[key] ?? []
            let isResumed = after.map { $0.key == key.key && $0.token == key.token } ?? false
            let output = ByteWriter()
            var stopped = false
            try bytes.withUnsafeBytes { raw in
                let view = try PartitionView(raw)
                PartitionWriter.begin(
                    deletion: view.deletion, staticRow: view.staticRow, ranges: view.ranges,
                    into: output)
                var rows: [(key: [UInt8], row: [UInt8])] = []
                var cursor = view.rows
                while let (rowKey, row) = try cursor.next() {
                    rows.append((Array(rowKey), Array(row)))
                }
                if command.reversed { rows.reverse() }
                var inPartition = command.partitionRowLimit
                var live = 0
                for (rowKey, row) in rows {
                    if let slices = command.slices {
                        let isInside = slices.contains {
                            compareBytes($0.lower, rowKey) <= 0
                                && compareBytes(rowKey, $0.upper) < 0
                        }
                        guard isInside else { continue }
                    }
                    if isResumed, let seen = after?.clustering, compareBytes(rowKey, seen) <= 0 {
                        continue
                    }
                    if inPartition == 0 { break }
                    if rowsLeft == 0 {
                        stopped = true
                        break
                    }
                    let isLive = try row.withUnsafeBytes {
                        try RowView($0).isLive(nowInSeconds: command.nowInSeconds)
                    }
                    rowKey.withUnsafeBytes { k in
                        row.withUnsafeBytes {
                            PartitionWriter.append(key: k, row: $0, into: output)
                        }
                    }
                    if isLive {
                        rowsLeft -= 1
                        inPartition -= 1
                        live += 1
                    }
                    if random?.below(7) == 0 {
                        stopped = true
                        break
                    }
                }
                if live == 0, !view.staticRow.isEmpty, rowsLeft > 0 { rowsLeft -= 1 }
            }
            key.key.withUnsafeBytes { k in
                ReadResultWriter.append(
                    token: key.token, key: k, partition: output.bytes, into: writer)
            }
            if stopped {
                isExhausted = false
                break scan
            }
        }
        ReadResultWriter.finish(start: start, isExhausted: isExhausted, into: writer)
        return writer.array
    }
}

/// A schema with a store: runs statements and shows rows as text.
struct Bench {
    var schema: SchemaBench
    var store = TinyStore()
    var now: Int64 = 1_700_000_000
    private var clock: Int64 = 1_000_000
    /// What the client states as its writes' timestamp with its requests.
    var clientTimestamp: Int64?

    init(_ statements: String...) throws {
        schema = try SchemaBench.withKeyspace()
        for statement in statements { try run(statement) }
    }

    var context: ExecutionContext {
        ExecutionContext(
            timestamp: clientTimestamp ?? clock, clock: clock, nowInSeconds: now, random: (1, 2))
    }

    /// Runs a statement. A SELECT gives its rows, each value formatted; null is `null`.
    @discardableResult
    mutating func run(_ text: String, _ values: [[UInt8]?] = [], pageSize: Int? = nil) throws
        -> [String]
    {
        clock += 1
        let prepared = try schema.plan(text)
        switch prepared.plan {
        case .schemaChange:
            try schema.apply(text, at: clock)
            return []
        case .select(let plan):
            var rows: [String] = []
            var state: [UInt8]?
            repeat {
                let page = try self.page(plan, prepared, values, pageSize, state)
                rows += page.rows
                state = page.state
            } while state != nil
            return rows
        case .modification(let plan):
            let sink = MutationSink()
            let context = context
            try BoundValues.withValues(values) { bound in
                try prepared.check(valueCount: bound.count)
                try plan.build(bound, context, into: sink)
            }
            try store.apply(sink)
            return []
        case .batch(let plan):
            let sink = MutationSink()
            let context = context
            try BoundValues.withValues(values) { bound in
                try plan.build(bound, context, into: sink)
            }
            try store.apply(sink)
            return []
        default: throw Unexpected()
        }
    }

    mutating func page(
        _ plan: SelectPlan, _ prepared: PreparedPlan, _ values: [[UInt8]?], _ pageSize: Int?,
        _ state: [UInt8]?
    ) throws -> (rows: [String], state: [UInt8]?) {
        let context = context
        var store = store
        let result = try BoundValues.withValues(values) { bound in
            try prepared.check(valueCount: bound.count)
            let execution = try SelectExecution(
                plan, bound, context, pageSize: pageSize, pagingState: state)
            var rounds = 0
            while let command = try execution.nextCommand() {
                let writer = ByteWriter()
                command.encode(into: writer)
                var reader = ByteReader(writer.bytes)
                #expect(try ReadCommand(from: &reader) == command)
                let bytes = try store.read(command)
                try bytes.withUnsafeBytes { try execution.consume(try ReadResultView($0)) }
                rounds += 1
                guard rounds < 10_000 else { throw Unexpected() }
            }
            try execution.finish()
            if let pageSize { #expect(execution.rowCount <= pageSize) }
            if plan.isPoint, state == nil {
                #expect(try point(plan, bound, &store) == Array(execution.rows))
            }
            return (
                try show(Array(execution.rows), execution.rowCount, prepared.resultColumns),
                execution.pagingState
            )
        }
        self.store.random = store.random
        return result
    }
}

extension Bench {
    /// What a point select answers by its short way.
    private func point(
        _ plan: SelectPlan, _ bound: BoundValues, _ store: inout TinyStore
    ) throws -> [UInt8] {
        let row = PointRow()
        let place = try #require(plan.pointPlace(bound, row))
        let bytes = try store.read(
            ReadCommand(
                table: plan.table.id,
                scope: .partition(token: Token.of(place.key).value, key: Array(place.key)),
                slices: place.clustering.map { [ClusteringSlice(key: Array($0))] },
                nowInSeconds: now))
        let output = ByteWriter()
        try bytes.withUnsafeBytes {
            if try plan.takePoint(place, try ReadResultView($0), nowInSeconds: now, row) {
                plan.appendPoint(row, into: output)
            }
        }
        return output.array
    }
}

/// Rows of the native protocol as text, values separated by commas.
func show(_ bytes: [UInt8], _ rowCount: Int, _ columns: [ColumnSpecification]) throws -> [String] {
    try bytes.withUnsafeBytes { raw in
        var reader = ByteReader(raw)
        var rows: [String] = []
        for _ in 0..<rowCount {
            var parts: [String] = []
            for column in columns {
                let length = Int(try reader.readBigEndian(Int32.self))
                if length < 0 {
                    parts.append("null")
                } else {
                    parts.append(column.type.display(try reader.readBytes(length)))
                }
            }
            rows.append(parts.joined(separator: ","))
        }
        #expect(reader.isAtEnd)
        return rows
    }
}

func int(_ value: Int32) -> [UInt8] { SystemValue.bigEndian(value) }
func bigint(_ value: Int64) -> [UInt8] { SystemValue.bigEndian(value) }
func text(_ value: String) -> [UInt8] { Array(value.utf8) }
