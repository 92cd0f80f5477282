// The messages of conditional writes and of increments: they come back as they were sent, and damage is
// refused.

import Encoding
import Environment
import PeerProtocol
import Testing

@Suite struct ConditionalMessagesTests {
    private let ballot = PartitionBallot(microseconds: 1_700_000_000_000_001, proposer: 0x1234_5678)
    private let older = PartitionBallot(microseconds: 1_600_000_000_000_000, proposer: .max)
    private let table = UniqueID(high: 1, low: 2)

    private func bytes(_ encode: (ByteWriter) -> Void) -> [UInt8] {
        let writer = ByteWriter()
        encode(writer)
        return writer.array
    }

    @Test func requestsComeBackAsTheyWere() throws {
        try [7, 8].withUnsafeBytes { key in
            try [1, 2, 3].withUnsafeBytes { other in
                let prepare = bytes {
                    ConditionalPrepare(ballot: ballot, table: table, key: key, command: other)
                        .encode(into: $0)
                }
                try prepare.withUnsafeBytes {
                    let decoded = try ConditionalPrepare($0)
                    #expect(decoded.ballot == ballot && decoded.table == table)
                    #expect(Array(decoded.key) == Array(key))
                    #expect(Array(decoded.command) == Array(other))
                }
                let accept = bytes {
                    ConditionalAccept(ballot: ballot, table: table, key: key, value: other)
                        .encode(into: $0)
                }
                try accept.withUnsafeBytes {
                    let decoded = try ConditionalAccept($0)
                    #expect(decoded.ballot == ballot && Array(decoded.value) == Array(other))
                }
                let commit = bytes {
                    ConditionalCommit(ballot: ballot, origin: older, mutation: other)
                        .encode(into: $0)
                }
                try commit.withUnsafeBytes {
                    let decoded = try ConditionalCommit($0)
                    #expect(decoded.origin == older && Array(decoded.mutation) == Array(other))
                }
            }
        }
    }

    @Test func answersComeBackAsTheyWere() throws {
        for accepted in [nil, AcceptedProposal(ballot: older, value: [9, 9])] {
            let sent = bytes {
                ConditionalPromise(
                    ballot: ballot, outcome: .promised, promised: ballot, committed: older,
                    committedOrigin: older, accepted: accepted
                ).encode(into: $0)
            }
            try sent.withUnsafeBytes {
                let decoded = try ConditionalPromise($0)
                #expect(decoded.accepted == accepted && decoded.committed == older)
                #expect(decoded.outcome == .promised && decoded.data.isEmpty)
            }
        }
        let answer = ConditionalAccepted(ballot: ballot, outcome: .refused, promised: older)
        let sent = bytes { answer.encode(into: $0) }
        #expect(try sent.withUnsafeBytes { try ConditionalAccepted($0) } == answer)
        let responses: [IncrementResponse] = [
            .applied, .unavailable(required: 2, alive: 1), .timedOut(received: 1, required: 2),
            .failed(reason: 8),
        ]
        for response in responses {
            let sent = bytes { response.encode(into: $0) }
            #expect(try sent.withUnsafeBytes { try IncrementResponse($0) } == response)
        }
    }

    @Test func cutMessagesAreRefused() {
        let accepted = AcceptedProposal(ballot: older, value: [9, 9])
        let promise = bytes {
            ConditionalPromise(
                ballot: ballot, outcome: .promised, promised: ballot, accepted: accepted
            ).encode(into: $0)
        }
        for count in promise.indices {
            #expect(throws: MalformedBytes.self) {
                try promise[..<count].withUnsafeBytes { try ConditionalPromise($0) }
            }
        }
        let answer = bytes {
            ConditionalAccepted(ballot: ballot, outcome: .promised, promised: ballot)
                .encode(into: $0)
        }
        for count in answer.indices {
            #expect(throws: MalformedBytes.self) {
                try answer[..<count].withUnsafeBytes { try ConditionalAccepted($0) }
            }
        }
    }

    @Test func ballotsGoThroughTheTableAsTimeUUIDs() {
        for ballot in [ballot, older, PartitionBallot(microseconds: 0, proposer: 0)] {
            #expect(PartitionBallot(timeUUID: ballot.timeUUID) == ballot)
        }
    }
}
