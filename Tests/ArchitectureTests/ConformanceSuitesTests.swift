// A suite of behaviours that no test runs proves nothing.

import Testing

@Suite struct ConformanceSuitesTests {
    @Test func everySuiteIsRunByATest() throws {
        let tests = try #require(
            Repository.file("Tests/ConformanceTests/ConformanceTests.swift")
        ).text
        let three = try #require(tests.firstRange(of: "struct ThreeNodes")).lowerBound
        let suites = Repository.files("Tests/ConformanceTests/python", ending: ".py").filter {
            $0.path.contains("/suite_")
        }
        #expect(suites.count > 40, "the suites are missing")
        for suite in suites {
            let start = try #require(suite.path.firstRange(of: "/suite_")).upperBound
            let name = "\"\(suite.path[start...].dropLast(3))\""
            #expect(tests[..<three].contains(name), "no test runs \(suite) on one node")
            if suite.text.contains("\n@needs(") {
                #expect(tests[three...].contains(name), "no test runs \(suite) on three nodes")
            }
        }
    }
}
