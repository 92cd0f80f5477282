// The engine against the dumb twin, under random writes, reads, flushes, compactions and restarts.

import Encoding
import Environment
import Model
import Testing

@testable import Storage

@Suite struct EnginePropertyTests {
    @Test(arguments: 0..<12)
    func memtableAloneAnswersLikeTheTwin(seed: Int) throws {
        var generator = Generator(seed: UInt64(seed))
        let harness = Harness(
            schema: testSchema(), configuration: Configuration.Storage(),
            random: RandomStream(seed: UInt64(seed), name: "harness"))
        harness.seconds = generator.now
        try harness.open()
        var twin = Twin()
        for step in 0..<600 {
            if generator.random.chance(2, outOf: 3) {
                let mutation = try generator.mutation()
                try harness.apply(mutation)
                try twin.apply(mutation)
            } else {
                let command = generator.command()
                let found = try harness.read(command)
                let expected = try twin.read(command, gcGrace: testGcGrace)
                let isEqual = found == expected
                #expect(isEqual, "seed \(seed) step \(step) \(command) \(describe(found, expected))")
                if !isEqual { return }
            }
        }
    }
}

/// Both answers from their first difference on.
func describe(_ found: [UInt8], _ expected: [UInt8]) -> String {
    var index = 0
    while index < min(found.count, expected.count), found[index] == expected[index] { index += 1 }
    let start = max(0, index - 24)
    return "at \(index) of \(found.count)/\(expected.count): \(found[start...].prefix(80)) for "
        + "\(expected[start...].prefix(80))"
}
