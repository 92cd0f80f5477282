// What a client is told about a result column or a bind marker (native protocol specification,
// section 4.2.5.2, <col_spec_i>).

/// The table, name and type of a result column or of a bind marker.
package struct ColumnSpecification: Hashable, Sendable {
    package let keyspace: String
    package let table: String
    package let name: String
    package let type: CQLType

    package init(keyspace: String, table: String, name: String, type: CQLType) {
        self.keyspace = keyspace
        self.table = table
        self.name = name
        self.type = type
    }
}
