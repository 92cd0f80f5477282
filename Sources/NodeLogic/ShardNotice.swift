// What the shards of one node tell each other, apart from requests for data (which travel as peer
// messages even inside a node). Shard 0 holds the node-wide machines; it hands out what is agreed and
// who is alive, and takes in what the others want of it. These bytes never leave the process, so they
// have no version and no checksum.

internal import Encoding
internal import Environment
internal import PeerProtocol

/// A message between two shards of one node.
enum ShardNotice: Equatable {
    /// Shard 0 to all: entries of the metadata log that are agreed and stored, by rising epoch.
    case entries([MetadataLogRecord])
    /// Shard 0 to all: the nodes that are alive by gossip, and the epochs that peers have installed.
    case liveness([HostID], epochs: [HostID: UInt64])
    /// To shard 0: a peer has a newer epoch than we have.
    case epochSeen(UInt64, at: HostID)
    /// To shard 0: change the schema as the statement says.
    case changeSchema(request: UInt64, statement: String, keyspace: String?)
    /// Shard 0 to the asker: what came of it.
    case schemaChanged(request: UInt64, SchemaAnswer)
    /// Shard 0 to all: empty a table.
    case truncate(UniqueID, timestamp: Int64, sender: HostID, request: RequestID)
    /// To shard 0: it is empty.
    case truncated(sender: HostID, request: RequestID)
    /// To shard 0: everything up to that epoch is installed here.
    case installed(UInt64)
    /// Shard 0 to all: work on an operator's command.
    case adminTask(UInt64, [String])
    /// To shard 0: it is done, or why it cannot be (empty: it is done).
    case adminDone(UInt64, AdminValue, failure: String)
    /// To shard 0: the bytes of all files here.
    case load(UInt64)
    /// To all: what is known for a virtual table is wanted.
    case viewTask(UInt64, String)
    /// To all: a setting has another value from now on.
    case changeSetting(UInt64, name: String, value: String)
    /// To the shard that asked: it has.
    case settingChanged(UInt64)
    /// To the shard that asked.
    case viewFacts(UInt64, AdminValue)
    /// To all: what is remembered of roles and permissions no longer holds.
    case rolesChanged(UInt64)
    /// To the shard that said so: it is forgotten.
    case rolesForgotten(UInt64)
    /// To all others: a client has prepared that statement, planned with the schema of that epoch.
    case prepared(keyspace: String?, text: String, epoch: UInt64)

    init(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        switch try reader.readUInt8() {
        case 1:
            var records: [MetadataLogRecord] = []
            for _ in 0..<(try reader.readCount()) {
                let epoch = try reader.readVarint()
                let summary = try reader.readString()
                records.append(
                    MetadataLogRecord(
                        epoch: epoch, summary: summary,
                        body: [UInt8](try reader.readLengthPrefixed())))
            }
            self = .entries(records)
        case 2:
            var hosts: [HostID] = []
            for _ in 0..<(try reader.readCount()) {
                hosts.append(HostID(try reader.readUniqueID()))
            }
            var epochs: [HostID: UInt64] = [:]
            for _ in 0..<(try reader.readCount()) {
                let host = HostID(try reader.readUniqueID())
                epochs[host] = try reader.readVarint()
            }
            self = .liveness(hosts, epochs: epochs)
        case 3:
            let epoch = try reader.readVarint()
            self = .epochSeen(epoch, at: HostID(try reader.readUniqueID()))
        case 4:
            let request = try reader.readVarint()
            let statement = try reader.readString()
            let hasKeyspace = try reader.readUInt8() == 1
            self = .changeSchema(
                request: request, statement: statement,
                keyspace: hasKeyspace ? try reader.readString() : nil)
        case 5:
            let request = try reader.readVarint()
            self = .schemaChanged(request: request, try SchemaAnswer(&reader))
        case 6:
            let table = try reader.readUniqueID()
            let timestamp = try reader.readLittleEndian(Int64.self)
            let sender = HostID(try reader.readUniqueID())
            self = .truncate(
                table, timestamp: timestamp, sender: sender,
                request: RequestID(try reader.readVarint()))
        case 7:
            let sender = HostID(try reader.readUniqueID())
            self = .truncated(sender: sender, request: RequestID(try reader.readVarint()))
        case 8: self = .installed(try reader.readVarint())
        case 40:
            let task = try reader.readVarint()
            self = .adminTask(task, try AdminRequest(from: &reader).words)
        case 41:
            let task = try reader.readVarint()
            let failure = try reader.readString()
            self = .adminDone(task, try AdminValue(from: &reader), failure: failure)
        case 42: self = .load(try reader.readVarint())
        case 60:
            let view = try reader.readVarint()
            self = .viewTask(view, try reader.readString())
        case 62:
            let change = try reader.readVarint()
            let name = try reader.readString()
            self = .changeSetting(change, name: name, value: try reader.readString())
        case 63: self = .settingChanged(try reader.readVarint())
        case 61:
            let view = try reader.readVarint()
            self = .viewFacts(view, try AdminValue(from: &reader))
        case 43: self = .rolesChanged(try reader.readVarint())
        case 45: self = .rolesForgotten(try reader.readVarint())
        case 44:
            let hasKeyspace = try reader.readUInt8() == 1
            let keyspace = hasKeyspace ? try reader.readString() : nil
            let text = try reader.readString()
            self = .prepared(keyspace: keyspace, text: text, epoch: try reader.readVarint())
        case let other: throw MalformedBytes("unknown shard notice \(other)", offset: 0)
        }
    }

    func encode(into writer: ByteWriter) {
        switch self {
        case .entries(let records):
            writer.append(1)
            writer.appendVarint(UInt64(records.count))
            for record in records {
                writer.appendVarint(record.epoch)
                writer.appendString(record.summary)
                writer.appendLengthPrefixed(record.body)
            }
        case .liveness(let hosts, let epochs):
            writer.append(2)
            writer.appendVarint(UInt64(hosts.count))
            for host in hosts { writer.append(host.value) }
            writer.appendVarint(UInt64(epochs.count))
            for (host, epoch) in epochs.sorted(by: { $0.key < $1.key }) {
                writer.append(host.value)
                writer.appendVarint(epoch)
            }
        case .epochSeen(let epoch, let host):
            writer.append(3)
            writer.appendVarint(epoch)
            writer.append(host.value)
        case .changeSchema(let request, let statement, let keyspace):
            writer.append(4)
            writer.appendVarint(request)
            writer.appendString(statement)
            Self.append(keyspace, to: writer)
        case .schemaChanged(let request, let answer):
            writer.append(5)
            writer.appendVarint(request)
            answer.encode(into: writer)
        case .truncate(let table, let timestamp, let sender, let request):
            writer.append(6)
            writer.append(table)
            writer.appendLittleEndian(timestamp)
            writer.append(sender.value)
            writer.appendVarint(request.value)
        case .truncated(let sender, let request):
            writer.append(7)
            writer.append(sender.value)
            writer.appendVarint(request.value)
        case .installed(let epoch): Self.append(8, epoch, to: writer)
        case .adminTask(let task, let words):
            writer.append(40)
            writer.appendVarint(task)
            AdminRequest(words).encode(into: writer)
        case .adminDone(let task, let value, let failure):
            writer.append(41)
            writer.appendVarint(task)
            writer.appendString(failure)
            value.encode(into: writer)
        case .load(let bytes): Self.append(42, bytes, to: writer)
        case .viewTask(let view, let table):
            writer.append(60)
            writer.appendVarint(view)
            writer.appendString(table)
        case .changeSetting(let change, let name, let value):
            writer.append(62)
            writer.appendVarint(change)
            writer.appendString(name)
            writer.appendString(value)
        case .settingChanged(let change): Self.append(63, change, to: writer)
        case .viewFacts(let view, let facts):
            writer.append(61)
            writer.appendVarint(view)
            facts.encode(into: writer)
        case .rolesChanged(let change): Self.append(43, change, to: writer)
        case .rolesForgotten(let change): Self.append(45, change, to: writer)
        case .prepared(let keyspace, let text, let epoch):
            writer.append(44)
            Self.append(keyspace, to: writer)
            writer.appendString(text)
            writer.appendVarint(epoch)
        }
    }
    /// A notice that is a number alone.
    private static func append(_ tag: UInt8, _ number: UInt64, to writer: ByteWriter) {
        writer.append(tag)
        writer.appendVarint(number)
    }

    /// A text that may be missing.
    private static func append(_ text: String?, to writer: ByteWriter) {
        writer.append(text == nil ? 0 : 1)
        if let text { writer.appendString(text) }
    }
}
