// Unmodified clients against real nodes.
//
// Nearly all that a client sees of one node it sees of a ring: so most behaviours run against one, and those
// that need more say so (`@needs(3)`) and run against a ring of three. Each test runs one suite of `python/` and
// reports its behaviours: a line `FAIL <suite>: <name>: <reason>` is an issue of the test. To run
// one suite by hand, and faster, see the head of `scripts/conformance`.

import Testing

@Suite(.serialized) struct ConformanceTests {
    @Suite(.ring(of: 1)) struct OneNode {
        @Test func clientsConnectWithEveryVersionAndBrokenOnesAreRefused() async throws {
            try await run("connect")
        }

        @Test func driversSeeTheClusterAndItsSchema() async throws { try await run("metadata") }

        @Test func schemaStatementsDoWhatCassandrasDo() async throws { try await run("schema") }

        @Test func everyTypeComesBackAsItWasWritten() async throws { try await run("types") }

        @Test func writesFollowCassandrasRules() async throws { try await run("write") }

        @Test func conditionalWritesFollowCassandrasRules() async throws { try await run("lwt") }

        @Test func countersCountAsCassandras() async throws { try await run("counters") }

        @Test func listsAreChangedByIndexAndByValue() async throws { try await run("lists") }

        @Test func batchesAreAllOrNothing() async throws { try await run("batches") }

        @Test func readsFollowCassandrasRules() async throws { try await run("read") }

        @Test func groupsFollowCassandrasRules() async throws { try await run("group_by") }

        @Test func rowsGoInAndOutAsJSON() async throws { try await run("json") }

        @Test func selectListsHoldWhatCassandrasDo() async throws { try await run("selection") }

        @Test func functionsComputeWhatCassandrasDo() async throws { try await run("functions") }

        @Test func literalsMeanWhatCassandrasDo() async throws { try await run("literals") }

        @Test func schemaRulesAreCassandras() async throws { try await run("ddl_rules") }

        @Test func whatIsDescribedMakesTheSameSchemaAgain() async throws {
            try await run("describe")
        }

        @Test func theProtocolIsCassandrasRowByRow() async throws { try await run("protocol") }

        @Test func driversMayAskWhatTheyAskWhileConnecting() async throws {
            try await run("connecting")
        }

        @Test func errorsCarryWhatCassandrasDo() async throws { try await run("errors") }

        @Test func theSystemsTablesHaveCassandrasColumns() async throws {
            try await run("system_tables")
        }

        @Test func whatIsTooLargeIsBoundedOrRefused() async throws { try await run("limits") }

        @Test func randomFramesDoNoHarm() async throws { try await run("fuzz") }

        @Test func theObjectMapperWorks() async throws { try await run("mapper") }

        @Test func everyStatementRefusesWhatCassandraRefuses() async throws {
            try await run("refusals")
        }

        @Test func whatIsNotSupportedIsRefusedByName() async throws { try await run("unsupported") }

        @Test func preparedStatementsOutliveChangesAndRestarts() async throws {
            try await run("prepared")
        }

        @Test func cqlshWorksUnmodified() async throws { try await run("cqlsh") }

        @Test(arguments: ["shell", "shell_copy", "shell_login"])
        func theShellDoesWhatCqlshDoes(suite: String) async throws {
            try await run(suite)
        }

        @Test func theShellWorksAtATerminal() async throws { try await run("terminal") }

        @Test func theGoDriverWorks() async throws { try await run("gocql") }

        @Test func theCPlusPlusDriverWorks() async throws { try await run("acsylla") }

        @Test func eventsReachThoseThatRegistered() async throws { try await run("events") }

        @Test func operatorsCommandsDoWhatNodetoolsDo() async throws { try await run("admin") }

        @Test func settingsAreReadShownAndChanged() async throws { try await run("settings") }

        @Test func virtualTablesShowWhatANodeKnows() async throws {
            try await run("virtual_tables")
        }

        @Test func compactStorageIsCassandras() async throws { try await run("compact") }
        @Test func fragmentsAreWhatIsStored() async throws { try await run("fragments") }
        @Test func guardrailsWarnAndRefuse() async throws { try await run("guardrails") }

        @Test func rolesAndPasswordsAreCassandras() async throws { try await run("roles") }

        @Test func permissionsAreJudgedAsCassandraDoes() async throws {
            try await run("permissions")
        }

        @Test func theNumberOfShardsChangesWithARestart() async throws { try await run("shards") }

        @Test(arguments: ["failures", "crash"])
        func whatNeedsSeveralNodesIsNamed(suite: String) async throws { try await run(suite) }
    }

    /// What one node is not enough for.
    @Suite(.ring(of: 3)) struct ThreeNodes {
        @Test func consistencyLevelsHoldWhileNodesFail() async throws { try await run("failures") }

        @Test func acknowledgedWritesSurviveKills() async throws { try await run("crash") }

        @Test(arguments: [
            "admin", "batches", "counters", "describe", "errors", "events", "fragments", "lists",
            "lwt", "metadata", "permissions", "prepared", "read", "schema", "settings", "shell",
            "virtual_tables", "write",
        ])
        func severalNodesAnswerAsOne(suite: String) async throws { try await run(suite) }
    }
}

/// Runs a suite and reports what failed.
private func run(_ suite: String) async throws {
    let ring = try #require(ConformanceRing.current)
    let needing = ring.nodes > 1 ? ["--needing", "2"] : []
    let result = try await ring.command("run", [suite] + needing)
    var held = 0
    var others = 0
    for line in result.output.split(separator: "\n") {
        if line.hasPrefix("ok ") {
            held += 1
        } else if line.hasPrefix("FAIL ") {
            others += 1
            Issue.record(Comment(rawValue: String(line)))
        } else if line.hasPrefix("skip ") || line.hasPrefix("elsewhere ")
            || line.hasPrefix("# ")
        {
            print("conformance: \(line)")
            if !line.hasPrefix("# ") { others += 1 }
        }
    }
    #expect(held + others > 0, "the suite said nothing: \(result.output)")
    let isExplained = result.status == 0 || (result.status == 3 && others > 0)
    #expect(isExplained, "the suite ended with \(result.status): \(result.output)")
}
