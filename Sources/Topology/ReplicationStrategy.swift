// How a keyspace's replicas are chosen, read from the options of `CREATE KEYSPACE`. The classes and
// their rules are Apache Cassandra's, because drivers compute the same replicas to route requests.

package import Model

/// Replication options that cannot be used, in words for the client (a configuration error).
package struct ReplicationError: Error, Equatable, Sendable {
    package let message: String
    package init(_ message: String) { self.message = message }
}

/// A keyspace's replication.
package enum ReplicationStrategy: Hashable, Sendable {
    /// The next `factor` different nodes along the ring.
    case simple(factor: Int)
    /// So many replicas in each datacenter, spread over racks.
    case networkTopology([DatacenterFactor])
    /// Each node has its own data; nothing is replicated.
    case local

    package struct DatacenterFactor: Hashable, Sendable {
        package let datacenter: String
        package let factor: Int
        package init(datacenter: String, factor: Int) {
            self.datacenter = datacenter
            self.factor = factor
        }
    }

    package static let simpleClass = "org.apache.cassandra.locator.SimpleStrategy"
    package static let networkTopologyClass =
        "org.apache.cassandra.locator.NetworkTopologyStrategy"
    package static let localClass = "org.apache.cassandra.locator.LocalStrategy"

    /// Reads parameters that `normalized` made (or that are as complete as those).
    package init(_ parameters: ReplicationParameters) throws(ReplicationError) {
        switch try Self.fullClass(parameters.strategyClass) {
        case Self.simpleClass:
            guard let text = parameters.options["replication_factor"] else {
                throw ReplicationError(
                    "SimpleStrategy requires a replication_factor strategy option.")
            }
            for name in parameters.options.keys.sorted() where name != "replication_factor" {
                throw ReplicationError(
                    "Unrecognized strategy option {\(name)} passed to SimpleStrategy")
            }
            self = .simple(factor: try Self.factor(text))
        case Self.networkTopologyClass:
            var factors: [DatacenterFactor] = []
            for name in parameters.options.keys.sorted() {
                guard name != "replication_factor" else {
                    throw ReplicationError(
                        "replication_factor is an option for simple strategies, "
                            + "to be expanded to datacenters first")
                }
                factors.append(
                    DatacenterFactor(
                        datacenter: name,
                        factor: try Self.factor(parameters.options[name] ?? "")))
            }
            self = .networkTopology(factors)
        default:
            self = .local
        }
    }

    /// The total number of replicas of each key as configured, whether or not there are that many
    /// nodes.
    package var replicationFactor: Int {
        switch self {
        case .simple(let factor): factor
        case .networkTopology(let factors): factors.reduce(0) { $0 + $1.factor }
        case .local: 1
        }
    }

    /// The parameters as they are stored and shown: the class with its full name, and
    /// NetworkTopologyStrategy's `replication_factor` replaced by one option for each known
    /// datacenter (an option that names a datacenter wins; one that says 0 is left out).
    ///
    /// `previous` are the keyspace's parameters before an `ALTER KEYSPACE`: a datacenter that has
    /// replicas keeps its number when only `replication_factor` is given, as in Cassandra, so that
    /// nobody loses replicas by a shorthand.
    package static func normalized(
        _ parameters: ReplicationParameters, previous: ReplicationParameters? = nil,
        datacenters: [String]
    ) throws(ReplicationError) -> ReplicationParameters {
        let name = try fullClass(parameters.strategyClass)
        var options = parameters.options
        guard name == networkTopologyClass else {
            let result = ReplicationParameters(strategyClass: name, options: options)
            _ = try ReplicationStrategy(result)
            return result
        }
        var shorthand = options.removeValue(forKey: "replication_factor")
        if shorthand == nil, options.isEmpty, let previous, previous.strategyClass == simpleClass {
            shorthand = previous.options["replication_factor"]
        }
        if let shorthand {
            _ = try factor(shorthand)
            if let previous, previous.strategyClass == networkTopologyClass {
                for (datacenter, old) in previous.options where options[datacenter] == nil {
                    options[datacenter] = old
                }
            }
            for datacenter in datacenters where options[datacenter] == nil {
                options[datacenter] = shorthand
            }
        }
        for datacenter in options.keys.sorted() {
            guard datacenters.contains(datacenter) else {
                throw ReplicationError(
                    "Unrecognized strategy option {\(datacenter)} passed to NetworkTopologyStrategy"
                )
            }
            if try factor(options[datacenter] ?? "") == 0 { options[datacenter] = nil }
        }
        guard !options.isEmpty else {
            throw ReplicationError("Configuration for at least one datacenter must be present")
        }
        return ReplicationParameters(strategyClass: name, options: options)
    }

    /// The full name of a strategy class that may be given by its last part only.
    private static func fullClass(_ name: String) throws(ReplicationError) -> String {
        let full = name.contains(".") ? name : "org.apache.cassandra.locator.\(name)"
        guard full == simpleClass || full == networkTopologyClass || full == localClass else {
            throw ReplicationError("Unable to find replication strategy class '\(full)'")
        }
        return full
    }

    private static func factor(_ text: String) throws(ReplicationError) -> Int {
        if text.contains("/") {
            throw ReplicationError("Transient replication is not supported: '\(text)'")
        }
        guard let value = Int(text) else {
            throw ReplicationError("Replication factor must be numeric; found \(text)")
        }
        guard value >= 0 else {
            throw ReplicationError("Replication factor must be non-negative; found \(text)")
        }
        guard value <= NodeIndex.maximumCount else {
            throw ReplicationError("Replication factor must be at most \(NodeIndex.maximumCount)")
        }
        return value
    }
}
