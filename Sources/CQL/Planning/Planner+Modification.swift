// Planning of INSERT, UPDATE, DELETE and BATCH.

internal import Model

extension Planner {
    func planModification(
        _ statement: Statement, _ markers: [String?]
    ) throws(CQLError) -> PreparedPlan {
        let table = try table(Self.tableName(statement))
        var compiler = compiler(table, markers)
        let plan = try modification(statement, table, &compiler)
        let timeout = try timeout(Self.using(statement).timeout, &compiler)
        return PreparedPlan(
            plan: .modification(plan), bindMarkers: try Self.specifications(compiler),
            partitionKeyBindIndexes: plan.isJSON
                ? [] : Self.partitionKeyIndexes(.keys(plan.partition)),
            resultColumns: [], tableID: table.id, epoch: schema.epoch, timeout: timeout,
            dependsOnKeyspace: try Self.tableName(statement).keyspace == nil)
    }

    private static func using(_ statement: Statement) -> UsingClause {
        switch statement {
        case .insert(let syntax): syntax.using
        case .update(let syntax): syntax.using
        case .delete(let syntax): syntax.using
        default: UsingClause()
        }
    }

    private static func tableName(_ statement: Statement) throws(CQLError) -> QualifiedName {
        switch statement {
        case .insert(let syntax): return syntax.table
        case .update(let syntax): return syntax.table
        case .delete(let syntax): return syntax.table
        default: throw .invalid("Only INSERT, UPDATE and DELETE statements are allowed here")
        }
    }

    private func modification(
        _ statement: Statement, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ModificationPlan {
        // What may be written of a view is said when it is executed.
        if !SystemSchema.isVirtual(table.keyspace) { try checkWritable(table) }
        let plan: ModificationPlan
        switch statement {
        case .insert(let syntax): plan = try insert(syntax, table, &compiler)
        case .update(let syntax): plan = try update(syntax, table, &compiler)
        case .delete(let syntax): plan = try delete(syntax, table, &compiler)
        default: throw .invalid("Only INSERT, UPDATE and DELETE statements are allowed here")
        }
        if plan.isConditional {
            guard !table.isCounter else {
                throw .invalid("Conditional updates are not supported on counter tables")
            }
            guard plan.timestamp == nil else {
                throw .invalid("Cannot provide custom timestamp for conditional updates")
            }
        }
        if table.isCounter {
            guard plan.timestamp == nil else {
                throw .invalid("Cannot provide custom timestamp for counter updates")
            }
            guard plan.timeToLive == nil else {
                throw .invalid("Cannot provide custom TTL for counter updates")
            }
        }
        return plan
    }

    // MARK: Shared

    private static func column(
        _ name: String, of table: TableSchema
    ) throws(CQLError) -> ColumnSchema {
        guard let column = table.column(named: name) else {
            throw .invalid(
                "Undefined column name \(Identifier.quoted(name)) in table"
                    + " \(table.keyspace).\(table.name)")
        }
        return column
    }

    func times(
        _ using: UsingClause, _ compiler: inout TermCompiler
    ) throws(CQLError) -> (timestamp: PlannedTerm?, timeToLive: PlannedTerm?) {
        var timestamp: PlannedTerm?
        var timeToLive: PlannedTerm?
        if let term = using.timestamp {
            timestamp = try compiler.compile(term, as: .bigint, for: "[timestamp]")
        }
        if let term = using.timeToLive {
            timeToLive = try compiler.compile(term, as: .int, for: "[ttl]")
        }
        return (timestamp, timeToLive)
    }

    // MARK: INSERT

    private func insert(
        _ syntax: InsertSyntax, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ModificationPlan {
        guard !table.isCounter else {
            throw .invalid(
                "INSERT statements are not allowed on counter tables, use UPDATE instead")
        }
        if let missing = syntax.json {
            return try insertJSON(syntax, missing, table, &compiler)
        }
        guard syntax.columns.count == syntax.values.count else {
            throw .invalid("Unmatched column names/values")
        }
        guard Set(syntax.columns).count == syntax.columns.count else {
            throw .invalid("The column names contains duplicates")
        }
        var terms: [String: PlannedTerm] = [:]
        var cells: [ModificationPlan.CellSource] = []
        for (name, value) in zip(syntax.columns, syntax.values) {
            let column = try Self.column(name, of: table)
            let term = try compiler.compile(value, as: column.type, for: name)
            if column.isPrimaryKey {
                terms[name] = term
            } else {
                cells.append(ModificationPlan.CellSource(column: column, term: term))
            }
        }
        let (timestamp, timeToLive) = try times(syntax.using, &compiler)
        let missing = table.partitionKey.filter { terms[$0.name] == nil }
        guard missing.isEmpty else {
            throw .invalid(
                "Some partition key parts are missing: "
                    + missing.map(\.name).joined(separator: ", "))
        }
        let given = table.clustering.filter { terms[$0.name] != nil }
        let isStaticOnly =
            given.isEmpty && !table.clustering.isEmpty && !cells.isEmpty
            && cells.allSatisfy(\.column.isStatic)
        guard
            isStaticOnly || given.count == table.clustering.count
                || isCompactPrefix(given, of: table)
        else { throw missingClustering(given, of: table) }
        if !isStaticOnly { try completeCompact(&cells, table) }
        return ModificationPlan(
            table: table, effect: .write(marksRow: !isStaticOnly && table.compact == nil),
            partition: table.partitionKey.map { .equal(terms[$0.name] ?? .null) },
            clustering: given.map { .equal(terms[$0.name] ?? .null) }, cells: cells,
            timestamp: timestamp, timeToLive: timeToLive, isStaticOnly: isStaticOnly,
            condition: syntax.ifNotExists ? .notExists : nil)
    }

    // MARK: UPDATE

    private func update(
        _ syntax: UpdateSyntax, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ModificationPlan {
        let (timestamp, timeToLive) = try times(syntax.using, &compiler)
        var cells: [ModificationPlan.CellSource] = []
        for assignment in syntax.assignments {
            let column = try Self.column(assignment.column, of: table)
            guard !column.isPrimaryKey else {
                throw .invalid("PRIMARY KEY part \(column.name) found in SET part")
            }
            let operation = try operation(assignment, column, &compiler)
            // Which assignments go together is known from the text; two increments would be one of them.
            if column.type == .counter, cells.contains(where: { $0.column.id == column.id }) {
                throw .invalid("Multiple incompatible setting of column \(column.name)")
            }
            cells.append(ModificationPlan.CellSource(column: column, operation: operation))
        }
        // Markers are numbered by their place in the text, so the order of compiling does not matter.
        let condition = try condition(syntax.condition, table, &compiler)
        let (restrictions, isStaticOnly) = try target(
            syntax.relations, cells.map(\.column), table, .update, condition, &compiler)
        guard case .keys(let keys) = restrictions.partition else {
            throw .invalid("Some partition key parts are missing")
        }
        return ModificationPlan(
            table: table, effect: .write(marksRow: false), partition: keys,
            clustering: restrictions.clustering, cells: cells, timestamp: timestamp,
            timeToLive: timeToLive, isStaticOnly: isStaticOnly, condition: condition)
    }

    private static func unsupported(_ assignment: Assignment, _ column: ColumnSchema) -> CQLError {
        .invalid(
            "Invalid operation (\(assignment.sourceText)) for column \(column.name) of type"
                + " \(column.type.cqlName)")
    }

    /// What an assignment does to its column.
    private func operation(
        _ assignment: Assignment, _ column: ColumnSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> CellOperation {
        let name = column.name
        if column.type == .counter { return try increment(assignment, column, &compiler) }
        if case .set(_, let value) = assignment {
            return .set(try compiler.compile(value, as: column.type, for: name))
        }
        guard column.type.isMultiCell else {
            throw Self.partial(assignment, column)
        }
        switch (assignment, column.type) {
        case (.add(_, let value), .map):
            return .add(
                try Self.operand(
                    value, column.type, name, "a map addition has to be a map", &compiler))
        case (.add(_, let value), .list), (.add(_, let value), .set):
            return .add(try compiler.compile(value, as: column.type, for: name))
        case (.prepend(_, let value), .list):
            return .prepend(try compiler.compile(value, as: column.type, for: name))
        case (.subtract(_, let value), .set(let element, _)):
            return .remove(
                try compiler.compile(value, as: .set(element, frozen: false), for: name))
        case (.subtract(_, let value), .map(let key, _, _)):
            return .remove(
                try Self.operand(
                    value, .set(key, frozen: false), name, "a map subtraction has to be a set",
                    &compiler))
        case (.setElement(_, let key, let value), .map(let keyType, let valueType, _)):
            return .put(
                key: try compiler.compile(key, as: keyType, for: "key(\(name))"),
                value: try compiler.compile(value, as: valueType, for: "value(\(name))"))
        case (.setField(_, let field, let value), .userDefined(let definition, _)):
            guard let index = definition.fields.firstIndex(where: { $0.name == field }) else {
                throw .invalid("UDT column \(name) does not have a field named \(field)")
            }
            return .setField(
                index,
                try compiler.compile(
                    value, as: definition.fields[index].type, for: "\(name).\(field)"))
        case (.setElement(_, let index, let value), .list(let element, _)):
            return .setIndex(
                try compiler.compile(index, as: .int, for: "idx(\(name))"),
                try compiler.compile(value, as: element, for: "value(\(name))"))
        case (.subtract(_, let value), .list):
            return .removeValues(try compiler.compile(value, as: column.type, for: name))
        case (.setElement, .set):
            throw .invalid("Invalid operation (\(assignment.sourceText)) for set column \(name)")
        case (.setElement, _), (.setField, _), (.prepend, _), (.subtract, _), (.add, _), (.set, _):
            throw Self.unsupported(assignment, column)
        }
    }

    /// What is added to a map or taken out of it, refused as a whole if it is something else.
    private static func operand(
        _ value: Term, _ type: CQLType, _ name: String, _ rule: String,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> PlannedTerm {
        do throws(CQLError) {
            return try compiler.compile(value, as: type, for: name)
        } catch {
            throw .invalid("Value for \(rule), but was: '\(value.sourceText)'")
        }
    }

    /// Why a column of one cell cannot be changed in parts.
    private static func partial(_ assignment: Assignment, _ column: ColumnSchema) -> CQLError {
        let name = column.name
        let text = assignment.sourceText
        switch column.type {
        case .list, .set, .map:
            return .invalid("Invalid operation (\(text)) for frozen collection column \(name)")
        case .userDefined:
            return .invalid("Invalid operation (\(text)) for frozen UDT column \(name)")
        default:
            if case .setField = assignment {
                return .invalid("Invalid operation (\(text)) for non-UDT column \(name)")
            }
            if column.type.isTuple {
                return .invalid("Invalid operation (\(text)) for tuple column \(name)")
            }
            if case .setElement = assignment {
                return .invalid("Invalid operation (\(text)) for non collection column \(name)")
            }
            return .invalid("Invalid operation (\(text)) for non counter column \(name)")
        }
    }

    /// What an assignment does to a counter: it can only be added to and subtracted from.
    private func increment(
        _ assignment: Assignment, _ column: ColumnSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> CellOperation {
        let name = column.name
        switch assignment {
        case .add(_, let value), .prepend(_, let value):
            return .increment(
                try compiler.compile(value, as: .counter, for: name), isNegative: false)
        case .subtract(_, let value):
            return .increment(
                try compiler.compile(value, as: .counter, for: name), isNegative: true)
        case .set:
            throw .invalid(
                "Cannot set the value of counter column \(name) (counters can only be"
                    + " incremented/decremented, not set)")
        case .setElement, .setField: throw Self.partial(assignment, column)
        }
    }

    /// The restrictions of an UPDATE or of a DELETE of columns: whole rows, or static columns only.
    private func target(
        _ relations: [Relation], _ columns: [ColumnSchema], _ table: TableSchema,
        _ kind: RestrictionAnalysis.StatementKind, _ condition: ConditionPlan?,
        _ compiler: inout TermCompiler
    ) throws(CQLError) -> (Restrictions, isStaticOnly: Bool) {
        let restrictions = try RestrictionAnalysis.analyse(
            relations, table: table, kind: kind, allowsFiltering: false, compiler: &compiler)
        // A condition on a column of the row needs the row's key as well.
        let asksRows = condition?.columns?.contains { !$0.isStatic } ?? false
        let isStaticOnly = !columns.isEmpty && columns.allSatisfy(\.isStatic) && !asksRows
        if isStaticOnly {
            guard restrictions.clustering.isEmpty else {
                throw .invalid(
                    "Invalid restrictions on clustering columns since the \(kind.rawValue) statement"
                        + " modifies only static columns")
            }
            return (restrictions, true)
        }
        if condition != nil, kind == .delete {
            try Self.checkConditionalDeletion(
                restrictions, table, deletesRows: columns.contains { !$0.isStatic }, condition)
        }
        guard restrictions.clustering.last?.isSlice != true else {
            if kind == .delete {
                throw .invalid("Range deletions are not supported for specific columns")
            }
            throw .invalid(
                "Slice restrictions are not supported on the clustering columns in \(kind.rawValue)"
                    + " statements")
        }
        let covered = restrictions.clusteringColumnCount
        guard
            covered == table.clustering.count
                || kind == .update
                    && isCompactPrefix(Array(table.clustering.prefix(covered)), of: table)
        else {
            if kind == .delete {
                throw .invalid("Range deletions are not supported for specific columns")
            }
            throw .invalid(
                "Some clustering keys are missing: "
                    + table.clustering[covered...].map(\.name).joined(separator: ", "))
        }
        return (restrictions, false)
    }

    // MARK: DELETE

    /// A conditional deletion names one row, unless it and its conditions are about the static row only.
    private static func checkConditionalDeletion(
        _ restrictions: Restrictions, _ table: TableSchema, deletesRows: Bool,
        _ condition: ConditionPlan?
    ) throws(CQLError) {
        let isSlice = restrictions.clustering.last?.isSlice ?? false
        if !isSlice, restrictions.clusteringColumnCount == table.clustering.count { return }
        let beginning =
            "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order"
            + " to "
        guard !deletesRows else { throw .invalid(beginning + "delete non static columns") }
        guard condition?.columns?.contains(where: { !$0.isStatic }) != true else {
            throw .invalid(beginning + "use IF condition on non static columns")
        }
        guard !isSlice, restrictions.clustering.isEmpty else {
            throw .invalid(beginning + "use IF conditions")
        }
    }

    private func delete(
        _ syntax: DeleteSyntax, _ table: TableSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> ModificationPlan {
        var cells: [ModificationPlan.CellSource] = []
        for deletion in syntax.deletions {
            let column = try Self.column(deletion.column, of: table)
            guard !column.isPrimaryKey else {
                throw .invalid(
                    "Invalid identifier \(column.name) for deletion (should not be a PRIMARY KEY"
                        + " part)")
            }
            let operation = try operation(deletion, column, &compiler)
            if case .set = operation, cells.contains(where: { $0.column.id == column.id }) {
                continue
            }
            cells.append(ModificationPlan.CellSource(column: column, operation: operation))
        }
        let (timestamp, _) = try times(syntax.using, &compiler)
        let condition = try condition(syntax.condition, table, &compiler)
        let restrictions: Restrictions
        var isStaticOnly = false
        if cells.isEmpty {
            restrictions = try RestrictionAnalysis.analyse(
                syntax.relations, table: table, kind: .delete, allowsFiltering: false,
                compiler: &compiler)
            if condition != nil {
                // A whole row is deleted, unless the conditions are all about the static row.
                let isAboutStatics = condition?.columns?.allSatisfy(\.isStatic) ?? false
                try Self.checkConditionalDeletion(
                    restrictions, table, deletesRows: !isAboutStatics, condition)
            }
        } else {
            (restrictions, isStaticOnly) = try target(
                syntax.relations, cells.map(\.column), table, .delete, condition, &compiler)
        }
        guard case .keys(let keys) = restrictions.partition else {
            throw .invalid("Some partition key parts are missing")
        }
        return ModificationPlan(
            table: table, effect: cells.isEmpty ? .deleteRows : .deleteCells, partition: keys,
            clustering: restrictions.clustering, cells: cells, timestamp: timestamp,
            timeToLive: nil, isStaticOnly: isStaticOnly, condition: condition)
    }

    /// What a deletion does to its column.
    private func operation(
        _ deletion: DeletionSyntax, _ column: ColumnSchema, _ compiler: inout TermCompiler
    ) throws(CQLError) -> CellOperation {
        let name = column.name
        switch (deletion, column.type) {
        case (.column, _): return .set(.null)
        case (.element(_, let key), .set(let element, false)),
            (.element(_, let key), .map(let element, _, false)):
            return .removeElement(try compiler.compile(key, as: element, for: "key(\(name))"))
        case (.element(_, let index), .list(_, false)):
            return .removeIndex(try compiler.compile(index, as: .int, for: "idx(\(name))"))
        case (.field(_, let field), .userDefined(let definition, false)):
            guard let index = definition.fields.firstIndex(where: { $0.name == field }) else {
                throw .invalid("UDT column \(name) does not have a field named \(field)")
            }
            return .setField(index, .null)
        case (.element, .list), (.element, .set), (.element, .map):
            throw .invalid("Invalid deletion operation for frozen collection column \(name)")
        case (.element, _):
            throw .invalid("Invalid deletion operation for non collection column \(name)")
        case (.field, .userDefined):
            throw .invalid("Frozen UDT column \(name) does not support field deletions")
        case (.field, _):
            throw .invalid("Invalid field deletion operation for non-UDT column \(name)")
        }
    }

    // MARK: BATCH

    func planBatch(
        _ syntax: BatchSyntax, _ markers: [String?]
    ) throws(CQLError) -> PreparedPlan {
        guard syntax.using.timeToLive == nil else {
            throw .invalid("Global TTL on the BATCH statement is not supported.")
        }
        var specifications: [ColumnSpecification?] = Array(repeating: nil, count: markers.count)
        func merge(_ compiler: TermCompiler) {
            for (index, marker) in compiler.markers.enumerated() {
                specifications[index] = specifications[index] ?? marker
            }
        }
        var timestamp: PlannedTerm?
        if let term = syntax.using.timestamp {
            var compiler = TermCompiler(
                keyspace: keyspace ?? "", table: "", types: [], markerNames: markers)
            timestamp = try compiler.compile(term, as: .bigint, for: "[timestamp]")
            merge(compiler)
        }
        var timeoutCompiler = TermCompiler(
            keyspace: keyspace ?? "", table: "", types: [], markerNames: markers)
        let timeout = try timeout(syntax.using.timeout, &timeoutCompiler)
        merge(timeoutCompiler)
        var modifications: [ModificationPlan] = []
        var dependsOnKeyspace = false
        for statement in syntax.statements {
            let name = try Self.tableName(statement)
            if name.keyspace == nil { dependsOnKeyspace = true }
            let table = try table(name)
            var compiler = compiler(table, markers)
            let plan = try modification(statement, table, &compiler)
            guard Self.using(statement).timeout == nil else {
                throw .invalid(
                    "USING TIMEOUT is not allowed for a statement inside of a batch")
            }
            guard timestamp == nil || plan.timestamp == nil else {
                throw .invalid(
                    "Timestamp must be set either on BATCH or individual statements")
            }
            modifications.append(plan)
            merge(compiler)
        }
        try BatchPlan.check(
            syntax.kind, modifications, hasTimestamp: timestamp != nil)
        let bound = specifications.compactMap { $0 }
        guard bound.count == markers.count else {
            throw .invalid("A bind variable stands where none is supported")
        }
        let tables = Set(modifications.map(\.table.id))
        return PreparedPlan(
            plan: .batch(
                BatchPlan(kind: syntax.kind, modifications: modifications, timestamp: timestamp)),
            bindMarkers: bound,
            partitionKeyBindIndexes: tables.count == 1 && modifications[0].isJSON == false
                ? Self.partitionKeyIndexes(.keys(modifications[0].partition)) : [],
            resultColumns: [], tableID: tables.count == 1 ? tables.first : nil, epoch: schema.epoch,
            timeout: timeout, dependsOnKeyspace: dependsOnKeyspace)
    }
}

extension DeletionSyntax {
    var column: String {
        switch self {
        case .column(let column), .element(let column, _), .field(let column, _): column
        }
    }
}
