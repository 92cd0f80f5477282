// Where a statement ends.

import Testing

@testable import coterie

@Suite struct StatementSplitterTests {
    private func split(_ text: String) -> [String] {
        var splitter = StatementSplitter()
        splitter.append(text)
        var statements: [String] = []
        while let statement = splitter.next() { statements.append(statement) }
        if let rest = splitter.rest() { statements.append("REST: " + rest) }
        return statements
    }

    @Test func semicolonsEndStatements() {
        #expect(split("a; b ;c;\n") == ["a", "b", "c"])
        #expect(split("a; b") == ["a", "REST: b"])
        #expect(split("a\n  b\n;") == ["a\n  b"])
        #expect(split("") == [] && split(" \n") == [])
    }

    @Test func semicolonsAloneAreStatements() {
        #expect(split(";;\n ; a;;") == ["", "", "", "a", ""])
    }

    @Test func theServerGetsTheSemicolonToo() {
        var splitter = StatementSplitter()
        splitter.append("/* a */ b /* c */ ;;paging\nd")
        var sources: [String] = []
        while splitter.next() != nil { sources.append(splitter.source) }
        #expect(sources == ["b /* c */ ;", ";", "paging\n"])
        #expect(splitter.rest() == "d" && splitter.source == "d;")
    }

    @Test func semicolonsInsideOfTextEndNothing() {
        #expect(split("s ';' x;") == ["s ';' x"])
        #expect(split("s 'it''s; ' x;") == ["s 'it''s; ' x"])
        #expect(split("s \";\"\";\" x;") == ["s \";\"\";\" x"])
        #expect(split("s $$ ; ' $$ x;") == ["s $$ ; ' $$ x"])
        #expect(split("s -- ;'\n x;") == ["s -- ;'\n x"])
        #expect(split("s // ;'\n x;") == ["s // ;'\n x"])
        #expect(split("s /* ; ' */ x;") == ["s /* ; ' */ x"])
    }

    @Test func commentsBetweenStatementsAreDropped() {
        #expect(split("-- one\n/* two; */ a; -- three;\n") == ["a"])
    }

    @Test func commandsEndWithTheirLine() {
        #expect(split("consistency quorum\nselect\n1;") == ["consistency quorum", "select\n1"])
        #expect(split("DESC tables; HELP\n") == ["DESC tables", "HELP"])
        #expect(split("?\n") == ["?"])
        // A line comment takes its line feed along only as far as the command's end.
        #expect(split("paging off -- x\nselect 1;").last == "select 1")
    }

    @Test func batchGoesOnUntilItIsApplied() {
        let batch = "BEGIN UNLOGGED BATCH insert 1; insert 2; APPLY BATCH"
        #expect(split(batch + "; select 1;") == [batch, "select 1"])
        #expect(split("begin batch a;\nb;\napply\nbatch;") == ["begin batch a;\nb;\napply\nbatch"])
        #expect(split("begin batch a; b;") == ["REST: begin batch a; b;"])
        #expect(split("begin transaction a;") == ["begin transaction a"])
    }

    @Test func linesCanComeOneByOne() {
        var splitter = StatementSplitter()
        splitter.append("select\n")
        #expect(splitter.next() == nil && splitter.unfinished == .statement)
        splitter.append("'a\n")
        #expect(splitter.next() == nil && splitter.unfinished == .string)
        splitter.append("b' \"c\n")
        #expect(splitter.next() == nil && splitter.unfinished == .quotedName)
        splitter.append("\" $$\n")
        #expect(splitter.next() == nil && splitter.unfinished == .dollars)
        splitter.append("$$ /*\n")
        #expect(splitter.next() == nil && splitter.unfinished == .comment)
        splitter.append("*/ ;\n")
        #expect(splitter.next() == "select\n'a\nb' \"c\n\" $$\n$$ /*\n*/")
        #expect(splitter.next() == nil && splitter.unfinished == .nothing)
    }

    @Test func statementsKnowTheLineAfterTheirLast() {
        var splitter = StatementSplitter()
        splitter.append("a;\n\n-- c\nb\nb;c; /*\n*/ d;\n")
        var lines: [String: Int] = [:]
        while let statement = splitter.next() {
            lines[statement.replacing("\n", with: "")] = splitter.followingLine
        }
        #expect(lines == ["a": 2, "bb": 6, "c": 6, "d": 7])
        splitter.append("\ne;")
        #expect(splitter.next() == "e" && splitter.followingLine == 9)
        splitter.append("\nf\n\n")
        #expect(splitter.rest() == "f" && splitter.followingLine == 11)
    }

    @Test func resetForgetsTheStatementUnderWay() {
        var splitter = StatementSplitter()
        splitter.append("select '\n")
        #expect(splitter.next() == nil)
        splitter.reset()
        splitter.append("a;")
        #expect(splitter.next() == "a")
    }
}
