// The compact form of a type, for schema entries on disk and between nodes.
//
//     type   = tag:u8 body
//     body   = nothing                                    natives (tags 1-20)
//            | type                                       list, set
//            | type type                                  map
//            | count:varint type...                       tuple
//            | dimensions:varint type                     vector
//            | keyspace name count:varint {name type}...  user-defined type (strings with a length)
//            | string                                     custom
//
// Bit 7 of the tag of a list, set, map or user-defined type says that it is frozen. Tags are never
// used again for something else.

package import Encoding

extension CQLType {
    private static let frozenBit: UInt8 = 0x80
    /// Types nest no deeper than this.
    package static let maximumDepth = 64

    private var tag: UInt8 {
        switch self {
        case .ascii: 1
        case .bigint: 2
        case .blob: 3
        case .boolean: 4
        case .counter: 5
        case .date: 6
        case .decimal: 7
        case .double: 8
        case .duration: 9
        case .float: 10
        case .inet: 11
        case .int: 12
        case .smallint: 13
        case .text: 14
        case .time: 15
        case .timestamp: 16
        case .timeuuid: 17
        case .tinyint: 18
        case .uuid: 19
        case .varint: 20
        case .list: 32
        case .set: 33
        case .map: 34
        case .tuple: 35
        case .vector: 36
        case .userDefined: 37
        case .custom: 38
        }
    }

    private static func native(_ tag: UInt8) -> CQLType? {
        switch tag {
        case 1: .ascii
        case 2: .bigint
        case 3: .blob
        case 4: .boolean
        case 5: .counter
        case 6: .date
        case 7: .decimal
        case 8: .double
        case 9: .duration
        case 10: .float
        case 11: .inet
        case 12: .int
        case 13: .smallint
        case 14: .text
        case 15: .time
        case 16: .timestamp
        case 17: .timeuuid
        case 18: .tinyint
        case 19: .uuid
        case 20: .varint
        default: nil
        }
    }

    /// Appends the compact form.
    package func encode(into writer: ByteWriter) {
        switch self {
        case .list(let element, let frozen), .set(let element, let frozen):
            writer.append(tag | (frozen ? Self.frozenBit : 0))
            element.encode(into: writer)
        case .map(let key, let value, let frozen):
            writer.append(tag | (frozen ? Self.frozenBit : 0))
            key.encode(into: writer)
            value.encode(into: writer)
        case .tuple(let types):
            writer.append(tag)
            writer.appendVarint(UInt64(types.count))
            for type in types { type.encode(into: writer) }
        case .vector(let element, let dimensions):
            writer.append(tag)
            writer.appendVarint(UInt64(max(dimensions, 0)))
            element.encode(into: writer)
        case .userDefined(let definition, let frozen):
            writer.append(tag | (frozen ? Self.frozenBit : 0))
            definition.encode(into: writer)
        case .custom(let className):
            writer.append(tag)
            writer.appendString(className)
        default:
            writer.append(tag)
        }
    }

    /// Reads the compact form. Types nested deeper than `maximumDepth` are refused.
    package static func decode(from reader: inout ByteReader) throws(MalformedBytes) -> CQLType {
        try decode(from: &reader, depth: 0)
    }

    fileprivate static func decode(
        from reader: inout ByteReader, depth: Int
    ) throws(MalformedBytes) -> CQLType {
        let start = reader.position
        guard depth <= maximumDepth else {
            throw MalformedBytes("type nested too deeply", offset: start)
        }
        let byte = try reader.readUInt8()
        if let native = native(byte) { return native }
        let frozen = byte & frozenBit != 0
        switch byte {
        case 32, 32 | frozenBit:
            return .list(try decode(from: &reader, depth: depth + 1), frozen: frozen)
        case 33, 33 | frozenBit:
            return .set(try decode(from: &reader, depth: depth + 1), frozen: frozen)
        case 34, 34 | frozenBit:
            let key = try decode(from: &reader, depth: depth + 1)
            return .map(key, try decode(from: &reader, depth: depth + 1), frozen: frozen)
        case 35:
            var types: [CQLType] = []
            for _ in 0..<(try reader.readCount()) {
                types.append(try decode(from: &reader, depth: depth + 1))
            }
            return .tuple(types)
        case 36:
            let dimensions = try reader.readVarint()
            guard dimensions > 0, dimensions <= UInt64(Int32.max) else {
                throw MalformedBytes("vector of \(dimensions) dimensions", offset: start)
            }
            return .vector(
                try decode(from: &reader, depth: depth + 1), dimensions: Int(dimensions))
        case 37, 37 | frozenBit:
            return .userDefined(
                try UserDefinedType.decode(from: &reader, depth: depth + 1), frozen: frozen)
        case 38:
            return .custom(try reader.readString())
        default:
            throw MalformedBytes("unknown type tag \(byte)", offset: start)
        }
    }
}

extension UserDefinedType {
    /// Appends keyspace, name and fields.
    package func encode(into writer: ByteWriter) {
        writer.appendString(keyspace)
        writer.appendString(name)
        writer.appendVarint(UInt64(fields.count))
        for field in fields {
            writer.appendString(field.name)
            field.type.encode(into: writer)
        }
    }

    /// Reads what `encode` wrote.
    package static func decode(from reader: inout ByteReader) throws(MalformedBytes)
        -> UserDefinedType
    {
        try decode(from: &reader, depth: 0)
    }

    fileprivate static func decode(
        from reader: inout ByteReader, depth: Int
    ) throws(MalformedBytes) -> UserDefinedType {
        let keyspace = try reader.readString()
        let name = try reader.readString()
        var fields: [Field] = []
        for _ in 0..<(try reader.readCount()) {
            let fieldName = try reader.readString()
            fields.append(
                Field(name: fieldName, type: try CQLType.decode(from: &reader, depth: depth)))
        }
        return UserDefinedType(keyspace: keyspace, name: name, fields: fields)
    }
}
