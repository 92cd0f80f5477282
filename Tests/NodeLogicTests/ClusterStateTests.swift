import Encoding
import Environment
import Model
import NodeLogic
import Testing
import Topology

struct MetadataEntryTests {
    private let all: [MetadataEntry] = [
        initialEntry(),
        entry(1, .addNode(node(7, tokens: [Int64.max, -1]))),
        entry(
            2,
            .updateNode(
                host(1), client: SocketAddress(address: [UInt8](repeating: 3, count: 16), port: 1),
                peer: SocketAddress(address: [1, 2, 3, 4], port: 2), shardCount: 3)),
        entry(3, .removeNode(host(2))),
        entry(4, .setVoters([host(0), host(1)])),
        entry(
            5,
            .schema([
                keyspaceEdit("ks"), .dropKeyspace("old"), .putTable(table("ks", "t")),
                .dropTable(keyspace: "ks", name: "u"),
                .putType(
                    UserDefinedType(
                        keyspace: "ks", name: "a",
                        fields: [.init(name: "f", type: .vector(.float, dimensions: 3))])),
                .dropType(keyspace: "ks", name: "b"),
            ])),
    ]

    @Test func everyKindComesBackByteForByte() throws {
        for original in all {
            let back = try MetadataEntry(original.encoded)
            #expect(back.encoded == original.encoded)
            #expect(back.epoch == original.epoch && back.id == original.id)
            #expect(back.summary(before: nil) == original.summary(before: nil))
        }
    }

    @Test func decodedTableIsTheOneThatWasPut() throws {
        guard case .schema(let edits) = try MetadataEntry(all[5].encoded).change,
            case .putTable(let back) = edits[2]
        else {
            Issue.record("not a table")
            return
        }
        let original = table("ks", "t")
        #expect(back.id == original.id && back.name == "t" && back.keyspace == "ks")
        #expect(back.allColumns == original.allColumns)
        #expect(back.dropped == original.dropped)
        #expect(back.options == original.options)
        #expect(back.nextColumnID == 7)
    }

    @Test(arguments: [nil, CompactStorage.static, .dense, .compound])
    func theShapeOfATableComesBack(compact: CompactStorage?) throws {
        let plain = table("ks", "t")
        let original = TableSchema(
            id: plain.id, keyspace: "ks", name: "t", columns: plain.allColumns,
            dropped: plain.dropped, compact: compact, nextColumnID: 7)
        let bytes = entry(1, .schema([keyspaceEdit("ks"), .putTable(original)])).encoded
        guard case .schema(let edits) = try MetadataEntry(bytes).change,
            case .putTable(let back) = edits[1]
        else {
            Issue.record("not a table")
            return
        }
        #expect(back.compact == compact && back.allColumns == original.allColumns)
    }

    /// Goal: no bytes trap the decoder or the fold. Method: valid entries cut, grown and changed.
    @Test func damagedBytesNeverTrap() throws {
        let seed: UInt64 = 21
        var random = RandomStream(seed: seed, name: "entries")
        let state = try ClusterState.following(nil, all[0])
        var readable = 0
        for _ in 0..<30_000 {
            var bytes = all[Int(random.below(UInt64(all.count)))].encoded
            for _ in 0...random.below(4) where !bytes.isEmpty {
                let at = Int(random.below(UInt64(bytes.count)))
                bytes[at] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(1, outOf: 4) {
                bytes.removeLast(Int(random.below(UInt64(bytes.count))))
            }
            do {
                let decoded = try MetadataEntry(bytes)
                readable += 1
                _ = try ClusterState.following(decoded.epoch == 0 ? nil : state, decoded)
            } catch {
                #expect(error is MalformedBytes || error is InvalidEntry, "seed \(seed)")
            }
        }
        #expect(readable > 1_000)
    }

    @Test func entriesOfAnotherVersionAreRefusedWithTheirAge() throws {
        for (version, age) in [(UInt8(1), "an older build"), (200, "a newer build")] {
            var bytes = all[0].encoded
            bytes[0] = version
            let refusal = #expect(throws: MalformedBytes.self) { _ = try MetadataEntry(bytes) }
            #expect(refusal.map { "\($0)" }?.contains("version \(version), which \(age)") == true)
        }
    }

    @Test func summariesSayWhatHappened() throws {
        var state = try ClusterState.following(nil, all[0])
        let create = entry(1, .schema([keyspaceEdit("ks"), .putTable(table("ks", "t"))]))
        #expect(create.summary(before: state) == "CREATE KEYSPACE ks; CREATE TABLE ks.t")
        state = try ClusterState.following(state, create)
        let alter = entry(2, .schema([.putTable(table("ks", "t", extra: true))]))
        #expect(alter.summary(before: state) == "ALTER TABLE ks.t")
    }
}

struct ClusterStateTests {
    @Test func equalEntriesGiveEqualStatesAndSchemaVersions() throws {
        let entries = [
            initialEntry(),
            entry(1, .schema([keyspaceEdit("ks"), .putTable(table("ks", "t"))])),
            entry(2, .setVoters([host(0), host(1)])),
        ]
        let copies = try entries.map { try MetadataEntry($0.encoded) }
        let one = try #require(try ClusterState.fold(entries))
        let other = try #require(try ClusterState.fold(copies))
        #expect(one == other)
        #expect(one.schema.version == other.schema.version)
        #expect(one.placement.placement(of: "ks")?.replicaCount == 3)
        #expect(one.schema.table("ks", "t")?.id == table("ks", "t").id)
    }

    @Test func schemaVersionChangesOnlyWithTheSchema() throws {
        let born = try ClusterState.following(nil, initialEntry())
        let one = try ClusterState.following(born, entry(1, .schema([keyspaceEdit("ks")])))
        #expect(one.schema.version != born.schema.version)
        let same = try ClusterState.following(one, entry(2, .setVoters([host(0), host(1)])))
        #expect(same.schema === one.schema && same.placement === one.placement)
        let more = try ClusterState.following(
            same, entry(3, .schema([.putTable(table("ks", "t"))])))
        #expect(more.schema.version != one.schema.version)
        #expect(more.schema.epoch == 3)
        #expect(more.placement === one.placement && more.placement.epoch == 1)
        let back = try ClusterState.following(
            more, entry(4, .schema([.dropTable(keyspace: "ks", name: "t")])))
        #expect(back.schema.version == one.schema.version)
    }

    @Test func entriesThatDoNotFitAreRefusedByName() throws {
        let born = try ClusterState.following(nil, initialEntry())
        func refusal(_ change: MetadataChangeKind, epoch: UInt64 = 1) -> String {
            do {
                _ = try ClusterState.following(born, entry(epoch, change))
                return "accepted"
            } catch {
                return error.reason
            }
        }
        #expect(refusal(.setVoters([host(0), host(1)]), epoch: 2).contains("cannot follow"))
        #expect(refusal(.addNode(node(1))).contains("twice"))
        #expect(refusal(.addNode(node(5, tokens: [1_000]))).contains("token 1000"))
        #expect(refusal(.addNode(node(5, tokens: []))).contains("without tokens"))
        #expect(refusal(.removeNode(host(9))).contains("not a member"))
        #expect(refusal(.removeNode(host(1))).contains("voter"))
        #expect(refusal(.setVoters([host(0)])).contains("one per entry"))
        #expect(refusal(.setVoters([host(0), host(1), host(9)])).contains("members"))
        #expect(refusal(.schema([])).contains("without a change"))
        #expect(refusal(.schema([.dropKeyspace("no")])).contains("'no'"))
        #expect(refusal(.schema([.putTable(table("no", "t"))])).contains("'no'"))
        #expect(refusal(.schema([keyspaceEdit("ks", factor: "many")])).contains("numeric"))
        #expect(
            refusal(
                .schema([
                    keyspaceEdit("ks"), .putTable(table("ks", "t", id: 1)),
                    .putTable(table("ks", "t", id: 2)),
                ])
            ).contains("another id"))
        #expect(throws: InvalidEntry.self) {
            try ClusterState.following(nil, entry(0, .removeNode(host(0))))
        }
        #expect(throws: InvalidEntry.self) {
            try ClusterState.following(born, initialEntry())
        }
    }

    @Test func differenceTurnsOneKeyspaceIntoTheOther() throws {
        let parameters = ReplicationParameters(
            strategyClass: ReplicationStrategy.simpleClass, options: ["replication_factor": "1"])
        let type = UserDefinedType(
            keyspace: "ks", name: "a", fields: [.init(name: "f", type: .int)])
        let wider = UserDefinedType(
            keyspace: "ks", name: "a",
            fields: [.init(name: "f", type: .int), .init(name: "g", type: .text)])
        let versions = [
            KeyspaceSchema(name: "ks", replication: parameters),
            KeyspaceSchema(
                name: "ks", replication: parameters,
                tables: [table("ks", "t", id: 1), table("ks", "u", id: 2)], types: [type]),
            KeyspaceSchema(
                name: "ks", replication: parameters, durableWrites: false,
                tables: [table("ks", "t", id: 1, extra: true), table("ks", "u", id: 3)],
                types: [wider]),
            KeyspaceSchema(name: "ks", replication: parameters, tables: [table("ks", "u", id: 3)]),
        ]
        var state = try ClusterState.following(nil, initialEntry())
        var counts: [Int] = []
        for version in versions {
            let edits = SchemaEdit.difference(
                from: state.schema.keyspace(named: "ks"), to: version)
            counts.append(edits.count)
            state = try ClusterState.following(state, entry(state.epoch + 1, .schema(edits)))
            let whole = try ClusterState.following(
                try ClusterState.following(nil, initialEntry()),
                entry(1, .schema(SchemaEdit.difference(from: nil, to: version))))
            #expect(state.schema.version == whole.schema.version)
        }
        // create; 2 tables and a type; parameters, drop u, type, t, new u; parameters, drop t and
        // type
        #expect(counts == [1, 3, 5, 3])
        #expect(SchemaEdit.difference(from: versions[2], to: versions[2]).isEmpty)
    }
}
