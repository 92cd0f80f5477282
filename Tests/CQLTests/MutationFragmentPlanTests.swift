// The plan of SELECT ... FROM MUTATION_FRAGMENTS(t): its schema, and what is refused.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct MutationFragmentPlanTests {
    private func bench() throws -> SchemaBench {
        try SchemaBench.withKeyspace(
            "CREATE TABLE ks.t (a int, b text, c int, d text, s int static, v int, "
                + "PRIMARY KEY ((a, b), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)",
            "CREATE TABLE ks.named (value int PRIMARY KEY, v int)")
    }

    @Test func theColumnsAreThoseOfTheKeyAndOfAFragment() throws {
        let plan = try bench().plan("SELECT * FROM MUTATION_FRAGMENTS(ks.t)")
        #expect(
            plan.resultColumns.map { "\($0.name) \($0.type.cqlName)" } == [
                "a int", "b text", "mutation_source text", "partition_region tinyint", "c int",
                "d text", "position_weight tinyint", "metadata text",
                "mutation_fragment_kind text", "value text",
            ])
        guard case .select(let select) = plan.plan else { throw Unexpected() }
        #expect(select.subject.name == "t" && plan.tableID == select.subject.id)
    }

    @Test func commandsAskForFragments() throws {
        let plan = try bench().plan(
            "SELECT * FROM mutation_fragments(t) WHERE a = 1 AND b = 'x' AND mutation_source = 'm'")
        guard case .select(let select) = plan.plan else { throw Unexpected() }
        let execution = try SelectExecution(
            select, BoundValues(), ExecutionContext(timestamp: 0, nowInSeconds: 0))
        let command = try #require(try execution.nextCommand())
        #expect(command.showsFragments && command.table == select.subject.id)
        #expect(command.slices?.count == 1)
        let writer = ByteWriter()
        command.encode(into: writer)
        var reader = ByteReader(writer.bytes)
        #expect(try ReadCommand(from: &reader) == command)
    }

    @Test func aTableMayBeNamedLikeTheFunction() throws {
        var bench = try bench()
        try bench.apply("CREATE TABLE ks.mutation_fragments (k int PRIMARY KEY)")
        let plan = try bench.plan("SELECT * FROM mutation_fragments")
        #expect(plan.resultColumns.map(\.name) == ["k"])
    }

    @Test func whatCannotBeShownIsRefused() throws {
        let bench = try bench()
        #expect(
            bench.failure("SELECT * FROM MUTATION_FRAGMENTS(t) WHERE a = 1 AND b = '' ORDER BY c")
                == .invalid(
                    "ORDER BY is not supported in SELECT FROM MUTATION_FRAGMENTS() statements."))
        #expect(
            bench.failure("SELECT * FROM MUTATION_FRAGMENTS(named)")
                == .invalid(
                    "SELECT FROM MUTATION_FRAGMENTS() has a column value of its own, which is the "
                        + "name of a key column of ks.named"))
        #expect(
            bench.failure("SELECT * FROM MUTATION_FRAGMENTS(system_views.settings)")
                == .invalid(
                    "SELECT FROM MUTATION_FRAGMENTS() is not supported for system_views.settings: "
                        + "its rows are not stored"))
        #expect(bench.failure("SELECT v FROM MUTATION_FRAGMENTS(t)") != nil)
        #expect(bench.failure("DELETE FROM MUTATION_FRAGMENTS(t) WHERE a = 1") != nil)
    }

    @Test func aPageGoesOnAtItsOwnNodeOnly() throws {
        let plan = try bench().plan("SELECT * FROM MUTATION_FRAGMENTS(ks.t)")
        guard case .select(let select) = plan.plan else { throw Unexpected() }
        let key = Array("anything".utf8)
        let origin = UniqueID(high: 1, low: 2)
        let state = PagingState(
            token: Token.of(key).value, key: key, clustering: [0x40], remaining: 7,
            remainingInPartition: 7, origin: origin)
        func resume(at node: UniqueID) throws {
            _ = try SelectExecution(
                select, BoundValues(), ExecutionContext(timestamp: 0, nowInSeconds: 0),
                pageSize: 10, pagingState: state.bytes, origin: node)
        }
        try resume(at: origin)
        #expect(
            throws: CQLError.invalid(
                "Moving between coordinators is not allowed in SELECT FROM MUTATION_FRAGMENTS()"
                    + " statements, last page's coordinator was \(origin)")
        ) { try resume(at: UniqueID(high: 3, low: 4)) }
    }
}
