// Statements about roles and permissions to syntax trees.

import Encoding
import Model
import Testing

@testable import CQL

private func parse(_ text: String) throws -> RoleStatement {
    guard case .roles(let statement) = try Parser.parse(text).statement else {
        throw CQLError.invalid("no statement about roles: \(text)")
    }
    return statement
}

private func grant(
    _ permissions: PermissionSet, _ resource: Resource, isAll: Bool = false
) -> RoleStatement.Grant {
    RoleStatement.Grant(permissions: permissions, resource: resource, isAll: isAll)
}

@Suite struct RoleParserTests {
    @Test func aNewRoleMayDoNothingUnlessItIsSaid() throws {
        var options = RoleOptions()
        options.isSuperuser = false
        options.canLogin = false
        #expect(
            try parse("CREATE ROLE Someone") == .createRole("someone", ifNotExists: false, options))
        options.password = "it's"
        options.canLogin = true
        #expect(
            try parse(
                "CREATE ROLE IF NOT EXISTS 'Some One' WITH PASSWORD = 'it''s' AND LOGIN = TRUE")
                == .createRole("Some One", ifNotExists: true, options))
    }

    @Test func aUserIsARoleThatMayLogInAndKeepsItsCase() throws {
        var options = RoleOptions()
        options.isSuperuser = true
        options.canLogin = true
        options.password = "x"
        #expect(
            try parse("CREATE USER MixedCase WITH PASSWORD 'x' SUPERUSER")
                == .createRole("MixedCase", ifNotExists: false, options))
    }

    @Test func permissionsMeanThoseThatTheResourceHas() throws {
        #expect(
            try parse("GRANT ALL PERMISSIONS ON ks.t TO r")
                == .grant(
                    grant(Resource.table("ks", "t").applicable, .table("ks", "t"), isAll: true),
                    to: "r"))
        #expect(
            try parse("REVOKE SELECT, EXECUTE PERMISSION ON ALL TABLES IN KEYSPACE ks FROM \"R\"")
                == .revoke(grant(.select, .allTables("ks")), from: "R"))
        #expect(
            try parse("GRANT EXECUTE ON ALL FUNCTIONS IN KEYSPACE ks TO r")
                == .grant(grant(.execute, .functions("ks")), to: "r"))
    }

    @Test func wordsOfPermissionsAndResourcesAreNamesWhereTheyCanBe() throws {
        #expect(try parse("GRANT all TO unmask") == .grantRole("all", to: "unmask"))
        #expect(try parse("REVOKE unmask FROM role") == .revokeRole("unmask", from: "role"))
        #expect(
            try parse("GRANT UNMASK ON role TO user")
                == .grant(grant(.unmask, .table("", "role")), to: "user"))
        #expect(
            try parse("GRANT SELECT ON function.mbeans TO x")
                == .grant(grant(.select, .table("function", "mbeans")), to: "x"))
        #expect(
            try parse("GRANT ALTER ON ROLE role TO x")
                == .grant(grant(.alter, .role("role")), to: "x"))
    }

    @Test func listsNameWhatTheyAreOf() throws {
        #expect(try parse("LIST ROLES") == .listRoles(of: nil, isRecursive: true))
        #expect(try parse("LIST ROLES OF r NORECURSIVE") == .listRoles(of: "r", isRecursive: false))
        #expect(try parse("LIST USERS") == .listUsers)
        #expect(
            try parse("LIST ALL PERMISSIONS ON ALL KEYSPACES OF r")
                == .listPermissions(.all, on: .allKeyspaces, of: "r", isRecursive: true))
        #expect(
            try parse("LIST MODIFY NORECURSIVE")
                == .listPermissions(.modify, on: nil, of: nil, isRecursive: false))
    }

    @Test func aTableWithoutKeyspaceIsOneOfTheKeyspaceInUse() throws {
        let statement = try Parser.parse("GRANT SELECT ON t TO r")
        let schema = SchemaSnapshot(epoch: 0, version: UniqueID.zero, keyspaces: [])
        guard
            case .roles(.grant(let grant, _)) = try Planner.plan(
                statement, schema: schema, keyspace: "used"
            ).plan
        else { throw CQLError.invalid("no grant") }
        #expect(grant.resource == .table("used", "t"))
        #expect(throws: CQLError.self) {
            try Planner.plan(statement, schema: schema, keyspace: nil)
        }
    }

    @Test func everyNameOfAResourceLeadsBackToIt() {
        let resources: [Resource] = [
            .allKeyspaces, .keyspace("k"), .allTables("k"), .table("k", "t"), .allRoles,
            .role("r"), .role("a/b"), .allFunctions, .functions("k"),
        ]
        for resource in resources { #expect(Resource(name: resource.name) == resource) }
        #expect(Resource(name: "mbean") == nil)
        #expect(Resource(name: "") == nil)
        #expect(
            Resource.table("k", "t").chain
                == [.table("k", "t"), .allTables("k"), .keyspace("k"), .allKeyspaces])
    }

    @Test func passwordsAreHiddenWhereStatementsAreShown() {
        let cases = [
            ("CREATE ROLE r WITH PASSWORD = 'x'", "CREATE ROLE r WITH PASSWORD *******"),
            ("alter\n user r with password 'x' superuser", "alter\n user r with password *******"),
            (
                "ALTER ROLE r WITH HASHED PASSWORD = 'x'",
                "ALTER ROLE r WITH HASHED PASSWORD *******"
            ),
            ("SELECT password FROM t", "SELECT password FROM t"), ("", ""), ("CREATE", "CREATE"),
            ("CREATE ROLE r", "CREATE ROLE r"),
        ]
        for (text, expected) in cases { #expect(PasswordMask.masked(text) == expected) }
    }

    @Test func permissionsHaveCassandrasNamesInItsOrder() {
        #expect(
            PermissionSet.all.names == [
                "CREATE", "ALTER", "DROP", "SELECT", "MODIFY", "AUTHORIZE", "DESCRIBE", "EXECUTE",
                "UNMASK", "SELECT_MASKED",
            ])
        for permission in PermissionSet.all.each {
            #expect(PermissionSet(named: permission.names[0]) == permission)
        }
    }
}
