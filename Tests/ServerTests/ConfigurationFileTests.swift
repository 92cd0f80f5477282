// Configuration files: what is read out of them, and what is refused with its line.

import Environment
import Foundation
import Testing

@Suite struct ConfigurationFileTests {
    @Test func settingsAndPlacesAreRead() throws {
        let file = try ConfigurationFile(
            """
            # A comment.
            cluster_name: 'It''s a cluster'   # another one
            read_request_timeout: 6s
            write_request_timeout_in_ms: 1500
            batch_size_warn_threshold_in_kb: 7
            compaction_throughput_mb_per_sec: 8
            read_consistency_levels_disallowed: [ALL, ONE]
            write_consistency_levels_warned:
              - ANY
            data_file_directories:
                - /var/lib/coterie
            listen_address: localhost
            native_transport_port: 9142
            storage_port: 7100
            max_hint_window:
            """)
        #expect(
            file.settings == [
                "cluster_name=It's a cluster", "read_request_timeout=6s",
                "write_request_timeout=1500ms", "batch_size_warn_threshold=7KiB",
                "compaction_throughput=8MiB/s", "read_consistency_levels_disallowed=ALL,ONE",
                "write_consistency_levels_warned=ANY",
            ])
        #expect(file.places.address == "127.0.0.1")
        #expect(file.places.clientPort == 9142)
        #expect(file.places.peerPort == 7100)
        #expect(file.places.dataFolder == "/var/lib/coterie")
        #expect(file.warnings.isEmpty)
    }

    private static func fixture() throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = root.appendingPathComponent("Fixtures/configuration/cassandra-5.0.yaml")
        return try String(contentsOf: file, encoding: .utf8)
    }

    @Test func theFileThatComesWithCassandraIsTakenAsItIs() throws {
        let file = try ConfigurationFile(try Self.fixture())
        #expect(file.places.address == "127.0.0.1")
        #expect(file.places.clientPort == 9042 && file.places.peerPort == 7000)
        for setting in [
            "num_tokens=16", "max_hint_window=3h", "commitlog_sync=periodic",
            "commitlog_segment_size=32MiB", "compaction_throughput=64MiB/s",
            "tombstone_failure_threshold=100000", "authenticator=AllowAllAuthenticator",
            "truncate_request_timeout=60000ms", "auto_snapshot=true",
        ] {
            #expect(file.settings.contains(setting), "\(setting)")
        }
        // Each key that has no effect is named once.
        let names = file.warnings.map { $0.split(separator: " ")[2] }
        #expect(Set(names).count == names.count)
        #expect(names.contains("seed_provider") && names.contains("trickle_fsync"))
        #expect(!names.contains("partitioner") && !names.contains("num_tokens"))
        for name in names {
            #expect(file.warnings.contains { $0.contains(": \(name) has no effect: ") })
        }
    }

    @Test func oneKeyTooManyInAWholeFileIsRefusedWithItsLine() throws {
        let text = try Self.fixture()
        let line = text.split(separator: "\n", omittingEmptySubsequences: false).count
        let failure = #expect(throws: SettingFailure.self) {
            try ConfigurationFile(text + "num_tokenz: 16\n")
        }
        #expect(
            failure?.description.hasPrefix("line \(line): there is no setting num_tokenz") == true)
    }

    @Test(arguments: [
        "collection_size_warn_threshold: -1", "table_properties_ignored: []",
        "native_transport_max_concurrent_connections: -1",
        "native_transport_rate_limiting_enabled: false", "hinted_handoff_disabled_datacenters: []",
    ])
    func aLimitThatIsOffAsksForNothing(text: String) throws {
        #expect(try ConfigurationFile(text).warnings.isEmpty)
    }

    @Test func anEmptyFileSaysNothing() throws {
        #expect(try ConfigurationFile("\n# nothing\n---\n").settings.isEmpty)
    }

    @Test func keysWithoutEffectAreWarnedOf() throws {
        let file = try ConfigurationFile(
            """
            seed_provider:
              - class_name: org.apache.cassandra.locator.SimpleSeedProvider
                parameters:
                  - seeds: "127.0.0.1:7000"
            endpoint_snitch: SimpleSnitch
            client_encryption_options:
              enabled: false
              keystore: conf/.keystore
            concurrent_reads: 32
            """)
        #expect(file.settings.isEmpty)
        #expect(file.warnings.count == 2)
        #expect(file.warnings[0].hasPrefix("line 1: seed_provider has no effect"))
        #expect(file.warnings[1].hasPrefix("line 9: concurrent_reads has no effect"))
    }

    @Test(arguments: [
        ("a: 1", "line 1: there is no setting a"),
        (
            "\nread_request_timeot: 1s",
            "line 2: there is no setting read_request_timeot; did you mean read_request_timeout?"
        ),
        ("concurent_reads: 1", "did you mean concurrent_reads?"),
        ("num_tokens: 16\nnum_tokens: 16", "line 2: num_tokens was set before, in line 1"),
        ("num_tokens: [1, 2]", "whole number"),
        ("num_tokens:\n  a: 1", "takes one value"),
        ("read_request_timeout_in_ms: 5s", "is no whole number"),
        ("read_request_timeout: 5", "with its unit"),
        ("\tnum_tokens: 1", "a tab does not indent"),
        ("num_tokens: 1\n  more: 2", "line 2: the indentation fits no line above"),
        ("- a\n- b", "must consist of lines"),
        ("just words", "expected `key: value`"),
        ("cluster_name: \"a", "a quote that is not closed"),
        ("cluster_name: 'a' b", "text behind the closing quote"),
        ("cluster_name: \"\\q\"", "unknown escape"),
        ("cluster_name: *other", "not supported"),
        ("cluster_name: |", "not supported"),
        ("num_tokens: 1\n---\n", "one document only"),
        ("storage_port: 0", "must be a port"),
        ("partitioner: RandomPartitioner", "partitioner=RandomPartitioner is refused"),
        ("server_encryption_options:\n  internode_encryption: all", "is refused: links"),
        ("data_file_directories: [a, b]", "one data folder"),
        ("page_size_warn_threshold: 2\npage_size_fail_threshold: 1", "should be lower than"),
    ])
    func whatIsWrongIsNamedWithItsLine(text: String, reason: String) {
        let failure = #expect(throws: SettingFailure.self) { try ConfigurationFile(text) }
        #expect(failure?.description.contains(reason) == true, "\(failure?.description ?? "")")
    }

    @Test func deepNestingIsRefused() {
        let text = (0..<40).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n")
        let failure = #expect(throws: SettingFailure.self) { try ConfigurationFile(text) }
        #expect(failure?.description.contains("levels") == true)
    }

    /// Any bytes: the reader ends, with a file or with a failure.
    @Test func noTextMakesTheReaderTrap() {
        let pieces = [
            "num_tokens", ":", " ", "\n", "- ", "'", "\"", "[", "]", "{", "}", "#", "  ", "a", "~",
            "\\", "\t", ",", "é", "\r\n", "rack: b\n",
        ]
        for seed in 0..<400 as Range<UInt64> {
            var random = RandomStream(seed: seed, name: "configuration text")
            var text = ""
            for _ in 0..<Int(random.below(60)) {
                text += pieces[Int(random.below(UInt64(pieces.count)))]
            }
            do throws(SettingFailure) {
                let file = try ConfigurationFile(text)
                #expect(file.settings.count <= text.utf8.count, "seed \(seed)")
            } catch {
                #expect(!error.description.isEmpty, "seed \(seed)")
            }
        }
    }

    @Test func everySettingIsShownAsItMayBeWritten() throws {
        var configuration = Configuration()
        try configuration.set("read_consistency_levels_warned=one,[ALL]")
        try configuration.set("commitlog_sync=group")
        try configuration.set("read_request_timeout=1500us")
        for setting in Configuration.settings {
            let text = configuration.text(of: setting)
            // A size of nothing means the default, which has no text of its own.
            var copy = Configuration()
            try copy.set(setting.name, to: text)
            #expect(copy.text(of: setting) == text, "\(setting.name)")
        }
        let setting = try #require(Configuration.setting(named: "read_consistency_levels_warned"))
        #expect(configuration.text(of: setting) == "[ONE, ALL]")
    }

    @Test func guardrailsAreHotAndFilesAreNot() throws {
        func isHot(_ name: String) throws -> Bool {
            try #require(Configuration.setting(named: name)).isHot
        }
        #expect(try isHot("page_size_fail_threshold"))
        #expect(try isHot("read_request_timeout"))
        #expect(try !isHot("commitlog_segment_size"))
        #expect(try !isHot("cluster_name"))
    }
}
