// The rows of virtual tables, made of what all shards have told: each a map by column names.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import Storage
internal import Topology

extension Shard {
    /// The rows of a table.
    func viewRows(_ table: String, _ facts: AdminValue) -> [AdminValue] {
        switch table {
        case "system_views.batch_metrics":
            return facts.fields.map { field in
                let figures = HistogramFigures(field.value)
                return [
                    "name": .text(field.name), "max": .integer(Int64(clamping: figures.maximum)),
                    "p50th": .number(Double(figures.percentile(0.5))),
                    "p99th": .number(Double(figures.percentile(0.99))),
                    "p999th": .number(Double(figures.percentile(0.999))),
                ]
            }
        case "system_views.caches": return [cacheRow(facts)]
        case "system_views.cql_metrics": return statementRows(facts)
        case "system_views.internode_inbound", "system_views.internode_outbound":
            return trafficRows(facts, isInbound: table.hasSuffix("inbound"))
        case "system_views.pending_hints": return hintRows(facts)
        case "system_views.thread_pools": return facts.fields.map(poolRow)
        case "system_views.disk_usage": return sizeRows(facts) { $0["bytes"].integer }
        case "system_views.max_partition_size":
            return sizeRows(facts) {
                $0["largest_partition"].elements.map(\.integer).max() ?? 0
            }
        case "system_views.max_sstable_size":
            return sizeRows(facts) { $0["largest_sstable"].elements.map(\.integer).max() ?? 0 }
        case "system_views.rows_per_read", "system_views.tombstones_per_read":
            return histogramRows(facts)
        case "system.size_estimates": return estimateRows(facts, withTypes: false)
        case "system.table_estimates": return estimateRows(facts, withTypes: true)
        default:
            if RequestMeasure(view: table) != nil { return latencyRows(facts) }
            return facts.elements
        }
    }

    private func rounded(_ value: Double) -> AdminValue {
        .number((value * 1_000).rounded() / 1_000)
    }

    /// `keyspace.table` as the fields of a key.
    private func tableKey(_ name: String) -> [AdminField] {
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        return [
            AdminField("keyspace_name", .text(parts.first ?? "")),
            AdminField("table_name", .text(parts.last ?? "")),
        ]
    }

    private func latencyRows(_ facts: AdminValue) -> [AdminValue] {
        facts.fields.map { field in
            let figures = HistogramFigures(field.value["histogram"])
            return .map(
                tableKey(field.name) + [
                    AdminField("count", .integer(Int64(clamping: figures.count))),
                    AdminField("max_ms", rounded(Double(figures.maximum) / 1e6)),
                    AdminField("p50th_ms", rounded(Double(figures.percentile(0.5)) / 1e6)),
                    AdminField("p99th_ms", rounded(Double(figures.percentile(0.99)) / 1e6)),
                    AdminField("per_second", rounded(field.value["rate"].number)),
                ])
        }
    }

    private func histogramRows(_ facts: AdminValue) -> [AdminValue] {
        facts.fields.map { field in
            let figures = HistogramFigures(field.value["histogram"])
            return .map(
                tableKey(field.name) + [
                    AdminField("count", .integer(Int64(clamping: figures.count))),
                    AdminField("max", .number(Double(figures.maximum))),
                    AdminField("p50th", .number(Double(figures.percentile(0.5)))),
                    AdminField("p99th", .number(Double(figures.percentile(0.99)))),
                ])
        }
    }

    /// Bytes as whole mebibytes, rounded up.
    private func sizeRows(
        _ facts: AdminValue, _ bytes: (AdminValue) -> Int64
    ) -> [AdminValue] {
        facts.fields.map { field in
            let mebibytes = (bytes(field.value) + (1 << 20) - 1) >> 20
            return .map(tableKey(field.name) + [AdminField("mebibytes", .integer(mebibytes))])
        }
    }

    private func cacheRow(_ facts: AdminValue) -> AdminValue {
        let requests = facts["request_count"].number
        var fields = [AdminField("name", "chunks")]
        for field in facts.fields {
            let isRate = field.name.hasPrefix("recent")
            fields.append(
                AdminField(field.name, isRate ? .integer(field.value.integer) : field.value))
        }
        fields.append(
            AdminField(
                "hit_ratio", requests > 0 ? .number(facts["hit_count"].number / requests) : 1))
        return .map(fields)
    }

    private func statementRows(_ facts: AdminValue) -> [AdminValue] {
        let preparedCount = facts["prepared_statements_executed"].number
        let all = preparedCount + facts["regular_statements_executed"].number
        var rows: [AdminValue] = facts.fields.map { field in
            ["name": .text(field.name), "value": .number(field.value.number)]
        }
        rows.append([
            "name": "prepared_statements_ratio",
            "value": .number(all > 0 ? preparedCount / all : 0),
        ])
        return rows
    }

    private func poolRow(_ field: AdminField) -> AdminValue {
        [
            "name": .text(field.name), "active_tasks": .integer(field.value["active"].integer),
            "active_tasks_limit": .count(shardCount),
            "pending_tasks": .integer(field.value["pending"].integer),
            "completed_tasks": .integer(field.value["completed"].integer), "blocked_tasks": 0,
            "blocked_tasks_all_time": 0, "core_pool_size": .count(shardCount),
            "max_pool_size": .count(shardCount), "max_tasks_queued": .count(Int(Int32.max)),
        ]
    }

    // MARK: Other nodes

    private func place(of peer: String) -> NodeDescription? {
        UniqueID(peer).flatMap { cluster.topology.node(HostID($0)) }
    }

    private func trafficRows(_ facts: AdminValue, isInbound: Bool) -> [AdminValue] {
        facts.fields.compactMap { field in
            guard let node = place(of: field.name) else { return nil }
            let (count, bytes) = (field.value["count"], field.value["bytes"])
            var fields = [
                AdminField("address", .text(node.peerAddress.host)),
                AdminField("port", .count(Int(node.peerAddress.port))),
                AdminField("dc", .text(node.datacenter)), AdminField("rack", .text(node.rack)),
                AdminField("using_bytes", 0), AdminField("using_reserve_bytes", 0),
                AdminField("expired_bytes", 0), AdminField("expired_count", 0),
                AdminField("error_bytes", 0),
            ]
            if isInbound {
                for name in ["processed", "received", "scheduled"] {
                    fields.append(AdminField(name + "_count", count))
                    fields.append(AdminField(name + "_bytes", bytes))
                }
                fields.append(AdminField("error_count", field.value["errors"]))
                for name in [
                    "corrupt_frames_recovered", "corrupt_frames_unrecovered", "throttled_count",
                    "throttled_nanos",
                ] { fields.append(AdminField(name, 0)) }
                return .map(fields)
            }
            fields.append(AdminField("sent_count", count))
            fields.append(AdminField("sent_bytes", bytes))
            let links = field.value["links"]
            for name in [
                "active_connections", "connection_attempts", "successful_connection_attempts",
            ] { fields.append(AdminField(name, links)) }
            for name in [
                "error_count", "overload_bytes", "overload_count", "pending_bytes",
                "pending_count",
            ] { fields.append(AdminField(name, 0)) }
            return .map(fields)
        }
    }

    private func hintRows(_ facts: AdminValue) -> [AdminValue] {
        facts.fields.map { field in
            let node = place(of: field.name)
            return [
                "host_id": .text(field.name),
                "address": node.map { .text($0.peerAddress.host) } ?? .null,
                "port": node.map { .count(Int($0.peerAddress.port)) } ?? .null,
                "dc": node.map { .text($0.datacenter) } ?? "Unknown",
                "rack": node.map { .text($0.rack) } ?? "Unknown",
                "status": field.value["is_up"].isTrue ? "UP" : "DOWN",
                "files": .integer(field.value["files"].integer),
            ]
        }
    }

    // MARK: Estimates

    /// For each table and each range of this node's own a row: its part of each file is taken to be as
    /// large as the part of the file's tokens that lies in the range.
    private func estimateRows(_ facts: AdminValue, withTypes: Bool) -> [AdminValue] {
        facts.fields.flatMap { field -> [AdminValue] in
            let key = tableKey(field.name)
            guard let placement = cluster.topology.placement(of: key[0].value.text) else {
                return []
            }
            // Parts of partitions are carried on, so that the rows add up.
            var carried = 0.0
            return primaryRanges(placement).flatMap { range -> [AdminValue] in
                var (partitions, bytes) = (0.0, 0.0)
                for file in field.value.elements {
                    let share = Self.share(
                        of: file["first"]
                            .integer...max(
                                file["first"].integer, file["last"].integer), behind: range.start,
                        through: range.end)
                    partitions += share * file["partitions"].number
                    bytes += share * file["bytes"].number
                }
                carried += partitions
                let count = Int(carried.rounded(.down))
                carried -= Double(count)
                var fields =
                    key + [
                        AdminField("range_start", .text(String(range.start))),
                        AdminField("range_end", .text(String(range.end))),
                        AdminField("partitions_count", .count(count)),
                        AdminField(
                            "mean_partition_size",
                            .count(
                                count > 0 && partitions > 0
                                    ? Int((bytes / partitions).rounded()) : 0)),
                    ]
                guard withTypes else { return [.map(fields)] }
                return ["primary", "local_primary"].map { type in
                    fields.removeAll { $0.name == "range_type" }
                    fields.append(AdminField("range_type", .text(type)))
                    return .map(fields)
                }
            }
        }
    }

    /// The ranges whose first replica this node is, `start` excluded.
    private func primaryRanges(_ placement: Placement) -> [(start: Int64, end: Int64)] {
        guard let own = cluster.ownIndex else { return [] }
        let ring = placement.ring
        return (0..<ring.count).filter { ring.owners[$0] == own }.map { position in
            let before = position == 0 ? ring.count - 1 : position - 1
            return (ring.tokens[before].value, ring.tokens[position].value)
        }
    }

    /// The part of the tokens of a file that lies in a range of the ring, which may go over its origin.
    static func share(
        of tokens: ClosedRange<Int64>, behind start: Int64, through end: Int64
    ) -> Double {
        if start >= end {
            let high = start == .max ? 0 : share(of: tokens, behind: start, through: .max)
            // A ring of one token: everything belongs to it.
            return min(1, high + share(of: tokens, through: end))
        }
        return share(of: tokens, through: end) - share(of: tokens, through: start)
    }

    /// The part of the tokens up to one, which is included.
    private static func share(of tokens: ClosedRange<Int64>, through end: Int64) -> Double {
        if end >= tokens.upperBound { return 1 }
        if end < tokens.lowerBound { return 0 }
        let width = Double(tokens.upperBound) - Double(tokens.lowerBound) + 1
        return (Double(end) - Double(tokens.lowerBound) + 1) / width
    }
}
