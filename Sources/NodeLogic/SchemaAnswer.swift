// What came of a statement that changes the schema, as shard 0 tells it to the shard whose client asked.

internal import CQL
internal import Encoding
internal import Model
internal import NativeProtocol

/// The outcome of a schema change.
enum SchemaAnswer: Equatable {
    /// `IF [NOT] EXISTS` found nothing to do.
    case nothing
    case changed(NativeProtocol.SchemaChange)
    case failed(CQLError)

    init(_ reader: inout ByteReader) throws(MalformedBytes) {
        let kind = try reader.readUInt8()
        switch kind {
        case 0: self = .nothing
        case 1: self = .changed(try Self.readChange(&reader))
        default:
            let text = try reader.readString()
            switch kind {
            case 2: self = .failed(.invalid(text))
            case 3: self = .failed(.configuration(text))
            case 4:
                let keyspace = try reader.readString()
                self = .failed(
                    .alreadyExists(text, keyspace: keyspace, table: try reader.readString()))
            case 5: self = .failed(.syntax(text))
            case 6: self = .failed(.unauthorized(text))
            case 7: self = .failed(.serverError(text))
            default: throw MalformedBytes("unknown schema answer \(kind)", offset: reader.position)
            }
        }
    }

    func encode(into writer: ByteWriter) {
        switch self {
        case .nothing: writer.append(0)
        case .changed(let change):
            writer.append(1)
            Self.append(change, into: writer)
        case .failed(let error):
            switch error {
            case .invalid: writer.append(2)
            case .configuration: writer.append(3)
            case .alreadyExists: writer.append(4)
            case .syntax: writer.append(5)
            case .unauthorized: writer.append(6)
            default: writer.append(7)
            }
            writer.appendString(error.message)
            if case .alreadyExists(_, let keyspace, let table) = error {
                writer.appendString(keyspace)
                writer.appendString(table)
            }
        }
    }

    private static func readChange(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> NativeProtocol.SchemaChange {
        let verb = try reader.readString()
        let keyspace = try reader.readString()
        let target = try reader.readUInt8()
        let name = try reader.readString()
        guard let change = NativeProtocol.SchemaChange.Change(rawValue: verb) else {
            throw MalformedBytes("unknown change \(verb)", offset: reader.position)
        }
        switch target {
        case 0: return NativeProtocol.SchemaChange(change, keyspace: keyspace, .keyspace)
        case 1: return NativeProtocol.SchemaChange(change, keyspace: keyspace, .table(name))
        case 2: return NativeProtocol.SchemaChange(change, keyspace: keyspace, .type(name))
        default: throw MalformedBytes("unknown target \(target)", offset: reader.position)
        }
    }

    private static func append(_ change: NativeProtocol.SchemaChange, into writer: ByteWriter) {
        writer.appendString(change.change.rawValue)
        writer.appendString(change.keyspace)
        switch change.target {
        case .keyspace:
            writer.append(0)
            writer.appendString("")
        case .table(let name):
            writer.append(1)
            writer.appendString(name)
        case .type(let name):
            writer.append(2)
            writer.appendString(name)
        case .function, .aggregate:
            preconditionFailure("functions cannot be changed yet: \(change)")
        }
    }
}

extension SchemaChangeEvent {
    /// As the native protocol tells it.
    var announcement: NativeProtocol.SchemaChange {
        let verb: NativeProtocol.SchemaChange.Change =
            switch change {
            case .created: .created
            case .updated: .updated
            case .dropped: .dropped
            }
        let subject: NativeProtocol.SchemaChange.Target =
            switch target {
            case .keyspace: .keyspace
            case .table: .table(name)
            case .type: .type(name)
            }
        return NativeProtocol.SchemaChange(verb, keyspace: keyspace, subject)
    }
}
