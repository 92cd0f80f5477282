// Searching in a block: right whatever the tokens' spread is and whatever the index says of it.

import Encoding
import Environment
import Testing

@testable import Storage

@Suite struct BlockViewTests {
    /// The head of a block: its tokens, and an offset behind them for each.
    private func head(_ tokens: [Int64]) -> [UInt8] {
        let writer = ByteWriter()
        writer.appendLittleEndian(UInt32(tokens.count))
        for token in tokens { writer.appendLittleEndian(token) }
        for _ in tokens { writer.appendLittleEndian(UInt32(4 + tokens.count * 12)) }
        writer.append(0)
        return writer.array
    }

    private enum Spread: CaseIterable { case even, crowded, equal, extreme }

    private func tokens(_ spread: Spread, _ random: inout RandomStream) -> [Int64] {
        let count = 1 + Int(random.below(200))
        return (0..<count).map { _ in
            switch spread {
            case .even: Int64(bitPattern: random.next())
            case .crowded: random.chance(1, outOf: 9) ? .max : Int64(random.below(300))
            case .equal: 7
            case .extreme: random.chance(1, outOf: 2) ? .min : .max
            }
        }.sorted()
    }

    @Test func lowerBoundIsThatOfAWalkForAnySpanThatTheIndexTells() {
        var random = RandomStream(seed: 11, name: "views")
        for round in 0..<2_000 {
            let all = tokens(Spread.allCases[round % Spread.allCases.count], &random)
            let bytes = head(all)
            bytes.withUnsafeBytes { bytes in
                let view = BlockView(bytes: bytes, count: all.count)
                let asked = [
                    all[Int(random.below(UInt64(all.count)))], Int64(bitPattern: random.next()),
                    .min, .max, Int64(random.below(310)),
                ]
                let spans: [(first: Int64, last: Int64)] = [
                    (all[0], all[all.count - 1]), (.min, .max), (5, 5), (.max, .min),
                    (Int64(bitPattern: random.next()), Int64(bitPattern: random.next())),
                ]
                for token in asked {
                    let expected = all.firstIndex { $0 >= token } ?? all.count
                    for span in spans {
                        let found = view.lowerBound(token, span: span)
                        #expect(found == expected, "round \(round): \(token) in \(all)")
                    }
                }
            }
        }
    }
}
