// What `coterie admin` makes of its words and of a node's answers.

import Environment
import NativeProtocol
import Testing

@testable import coterie

@Suite struct AdminCommandTests {
    @Test func globalOptionsStandBeforeTheVerbAndFormatsAnywhere() throws {
        let line = try AdminLine(["-h", "127.0.0.2", "-p", "7299", "status", "-F", "json", "ks"])
        #expect(try line.target.description == "127.0.0.2:7299")
        #expect(line.request == ["status", "ks"])
        #expect(line.format == .json)
        let other = try AdminLine(["--host=localhost", "-F=yaml", "getsstables", "-hf", "ks", "t", "0a"])
        #expect(try other.target.description == "127.0.0.1:7199")
        #expect(other.request == ["getsstables", "-hf", "ks", "t", "0a"])
    }

    @Test func unknownVerbsNameTheNearest() {
        let error = #expect(throws: (any Error).self) { try AdminLine(["stattus"]) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("did you mean status?"))
        #expect(throws: (any Error).self) { try AdminLine([]) }
        #expect(throws: (any Error).self) { try AdminLine(["-F", "xml", "status"]) }
        #expect(throws: (any Error).self) { try AdminLine(["-u", "cassandra", "status"]) }
    }

    @Test func valuesBecomeJSONAndYAML() {
        let value: AdminValue = [
            "a": 1, "b": ["x", .null], "c": ["d": "q\"\n"], "e": .list([]),
            "f": [["g": 1, "h": true]],
        ]
        #expect(
            AdminText.json(value)
                == #"{"a": 1, "b": ["x", null], "c": {"d": "q\"\n"}, "e": [], "f": [{"g": 1, "h": true}]}"#
        )
        #expect(
            AdminText.yaml(value) == """
                "a": 1
                "b":
                  - "x"
                  - null
                "c":
                  "d": "q\\"\\n"
                "e": []
                "f":
                  - "g": 1
                    "h": true

                """)
    }

    @Test func figuresAreWrittenAsNodetoolWritesThem() {
        #expect(AdminText.size(0) == "0 bytes")
        #expect(AdminText.size(1023) == "1023 bytes")
        #expect(AdminText.size(77_015) == "75.21 KiB")
        #expect(AdminText.size(5 << 30) == "5 GiB")
        #expect(AdminText.fixed(33.333, 1) == "33.3")
        #expect(AdminText.fixed(-0.05, 2) == "-0.05")
        #expect(AdminText.time(microseconds: 1_709_210_096_789_000) == "2024-02-29T12:34:56.789Z")
        #expect(AdminText.time(microseconds: 0) == "1970-01-01T00:00:00.000Z")
    }

    @Test func statusHasNodetoolsColumns() {
        let output = AdminOutput(
            verb: "status", words: [],
            value: [
                "nodes": [
                    [
                        "address": "127.0.0.10", "port": 9042, "datacenter": "dc1",
                        "rack": "rack1", "status": "Down", "state": "Normal", "load": .null,
                        "owns": .number(0.25), "host_id": "b", "tokens": ["1", "2"],
                    ],
                    [
                        "address": "127.0.0.2", "port": 9042, "datacenter": "dc1",
                        "rack": "rack1", "status": "Up", "state": "Normal", "load": 2048,
                        "owns": .number(0.75), "host_id": "a", "tokens": ["3"],
                    ],
                ], "effective": true, "note": "",
            ])
        #expect(
            output.text == """
                Datacenter: dc1
                ===============
                Status=Up/Down
                |/ State=Normal/Leaving/Joining/Moving
                --  Address     Load   Tokens  Owns (effective)  Host ID  Rack \n\
                UN  127.0.0.2   2 KiB  1       75.0%             a        rack1
                DN  127.0.0.10  ?      2       25.0%             b        rack1


                """)
    }
}
