// The checker itself, on histories made by hand in which a violation is planted, or is not.

import Environment
import Model
import Testing

@testable import Simulation

@Suite struct RegisterCheckerTests {
    private func write(
        _ id: Int, _ version: Int64, at begin: Int64, until end: Int64?, timestamp: Int64?,
        outcome: RegisterOperation.Outcome = .acknowledged, key: Int = 0
    ) -> RegisterOperation {
        RegisterOperation(
            id: id, key: key, kind: .write(version: version), coordinator: 0, consistency: .quorum,
            invoked: .milliseconds(begin), returned: end.map { .milliseconds($0) },
            outcome: outcome, timestamp: timestamp)
    }

    private func read(
        _ id: Int, _ value: Int64?, at begin: Int64, until end: Int64, key: Int = 0
    ) -> RegisterOperation {
        RegisterOperation(
            id: id, key: key, kind: .read, coordinator: 1, consistency: .one,
            invoked: .milliseconds(begin), returned: .milliseconds(end), outcome: .value(value))
    }

    @Test func aReadAfterANewerAcknowledgementIsStale() throws {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 100),
            write(1, 2, at: 20, until: 30, timestamp: 120),
            write(2, 3, at: 40, until: 50, timestamp: 140),
            read(3, 1, at: 60, until: 70),
        ]).check()
        let stale = try #require(verdict.staleReads.first)
        #expect(verdict.staleReads.count == 1)
        #expect(stale.versionsBehind == 2)
        #expect(stale.ageNanoseconds == 30_000_000)
        #expect(stale.missed.last?.id == 2)
        #expect(stale.returned?.id == 0)
    }

    @Test func aReadOfNothingAfterAnAcknowledgementIsStale() {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 100), read(1, nil, at: 10, until: 12),
        ]).check()
        #expect(verdict.staleReads.count == 1)
    }

    @Test func aReadThatBeganBeforeTheAcknowledgementIsNotStale() {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 100),
            write(1, 2, at: 20, until: 31, timestamp: 120),
            read(2, 1, at: 30, until: 90),
        ]).check()
        #expect(verdict.staleReads.isEmpty)
    }

    @Test func anUnknownWriteMayBeSeenOrNot() {
        let history = [
            write(0, 1, at: 0, until: 10, timestamp: 100),
            write(1, 2, at: 20, until: nil, timestamp: 120, outcome: .unknown("timeout")),
        ]
        for value in [1, 2] as [Int64] {
            let verdict = RegisterChecker(history + [read(2, value, at: 50, until: 60)]).check()
            #expect(verdict.staleReads.isEmpty && verdict.impossible.isEmpty)
        }
    }

    @Test func anOlderAcknowledgedWriteThatOutranksIsMissedToo() {
        // Write 1 came later but has the smaller timestamp, so the reader should have seen write 0.
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 500),
            write(1, 2, at: 20, until: 30, timestamp: 400),
            read(2, 2, at: 40, until: 50),
        ]).check()
        #expect(verdict.staleReads.count == 1)
        #expect(verdict.lostToLastWriteWins.isEmpty)
    }

    @Test func aLaterWriteWithASmallerTimestampIsLostToLastWriteWins() throws {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 500),
            write(1, 2, at: 20, until: 30, timestamp: 400),
            read(2, 1, at: 40, until: 50),
        ]).check()
        #expect(verdict.staleReads.isEmpty)
        let lost = try #require(verdict.lostToLastWriteWins.first)
        #expect(lost.loser.id == 1 && lost.winner.id == 0)
    }

    @Test func concurrentWritesAreNotLost() {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 25, timestamp: 500),
            write(1, 2, at: 20, until: 30, timestamp: 400),
            read(2, 1, at: 40, until: 50),
        ]).check()
        #expect(verdict.staleReads.isEmpty && verdict.lostToLastWriteWins.isEmpty)
    }

    @Test func equalTimestampsAreDecidedByTheLargerValue() {
        let history = [
            write(0, 1, at: 0, until: 10, timestamp: 100),
            write(1, 2, at: 0, until: 10, timestamp: 100),
        ]
        #expect(
            RegisterChecker(history + [read(2, 1, at: 20, until: 21)]).check().staleReads.count == 1
        )
        #expect(
            RegisterChecker(history + [read(2, 2, at: 20, until: 21)]).check().staleReads.isEmpty)
    }

    @Test func aValueThatNobodyWroteIsImpossible() {
        #expect(
            RegisterChecker([read(0, 9, at: 20, until: 21)]).check().impossible.count == 1)
        let early = RegisterChecker([
            write(0, 1, at: 30, until: 40, timestamp: 1), read(1, 1, at: 20, until: 21),
        ])
        #expect(early.check().impossible.count == 1)
    }

    @Test func aRefusedWriteMustNotBeSeen() {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 1, timestamp: 5, outcome: .refused("Unavailable")),
            read(1, 1, at: 20, until: 21),
        ]).check()
        #expect(verdict.impossible.count == 1)
    }

    @Test func keysAreJudgedApart() {
        let verdict = RegisterChecker([
            write(0, 1, at: 0, until: 1, timestamp: 5, key: 0),
            read(1, nil, at: 20, until: 21, key: 1),
        ]).check()
        #expect(verdict.staleReads.isEmpty && verdict.impossible.isEmpty)
    }

    @Test func theFinalStateMustShowTheWinner() {
        let checker = RegisterChecker([
            write(0, 1, at: 0, until: 10, timestamp: 100),
            write(1, 2, at: 20, until: 30, timestamp: 120),
            write(2, 3, at: 40, until: nil, timestamp: 140, outcome: .unknown("timeout")),
            write(3, 4, at: 41, until: nil, timestamp: 110, outcome: .unknown("timeout")),
        ])
        #expect(checker.checkFinalState([2]).isEmpty)
        #expect(checker.checkFinalState([3]).isEmpty, "an unknown write may have won")
        #expect(checker.checkFinalState([1]).count == 1, "the winner is lost")
        #expect(checker.checkFinalState([4]).count == 1, "an unknown write cannot hide the winner")
        #expect(checker.checkFinalState([nil]).count == 1, "everything is lost")
        #expect(checker.checkFinalState([7]).count == 1, "nobody wrote that")
    }
}
