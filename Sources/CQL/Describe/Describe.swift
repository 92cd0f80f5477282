// DESCRIBE, answered by the server: cqlsh only prints what comes back.
//
// Listings have the columns keyspace_name, type and name; elements also their create_statement; the
// cluster has columns of its own. Errors are worded as Cassandra words them.

package import Model

/// What DESCRIBE CLUSTER shows of a node that only the node knows.
package struct ClusterDescription: Sendable {
    package let name: String
    package let partitioner: String
    package let snitch: String
    /// For each range of the keyspace in use, its last token and the replicas; sorted by token.
    package let rangeOwnership: [(token: String, replicas: [String])]

    package init(
        name: String, partitioner: String = "Murmur3Partitioner", snitch: String,
        rangeOwnership: [(token: String, replicas: [String])] = []
    ) {
        self.name = name
        self.partitioner = partitioner
        self.snitch = snitch
        self.rangeOwnership = rangeOwnership
    }
}

/// A DESCRIBE statement, ready to be answered from a snapshot.
package struct DescribeRequest: Sendable {
    package let subject: DescribeSyntax.Subject
    package let withInternals: Bool
    /// The keyspace in use.
    package let keyspace: String?

    /// Whether the answer shows who owns the ranges of the keyspace in use.
    package var needsRangeOwnership: Bool {
        guard case .cluster = subject, let keyspace else { return false }
        return !SystemSchema.isSystem(keyspace)
    }

    /// The answer: its columns and all its rows.
    package func answer(
        schema: SchemaSnapshot, cluster: ClusterDescription
    ) throws(CQLError) -> (columns: [ColumnSpecification], rows: [SystemRow]) {
        if case .cluster = subject { return clusterAnswer(cluster) }
        let keyspaces = SystemSchema.all(schema)
        let elements = try elements(keyspaces)
        return (
            resultColumns,
            elements.map { element in
                var row = [element.keyspace, element.type, element.name]
                if !isListing { row.append(element.statement()) }
                return row.map { Array($0.utf8) }
            }
        )
    }

    /// The columns of the answer.
    package var resultColumns: [ColumnSpecification] {
        var names = ["keyspace_name", "type", "name"]
        if case .cluster = subject {
            names = ["cluster", "partitioner", "snitch"]
        } else if !isListing {
            names.append("create_statement")
        }
        var columns = names.map { Self.column($0, .text) }
        if needsRangeOwnership {
            columns.append(
                Self.column(
                    "range_ownership",
                    .map(.text, .list(.text, frozen: false), frozen: false)))
        }
        return columns
    }

    private static func column(_ name: String, _ type: CQLType) -> ColumnSpecification {
        ColumnSpecification(keyspace: "system", table: "describe", name: name, type: type)
    }

    private var isListing: Bool {
        switch subject {
        case .keyspaces, .tables, .types, .functions, .aggregates: true
        default: false
        }
    }

    private func clusterAnswer(
        _ cluster: ClusterDescription
    ) -> (columns: [ColumnSpecification], rows: [SystemRow]) {
        var row: SystemRow = [cluster.name, cluster.partitioner, cluster.snitch]
            .map { Array($0.utf8) }
        if needsRangeOwnership {
            row.append(
                SystemValue.collection(
                    count: cluster.rangeOwnership.count,
                    cluster.rangeOwnership.flatMap { token, replicas in
                        [Array(token.utf8), SystemValue.textList(replicas).bytes]
                    }))
        }
        return (resultColumns, [row])
    }

    // MARK: Elements

    private struct Element {
        let keyspace: String
        let type: String
        let name: String
        let statement: () -> String
    }

    private func element(_ keyspace: KeyspaceSchema) -> Element {
        let name = Identifier.quoted(keyspace.name)
        return Element(keyspace: name, type: "keyspace", name: name) {
            CreateStatements.keyspace(keyspace)
        }
    }

    private func element(_ type: UserDefinedType) -> Element {
        Element(
            keyspace: Identifier.quoted(type.keyspace), type: "type",
            name: Identifier.quoted(type.name)
        ) { CreateStatements.type(type) }
    }

    private func element(_ table: TableSchema) -> Element {
        Element(
            keyspace: Identifier.quoted(table.keyspace), type: "table",
            name: Identifier.quoted(table.name)
        ) { CreateStatements.table(table, withInternals: withInternals) }
    }

    private func everything(in keyspace: KeyspaceSchema) -> [Element] {
        [element(keyspace)] + Self.byDependency(keyspace.types).map(element)
            + keyspace.tables.map(element)
    }

    /// Types that others are made of come first, so that the statements can be run in this order.
    package static func byDependency(_ types: [UserDefinedType]) -> [UserDefinedType] {
        var sorted: [UserDefinedType] = []
        var waiting = types
        while !waiting.isEmpty {
            let ready = waiting.filter { type in
                !waiting.contains { other in
                    other.name != type.name
                        && type.fields.contains {
                            $0.type.mentions(keyspace: other.keyspace, type: other.name)
                        }
                }
            }
            // A cycle can't be made by DDL; if there is one, names decide.
            let next = ready.isEmpty ? waiting : ready
            sorted += next
            waiting.removeAll { type in next.contains { $0.name == type.name } }
        }
        return sorted
    }

    private func elements(_ all: [KeyspaceSchema]) throws(CQLError) -> [Element] {
        switch subject {
        case .cluster: return []
        case .keyspaces: return all.map(element)
        case .tables: return try listed(all).flatMap { $0.tables.map(element) }
        case .types: return try listed(all).flatMap { $0.types.map(element) }
        case .functions, .aggregates:
            _ = try listed(all)
            return []
        case .schema(let full):
            return all.filter { full || !SystemSchema.isSystem($0.name) }.flatMap(everything)
        case .keyspace(let name, let only):
            let keyspace = try find(name, all)
            return only ? [element(keyspace)] : everything(in: keyspace)
        case .table(let name): return [element(try table(name, all))]
        case .type(let name):
            let keyspace = try find(name.keyspace, all)
            guard let type = keyspace.type(named: name.name) else {
                throw .invalid("User defined type '\(name.name)' not found in '\(keyspace.name)'")
            }
            return [element(type)]
        case .index(let name):
            let keyspace = try find(name.keyspace, all)
            throw .invalid(
                "Table for existing index '\(name.name)' not found in '\(keyspace.name)'")
        case .view(let name):
            let keyspace = try find(name.keyspace, all)
            throw .invalid("Materialized view '\(name.name)' not found in '\(keyspace.name)'")
        case .function(let name):
            let keyspace = try find(name.keyspace, all)
            throw .invalid("User defined function '\(name.name)' not found in '\(keyspace.name)'")
        case .aggregate(let name):
            let keyspace = try find(name.keyspace, all)
            throw .invalid("User defined aggregate '\(name.name)' not found in '\(keyspace.name)'")
        case .named(let name): return try named(name, all)
        }
    }

    /// The keyspaces of a listing: the one in use, or all.
    private func listed(_ all: [KeyspaceSchema]) throws(CQLError) -> [KeyspaceSchema] {
        keyspace == nil ? all : [try find(nil, all)]
    }

    private func find(
        _ name: String?, _ all: [KeyspaceSchema]
    ) throws(CQLError) -> KeyspaceSchema {
        guard let name = name ?? keyspace else {
            throw .invalid("No keyspace specified and no current keyspace")
        }
        guard let found = all.first(where: { $0.name == name }) else {
            throw .invalid("'\(name)' not found in keyspaces")
        }
        return found
    }

    private func table(
        _ name: QualifiedName, _ all: [KeyspaceSchema]
    ) throws(CQLError) -> TableSchema {
        let keyspace = try find(name.keyspace, all)
        guard let table = keyspace.table(named: name.name) else {
            throw .invalid("Table '\(name.name)' not found in keyspace '\(keyspace.name)'")
        }
        return table
    }

    /// A keyspace, or else a table; indexes and views do not exist.
    private func named(
        _ name: QualifiedName, _ all: [KeyspaceSchema]
    ) throws(CQLError) -> [Element] {
        if name.keyspace == nil, let found = all.first(where: { $0.name == name.name }) {
            return everything(in: found)
        }
        let place = try find(name.keyspace ?? keyspace ?? name.name, all)
        guard let table = place.table(named: name.name) else {
            throw .invalid("'\(name.name)' not found in keyspace '\(place.name)'")
        }
        return [element(table)]
    }
}
