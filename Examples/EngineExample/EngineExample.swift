// The engine alone: readings of sensors, one partition for each sensor, one row for each reading.
//
//     swift run EngineExample FOLDER

import CoterieEngine

/// Writes, reads, deletes and compacts in a folder, which should be empty.
@main
struct EngineExample {
    static func main() throws {
        let folder = CommandLine.arguments.dropFirst().first ?? "engine-example"
        let engine = try Engine.open(folder)
        var definition = TableDefinition(name: "readings")
        definition.isClustered = true
        let readings = try engine.createTable(definition)

        // Write: a batch is one append to the log.
        let batch = engine.makeBatch()
        for sensor in ["attic", "cellar"] {
            for second: UInt32 in 0..<100 {
                batch.put(
                    readings, partition: Array(sensor.utf8), clustering: key(second), column: 1,
                    value: Array("\(sensor) at \(second)".utf8))
            }
        }
        try engine.write(batch)

        // A snapshot goes on seeing what is deleted after it.
        let before = try engine.snapshot(of: readings)
        batch.removeAll()
        try batch.deleteRange(readings, partition: Array("attic".utf8), from: key(10), to: key(90))
        try engine.write(batch)

        // Read: the last three readings of a sensor, newest first.
        let result = ReadResult()
        try engine.read(
            readings, partition: Array("attic".utf8), rows: .init(reversed: true, limit: 3),
            into: result)
        var rows = result.rows()
        while let row = rows.next() { print(row.value(1).map(text) ?? "nothing") }

        // Scan: everything, in the order of the partitions' tokens.
        let all = try count(engine, readings, at: before)
        let left = try count(engine, readings, at: nil)
        print("\(all) rows before the deletion, \(left) after it")

        // Flush and compact need not be called: the engine does both when it is time.
        try engine.compact(readings)
        print("\(engine.figures(of: readings).files) file after a compaction")
        print("\(try count(engine, readings, at: before)) rows are still in the snapshot")
        try engine.close()
    }

    /// A clustering key that sorts as the number does.
    static func key(_ number: UInt32) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }
    }

    static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes, as: UTF8.self)
    }

    static func count(_ engine: Engine, _ table: Table, at snapshot: Snapshot?) throws -> Int {
        let scan = try engine.scan(table, at: snapshot)
        var count = 0
        while try scan.next() != nil { count += 1 }
        return count
    }
}
