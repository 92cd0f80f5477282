// The histograms that operators read: of what clients waited for, and of single tables.

internal import Environment
internal import Model
internal import Storage

extension Shard {
    /// The kinds of requests as `proxyhistograms` names them.
    static let proxyMeasures: [(name: String, measure: RequestMeasure)] = [
        ("read", .coordinatorRead), ("write", .coordinatorWrite), ("range", .coordinatorScan),
        ("cas_read", .conditionalRead), ("cas_write", .conditionalWrite),
    ]

    /// What this shard has counted, in a form that adds up.
    func histogramFacts(_ words: [String]) -> AdminValue {
        if words.first == "proxyhistograms" {
            return .map(
                Self.proxyMeasures.map { name, measure in
                    var sum = HistogramFigures()
                    for id in tableMetrics.keys.sorted() {
                        if let metrics = tableMetrics[id] { sum.add(metrics.figures(measure)) }
                    }
                    return AdminField(name, sum.fact)
                })
        }
        return .map(
            words.dropFirst().map { name in
                let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
                let table = cluster.schema.keyspace(named: parts[0])?.table(named: parts[1])
                let metrics = table.flatMap { tableMetrics[$0.id] } ?? TableMetrics()
                return AdminField(
                    name,
                    [
                        "read": metrics.figures(.localRead).fact,
                        "write": metrics.figures(.localWrite).fact,
                        "rows": metrics.rows.figures.fact,
                        "tombstones": metrics.tombstones.figures.fact,
                        "partition_bytes": partitionSizes(table).fact,
                    ])
            })
    }

    /// The sizes of the partitions of a table's files: a partition that lies in several files counts in each.
    private func partitionSizes(_ table: TableSchema?) -> HistogramFigures {
        var figures = HistogramFigures()
        guard let table else { return figures }
        for file in storage.sstables(of: table.id) {
            for (bin, count) in file.partitionSizes.enumerated() where count > 0 {
                // Bin n: more than 2^(n-1) and up to 2^n bytes.
                let bucket = LogHistogram.bucket(of: UInt64(1) << UInt64(min(bin, 62)))
                figures.buckets[bucket, default: 0] += UInt64(clamping: count)
                figures.count += UInt64(clamping: count)
            }
            figures.maximum = max(figures.maximum, UInt64(clamping: file.largestPartitionBytes))
        }
        return figures
    }

    /// The same as percentiles, for whoever shows them: `histogramFacts` of all shards, added up.
    static func percentiles(_ facts: AdminValue) -> AdminValue {
        let figures = HistogramFigures(facts)
        var fields = [AdminField("count", .integer(Int64(clamping: figures.count)))]
        for (name, share) in [
            ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p98", 0.98), ("p99", 0.99),
        ] {
            fields.append(
                AdminField(name, .integer(Int64(clamping: figures.percentile(share)))))
        }
        fields.append(AdminField("min", .integer(Int64(clamping: figures.minimum))))
        fields.append(AdminField("max", .integer(Int64(clamping: figures.maximum))))
        return .map(fields)
    }

    /// What shard 0 makes of figures that were added up.
    static func finished(_ value: AdminValue) -> AdminValue {
        guard case .map(let fields) = value else { return value }
        if fields.contains(where: { $0.name == "buckets" }) { return percentiles(value) }
        return .map(fields.map { AdminField($0.name, finished($0.value)) })
    }
}
