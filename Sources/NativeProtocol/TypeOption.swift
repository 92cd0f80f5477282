// The [option] that names a type on the wire (v5 specification, section 4.2.5.2).
//
// A type that a version does not know, and those without a number of their own (vector), travel as
// `custom`: the name of the Java class that Cassandra has for them, which drivers parse. So v3 sees
// date, time, smallint and tinyint as classes, v3 and v4 see duration so, and all see vector so.

package import Encoding
package import Model

private enum TypeNumber {
    static let custom: UInt16 = 0x0000
    static let list: UInt16 = 0x0020
    static let map: UInt16 = 0x0021
    static let set: UInt16 = 0x0022
    static let userDefined: UInt16 = 0x0030
    static let tuple: UInt16 = 0x0031

    /// The types without parts, their numbers, and the first version that knows the number.
    static let plain: [(type: CQLType, number: UInt16, since: ProtocolVersion)] = [
        (.ascii, 0x0001, .v3), (.bigint, 0x0002, .v3), (.blob, 0x0003, .v3),
        (.boolean, 0x0004, .v3), (.counter, 0x0005, .v3), (.decimal, 0x0006, .v3),
        (.double, 0x0007, .v3), (.float, 0x0008, .v3), (.int, 0x0009, .v3),
        (.timestamp, 0x000B, .v3), (.uuid, 0x000C, .v3), (.text, 0x000D, .v3),
        (.varint, 0x000E, .v3), (.timeuuid, 0x000F, .v3), (.inet, 0x0010, .v3),
        (.date, 0x0011, .v4), (.time, 0x0012, .v4), (.smallint, 0x0013, .v4),
        (.tinyint, 0x0014, .v4), (.duration, 0x0015, .v5),
    ]
}

extension ByteWriter {
    /// Appends the [option] of `type` as `version` knows it.
    package func append(_ type: CQLType, _ version: ProtocolVersion) {
        switch type {
        case .list(let element, _):
            appendBigEndian(TypeNumber.list)
            append(element, version)
        case .set(let element, _):
            appendBigEndian(TypeNumber.set)
            append(element, version)
        case .map(let key, let value, _):
            appendBigEndian(TypeNumber.map)
            append(key, version)
            append(value, version)
        case .tuple(let parts):
            appendBigEndian(TypeNumber.tuple)
            appendBigEndian(UInt16(parts.count))
            for part in parts { append(part, version) }
        case .userDefined(let type, _):
            appendBigEndian(TypeNumber.userDefined)
            appendProtocolString(type.keyspace)
            appendProtocolString(type.name)
            appendBigEndian(UInt16(type.fields.count))
            for field in type.fields {
                appendProtocolString(field.name)
                append(field.type, version)
            }
        default:
            if let plain = TypeNumber.plain.first(where: { $0.type == type }),
                version >= plain.since
            {
                appendBigEndian(plain.number)
            } else {
                appendBigEndian(TypeNumber.custom)
                appendProtocolString(JavaTypeName.name(of: type))
            }
        }
    }
}

extension ByteReader {
    // Deeper than any real type; keeps hostile bytes from exhausting the stack.
    private static let deepestNesting = 64

    /// Reads an [option]. Whether a collection is frozen is not on the wire: it reads as not frozen.
    package mutating func readType(depth: Int = 0) throws(MalformedBytes) -> CQLType {
        let start = position
        guard depth < Self.deepestNesting else {
            throw MalformedBytes("types nested too deep", offset: start)
        }
        let number = try readBigEndian(UInt16.self)
        switch number {
        case TypeNumber.custom: return JavaTypeName.type(named: try readProtocolString())
        case TypeNumber.list: return .list(try readType(depth: depth + 1), frozen: false)
        case TypeNumber.set: return .set(try readType(depth: depth + 1), frozen: false)
        case TypeNumber.map:
            let key = try readType(depth: depth + 1)
            return .map(key, try readType(depth: depth + 1), frozen: false)
        case TypeNumber.tuple:
            let count = try readShort()
            var parts: [CQLType] = []
            for _ in 0..<count { parts.append(try readType(depth: depth + 1)) }
            return .tuple(parts)
        case TypeNumber.userDefined:
            let keyspace = try readProtocolString()
            let name = try readProtocolString()
            let count = try readShort()
            var fields: [UserDefinedType.Field] = []
            for _ in 0..<count {
                let field = try readProtocolString()
                fields.append(.init(name: field, type: try readType(depth: depth + 1)))
            }
            return .userDefined(
                UserDefinedType(keyspace: keyspace, name: name, fields: fields), frozen: false)
        default:
            guard let plain = TypeNumber.plain.first(where: { $0.number == number }) else {
                throw MalformedBytes("unknown type 0x\(String(number, radix: 16))", offset: start)
            }
            return plain.type
        }
    }
}
