// The syntax tree: what was written, with names folded and nothing looked up yet.

package import Model

/// A statement with its bind markers, which are numbered in the order in which they stand.
package struct ParsedStatement: Equatable, Sendable {
    package let statement: Statement
    /// The name of each bind marker, nil for `?`.
    package let bindMarkers: [String?]
}

/// One statement of the language.
package enum Statement: Equatable, Sendable {
    case select(SelectSyntax)
    case insert(InsertSyntax)
    case update(UpdateSyntax)
    case delete(DeleteSyntax)
    case batch(BatchSyntax)
    case use(String)
    case truncate(QualifiedName)
    case createKeyspace(name: String, ifNotExists: Bool, properties: [Property])
    case alterKeyspace(name: String, ifExists: Bool, properties: [Property])
    case dropKeyspace(name: String, ifExists: Bool)
    case createTable(CreateTableSyntax)
    case alterTable(AlterTableSyntax)
    case dropTable(name: QualifiedName, ifExists: Bool)
    case createType(name: QualifiedName, ifNotExists: Bool, fields: [FieldSyntax])
    case alterType(AlterTypeSyntax)
    case dropType(name: QualifiedName, ifExists: Bool)
    /// DROP ... IF EXISTS of a kind of thing that no keyspace has: an index, a view, a function.
    case dropAbsent(name: QualifiedName)
    case describe(DescribeSyntax)
    /// About roles and permissions.
    case roles(RoleStatement)
    /// Valid CQL that is recognised by its leading words and refused by that name.
    case unsupported(String)
}

/// `name = value` after WITH.
package struct Property: Equatable, Sendable {
    package enum Value: Equatable, Sendable {
        case text(String)
        /// In the order written; a key is there once.
        case map([Entry])

        package struct Entry: Equatable, Sendable {
            package let key: String
            package let value: String
        }
    }

    package let name: String
    package let value: Value
}

// MARK: Reading

/// What is asked for in a select list.
package indirect enum Selector: Equatable, Sendable {
    case column(String)
    case term(Term)
    case countRows
    case function(QualifiedName, [Selector])
    case writeTime(WriteTimeKind, of: Selector)
    case cast(Selector, TypeSyntax)
    case field(Selector, String)
    case element(Selector, Term)
    case slice(Selector, from: Term?, to: Term?)
    case arithmetic(ArithmeticOperator, Selector, Selector)
    case negation(Selector)
    case tuple([Selector])
    case list([Selector])
    case set([Selector])
    case map([MapEntry])
    case typeHint(TypeSyntax, Selector)

    package struct MapEntry: Equatable, Sendable {
        package let key: Selector
        package let value: Selector
    }

    package enum WriteTimeKind: String, Equatable, Sendable {
        case writeTime = "writetime"
        case maximumWriteTime = "maxwritetime"
        case timeToLive = "ttl"
    }
}

package struct SelectorWithAlias: Equatable, Sendable {
    package let selector: Selector
    package let alias: String?
}

/// How a relation compares.
package enum RelationOperator: String, Equatable, Sendable {
    case equal = "="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case notEqual = "!="
    case `in` = "IN"
    case notIn = "NOT IN"
    case contains = "CONTAINS"
    case containsKey = "CONTAINS KEY"
    case notContains = "NOT CONTAINS"
    case notContainsKey = "NOT CONTAINS KEY"
    case between = "BETWEEN"
    case like = "LIKE"
    case isNotNull = "IS NOT NULL"

    /// Whether it bounds an interval.
    package var isSlice: Bool {
        switch self {
        case .less, .lessOrEqual, .greater, .greaterOrEqual, .between: true
        default: false
        }
    }
}

/// One condition of a WHERE or IF clause.
package struct Relation: Equatable, Sendable {
    package enum Target: Equatable, Sendable {
        case column(String)
        case columns([String])
        case token([String])
        case element(String, Term)
        case field(String, String)
    }

    package enum Operand: Equatable, Sendable {
        case value(Term)
        /// `IN (a, b)`, and the two ends of BETWEEN.
        case values([Term])
        /// `IN ?`: one marker for the whole list.
        case marker(Int)
        /// IS NOT NULL takes none.
        case nothing
    }

    package let target: Target
    package let comparison: RelationOperator
    package let operand: Operand

    /// As error texts show it.
    var sourceText: String {
        let left =
            switch target {
            case .column(let name): name
            case .columns(let names): "(\(names.joined(separator: ", ")))"
            case .token(let names): "token(\(names.joined(separator: ", ")))"
            case .element(let name, let key): "\(name)[\(key.sourceText)]"
            case .field(let name, let field): "\(name).\(field)"
            }
        let right =
            switch operand {
            case .value(let term): term.sourceText
            case .values(let terms) where comparison == .between:
                terms.map(\.sourceText).joined(separator: " AND ")
            case .values(let terms): "(\(terms.map(\.sourceText).joined(separator: ", ")))"
            case .marker: "?"
            case .nothing: ""
            }
        return "\(left) \(comparison.rawValue) \(right)"
    }
}

package struct OrderingSyntax: Equatable, Sendable {
    package let column: String
    package let isDescending: Bool
    /// `ANN OF term`
    package let nearestNeighbour: Term?
}

package struct SelectSyntax: Equatable, Sendable {
    package var table: QualifiedName
    /// `FROM MUTATION_FRAGMENTS(table)`.
    package var showsFragments = false
    package var isJSON = false
    package var isDistinct = false
    /// Empty for `*`.
    package var selectors: [SelectorWithAlias] = []
    package var relations: [Relation] = []
    package var groupBy: [Selector] = []
    package var orderings: [OrderingSyntax] = []
    package var perPartitionLimit: Term?
    package var limit: Term?
    package var allowsFiltering = false
    /// `USING TIMEOUT`: a duration.
    package var timeout: Term?
}

// MARK: Writing

/// `USING TIMESTAMP … AND TTL … AND TIMEOUT …`
package struct UsingClause: Equatable, Sendable {
    package var timestamp: Term?
    package var timeToLive: Term?
    /// How long the request may take: a duration.
    package var timeout: Term?
}

package struct InsertSyntax: Equatable, Sendable {
    package let table: QualifiedName
    package let columns: [String]
    package let values: [Term]
    package let ifNotExists: Bool
    package let using: UsingClause
    /// INSERT JSON, which names no columns: what becomes of those that the text does not name.
    package let json: MissingColumns?

    package enum MissingColumns: Equatable, Sendable {
        case null
        case unset
    }
}

package enum Assignment: Equatable, Sendable {
    case set(String, Term)
    case setElement(String, key: Term, Term)
    case setField(String, field: String, Term)
    case add(String, Term)
    case subtract(String, Term)
    case prepend(String, Term)

    package var column: String {
        switch self {
        case .set(let column, _), .setElement(let column, _, _), .setField(let column, _, _),
            .add(let column, _), .subtract(let column, _), .prepend(let column, _):
            column
        }
    }

    /// Whether both cannot be in one statement: a whole value leaves no room for others, and a field has one value.
    package func conflicts(with other: Assignment) -> Bool {
        guard column == other.column else { return false }
        switch (self, other) {
        case (.set, _), (_, .set): return true
        case (.setField(_, let field, _), .setField(_, let otherField, _)):
            return field == otherField
        default: return false
        }
    }

    /// As a statement would show it, for error texts.
    package var sourceText: String {
        switch self {
        case .set(let column, let value): "\(column) = \(value.sourceText)"
        case .setElement(let column, let key, let value):
            "\(column)[\(key.sourceText)] = \(value.sourceText)"
        case .setField(let column, let field, let value):
            "\(column).\(field) = \(value.sourceText)"
        case .add(let column, let value): "\(column) = \(column) + \(value.sourceText)"
        case .subtract(let column, let value): "\(column) = \(column) - \(value.sourceText)"
        case .prepend(let column, let value): "\(column) = \(value.sourceText) + \(column)"
        }
    }
}

/// What follows IF in UPDATE and DELETE.
package enum ConditionSyntax: Equatable, Sendable {
    case none
    case exists
    case relations([Relation])
}

package struct UpdateSyntax: Equatable, Sendable {
    package let table: QualifiedName
    package let using: UsingClause
    package let assignments: [Assignment]
    package let relations: [Relation]
    package let condition: ConditionSyntax
}

package enum DeletionSyntax: Equatable, Sendable {
    case column(String)
    case element(String, Term)
    case field(String, String)
}

package struct DeleteSyntax: Equatable, Sendable {
    package let table: QualifiedName
    /// Empty for whole rows.
    package let deletions: [DeletionSyntax]
    package let using: UsingClause
    package let relations: [Relation]
    package let condition: ConditionSyntax
}

package enum BatchKind: String, Equatable, Sendable {
    case logged = "LOGGED"
    case unlogged = "UNLOGGED"
    case counter = "COUNTER"
}

package struct BatchSyntax: Equatable, Sendable {
    package let kind: BatchKind
    package let using: UsingClause
    /// INSERT, UPDATE and DELETE only.
    package let statements: [Statement]
}

// MARK: Schema

package struct FieldSyntax: Equatable, Sendable {
    package let name: String
    package let type: TypeSyntax
}

package struct ColumnSyntax: Equatable, Sendable {
    package let name: String
    package let type: TypeSyntax
    package let isStatic: Bool
}

package struct ClusteringOrderSyntax: Equatable, Sendable {
    package let column: String
    package let order: ClusteringOrder
}

package struct CreateTableSyntax: Equatable, Sendable {
    package var name: QualifiedName
    package var ifNotExists = false
    package var columns: [ColumnSyntax] = []
    /// Each PRIMARY KEY that was given; a table has exactly one.
    package var primaryKeys: [PrimaryKeySyntax] = []
    package var clusteringOrder: [ClusteringOrderSyntax] = []
    package var properties: [Property] = []
    package var hasCompactStorage = false

    package struct PrimaryKeySyntax: Equatable, Sendable {
        package let partitionKey: [String]
        package let clustering: [String]
    }
}

package struct AlterTableSyntax: Equatable, Sendable {
    package let name: QualifiedName
    package let ifExists: Bool
    package let change: Change

    package enum Change: Equatable, Sendable {
        case add([ColumnSyntax], ifNotExists: Bool)
        /// `timestamp` in microseconds, where `USING TIMESTAMP` gave one.
        case drop([String], ifExists: Bool, timestamp: Int64?)
        case rename([Renaming], ifExists: Bool)
        case options([Property])
        case dropCompactStorage
        case alterType(column: String)
        case mask(column: String)
    }

    package struct Renaming: Equatable, Sendable {
        package let from: String
        package let to: String
    }
}

package struct AlterTypeSyntax: Equatable, Sendable {
    package let name: QualifiedName
    package let ifExists: Bool
    package let change: Change

    package enum Change: Equatable, Sendable {
        case add(FieldSyntax, ifNotExists: Bool)
        case rename([AlterTableSyntax.Renaming], ifExists: Bool)
        case alter(field: String)
    }
}

/// DESCRIBE, by what it describes.
package struct DescribeSyntax: Equatable, Sendable {
    package enum Subject: Equatable, Sendable {
        case cluster
        case keyspaces, tables, types, functions, aggregates
        case schema(full: Bool)
        /// nil means the keyspace in use.
        case keyspace(String?, only: Bool)
        case table(QualifiedName)
        case type(QualifiedName)
        case index(QualifiedName)
        case view(QualifiedName)
        case function(QualifiedName)
        case aggregate(QualifiedName)
        /// A bare name: a keyspace, or else a table, an index or a view.
        case named(QualifiedName)
    }

    package let subject: Subject
    package let withInternals: Bool
}
