// What a tab stands for.

import Testing

@testable import coterie

@Suite struct CompletionTests {
    private var completer: Completer {
        var shop = CompletionSchema.Keyspace()
        shop.tables = [
            "orders": .init(columns: ["id", "item", "\u{00E9}tat", "Weird Name"]),
            "items": .init(columns: ["id", "price"]),
        ]
        shop.types = ["address"]
        shop.functions = ["tax"]
        shop.indexes = ["by_item"]
        return Completer(
            schema: CompletionSchema(keyspaces: ["shop": shop, "system": .init()]), keyspace: "shop"
        )
    }

    private func after(_ text: String) -> [String] { completer.complete(text).candidates }

    @Test func verbsComeFirst() {
        #expect(after("SEL") == ["SELECT"])
        #expect(after("c") == ["CAPTURE", "CLEAR", "CONSISTENCY", "COPY", "CREATE"])
        #expect(completer.complete("SEL").replaced == 3)
        #expect(after("SELECT 1; DESC") == ["DESCRIBE"])
    }

    @Test func tablesAndKeyspacesFollowFrom() {
        #expect(after("SELECT * FROM ") == ["items", "orders", "shop.", "system."])
        #expect(after("SELECT * FROM shop.o") == ["orders"])
        #expect(after("INSERT INTO it") == ["items"])
        #expect(after("UPDATE or") == ["orders"])
        #expect(after("USE s") == ["shop", "system"])
    }

    @Test func columnsAreThoseOfTheTable() {
        #expect(after("SELECT * FROM items WHERE ") == ["id", "price", "token("])
        #expect(after("SELECT * FROM shop.items WHERE id = 1 AND p") == ["price"])
        #expect(after("INSERT INTO items (id, ") == ["price"])
        #expect(after("UPDATE items SET p") == ["price"])
        #expect(after("DELETE FROM orders WHERE it") == ["item"])
        #expect(after("SELECT * FROM orders WHERE \"W") == ["\"Weird Name\""])
        #expect(after("COPY orders (i") == ["id", "item"])
    }

    @Test func levelsTypesFunctionsAndOptionsAreKnown() {
        #expect(after("CONSISTENCY LOCAL_") == ["LOCAL_ONE", "LOCAL_QUORUM", "LOCAL_SERIAL"])
        #expect(after("SERIAL CONSISTENCY ") == ["LOCAL_SERIAL", "SERIAL"])
        #expect(after("CREATE TABLE x (a add") == ["address"])
        #expect(after("CREATE TABLE x (a tin") == ["tinyint"])
        #expect(after("SELECT max") == ["max(", "maxtimeuuid(", "maxwritetime("])
        #expect(
            after("CREATE TABLE x (a int PRIMARY KEY) WITH comp") == ["compaction", "compression"])
        #expect(after("DESCRIBE INDEX b") == ["by_item"])
        #expect(after("DESCRIBE FUNCTION shop.") == ["tax"])
        #expect(after("DROP TYPE a") == ["address"])
        #expect(after("COPY items TO 'x' WITH HE") == ["HEADER"])
        #expect(
            after("COPY items FROM 'x' WITH HEADER = true AND SKIP") == ["SKIPCOLS", "SKIPROWS"])
        #expect(after("COPY items TO 'x' WITH SKIP") == [])
        #expect(after("TRACING ") == ["OFF", "ON"])
        #expect(after("HELP CREATE_T") == ["CREATE_TABLE", "CREATE_TRIGGER", "CREATE_TYPE"])
    }

    @Test func insideOfStringsNothingIsKnown() {
        #expect(after("INSERT INTO items (id) VALUES ('SEL") == [])
    }

    @Test(arguments: [UInt64(3), 99])
    func anythingTypedIsSurvived(seed: UInt64) {
        var random = SeededNumbers(seed: seed)
        let words = [
            "SELECT", "FROM", "items", ".", "(", ")", ",", "'", "\"", "WITH", "CREATE", "TABLE",
            ";",
            "shop", "COPY", "TO", "WHERE", "=", "1", "-", "--", "/*", "DROP", "ALTER", "IN",
        ]
        for _ in 0..<400 {
            let text = (0..<random.next(9)).map { _ in words[random.next(words.count)] }
                .joined(separator: random.next(2) == 0 ? " " : "")
            let result = completer.complete(text)
            #expect(result.replaced <= text.count, "seed \(seed): \(text)")
        }
    }
}
