// Types: names, properties, and their compact form on disk.

import Encoding
import Model
import Testing

@Suite struct CQLTypeTests {
    private func roundTrip(_ type: CQLType) throws -> CQLType {
        let writer = ByteWriter()
        type.encode(into: writer)
        var reader = ByteReader(writer.bytes)
        let decoded = try CQLType.decode(from: &reader)
        #expect(reader.isAtEnd)
        return decoded
    }

    @Test func namesAreThoseOfTheGrammar() {
        #expect(
            CQLType.map(.text, .list(.int, frozen: true), frozen: true).cqlName
                == "frozen<map<text, frozen<list<int>>>>")
        #expect(CQLType.set(.text, frozen: false).cqlName == "set<text>")
        #expect(CQLType.tuple([.int, .text]).cqlName == "frozen<tuple<int, text>>")
        #expect(CQLType.vector(.float, dimensions: 3).cqlName == "vector<float, 3>")
        let plain = UserDefinedType(keyspace: "ks", name: "address", fields: [])
        let strange = UserDefinedType(keyspace: "ks", name: "My \"Type\"", fields: [])
        #expect(CQLType.userDefined(plain, frozen: false).cqlName == "address")
        #expect(CQLType.userDefined(strange, frozen: true).cqlName == "frozen<\"My \"\"Type\"\"\">")
        #expect(CQLType.custom("org.example.T").cqlName == "'org.example.T'")
    }

    @Test func identifiersAreQuotedWhereTheyMustBe() {
        for plain in ["a", "a1", "a_b", "users", "key", "value"] {
            #expect(CQLIdentifier.quoted(plain) == plain)
        }
        for quoted in ["", "A", "1a", "_a", "a b", "select", "é", "a-b"] {
            #expect(CQLIdentifier.quoted(quoted) == "\"\(quoted)\"")
        }
    }

    @Test func freezingReachesAllParts() {
        let type = CQLType.map(.int, .list(.set(.int, frozen: false), frozen: false), frozen: false)
        #expect(type.isMultiCell && !type.isFrozen)
        #expect(
            type.frozen
                == .map(.int, .list(.set(.int, frozen: true), frozen: true), frozen: true))
        #expect(!CQLType.tuple([.int]).isMultiCell && CQLType.tuple([.int]).isFrozen)
        #expect(
            CQLType.set(.int, frozen: false).isCollection && !CQLType.tuple([.int]).isCollection)
    }

    @Test func fixedLengthsAreTheSerializedOnes() {
        #expect(CQLType.int.fixedLength == 4)
        #expect(CQLType.timeuuid.fixedLength == 16)
        #expect(CQLType.text.fixedLength == nil)
        #expect(CQLType.vector(.float, dimensions: 3).fixedLength == 12)
        #expect(CQLType.vector(.vector(.double, dimensions: 2), dimensions: 3).fixedLength == 48)
        // Cassandra writes a length before each element of these.
        #expect(CQLType.vector(.smallint, dimensions: 3).fixedLength == nil)
        let huge = CQLType.vector(
            .vector(.vector(.uuid, dimensions: 1 << 30), dimensions: 1 << 30), dimensions: 1 << 30)
        #expect(huge.fixedLength == Int.max)
    }

    @Test func everyTypeSurvivesItsCompactForm() throws {
        for type in CQLValueGenerator.natives + [.duration, .custom("a.B")] {
            #expect(try roundTrip(type) == type)
        }
        for seed in 1...300 as ClosedRange<UInt64> {
            var generator = CQLValueGenerator(seed: seed)
            let type = generator.type(depth: 4)
            #expect(try roundTrip(type) == type, "seed \(seed)")
        }
        for frozen in [true, false] {
            let parts: [CQLType] = [
                .list(.int, frozen: frozen), .set(.int, frozen: frozen),
                .map(.int, .text, frozen: frozen),
                .userDefined(
                    UserDefinedType(
                        keyspace: "k", name: "n", fields: [.init(name: "f", type: .int)]),
                    frozen: frozen),
            ]
            for type in parts { #expect(try roundTrip(type) == type) }
        }
    }

    @Test func tagsNeverChange() {
        let types: [(CQLType, String)] = [
            (.ascii, "01"), (.bigint, "02"), (.blob, "03"), (.boolean, "04"), (.counter, "05"),
            (.date, "06"),
            (.decimal, "07"), (.double, "08"), (.duration, "09"), (.float, "0a"), (.inet, "0b"),
            (.int, "0c"),
            (.smallint, "0d"), (.text, "0e"), (.time, "0f"), (.timestamp, "10"), (.timeuuid, "11"),
            (.tinyint, "12"), (.uuid, "13"), (.varint, "14"), (.list(.int, frozen: false), "200c"),
            (.list(.int, frozen: true), "a00c"), (.set(.int, frozen: true), "a10c"),
            (.map(.int, .text, frozen: false), "220c0e"), (.tuple([.int, .text]), "23020c0e"),
            (.vector(.float, dimensions: 300), "24ac020a"), (.custom("x"), "260178"),
            (
                .userDefined(
                    UserDefinedType(
                        keyspace: "k", name: "n", fields: [.init(name: "f", type: .int)]),
                    frozen: true), "a5016b016e0101660c"
            ),
        ]
        for (type, expected) in types {
            let writer = ByteWriter()
            type.encode(into: writer)
            #expect(HexText.text(writer.bytes) == expected, "\(type.cqlName)")
        }
    }

    @Test func damagedTypesAreRefusedOrReadButNeverTrap() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<5_000 {
            let bytes = (0..<random.below(30)).map { _ in
                random.chance(60)
                    ? random.pick([32, 33, 34, 35, 36, 37, 160, 12, 14, 1, 2] as [UInt8])
                    : random.next8()
            }
            bytes.withUnsafeBytes { raw in
                var reader = ByteReader(raw)
                _ = try? CQLType.decode(from: &reader)
            }
        }
        let deep = [UInt8](repeating: 32, count: 100_000) + [12]
        deep.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            _ = #expect(throws: MalformedBytes.self) { try CQLType.decode(from: &reader) }
        }
    }
}
