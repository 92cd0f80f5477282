// The types of CQL (CQL specification, "Data types").

/// A CQL type, as a column or a bind marker has it. Native types carry nothing; nested ones their parts.
package indirect enum CQLType: Hashable, Sendable {
    case ascii, bigint, blob, boolean, counter, date, decimal, double, duration, float, inet, int
    case smallint, text, time, timestamp, timeuuid, tinyint, uuid, varint
    case list(CQLType, frozen: Bool)
    case set(CQLType, frozen: Bool)
    case map(CQLType, CQLType, frozen: Bool)
    case tuple([CQLType])
    case vector(CQLType, dimensions: Int)
    case userDefined(UserDefinedType, frozen: Bool)
    /// A Java class name that we carry through and do not interpret.
    case custom(String)
}

/// A user-defined type: named fields in order.
package struct UserDefinedType: Hashable, Sendable {
    package let keyspace: String
    package let name: String
    package let fields: [Field]

    package struct Field: Hashable, Sendable {
        package let name: String
        package let type: CQLType

        package init(name: String, type: CQLType) {
            self.name = name
            self.type = type
        }
    }

    package init(keyspace: String, name: String, fields: [Field]) {
        self.keyspace = keyspace
        self.name = name
        self.fields = fields
    }
}
