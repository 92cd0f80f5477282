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

    @Test func errorsHaveNamesAndNumbers() {
        func text(_ error: CQLError) -> String {
            ErrorText.text(ErrorAnswer(code: ErrorBody.code(error, .v5), error: error))
        }
        #expect(text(.invalid("no")) == "InvalidRequest: no")
        #expect(
            text(.unavailable("few", consistency: .quorum, required: 2, alive: 1))
                == "Unavailable: few (consistency QUORUM, required 2, alive 1)")
        #expect(
            text(
                .writeTimeout(
                    "late", consistency: .all, received: 1, required: 3, type: .simple))
                == "WriteTimeout: late (consistency ALL, required 3, received 1, SIMPLE)")
        #expect(
            ErrorText.text(ErrorAnswer(code: 0x1700, error: .serverError("maybe")))
                == "CASWriteUnknown: maybe")
    }
}
