// The bytes of metadata log entries. They come from disks and peers, so every count is bounded by
// what is left and every invariant of the decoded types is checked before they are made.

package import Encoding
internal import Environment
internal import Model
internal import PeerProtocol
internal import Topology

extension MetadataEntry {
    static let formatVersion: UInt8 = 2

    /// The entry's bytes, which voters vote on.
    package var encoded: [UInt8] {
        let writer = ByteWriter()
        writer.append(Self.formatVersion)
        writer.appendLittleEndian(epoch)
        writer.append(id)
        writer.append(author.value)
        writer.appendLittleEndian(time.microseconds)
        switch change {
        case .initialise(let clusterID, let name, let voters, let nodes):
            writer.append(1)
            writer.append(clusterID)
            writer.appendString(name)
            writer.append(hosts: voters)
            writer.appendVarint(UInt64(nodes.count))
            for node in nodes { node.encode(into: writer) }
        case .addNode(let node):
            writer.append(2)
            node.encode(into: writer)
        case .updateNode(let host, let client, let peer, let shardCount):
            writer.append(3)
            writer.append(host.value)
            writer.append(client)
            writer.append(peer)
            writer.appendVarint(UInt64(shardCount))
        case .removeNode(let host):
            writer.append(4)
            writer.append(host.value)
        case .setVoters(let voters):
            writer.append(5)
            writer.append(hosts: voters)
        case .schema(let edits):
            writer.append(6)
            writer.appendVarint(UInt64(edits.count))
            for edit in edits { edit.encode(into: writer) }
        }
        return writer.array
    }

    /// Reads what `encoded` made.
    package init(_ bytes: [UInt8]) throws(MalformedBytes) {
        self = try Self.decode(bytes)
    }

    private static func decode(_ bytes: [UInt8]) throws(MalformedBytes) -> MetadataEntry {
        let result: Result<MetadataEntry, MalformedBytes> = bytes.withUnsafeBytes { raw in
            do throws(MalformedBytes) {
                var reader = ByteReader(raw)
                return .success(try MetadataEntry(&reader))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(_ reader: inout ByteReader) throws(MalformedBytes) {
        let version = try reader.readUInt8()
        guard version == Self.formatVersion else {
            let age = version < Self.formatVersion ? "an older" : "a newer"
            throw MalformedBytes(
                "its entries are of version \(version), which \(age) build of coterie wrote; this build "
                    + "reads version \(Self.formatVersion)", offset: 0)
        }
        epoch = try reader.readLittleEndian()
        id = try reader.readUniqueID()
        author = HostID(try reader.readUniqueID())
        time = WallTime(microseconds: try reader.readLittleEndian())
        switch try reader.readUInt8() {
        case 1:
            let clusterID = try reader.readUniqueID()
            let name = try reader.readString()
            let voters = try reader.readHosts()
            let count = try reader.readCount(minimumBytes: NodeDescription.minimumBytes)
            guard count <= NodeIndex.maximumCount else {
                throw MalformedBytes("too many nodes", offset: reader.position)
            }
            var nodes: [NodeDescription] = []
            for _ in 0..<count { nodes.append(try NodeDescription(&reader)) }
            change = .initialise(clusterID: clusterID, name: name, voters: voters, nodes: nodes)
        case 2: change = .addNode(try NodeDescription(&reader))
        case 3:
            let host = HostID(try reader.readUniqueID())
            let client = try reader.readSocketAddress()
            let peer = try reader.readSocketAddress()
            change = .updateNode(
                host, client: client, peer: peer, shardCount: try reader.readShardCount())
        case 4: change = .removeNode(HostID(try reader.readUniqueID()))
        case 5: change = .setVoters(try reader.readHosts())
        case 6:
            let count = try reader.readCount()
            var edits: [SchemaEdit] = []
            for _ in 0..<count { edits.append(try SchemaEdit(&reader)) }
            change = .schema(edits)
        case let other:
            throw MalformedBytes("unknown metadata entry kind \(other)", offset: reader.position)
        }
        try reader.expectEnd()
    }
}

extension NodeDescription {
    static let minimumBytes = 16 + 7 + 7 + 1 + 1 + 1 + 1

    func encode(into writer: ByteWriter) {
        writer.append(hostID.value)
        writer.append(clientAddress)
        writer.append(peerAddress)
        writer.appendString(datacenter)
        writer.appendString(rack)
        writer.appendVarint(UInt64(shardCount))
        writer.appendVarint(UInt64(tokens.count))
        for token in tokens { writer.appendLittleEndian(token.value) }
    }

    init(_ reader: inout ByteReader) throws(MalformedBytes) {
        let host = HostID(try reader.readUniqueID())
        let client = try reader.readSocketAddress()
        let peer = try reader.readSocketAddress()
        let datacenter = try reader.readString()
        let rack = try reader.readString()
        let shardCount = try reader.readShardCount()
        let count = try reader.readCount(minimumBytes: 8)
        var tokens: [Token] = []
        tokens.reserveCapacity(count)
        for _ in 0..<count { tokens.append(Token(try reader.readLittleEndian())) }
        self.init(
            hostID: host, clientAddress: client, peerAddress: peer, datacenter: datacenter,
            rack: rack, tokens: tokens, shardCount: shardCount)
    }
}

extension SchemaEdit {
    func encode(into writer: ByteWriter) {
        switch self {
        case .putKeyspace(let name, let replication, let durableWrites):
            writer.append(1)
            writer.appendString(name)
            writer.appendString(replication.strategyClass)
            writer.append(map: replication.options)
            writer.append(durableWrites ? 1 : 0)
        case .dropKeyspace(let name):
            writer.append(2)
            writer.appendString(name)
        case .putTable(let table):
            writer.append(3)
            TableSchemaCoding.encode(table, into: writer)
        case .dropTable(let keyspace, let name):
            writer.append(4)
            writer.appendString(keyspace)
            writer.appendString(name)
        case .putType(let type):
            writer.append(5)
            type.encode(into: writer)
        case .dropType(let keyspace, let name):
            writer.append(6)
            writer.appendString(keyspace)
            writer.appendString(name)
        }
    }

    init(_ reader: inout ByteReader) throws(MalformedBytes) {
        switch try reader.readUInt8() {
        case 1:
            let name = try reader.readString()
            let strategyClass = try reader.readString()
            let options = try reader.readMap()
            self = .putKeyspace(
                name: name,
                replication: ReplicationParameters(strategyClass: strategyClass, options: options),
                durableWrites: try reader.readBool())
        case 2: self = .dropKeyspace(try reader.readString())
        case 3: self = .putTable(try TableSchemaCoding.decode(&reader))
        case 4:
            let keyspace = try reader.readString()
            self = .dropTable(keyspace: keyspace, name: try reader.readString())
        case 5: self = .putType(try UserDefinedType.decode(from: &reader))
        case 6:
            let keyspace = try reader.readString()
            self = .dropType(keyspace: keyspace, name: try reader.readString())
        case let other:
            throw MalformedBytes("unknown schema edit \(other)", offset: reader.position)
        }
    }
}

extension ByteWriter {
    func append(hosts: [HostID]) {
        appendVarint(UInt64(hosts.count))
        for host in hosts { append(host.value) }
    }

    /// Sorted by key, so that equal maps have equal bytes.
    func append(map: [String: String]) {
        appendVarint(UInt64(map.count))
        for key in map.keys.sorted() {
            appendString(key)
            appendString(map[key] ?? "")
        }
    }
}

extension ByteReader {
    mutating func readHosts() throws(MalformedBytes) -> [HostID] {
        let count = try readCount(minimumBytes: 16)
        var hosts: [HostID] = []
        hosts.reserveCapacity(count)
        for _ in 0..<count { hosts.append(HostID(try readUniqueID())) }
        return hosts
    }

    mutating func readMap() throws(MalformedBytes) -> [String: String] {
        let count = try readCount(minimumBytes: 2)
        var map: [String: String] = [:]
        for _ in 0..<count {
            let key = try readString()
            guard map.updateValue(try readString(), forKey: key) == nil else {
                throw MalformedBytes("key twice in a map", offset: position)
            }
        }
        return map
    }

    mutating func readBool() throws(MalformedBytes) -> Bool {
        let byte = try readUInt8()
        guard byte <= 1 else { throw MalformedBytes("truth value \(byte)", offset: position - 1) }
        return byte == 1
    }

    mutating func readShardCount() throws(MalformedBytes) -> Int {
        let value = try readVarint()
        guard value >= 1, value <= 1 << 16 else {
            throw MalformedBytes("shard count \(value)", offset: position)
        }
        return Int(value)
    }
}
