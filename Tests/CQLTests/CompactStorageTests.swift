// COMPACT STORAGE: the shape of the schema, and rows that live by their cells.

import Encoding
import Model
import Testing

@testable import CQL

@Suite struct CompactStorageTests {
    private func columns(_ table: TableSchema) -> [String] {
        table.allColumns.map { column in
            let kind =
                switch column.kind {
                case .partitionKey: "key"
                case .clustering: "clustering"
                case .static: "static"
                case .regular: "regular"
                }
            return "\(column.name) \(kind)" + (table.isHidden(column) ? " hidden" : "")
        }
    }

    @Test func theHiddenColumnsAreCassandras() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE s (k int PRIMARY KEY, v int, column1 int, value int) WITH COMPACT STORAGE",
            "CREATE TABLE d (k int, c int, v int, PRIMARY KEY (k, c)) WITH COMPACT STORAGE",
            "CREATE TABLE n (k int, c int, e int, PRIMARY KEY (k, c, e)) WITH COMPACT STORAGE")
        let fixed = try #require(bench.snapshot.table("ks", "s"))
        #expect(fixed.compact == .static)
        #expect(
            columns(fixed) == [
                "k key", "column2 clustering hidden", "column1 static", "v static",
                "value static", "value1 regular hidden",
            ])
        #expect(fixed.column(named: "column2") == nil && fixed.column(named: "column1") != nil)
        let dense = try #require(bench.snapshot.table("ks", "d"))
        #expect(dense.compact == .dense)
        #expect(columns(dense) == ["k key", "c clustering", "v regular"])
        let none = try #require(bench.snapshot.table("ks", "n"))
        #expect(none.compact == .compound)
        #expect(
            columns(none) == [
                "k key", "c clustering", "e clustering", "value regular hidden",
            ])
    }

    @Test func statementsOfDescribeMakeTheSameTable() throws {
        let texts = [
            "CREATE TABLE s (k int PRIMARY KEY, v int, w text) WITH COMPACT STORAGE",
            "CREATE TABLE d (k int, c int, v int, PRIMARY KEY (k, c)) WITH COMPACT STORAGE "
                + "AND CLUSTERING ORDER BY (c DESC)",
            "CREATE TABLE n (k int, c int, e int, PRIMARY KEY (k, c, e)) WITH COMPACT STORAGE",
        ]
        for text in texts {
            let bench = try SchemaBench.withKeyspace(text)
            let made = try #require(bench.snapshot.keyspace(named: "ks")?.tables.first)
            let described = CreateStatements.table(made, withInternals: true)
            let again = try SchemaBench.withKeyspace(described)
            let table = try #require(again.snapshot.keyspace(named: "ks")?.tables.first)
            #expect(table.compact == made.compact && columns(table) == columns(made))
            #expect(CreateStatements.table(table, withInternals: true) == described)
        }
    }

    @Test func rowsLiveByTheirCells() throws {
        var bench = try Bench(
            "CREATE TABLE s (k int PRIMARY KEY, v int, w int) WITH COMPACT STORAGE",
            "CREATE TABLE d (k int, c int, v int, PRIMARY KEY (k, c)) WITH COMPACT STORAGE")
        try bench.run("INSERT INTO s (k, v) VALUES (1, 10)")
        try bench.run("INSERT INTO s (k, v) VALUES (2, null)")
        #expect(try bench.run("SELECT * FROM s") == ["1,10,null"])
        try bench.run("INSERT INTO d (k, c, v) VALUES (1, 1, 1)")
        try bench.run("INSERT INTO d (k, c, v) VALUES (1, 2, 2)")
        try bench.run("UPDATE d SET v = null WHERE k = 1 AND c = 1")
        #expect(try bench.run("SELECT * FROM d") == ["1,2,2"])
    }

    @Test func rowsWithFewerClusteringValuesComeFirst() throws {
        var bench = try Bench(
            "CREATE TABLE n (k int, c int, e decimal, v int, PRIMARY KEY (k, c, e)) "
                + "WITH COMPACT STORAGE")
        try bench.run("INSERT INTO n (k, c, e, v) VALUES (1, 1, 1.50, 1)")
        try bench.run("INSERT INTO n (k, c, v) VALUES (1, 1, 2)")
        try bench.run("INSERT INTO n (k, c, v) VALUES (1, 2, 3)")
        let rows = ["1,1,null,2", "1,1,1.50,1", "1,2,null,3"]
        #expect(try bench.run("SELECT * FROM n") == rows)
        for pageSize in 1...3 {
            #expect(try bench.run("SELECT * FROM n WHERE k = 1", pageSize: pageSize) == rows)
        }
    }

    @Test func aTableWithoutCompactStorageShowsAllColumns() throws {
        var bench = try Bench(
            "CREATE TABLE s (k int PRIMARY KEY, v int) WITH COMPACT STORAGE")
        try bench.run("INSERT INTO s (k, v) VALUES (1, 10)")
        try bench.run("ALTER TABLE s DROP COMPACT STORAGE")
        try bench.run("INSERT INTO s (k, column1, value) VALUES (1, 'x', 0x07)")
        #expect(try bench.run("SELECT * FROM s") == ["1,x,10,0x07"])
        #expect(
            bench.schema.failure("ALTER TABLE s DROP COMPACT STORAGE")
                == .invalid("Cannot DROP COMPACT STORAGE on table without COMPACT STORAGE"))
    }

    @Test func flagsTellTheShape() throws {
        let bench = try SchemaBench.withKeyspace(
            "CREATE TABLE s (k int PRIMARY KEY, v counter) WITH COMPACT STORAGE",
            "CREATE TABLE n (k int, c int, e int, PRIMARY KEY (k, c, e)) WITH COMPACT STORAGE")
        let tables = try #require(SystemSchema.table("system_schema", "tables"))
        let rows = try #require(SystemSchema.rows(of: tables, describing: bench.snapshot))
        let name = tables.slot(of: try #require(tables.column(named: "table_name")))
        let flags = tables.slot(of: try #require(tables.column(named: "flags")))
        func shown(_ table: String) -> [UInt8]? {
            rows.first { $0[name] == Array(table.utf8) }?[flags]
        }
        #expect(shown("s") == SystemValue.textSet(["counter"]).bytes)
        #expect(shown("n") == SystemValue.textSet(["compound", "dense"]).bytes)
    }
}
