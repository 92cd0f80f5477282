// Settings and addresses as people write them.

import Encoding
import Environment
import Testing

@Suite struct SettingsTests {
    @Test func unitsAreThoseOfCassandra() throws {
        var configuration = Configuration()
        try configuration.set("write_request_timeout=1500ms")
        try configuration.set("max_hint_window=3h")
        try configuration.set("commitlog_segment_size=16MiB")
        try configuration.set("compaction_throughput=8MiB/s")
        try configuration.set("commitlog_sync=batch")
        try configuration.set("hinted_handoff_enabled=false")
        try configuration.set("phi_convict_threshold=12.5")
        try configuration.set("cluster_name=a=b c")
        #expect(configuration.requests.writeTimeout == .milliseconds(1500))
        #expect(configuration.requests.maximumHintWindow == .seconds(10_800))
        #expect(configuration.storage.commitLogSegmentBytes == 16 << 20)
        #expect(configuration.storage.compactionThroughputBytesPerSecond == 8 << 20)
        #expect(configuration.storage.commitLogSync == .batch)
        #expect(!configuration.requests.hintedHandoffEnabled)
        #expect(configuration.membership.phiThreshold == 12.5)
        #expect(configuration.cluster.name == "a=b c")
    }

    @Test func authenticatorsHaveTheirShortNamesAndTheirClasses() throws {
        var configuration = Configuration()
        try configuration.set("authenticator=org.apache.cassandra.auth.PasswordAuthenticator")
        try configuration.set("authorizer=CassandraAuthorizer")
        try configuration.set("permissions_validity=500ms")
        #expect(configuration.authentication.authenticator == .password)
        #expect(configuration.authentication.authorizer == .granted)
        #expect(configuration.authentication.conflict == nil)
        try configuration.set("authenticator=AllowAllAuthenticator")
        #expect(
            configuration.authentication.conflict
                == "AllowAllAuthenticator can't be used with CassandraAuthorizer")
        #expect(throws: SettingFailure.self) {
            try configuration.set("authenticator=org.example.PasswordAuthenticator")
        }
    }

    @Test func anUpdateIntervalIsADurationOrNull() throws {
        var configuration = Configuration()
        let setting = try #require(Configuration.setting(named: "roles_update_interval"))
        #expect(configuration.text(of: setting) == "null")
        try configuration.set("roles_update_interval=1500ms")
        #expect(configuration.authentication.rolesUpdateInterval == .milliseconds(1_500))
        #expect(configuration.text(of: setting) == "1500ms")
        try configuration.set("roles_update_interval=null")
        #expect(configuration.authentication.rolesUpdateInterval == nil)
        try configuration.set("credentials_update_interval=10s")
        try configuration.set("credentials_cache_active_update=true")
        #expect(configuration.authentication.credentialsUpdateInterval == .seconds(10))
        #expect(configuration.authentication.updatesCredentials)
        for name in ["roles", "permissions", "credentials"] {
            for ending in ["update_interval", "cache_active_update"] {
                let setting = Configuration.setting(named: "\(name)_\(ending)")
                #expect(setting?.isHot == true, "\(name)_\(ending)")
            }
        }
    }

    @Test(arguments: [
        ("write_request_timeot=1s", "did you mean write_request_timeout?"),
        ("write_request_timeout=1", "with its unit"),
        ("write_request_timeout=-1s", "with its unit"),
        ("write_request_timeout=99999999999999999h", "with its unit"),
        ("commitlog_segment_size=1MB", "for example 16KiB"),
        ("commitlog_segment_size=1B", "from"),
        ("commitlog_sync=often", "periodic, batch or group"),
        ("num_tokens=0", "from 1"),
        ("roles_update_interval=0ms", "null, or a duration with its unit"),
        ("permissions_update_interval=5", "null, or a duration with its unit"),
        ("credentials_cache_active_update=maybe", "true or false"),
        ("num_tokens", "name=value"),
    ])
    func wrongSettingSaysWhatIsRight(assignment: String, hint: String) {
        var configuration = Configuration()
        let failure = #expect(throws: SettingFailure.self) { try configuration.set(assignment) }
        #expect(failure?.description.contains(hint) == true, "\(failure?.description ?? "")")
        #expect(configuration == Configuration())
    }

    @Test func everySettingHasItsOwnName() {
        let names = Configuration.settings.map(\.name)
        #expect(Set(names).count == names.count)
    }

    @Test(arguments: [
        ("127.0.0.1", "7f000001"),
        ("255.255.255.255", "ffffffff"),
        ("::", "00000000000000000000000000000000"),
        ("::1", "00000000000000000000000000000001"),
        ("1::", "00010000000000000000000000000000"),
        ("fe80::a:b", "fe8000000000000000000000000a000b"),
        ("1:2:3:4:5:6:7:8", "00010002000300040005000600070008"),
        ("::ffff:1.2.3.4", "00000000000000000000ffff01020304"),
    ])
    func addressIsRead(text: String, digits: String) {
        #expect(InternetAddress.parse(text).map { HexText.text($0) } == digits)
    }

    @Test(arguments: [
        "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..1.1", "+1.1.1.1", ":", ":::", "1:::2", "1::2::3",
        "12345::", "g::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "", "localhost",
    ])
    func textThatIsNoAddressIsRefused(text: String) {
        #expect(InternetAddress.parse(text) == nil)
    }
}
