// What statements about roles mean, judged on books of roles; and bcrypt.

import CQL
import Encoding
import Environment
import Model
import Testing

@testable import NodeLogic

@Suite struct RoleRulesTests {
    /// boss (a superuser), its member deputy, a reader of `ks`, a group with a member.
    private var book: RoleBook {
        var book = RoleBook()
        book.roles = [
            "boss": Role(isSuperuser: true, canLogin: true),
            "deputy": Role(canLogin: true, memberOf: ["boss"]),
            "reader": Role(canLogin: true), "group": Role(),
            "member": Role(canLogin: true, memberOf: ["gone", "group"]),
        ]
        book.permissions = [
            "reader": ["data/ks": .select], "group": ["data/ks/t": [.modify, .select]],
        ]
        return book
    }

    private func rules(_ performer: String?, authorizer: Configuration.Authorizer = .granted)
        -> RoleRules
    {
        var settings = Configuration.Authentication()
        settings.authenticator = .password
        settings.authorizer = authorizer
        return RoleRules(
            book: book, performer: performer, settings: settings,
            schema: SchemaSnapshot(
                epoch: 1, version: .zero,
                keyspaces: [
                    KeyspaceSchema(
                        name: "ks",
                        replication: ReplicationParameters(strategyClass: "x", options: [:]))
                ]))
    }

    private func decide(_ text: String, by performer: String?) throws -> RoleDecision {
        let plan = try Planner.plan(
            try Parser.parse(text), schema: rules(nil).schema, keyspace: nil)
        guard case .roles(let statement) = plan.plan else {
            throw CQLError.invalid("no statement about roles")
        }
        return try rules(performer).decide(statement)
    }

    private func error(_ text: String, by performer: String?) -> CQLError? {
        do {
            _ = try decide(text, by: performer)
            return nil
        } catch {
            return error as? CQLError
        }
    }

    // MARK: The book

    @Test func permissionsComeFromAllRolesAndAllThatAResourceIsIn() {
        #expect(book.permissions(of: "reader", on: .table("ks", "t")) == .select)
        #expect(book.permissions(of: "reader", on: .table("other", "t")).isEmpty)
        #expect(book.permissions(of: "member", on: .table("ks", "t")) == [.modify, .select])
        #expect(book.permissions(of: "member", on: .keyspace("ks")).isEmpty)
        #expect(book.permissions(of: "deputy", on: .allRoles) == Resource.allRoles.applicable)
        #expect(book.permissions(of: "nobody", on: .keyspace("ks")).isEmpty)
    }

    @Test func aCircleOfRolesEndsAndAMissingRoleIsLeftOut() {
        var book = book
        book.roles["group"]?.memberOf = ["member"]
        #expect(book.closure(of: "member") == ["group", "member"])
        #expect(book.closure(of: "nobody").isEmpty)
    }

    /// By the closure of memberships, worked out the slow way.
    @Test(arguments: [UInt64(1), 2, 3, 4, 5])
    func closuresAreThoseOfASlowTwin(seed: UInt64) {
        var random = RandomStream(seed: seed, name: "roles")
        for round in 0..<50 {
            var book = RoleBook()
            let count = Int(random.below(8)) + 1
            for role in 0..<count {
                let parents = (0..<Int(random.below(4))).map { _ in
                    "r\(random.below(UInt64(count) + 1))"
                }
                book.roles["r\(role)"] = Role(memberOf: Set(parents).sorted())
            }
            for role in book.roles.keys.sorted() {
                var reached: Set = [role]
                for _ in 0..<count {
                    for name in reached {
                        reached.formUnion(book.roles[name]?.memberOf ?? [])
                    }
                    reached = reached.filter { book.roles[$0] != nil }
                }
                #expect(
                    book.closure(of: role) == reached.sorted(), "seed \(seed), round \(round)")
            }
        }
    }

    @Test func rowsOfTheTablesMakeABook() {
        var read = RoleBook()
        read.add(roles: [
            [Array("a".utf8), [1], [0], SystemValue.textSet(["c", "b"]).bytes],
            // What is left of a role that was dropped while it was granted something.
            [Array("ghost".utf8), nil, nil, SystemValue.textSet(["b"]).bytes],
        ])
        read.add(permissions: [
            [
                Array("a".utf8), Array("data/ks".utf8),
                SystemValue.textSet(["SELECT", "FLY"]).bytes,
            ],
            [Array("a".utf8), Array("roles".utf8), SystemValue.textSet(["FLY"]).bytes],
        ])
        #expect(read.roles == ["a": Role(isSuperuser: true, memberOf: ["b", "c"])])
        #expect(read.permissions == ["a": ["data/ks": .select]])
    }

    // MARK: Deciding

    @Test func whoeverCreatesARoleIsGrantedAllOnIt() throws {
        #expect(
            try decide("CREATE ROLE new WITH PASSWORD = 'x'", by: "boss")
                == .change(
                    RoleChange(
                        writes: [
                            .createRole("new", isSuperuser: false, canLogin: false, hash: nil),
                            .grant(
                                [.alter, .drop, .authorize, .describe], on: .role("new"),
                                to: "boss"),
                        ], password: "x")))
    }

    @Test func theHashTakesThePlaceOfThePassword() {
        let change = RoleChange(
            writes: [.alterRole("r", isSuperuser: nil, canLogin: true, hash: nil)], password: "x")
        let hashed = change.with(hash: "h")
        #expect(hashed.password == nil)
        #expect(
            hashed.writes.flatMap(\.calls) == [
                InternalCall(
                    "UPDATE system_auth.roles SET can_login = ?, salted_hash = ? WHERE role = ?",
                    [.boolean(true), .text("h"), .text("r")])
            ])
    }

    @Test func aDroppedRoleLeavesNothingBehind() throws {
        guard case .change(let change) = try decide("DROP ROLE group", by: "boss") else {
            Issue.record("no change")
            return
        }
        #expect(
            change.writes == [
                .dropRole("group"), .forgetMembers(of: "group"),
                .removeMember("member", of: "group"),
                .forgetPermissions(of: "group", on: ["data/ks/t"]),
            ])
    }

    @Test func errorsHaveCassandrasWords() {
        let insufficient =
            "does not have sufficient privileges to perform the requested operation"
        let cases: [(String, String?, CQLError)] = [
            ("CREATE ROLE reader", "boss", .invalid("reader already exists")),
            ("CREATE ROLE x", "reader", .unauthorized("User reader \(insufficient)")),
            (
                "CREATE ROLE x", nil, .unauthorized("User anonymous \(insufficient)")
            ),
            ("ALTER ROLE x WITH LOGIN = true", "boss", .invalid("Role x doesn't exist")),
            ("ALTER ROLE reader", "boss", .invalid("ALTER [ROLE|USER] can't be empty")),
            (
                "ALTER ROLE boss WITH SUPERUSER = false", "deputy",
                .unauthorized(
                    "You aren't allowed to alter your own superuser status or that of a role granted"
                        + " to you")
            ),
            (
                "DROP ROLE boss", "boss",
                .invalid("Cannot DROP primary role for current login")
            ),
            ("GRANT group TO member", "boss", .invalid("member is a member of group")),
            ("GRANT member TO group", "boss", .invalid("member is a member of group")),
            (
                "GRANT SELECT ON KEYSPACE x TO reader", "boss",
                .invalid("Resource <keyspace x> doesn't exist")
            ),
            (
                "GRANT SELECT ON KEYSPACE ks TO reader", "reader",
                .unauthorized(
                    "User reader has no AUTHORIZE permission on <keyspace ks> or any of its parents"
                )
            ),
            (
                "LIST ALL PERMISSIONS", "reader",
                .unauthorized("You are not authorized to view everyone's permissions")
            ),
            (
                "LIST ROLES", nil,
                .unauthorized(
                    "You have to be logged in and not anonymous to perform this request")
            ),
        ]
        for (text, performer, expected) in cases {
            #expect(error(text, by: performer) == expected, "\(text)")
        }
    }

    // MARK: bcrypt

    @Test func aHashIsThatOfItsPasswordAndOfNoOther() throws {
        let salt = (0..<Bcrypt.saltBytes).map { UInt8($0 * 7) }
        let hash = try #require(Bcrypt.hash("secret", cost: 4, salt: salt))
        #expect(hash.hasPrefix("$2a$04$"))
        #expect(Bcrypt.isHash(hash))
        #expect(hash == Bcrypt.hash("secret", cost: 4, salt: salt), "the salt decides")
        #expect(Bcrypt.verify("secret", hash) == true)
        #expect(Bcrypt.verify("secret ", hash) == false)
        #expect(Bcrypt.verify("secret", "nonsense") == nil)
        #expect(Bcrypt.verify("secret", "$1$abcdefgh$") == nil)
    }

    /// Vectors of the original implementation (jBCrypt's tests).
    @Test func hashesAreThoseOfTheOriginal() {
        #expect(
            Bcrypt.verify("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe")
                == true)
        #expect(
            Bcrypt.verify(
                "abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i") == true)
    }

    @Test func whatIsNoHashIsToldApart() {
        #expect(!Bcrypt.isHash(""))
        #expect(!Bcrypt.isHash("$2a$04$" + String(repeating: "a", count: 52)))
        #expect(!Bcrypt.isHash("$2a$99$" + String(repeating: "a", count: 53)))
        #expect(!Bcrypt.isHash("$2x$10$" + String(repeating: "a", count: 53)))
        #expect(!Bcrypt.isHash("$2a$10$" + String(repeating: "ä", count: 26) + "a"))
        #expect(Bcrypt.isHash("$2a$10$" + String(repeating: "a", count: 53)))
    }
}
