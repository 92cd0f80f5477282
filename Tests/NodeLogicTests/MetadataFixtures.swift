// Schema and nodes that the metadata tests share.

import Encoding
import Environment
import Model
import NodeLogic
import Topology

func host(_ number: Int) -> HostID { HostID(UniqueID(high: 1, low: UInt64(number + 1))) }

func node(_ number: Int, tokens: [Int64]? = nil) -> NodeDescription {
    let byte = UInt8(number + 1)
    return NodeDescription(
        hostID: host(number),
        clientAddress: SocketAddress(address: [127, 0, 0, byte], port: 9042),
        peerAddress: SocketAddress(address: [127, 0, 0, byte], port: 7000),
        datacenter: "datacenter1", rack: "rack1",
        tokens: (tokens ?? [Int64(number) * 1_000, Int64(number) * 1_000 + 500]).map(Token.init),
        shardCount: 2)
}

func initialBatch(nodes: Int, voters: Int) throws -> MetadataBatch {
    try MetadataLog.initialise(
        clusterID: UniqueID(high: 9, low: 9), name: "Test", voters: (0..<voters).map(host),
        nodes: (0..<nodes).map { node($0) }, time: WallTime(microseconds: 1))
}

func keyspaceEdit(_ name: String, factor: String = "3") -> SchemaEdit {
    .putKeyspace(
        name: name,
        replication: ReplicationParameters(
            strategyClass: ReplicationStrategy.simpleClass,
            options: ["replication_factor": factor]), durableWrites: true)
}

func table(_ keyspace: String, _ name: String, id: UInt64 = 1, extra: Bool = false) -> TableSchema {
    var columns = [
        ColumnSchema(id: ColumnID(0), name: "k", type: .int, kind: .partitionKey(position: 0)),
        ColumnSchema(id: ColumnID(1), name: "k2", type: .text, kind: .partitionKey(position: 1)),
        ColumnSchema(
            id: ColumnID(2), name: "c", type: .timestamp,
            kind: .clustering(position: 0, order: .descending)),
        ColumnSchema(id: ColumnID(3), name: "s", type: .blob, kind: .static),
        ColumnSchema(
            id: ColumnID(4), name: "v", type: .map(.text, .list(.int, frozen: true), frozen: false),
            kind: .regular),
    ]
    if extra {
        columns.append(
            ColumnSchema(id: ColumnID(6), name: "w", type: .tuple([.int, .text]), kind: .regular))
    }
    var options = TableOptions()
    options.comment = "ünïcode"
    options.extensions = ["x": [1, 2]]
    options.gcGraceSeconds = 7
    return TableSchema(
        id: TableID(UniqueID(high: 5, low: id)), keyspace: keyspace, name: name, columns: columns,
        dropped: [
            DroppedColumn(
                column: ColumnSchema(
                    id: ColumnID(5), name: "gone", type: .int, kind: .regular), droppedAt: 77)
        ], options: options, nextColumnID: 7)
}

func entry(_ epoch: UInt64, _ change: MetadataChangeKind) -> MetadataEntry {
    MetadataEntry(
        epoch: epoch, id: UniqueID(high: 3, low: epoch), author: host(0),
        time: WallTime(microseconds: 5), change: change)
}

func initialEntry(nodes: Int = 3, voters: Int = 3) -> MetadataEntry {
    entry(
        0,
        .initialise(
            clusterID: UniqueID(high: 9, low: 9), name: "Test", voters: (0..<voters).map(host),
            nodes: (0..<nodes).map { node($0) }))
}
