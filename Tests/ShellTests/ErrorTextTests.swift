// Errors for a person, with the place in the statement.

import Model
import NativeProtocol
import Testing

@testable import coterie

@Suite struct ErrorTextTests {
    @Test func caretStandsUnderTheColumn() {
        let statement = "SELECT *\n  FORM t"
        #expect(
            ErrorText.pointer("line 2:2 mismatched input 'FORM'", statement) == "    FORM t\n    ^")
        #expect(ErrorText.pointer("line 1:8 missing EOF", statement) == "  SELECT *\n          ^")
    }

    @Test func wideCharactersAndTabsMoveTheCaret() {
        #expect(ErrorText.pointer("line 1:3 x", "'東'x") == "  '東'x\n      ^")
        #expect(ErrorText.pointer("line 1:1 x", "\tx") == "   x\n   ^")
    }

    @Test func messagesWithoutAPlacePointNowhere() {
        #expect(ErrorText.pointer("unconfigured table", "a") == nil)
        #expect(ErrorText.pointer("line 3:1 x", "a") == nil)
        #expect(ErrorText.pointer("line x", "a") == nil)
        #expect(ErrorText.pointer("line 1:9999 x", "a") == "  a\n   ^")
    }

    private let node = NamedNode(endpoint: "127.0.0.1:9042", datacenter: "dc1")

    private func text(_ answer: ErrorAnswer) -> String {
        let (name, message) = DriverText(node: node).parts(answer)
        return name + ": " + message
    }

    private func text(_ error: CQLError) -> String {
        text(ErrorAnswer(code: ErrorBody.code(error, .v5), error: error))
    }

    @Test func errorsAreThoseOfTheDriver() {
        #expect(
            text(.invalid("no"))
                == "InvalidRequest: Error from server: code=2200 [Invalid query] message=\"no\"")
        #expect(text(.syntax("line 1:0 no")) == "SyntaxException: line 1:0 no")
        #expect(text(.configuration("no")) == "ConfigurationException: no")
        #expect(
            text(.alreadyExists("x", keyspace: "k", table: "t"))
                == "AlreadyExists: Table 'k.t' already exists")
        #expect(
            text(.alreadyExists("x", keyspace: "k", table: ""))
                == "AlreadyExists: Keyspace 'k' already exists")
        #expect(
            text(ErrorAnswer(code: 0x1700, error: .serverError("maybe"))) == "ErrorMessage: maybe")
    }

    @Test func errorsOfCoordinatorsHaveTheirNumbers() {
        #expect(
            text(
                .writeTimeout(
                    "late", consistency: .all, received: 1, required: 3, type: .simple))
                == "WriteTimeout: Error from server: code=1100 [Coordinator node timed out waiting "
                + "for replica nodes' responses] message=\"late\" info={'consistency': 'ALL', "
                + "'required_responses': 3, 'received_responses': 1, 'write_type': 'SIMPLE'}")
        #expect(
            text(
                .readFailure(
                    "bad", consistency: .one, received: 0, required: 1,
                    failures: [.init(address: [127, 0, 0, 2], reason: 1)], dataPresent: false))
                == "ReadFailure: Error from server: code=1300 [Replica(s) failed to execute read] "
                + "message=\"bad\" info={'consistency': 'ONE', 'required_responses': 1, "
                + "'received_responses': 0, 'failures': 1, "
                + "'error_code_map': {'127.0.0.2': '0x0001'}}")
    }

    @Test func whatAnotherNodeMightAnswerNamesTheNode() {
        #expect(
            text(.overloaded("busy"))
                == "NoHostAvailable: ('Unable to complete the operation against any hosts', "
                + "{<Host: 127.0.0.1:9042 dc1>: <Error from server: code=1001 [Coordinator node "
                + "overloaded] message=\"busy\">})")
        #expect(
            text(.unavailable("few", consistency: .quorum, required: 2, alive: 1))
                == "NoHostAvailable: ('Unable to complete the operation against any hosts', "
                + "{<Host: 127.0.0.1:9042 dc1>: Unavailable('Error from server: code=1000 "
                + "[Unavailable exception] message=\"few\" info={\\'consistency\\': "
                + "\\'QUORUM\\', \\'required_replicas\\': 2, \\'alive_replicas\\': 1}')})")
    }

    @Test func textsAreQuotedAsByPython() {
        #expect(PythonText.quoted("a") == "'a'")
        #expect(PythonText.quoted("it's") == "\"it's\"")
        #expect(PythonText.quoted("'\"\\\n\u{1}é") == "'\\'\"\\\\\\n\\x01é'")
    }
}
