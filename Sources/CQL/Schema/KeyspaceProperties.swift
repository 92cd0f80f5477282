// `WITH replication = {…} AND durable_writes = …`

internal import Model

/// Reads the properties of CREATE and ALTER KEYSPACE.
struct KeyspaceProperties {
    let replication: ReplicationParameters?
    let durableWrites: Bool?

    static let locatorPackage = "org.apache.cassandra.locator."

    /// `datacenters` are those that the cluster has; empty means that they are not known, and then
    /// datacenter names are not checked. `previous` is the replication of a keyspace that is altered.
    init(
        _ properties: [Property], keyspace: String, datacenters: [String],
        previous: ReplicationParameters? = nil
    ) throws(CQLError) {
        let reader = try PropertyReader(properties, known: Self.known)
        durableWrites = try reader.boolean("durable_writes")
        guard let options = try reader.map("replication") else {
            replication = nil
            return
        }
        replication = try Self.replication(
            options, keyspace: keyspace, datacenters: datacenters,
            previous: previous?.options ?? [:])
    }

    private static let known = ["replication", "durable_writes"]

    /// Refuses properties that there are not, also for a keyspace that exists already.
    static func checkNames(_ properties: [Property]) throws(CQLError) {
        _ = try PropertyReader(properties, known: known)
    }

    private static func replication(
        _ options: [String: String], keyspace: String, datacenters: [String],
        previous: [String: String]
    ) throws(CQLError) -> ReplicationParameters {
        guard let given = options["class"], !given.isEmpty else {
            throw .configuration("Missing replication strategy class")
        }
        let fullName = given.contains(".") ? given : locatorPackage + given
        var rest = options.filter { $0.key != "class" }
        switch fullName.dropFirst(locatorPackage.count) {
        case _ where !fullName.hasPrefix(locatorPackage):
            throw .configuration("Unable to find replication strategy class '\(fullName)'")
        case "SimpleStrategy":
            if let unknown = rest.keys.filter({ $0 != "replication_factor" }).min() {
                throw unrecognised(unknown, "SimpleStrategy", keyspace)
            }
            rest["replication_factor"] = try replicationFactor(
                rest["replication_factor"] ?? inherited(previous))
        case "NetworkTopologyStrategy":
            if rest.isEmpty { rest["replication_factor"] = inherited(previous) }
            rest = try networkTopology(
                rest, keyspace: keyspace, datacenters: datacenters, previous: previous)
        case "LocalStrategy":
            throw .configuration(
                "Unable to use given strategy class: LocalStrategy is reserved for internal use.")
        case "EverywhereStrategy":
            throw .configuration("EverywhereStrategy is not supported by Coterie")
        default:
            throw .configuration("Unable to find replication strategy class '\(fullName)'")
        }
        return ReplicationParameters(strategyClass: fullName, options: rest)
    }

    /// The number of replicas where a statement names none: what SimpleStrategy had, or one.
    private static func inherited(_ previous: [String: String]) -> String {
        previous["replication_factor"] ?? "1"
    }

    /// `replication_factor` is for the datacenters that the keyspace does not replicate to yet: a short form
    /// takes no replicas away.
    private static func networkTopology(
        _ options: [String: String], keyspace: String, datacenters: [String],
        previous: [String: String]
    ) throws(CQLError) -> [String: String] {
        var result: [String: String] = [:]
        if let everywhere = options["replication_factor"] {
            let factor = try replicationFactor(everywhere)
            guard !datacenters.isEmpty else {
                throw .configuration(
                    "replication_factor cannot be expanded because no datacenter is known")
            }
            for datacenter in datacenters { result[datacenter] = previous[datacenter] ?? factor }
        }
        for name in options.keys.sorted() where name != "replication_factor" {
            guard datacenters.isEmpty || datacenters.contains(name) else {
                throw unrecognised(name, "NetworkTopologyStrategy", keyspace)
            }
            let factor = try replicationFactor(options[name] ?? "")
            // `'dc': 0` takes that datacenter out again.
            result[name] = factor == "0" ? nil : factor
        }
        guard !result.isEmpty else {
            throw .configuration(
                "Configuration for at least one datacenter must be present")
        }
        return result
    }

    private static func unrecognised(
        _ option: String, _ strategy: String, _ keyspace: String
    ) -> CQLError {
        .configuration(
            "Unrecognized strategy option {\(option)} passed to \(strategy) for keyspace \(keyspace)"
        )
    }

    private static func replicationFactor(_ text: String) throws(CQLError) -> String {
        if text.contains("/") {
            throw .configuration("Transient replication is not supported by Coterie")
        }
        guard let factor = Int32(text) else {
            throw .configuration("Replication factor must be numeric; found \(text)")
        }
        guard factor >= 0 else {
            throw .configuration("Replication factor must be non-negative; found \(factor)")
        }
        return String(factor)
    }
}
