// A configuration file: `cassandra.yaml` as Cassandra's users have it.
//
// Every key is one of four kinds: a setting of ours; a place (address, port, folder), which a node that is
// started alone takes, and a ring gives to its nodes itself; a key of Cassandra's that is accepted because its
// value asks for nothing that is not so here, or because leaving it out changes no result (a warning says
// so); and all others, which are refused with the line, and the name that is near.

/// What a configuration file says.
package struct ConfigurationFile: Equatable, Sendable {
    /// Where a node lives.
    package struct Places: Equatable, Sendable {
        package var address: String?
        package var clientPort: UInt16?
        package var peerPort: UInt16?
        package var dataFolder: String?
    }

    /// `name=value` of our settings, in the order of the file.
    package private(set) var settings: [String] = []
    package private(set) var places = Places()
    /// What has no effect, a sentence each.
    package private(set) var warnings: [String] = []

    /// Reads a file's text. The failure begins with the line.
    package init(_ text: String) throws(SettingFailure) {
        var configuration = Configuration()
        for field in try ConfigurationText.fields(text) {
            do throws(SettingFailure) {
                try take(field, &configuration)
            } catch {
                throw SettingFailure(description: "line \(field.line): \(error.description)")
            }
        }
        try configuration.check()
    }

    private mutating func take(
        _ field: ConfigurationField, _ configuration: inout Configuration
    ) throws(SettingFailure) {
        let (name, text) = try Self.modern(field)
        if Configuration.setting(named: name) != nil {
            guard let text else {
                // A key without a value leaves the default, as in Cassandra.
                if field.value == .none { return }
                throw SettingFailure(description: "\(name) takes one value, not a list or a map")
            }
            try configuration.set(name, to: text)
            settings.append("\(name)=\(text)")
            return
        }
        if try takePlace(name, field.value, text) { return }
        guard let known = ForeignKey.all[name] else {
            throw Configuration.unknown(
                name, others: Self.placeNames + ForeignKey.all.keys.sorted())
        }
        switch known {
        case .ignored(let reason):
            warnings.append("line \(field.line): \(name) has no effect: \(reason)")
        case .only(let values, let reason):
            let given = text.map { Self.shortClass($0).lowercased() }
            guard field.value == .none || given.map(values.contains) ?? false else {
                throw SettingFailure(
                    description: "\(name)=\(text ?? "...") is refused: \(reason)")
            }
        case .off(let inner, let values, let reason):
            guard case .map(let fields) = field.value,
                let value = fields.first(where: { $0.key == inner })
            else { return }
            let given = Self.scalar(value.value) ?? ""
            guard value.value == .none || values.contains(given.lowercased()) else {
                throw SettingFailure(
                    description: "\(name) with \(inner)=\(given) is refused: \(reason)")
            }
        case .refused(let reason):
            if field.value == .none { return }
            throw SettingFailure(description: "\(name) is refused: \(reason)")
        }
    }

    // MARK: Names and values

    /// Name and text of a field, with the names and units of before Cassandra 4.1 as those of after it.
    private static func modern(
        _ field: ConfigurationField
    ) throws(SettingFailure) -> (name: String, text: String?) {
        let text = scalar(field.value)
        let units = [
            ("_in_ms", "ms"), ("_in_s", "s"), ("_in_kb", "KiB"), ("_in_mb", "MiB"),
            ("_mb_per_sec", "MiB/s"),
        ]
        for (ending, unit) in units where field.key.hasSuffix(ending) {
            let name = String(field.key.dropLast(ending.count))
            guard Configuration.setting(named: name) != nil || ForeignKey.all[name] != nil,
                let text
            else { continue }
            guard Int(text) != nil else {
                throw SettingFailure(description: "\(field.key)=\(text) is no whole number")
            }
            return (name, text + unit)
        }
        return (field.key, text)
    }

    /// A scalar, a map's `class_name`, or a list of scalars with commas; nil for what is none of these.
    private static func scalar(_ value: ConfigurationValue) -> String? {
        switch value {
        case .text(let text): return text
        case .none: return nil
        case .map(let fields):
            guard let field = fields.first(where: { $0.key == "class_name" }) else { return nil }
            return scalar(field.value)
        case .list(let items):
            var words: [String] = []
            for item in items {
                guard case .text(let word) = item else { return nil }
                words.append(word)
            }
            return words.joined(separator: ",")
        }
    }

    private static func shortClass(_ name: String) -> String {
        guard name.contains("org.apache.cassandra."), let last = name.split(separator: ".").last
        else { return name }
        return String(last)
    }

    // MARK: Places

    private static let placeNames = [
        "listen_address", "rpc_address", "native_transport_port", "storage_port",
        "data_file_directories",
    ]

    private mutating func takePlace(
        _ name: String, _ value: ConfigurationValue, _ text: String?
    ) throws(SettingFailure) -> Bool {
        guard Self.placeNames.contains(name) else { return false }
        guard value != .none, let text else {
            if value == .none { return true }
            throw SettingFailure(description: "\(name) takes one value, not a map")
        }
        switch name {
        case "listen_address", "rpc_address":
            let address = text == "localhost" ? "127.0.0.1" : text
            guard InternetAddress.parse(address) != nil else {
                throw SettingFailure(
                    description: "\(name)=\(text): the value must be an IP address")
            }
            if let other = places.address, other != address {
                throw SettingFailure(
                    description: "\(name)=\(text): a node has one address for clients and peers, "
                        + "and the other one is \(other)")
            }
            places.address = address
        case "data_file_directories":
            guard !text.contains(",") else {
                throw SettingFailure(description: "\(name): a node has one data folder")
            }
            places.dataFolder = text
        default:
            guard let port = UInt16(text), port > 0 else {
                throw SettingFailure(description: "\(name)=\(text): the value must be a port")
            }
            if name == "storage_port" { places.peerPort = port } else { places.clientPort = port }
        }
        return true
    }
}
