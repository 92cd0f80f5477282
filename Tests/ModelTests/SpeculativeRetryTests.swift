// Policies of asking more replicas, in Cassandra's words.

import Testing

@testable import Model

@Suite struct SpeculativeRetryTests {
    @Test(arguments: [
        ("none", "NEVER"), ("Never", "NEVER"), ("always", "ALWAYS"), ("50ms", "50ms"),
        ("10.9MS", "10ms"), (".5ms", "0ms"), ("99p", "99p"), ("99PERCENTILE", "99p"),
        ("99.90p", "99.9p"), ("0.5percentile", "0.5p"), ("99.99999p", "99.9999p"),
        ("0.00001p", "0.0001p"), ("99999999999ms", "2147483647ms"),
        ("min(99p,50ms)", "MIN(99p,50ms)"), ("MIN(50ms , 99p)", "MIN(99p,50ms)"),
        ("Max(2000ms,99.5p)", "MAX(99.5p,2000ms)"),
    ])
    func aPolicyIsShownInOneForm(_ text: String, _ shown: String) throws {
        let policy = try SpeculativeRetry(text)
        #expect(policy.description == shown)
        #expect(try SpeculativeRetry(shown).description == shown)
    }

    @Test(arguments: [
        ("sometimes", "Specified Speculative Retry Policy [sometimes] is not supported"),
        ("", "Specified Speculative Retry Policy [] is not supported"),
        ("p", "Specified Speculative Retry Policy [p] is not supported"),
        ("-5ms", "Specified Speculative Retry Policy [-5ms] is not supported"),
        ("50 ms", "Specified Speculative Retry Policy [50 ms] is not supported"),
        ("5s", "Specified Speculative Retry Policy [5s] is not supported"),
        ("MIN(99p)", "Specified Speculative Retry Policy [MIN(99p)] is not supported"),
        ("MIN( 99p,5ms)", "Specified Speculative Retry Policy [MIN( 99p,5ms)] is not supported"),
        ("MIN(99p,5)", "Specified Speculative Retry Policy [MIN(99p,5)] is not supported"),
        ("1.2.3p", "Invalid value 1.2.3p for option 'speculative_retry'"),
        (".ms", "Invalid value .ms for option 'speculative_retry'"),
        ("MIN(99p,5s)", "Invalid value MIN(99p,5s) for option 'speculative_retry'"),
        ("MIN(100p,5ms)", "Invalid value MIN(100p,5ms) for option 'speculative_retry'"),
        (
            "0p",
            "Invalid value 0p for PERCENTILE option 'speculative_retry': "
                + "must be between (0.0 and 100.0)"
        ),
        (
            "MAX(1ms,2ms)",
            "Invalid value MAX(1ms,2ms) for option 'speculative_retry': MIN()/MAX() arguments "
                + "should be of different types, but both are of type FIXED"
        ),
        (
            "MAX(1p,2p)",
            "Invalid value MAX(1p,2p) for option 'speculative_retry': MIN()/MAX() arguments "
                + "should be of different types, but both are of type PERCENTILE"
        ),
    ])
    func whatIsNoPolicyIsRefusedInCassandrasWords(_ text: String, _ message: String) {
        #expect(throws: CQLError.configuration(message)) { try SpeculativeRetry(text) }
    }

    /// Such as 100p, which was taken once.
    @Test func whatWasKeptIsReadOrCountsAsTheDefault() {
        #expect(SpeculativeRetry(kept: "100p") == .standard)
        #expect(SpeculativeRetry(kept: "5ms") == .threshold(.milliseconds(5)))
        #expect(SpeculativeRetry(kept: TableOptions().speculativeRetry) == .standard)
        #expect(SpeculativeRetry(kept: TableOptions().additionalWritePolicy) == .standard)
    }
}
