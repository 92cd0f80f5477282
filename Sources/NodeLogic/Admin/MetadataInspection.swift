// A node's metadata for a person: who it is, the agreed log, and the schema that it folds to.

internal import Encoding
package import Environment
package import Model
internal import Topology

/// What the metadata of a stopped or running node says.
package struct MetadataInspection {
    private let image: MetadataImage
    private let view: ClusterView

    /// Throws what cannot be read.
    package init(_ image: MetadataImage) throws(ShardStartFailure) {
        self.image = image
        view = try ClusterView(loading: image, host: HostID(.zero))
    }

    /// The schema at the newest epoch, system tables that are stored included.
    package var schema: SchemaSnapshot { view.schema }

    package var summary: AdminValue {
        [
            "local": .map(
                image.local.sorted { $0.key < $1.key }.map { AdminField($0.key, .text($0.value)) }),
            "cluster": .text(view.name), "epoch": .integer(Int64(view.epoch)),
            "schema_version": .text(view.schema.version.description),
            "log": .list(
                image.log.map { record in
                    [
                        "epoch": .integer(Int64(record.epoch)), "summary": .text(record.summary),
                        "bytes": .count(record.body.count),
                    ]
                }),
            "nodes": .list(
                view.topology.nodes.map { node in
                    [
                        "host_id": .text(node.hostID.description),
                        "client_address": .text(node.clientAddress.description),
                        "peer_address": .text(node.peerAddress.description),
                        "datacenter": .text(node.datacenter), "rack": .text(node.rack),
                        "tokens": .count(node.tokens.count),
                    ]
                }),
            "tables": .list(
                view.schema.keyspaces.flatMap(\.tables).map { table in
                    [
                        "id": .text(table.id.description), "keyspace": .text(table.keyspace),
                        "name": .text(table.name),
                    ]
                }),
            "truncations": .list(
                image.truncations.sorted {
                    ($0.key.table, $0.key.shard) < ($1.key.table, $1.key.shard)
                }.map { key, truncation in
                    [
                        "table": .text(key.table.description), "shard": .count(key.shard),
                        "at": .integer(truncation.microseconds),
                        "position": .text(truncation.position),
                    ]
                }),
        ]
    }
}
