// `proxyhistograms` and `tablehistograms` in nodetool's shape.

internal import Environment

extension AdminOutput {
    private static let rows = [
        ("50%", "p50"), ("75%", "p75"), ("95%", "p95"), ("98%", "p98"), ("99%", "p99"),
        ("Min", "min"), ("Max", "max"),
    ]

    private func cell(_ figures: AdminValue, _ name: String, divisor: Double) -> String {
        guard figures["count"].integer > 0 else { return "NaN" }
        return AdminText.fixed(figures[name].number / divisor, 2)
    }

    /// Times in microseconds.
    var proxyHistograms: String {
        var rows = [
            [
                "Percentile", "Read Latency", "Write Latency", "Range Latency",
                "CAS Read Latency", "CAS Write Latency", "View Write Latency",
            ],
            ["", "(micros)", "(micros)", "(micros)", "(micros)", "(micros)", "(micros)"],
        ]
        for (title, name) in Self.rows {
            let kinds = ["read", "write", "range", "cas_read", "cas_write"]
            rows.append(
                [title] + kinds.map { cell(value[$0], name, divisor: 1_000) } + ["NaN"])
        }
        return "proxy histograms\n" + AdminText.table(rows) + "\n"
    }

    var tableHistograms: String {
        var text = ""
        for table in value.fields {
            var rows = [
                [
                    "Percentile", "Read Latency", "Write Latency", "Partition Size", "Rows Read",
                    "Tombstones Read",
                ],
                ["", "(micros)", "(micros)", "(bytes)", "", ""],
            ]
            for (title, name) in Self.rows {
                rows.append([
                    title, cell(table.value["read"], name, divisor: 1_000),
                    cell(table.value["write"], name, divisor: 1_000),
                    cell(table.value["partition_bytes"], name, divisor: 1),
                    cell(table.value["rows"], name, divisor: 1),
                    cell(table.value["tombstones"], name, divisor: 1),
                ])
            }
            text += table.name.split(separator: ".", maxSplits: 1).joined(separator: "/")
            text += " histograms\n" + AdminText.table(rows) + "\n"
        }
        return text
    }
}
