// What each verb prints, in nodetool's shape (Cassandra 5.0).

internal import Environment

/// The text of one answer.
struct AdminOutput {
    let verb: String
    /// Behind the verb on the command line.
    let words: [String]
    let value: AdminValue

    var text: String {
        switch verb {
        case "status": status
        case "ring": ring
        case "info": info
        case "describecluster": describeCluster
        case "describering": describeRing
        case "gossipinfo": gossipInfo
        case "failuredetector": failureDetector
        case "version": "ReleaseVersion: \(value["release_version"].text)\n"
        case "getendpoints", "getsstables": value.elements.map { $0.text + "\n" }.joined()
        case "statusbinary": value["running"].isTrue ? "running\n" : "not running\n"
        case "statushandoff":
            value["enabled"].isTrue
                ? "Hinted handoff is running\n" : "Hinted handoff is not running\n"
        case "getmaxhintwindow":
            "Current max hint window: \(value["milliseconds"].text) ms\n"
        case "gettraceprobability":
            "Current trace probability: \(value["probability"].number)\n"
        case "getcompactionthroughput":
            "Current compaction throughput: "
                + "\(AdminText.trimmed(value["bytes_per_second"].number / 0x1p20, 2)) MiB/s\n"
        case "gettimeout":
            "Current timeout for type \(value["type"].text): \(value["milliseconds"].text) ms\n"
        case "tablestats": tableStatistics
        case "proxyhistograms": proxyHistograms
        case "tablehistograms": tableHistograms
        case "tpstats": poolStatistics
        case "compactionstats": compactionStatistics
        case "compactionhistory": compactionHistory
        case "snapshot": snapshot
        case "listsnapshots": snapshots
        case "clearsnapshot":
            "Removed \(value["removed"].text) snapshots\n"
        case "listpendinghints": pendingHints
        case "clientstats": clients
        case "verify", "scrub", "cleanup", "upgradesstables", "garbagecollect": report
        case "import", "refresh":
            "\(value["files"].text) files with \(value["partitions"].text) partitions imported\n"
        default: ""
        }
    }

    // MARK: The ring

    private var datacenters: [(name: String, nodes: [AdminValue])] {
        var result: [(name: String, nodes: [AdminValue])] = []
        for node in value["nodes"].elements {
            let name = node["datacenter"].text
            if let index = result.firstIndex(where: { $0.name == name }) {
                result[index].nodes.append(node)
            } else {
                result.append((name, [node]))
            }
        }
        return result.sorted { $0.name < $1.name }.map { entry in
            (entry.name, entry.nodes.sorted { Self.order($0) < Self.order($1) })
        }
    }

    private static func order(_ node: AdminValue) -> String {
        let numbers = node["address"].text.split(separator: ".").map { part in
            String(repeating: "0", count: max(0, 3 - part.count)) + part
        }
        return numbers.joined(separator: ".") + " " + node["port"].text
    }

    /// Nodes of one address are told apart by their ports.
    private func name(_ node: AdminValue, among nodes: [AdminValue]) -> String {
        let address = node["address"].text
        let isAlone = nodes.count { $0["address"].text == address } == 1
        return isAlone ? address : "\(address):\(node["port"].text)"
    }

    private func load(_ node: AdminValue) -> String {
        node["load"] == .null ? "?" : AdminText.size(node["load"].integer)
    }

    private var status: String {
        var text = ""
        let all = value["nodes"].elements
        let isEffective = value["effective"].isTrue
        for (datacenter, nodes) in datacenters {
            let title = "Datacenter: \(datacenter)"
            text += title + "\n" + String(repeating: "=", count: title.count) + "\n"
            text += "Status=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n"
            var rows = [
                [
                    "--", "Address", "Load", "Tokens", isEffective ? "Owns (effective)" : "Owns",
                    "Host ID", "Rack",
                ]
            ]
            for node in nodes {
                let mark = node["status"].text.prefix(1) + node["state"].text.prefix(1)
                let owns =
                    value["note"].text.isEmpty
                    ? AdminText.fixed(node["owns"].number * 100, 1) + "%" : "?"
                rows.append([
                    String(mark), name(node, among: all), load(node),
                    String(node["tokens"].elements.count), owns, node["host_id"].text,
                    node["rack"].text,
                ])
            }
            text += AdminText.table(rows) + "\n"
        }
        if !value["note"].text.isEmpty { text += "Note: \(value["note"].text)\n" }
        return text
    }

    private var ring: String {
        var text = ""
        let all = value["nodes"].elements
        for (datacenter, nodes) in datacenters {
            text += "\nDatacenter: \(datacenter)\n==========\n"
            var tokens: [(token: Int64, node: AdminValue)] = []
            for node in nodes {
                for token in node["tokens"].elements {
                    tokens.append((Int64(token.text) ?? 0, node))
                }
            }
            tokens.sort { $0.token < $1.token }
            let isShown = value["note"].text.isEmpty
            var rows = [["Address", "Rack", "Status", "State", "Load", "Owns", "Token"]]
            rows.append(["", "", "", "", "", "", tokens.last.map { String($0.token) } ?? ""])
            for (token, node) in tokens {
                rows.append([
                    name(node, among: all), node["rack"].text, node["status"].text,
                    node["state"].text, load(node),
                    isShown ? AdminText.fixed(node["owns"].number * 100, 2) + "%" : "?",
                    String(token),
                ])
            }
            text += AdminText.table(rows)
        }
        text += "\n"
        if !value["note"].text.isEmpty { text += "  Note: \(value["note"].text)\n" }
        return text
    }

    private func line(_ name: String, _ value: String) -> String {
        AdminText.padded(name, 23) + ": " + value + "\n"
    }

    private var info: String {
        var text = line("ID", value["host_id"].text)
        text += line("Gossip active", "true")
        text += line("Native Transport active", value["native_transport"].text)
        text += line("Load", AdminText.size(value["load"].integer))
        text += line("Uncompressed load", AdminText.size(value["uncompressed_load"].integer))
        text += line("Generation No", value["incarnation"].text)
        text += line("Uptime (seconds)", value["uptime_seconds"].text)
        text += line(
            "Resident Memory (MB)", AdminText.fixed(value["resident_bytes"].number / 0x1p20, 2))
        text += line(
            "Memtables (MB)", AdminText.fixed(value["memtable_bytes"].number / 0x1p20, 2))
        text += line("Data Center", value["datacenter"].text)
        text += line("Rack", value["rack"].text)
        text += line("Shards", value["shards"].text)
        text += line("Exceptions", "0")
        return text
    }

    private var describeCluster: String {
        var text = "Cluster Information:\n\tName: \(value["name"].text)\n"
        text += "\tSnitch: \(value["snitch"].text)\n\tDynamicEndPointSnitch: disabled\n"
        text += "\tPartitioner: \(value["partitioner"].text)\n\tSchema versions:\n"
        for version in value["schema_versions"].fields {
            text += "\t\t\(version.name): [\(version.value.text)]\n\n"
        }
        text += "Stats for all nodes:\n\tLive: \(value["live"].text)\n\tJoining: 0\n\tMoving: 0\n"
        text += "\tLeaving: 0\n\tUnreachable: \(value["unreachable"].text)\n\nData Centers: \n"
        for datacenter in value["datacenters"].elements {
            text += "\t\(datacenter["name"].text) #Nodes: \(datacenter["nodes"].text) "
            text += "#Down: \(datacenter["down"].text)\n"
        }
        text += "\nDatabase versions:\n"
        for version in value["database_versions"].fields {
            text += "\t\(version.name): [\(version.value.text)]\n"
        }
        text += "\nKeyspaces:\n"
        for keyspace in value["keyspaces"].elements {
            text += "\t\(keyspace["name"].text) -> Replication class: \(keyspace["class"].text) "
            text += "{\(keyspace["options"].text)}\n"
        }
        return text
    }

    private var describeRing: String {
        var text = "Schema Version:\(value["schema_version"].text)\nTokenRange: \n"
        for range in value["ranges"].elements {
            let details = range["endpoint_details"].elements.map { detail in
                "EndpointDetails(host:\(detail["host"].text), "
                    + "datacenter:\(detail["datacenter"].text), rack:\(detail["rack"].text))"
            }
            text += "\tTokenRange(start_token:\(range["start_token"].text), "
            text += "end_token:\(range["end_token"].text), endpoints:[\(range["endpoints"].text)], "
            text += "rpc_endpoints:[\(range["rpc_endpoints"].text)], "
            text += "endpoint_details:[\(details.joined(separator: ", "))])\n"
        }
        return text
    }

    private var gossipInfo: String {
        var text = ""
        for node in value.elements {
            text += "/\(node["address"].text)\n"
            for field in node.fields where field.name != "address" {
                text += "  \(field.name):\(field.value.text)\n"
            }
        }
        return text
    }

    private var failureDetector: String {
        AdminText.table(
            [["Endpoint", "Phi"]]
                + value.elements.map {
                    ["/" + $0["endpoint"].text, AdminText.fixed($0["phi"].number, 6)]
                })
    }

    // MARK: Figures

    private var tableStatistics: String {
        let names = words.filter { !$0.hasPrefix("-") }
        func isWanted(_ keyspace: String, _ table: String) -> Bool {
            names.isEmpty || names.contains(keyspace) || names.contains("\(keyspace).\(table)")
        }
        var text =
            "Total number of tables: \(value.fields.reduce(0) { $0 + $1.value.fields.count })\n"
        text += "----------------\n"
        let isForPeople = words.contains("-H") || words.contains("--human-readable")
        func size(_ value: AdminValue) -> String {
            isForPeople ? AdminText.size(value.integer) : value.text
        }
        for keyspace in value.fields {
            let tables = keyspace.value.fields.filter { isWanted(keyspace.name, $0.name) }
            if tables.isEmpty { continue }
            text += "Keyspace: \(keyspace.name)\n"
            text += "\tPending Flushes: 0\n"
            for table in tables {
                let facts = table.value
                let plain = facts["uncompressed"].number
                let ratio = plain > 0 ? facts["space_used"].number / plain : -1
                let sizes = facts["sstable_sizes"].elements.map(\.integer)
                let lines: [(String, String)] = [
                    ("Table", table.name), ("SSTable count", facts["sstable_count"].text),
                    ("Max SSTable size", size(.integer(sizes.max() ?? 0))),
                    ("Space used (live)", size(facts["space_used"])),
                    ("Space used (total)", size(facts["space_used"])),
                    ("SSTable Compression Ratio", AdminText.fixed(ratio, 5)),
                    (
                        "Number of partitions (estimate)",
                        String(facts["partitions"].integer + facts["memtable_partitions"].integer)
                    ),
                    ("Number of rows (in SSTables)", facts["rows"].text),
                    ("Number of tombstones (in SSTables)", facts["tombstones"].text),
                    ("Memtable data size", size(facts["memtable_bytes"])),
                    ("Memtable switch count", facts["memtable_switches"].text),
                    ("Speculative retries", facts["speculative_retries"].text),
                    ("Compactions", facts["compactions"].text),
                    ("Bytes flushed", size(facts["bytes_flushed"])),
                    ("Bytes compacted", size(facts["bytes_compacted"])),
                    ("Tombstones purged", facts["tombstones_purged"].text),
                    ("Bloom filter space used", size(facts["filter_bytes"])),
                ]
                for (name, value) in lines { text += "\t\t\(name): \(value)\n" }
                for failure in facts["compaction_failures"].elements {
                    text += "\t\tFailed compaction: \(failure.text)\n"
                }
                text += "\n"
            }
            text += "----------------\n"
        }
        return text
    }

    private var poolStatistics: String {
        var rows = [["Pool Name", "Active", "Pending"]]
        for pool in value.fields {
            rows.append([pool.name, pool.value["active"].text, pool.value["pending"].text])
        }
        return AdminText.table(rows, right: [1, 2])
    }

    private var compactionStatistics: String {
        var text = "pending tasks: \(value["pending"].text)\n"
        for task in value["tasks"].elements { text += "- \(task.text)\n" }
        return text + "\n"
    }

    private var compactionHistory: String {
        if value.elements.isEmpty { return "There is no compaction history\n" }
        var rows = [
            [
                "id", "keyspace_name", "columnfamily_name", "compacted_at", "bytes_in",
                "bytes_out", "rows_merged", "compaction_properties",
            ]
        ]
        for entry in value.elements {
            rows.append([
                entry["id"].text, entry["keyspace"].text, entry["table"].text,
                AdminText.time(microseconds: entry["ended_at"].integer), entry["bytes_in"].text,
                entry["bytes_out"].text, entry["rows_merged"].text,
                entry["compaction_properties"].text,
            ])
        }
        return "Compaction History: \n" + AdminText.table(rows)
    }

    private var pendingHints: String {
        if value.elements.isEmpty { return "This node does not have any pending hints\n" }
        var rows = [["Host ID", "Address", "Status", "Total bytes"]]
        for entry in value.elements {
            rows.append([
                entry["host_id"].text, entry["address"].text, entry["status"].text,
                entry["bytes"].text,
            ])
        }
        return AdminText.table(rows)
    }

    private var clients: String {
        var rows = [["Address", "Version", "Keyspace", "Driver-Name", "Driver-Version"]]
        for entry in value.elements {
            rows.append([
                "/" + entry["address"].text, entry["version"].text, entry["keyspace"].text,
                entry["options"]["DRIVER_NAME"].text, entry["options"]["DRIVER_VERSION"].text,
            ])
        }
        return AdminText.table(rows) + "\nTotal connected clients: \(value.elements.count)\n"
    }

    // MARK: Maintenance

    private var snapshot: String {
        "Snapshot of \(value["files"].text) files, \(AdminText.size(value["bytes_read"].integer)), "
            + "taken\nSnapshot directory: \(value["tag"].text)\n"
    }

    private var snapshots: String {
        guard !value.elements.isEmpty else { return "There are no snapshots\n" }
        var rows = [
            [
                "Snapshot name", "Keyspace name", "Column family name", "True size",
                "Size on disk", "Creation time", "Expiration time", "Ephemeral",
            ]
        ]
        var total: Int64 = 0
        var merged: [(name: String, value: AdminValue)] = []
        for entry in value.elements {
            let name = [entry["tag"], entry["keyspace"], entry["table"]].map(\.text).joined(
                separator: "\u{0}")
            if let index = merged.firstIndex(where: { $0.name == name }) {
                merged[index].value = merged[index].value.joined(
                    with: [
                        "size": entry["size"], "true_size": entry["true_size"],
                    ])
            } else {
                merged.append((name, entry))
            }
        }
        for (_, entry) in merged {
            total += entry["true_size"].integer
            rows.append([
                entry["tag"].text, entry["keyspace"].text, entry["table"].text,
                AdminText.size(entry["true_size"].integer), AdminText.size(entry["size"].integer),
                AdminText.time(microseconds: entry["created_at"].integer),
                entry["expires_at"] == .null
                    ? "" : AdminText.time(microseconds: entry["expires_at"].integer),
                entry["ephemeral"].text,
            ])
        }
        return "Snapshot Details: \n" + AdminText.table(rows)
            + "\nTotal TrueDiskSpaceUsed: \(AdminText.size(total))\n\n"
    }

    private var report: String {
        var text = "\(verb): \(value["files"].text) files"
        if verb == "verify" {
            text += ", \(value["partitions"].text) partitions, \(value["rows"].text) rows read\n"
        } else {
            text += ", \(value["rewritten"].text) written anew\n"
        }
        if verb == "cleanup", value["foreign_partitions"].integer > 0 {
            text += "\(value["foreign_partitions"].text) partitions of other nodes removed\n"
        }
        if verb == "scrub" {
            text += "\(value["dropped_blocks"].text) blocks, \(value["dropped_partitions"].text) "
            text += "partitions and \(value["dropped_rows"].text) rows left out\n"
        }
        if value["stopped"].isTrue { text += "stopped before the end\n" }
        for finding in value["findings"].elements {
            text += "\(finding["file"].text) at byte \(finding["offset"].text): "
            text += "\(finding["detail"].text)\n"
        }
        if value["more_findings"].integer > 0 {
            text += "and \(value["more_findings"].text) more\n"
        }
        return text
    }
}
