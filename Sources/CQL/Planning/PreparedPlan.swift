// What planning makes of a statement: everything that does not depend on bound values.

package import Model

/// A planned statement, which may be executed many times. Immutable and shared.
package final class PreparedPlan: Sendable {
    package let plan: Plan
    /// What each bind marker stands for, in order.
    package let bindMarkers: [ColumnSpecification]
    /// The markers that hold the partition key, in key order; empty unless all of it is bound.
    package let partitionKeyBindIndexes: [Int]
    /// Empty for statements that return no rows.
    package let resultColumns: [ColumnSpecification]
    /// The one table that the statement reads or writes.
    package let tableID: TableID?
    /// The epoch of the schema that it was planned with.
    package let epoch: UInt64
    /// `USING TIMEOUT`: a duration.
    package let timeout: PlannedTimeout?
    /// Whether it reads or writes a table that it names without a keyspace, so that USE decides.
    package let dependsOnKeyspace: Bool
    /// Whether it reads or writes tables, and names each with its keyspace.
    package var namesItsKeyspaces: Bool {
        switch plan {
        case .select, .modification, .batch: !dependsOnKeyspace
        case .schemaChange, .use, .describe, .truncate, .roles: false
        }
    }
    /// The markers whose values have sets or maps in them.
    let orderedMarkers: [Int]
    /// Whether there are such.
    package let ordersValues: Bool
    /// The plan, if it is a modification or a select: the two kinds that are executed all the time.
    package let modification: ModificationPlan?
    package let select: SelectPlan?
    /// Whether it is a statement about roles.
    package let isAboutRoles: Bool

    init(
        plan: Plan, bindMarkers: [ColumnSpecification], partitionKeyBindIndexes: [Int],
        resultColumns: [ColumnSpecification], tableID: TableID?, epoch: UInt64,
        timeout: PlannedTimeout? = nil, dependsOnKeyspace: Bool = false
    ) {
        self.plan = plan
        self.bindMarkers = bindMarkers
        self.partitionKeyBindIndexes = partitionKeyBindIndexes
        self.resultColumns = resultColumns
        self.tableID = tableID
        self.epoch = epoch
        self.timeout = timeout
        self.dependsOnKeyspace = dependsOnKeyspace
        orderedMarkers = bindMarkers.indices.filter { bindMarkers[$0].type.hasNormalForm }
        ordersValues = !orderedMarkers.isEmpty
        modification = if case .modification(let modification) = plan { modification } else { nil }
        select = if case .select(let select) = plan { select } else { nil }
        isAboutRoles = if case .roles = plan { true } else { false }
    }

    /// How long the request may take, if the statement says so.
    package func timeoutNanoseconds(_ values: BoundValues) throws(CQLError) -> Int64? {
        try timeout?.nanoseconds(values)
    }

    /// The values in the order of the markers, for values that the client bound by name.
    package func ordered(_ values: BoundValues) throws(CQLError) -> BoundValues {
        guard let names = values.names else { return values }
        var order: [Int] = []
        for marker in bindMarkers {
            guard let index = names.firstIndex(of: marker.name) else {
                throw .invalid("Missing value for bind marker \(marker.name)")
            }
            order.append(index)
        }
        return values.reordered(order)
    }

    /// Refuses another number of values than there are markers.
    package func check(valueCount count: Int) throws(CQLError) {
        guard count == bindMarkers.count else {
            throw .invalid(
                "Invalid amount of bind variables: expected \(bindMarkers.count), got \(count)")
        }
    }
}

/// `USING TIMEOUT`, an addition of Scylla's: how long one request may take.
package struct PlannedTimeout: Sendable {
    let term: PlannedTerm

    /// The time in nanoseconds; nil if it is unset.
    func nanoseconds(_ values: BoundValues) throws(CQLError) -> Int64? {
        let context = ExecutionContext(timestamp: 0, nowInSeconds: 0)
        switch try term.evaluate(values, context) {
        case .unset: return nil
        case .null: throw .invalid("Timeout value cannot be null")
        case .bytes(let bytes):
            guard let duration = bytes.withUnsafeBytes({ CQLDuration($0) }) else {
                throw .invalid("Timeout value is no duration")
            }
            guard duration.months == 0, duration.days == 0 else {
                throw .invalid("Timeout values cannot be expressed in days/months")
            }
            guard duration.nanoseconds >= 0 else {
                throw .invalid("Timeout values must be non-negative")
            }
            guard duration.nanoseconds % 1_000_000 == 0 else {
                throw .invalid("Timeout values cannot have granularity finer than milliseconds")
            }
            return duration.nanoseconds
        }
    }
}

/// What a statement does when it is executed.
package enum Plan: Sendable {
    case select(SelectPlan)
    case modification(ModificationPlan)
    case batch(BatchPlan)
    case schemaChange(SchemaChange)
    case use(String)
    case describe(DescribeRequest)
    case truncate(TableSchema)
    case roles(RoleStatement)
}

/// Several modifications that are applied together.
package struct BatchPlan: Sendable {
    package let kind: BatchKind
    package let modifications: [ModificationPlan]
    let timestamp: PlannedTerm?

    /// Whether it is applied only if conditions hold.
    package var isConditional: Bool { modifications.contains(where: \.isConditional) }
    /// Whether rows have to be read before they are written.
    package var requiresRead: Bool { modifications.contains(where: \.requiresRead) }
    package var isCounter: Bool { modifications.contains(where: \.table.isCounter) }

    /// What holds for the statements of any batch, whether written in CQL or sent as one message.
    package static func check(
        _ kind: BatchKind, _ modifications: [ModificationPlan], hasTimestamp: Bool
    ) throws(CQLError) {
        let isConditional = modifications.contains(where: \.isConditional)
        let hasCounters = modifications.contains(where: \.table.isCounter)
        let hasOthers = modifications.contains { !$0.table.isCounter }
        if hasTimestamp, isConditional {
            throw .invalid("Cannot provide custom timestamp for conditional BATCH")
        }
        if hasTimestamp, kind == .counter {
            throw .invalid("Cannot provide custom timestamp for counter BATCH")
        }
        if hasTimestamp, hasCounters {
            throw .invalid("Cannot provide custom timestamp for a BATCH containing counters")
        }
        if kind == .counter, hasOthers {
            throw .invalid("Cannot include non-counter statement in a counter batch")
        }
        if hasCounters, hasOthers {
            throw .invalid("Counter and non-counter mutations cannot exist in the same batch")
        }
        if kind == .logged, hasCounters {
            throw .invalid("Cannot include a counter statement in a logged batch")
        }
        try checkViews(kind, modifications, isConditional: isConditional)
        if isConditional { try ConditionalRequest.checkBatch(modifications) }
    }

    /// What holds for statements about a node's views.
    private static func checkViews(
        _ kind: BatchKind, _ modifications: [ModificationPlan], isConditional: Bool
    ) throws(CQLError) {
        let count = modifications.count { SystemSchema.isVirtual($0.table.keyspace) }
        guard count > 0 else { return }
        guard kind != .logged else {
            throw .invalid("Cannot include a virtual table statement in a logged batch")
        }
        guard count == modifications.count else {
            throw .invalid(
                "Mutations for virtual and regular tables cannot exist in the same batch")
        }
        guard !isConditional else {
            throw .invalid(
                "Conditional BATCH statements cannot include mutations for virtual tables")
        }
    }

    /// The context of its statements: with the batch's timestamp, if it has one.
    package func context(
        _ values: BoundValues, _ context: ExecutionContext
    ) throws(CQLError) -> ExecutionContext {
        guard let timestamp else { return context }
        var context = context
        context.timestamp = try ModificationPlan.timestamp(
            timestamp, values, context, default: context.timestamp)
        return context
    }

    /// Builds the mutations of all statements; those of one partition become one.
    package func build(
        _ values: BoundValues, _ context: ExecutionContext, into sink: MutationSink
    ) throws(CQLError) {
        let context = try self.context(values, context)
        for modification in modifications {
            try modification.build(values, context, into: sink)
        }
        // Increments of one counter add up; each is carried out by itself.
        if !isCounter { try sink.mergePartitions() }
    }
}
