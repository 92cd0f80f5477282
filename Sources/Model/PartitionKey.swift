// The serialized form of a partition key: what is hashed into a token, what drivers compute for
// routing, and what storage keeps.
//
//     one component     its bytes as they are
//     several           { length:u16 big-endian  bytes  00 }...
//
// (Cassandra's CompositeType; native protocol specification, "pk_index".)

package import Encoding

/// Partition keys as bytes.
package enum PartitionKey {
    /// The most bytes that a component, and a whole key, may have.
    package static let maximumLength = 65_535

    /// Appends the key made of `components`, each a serialized value in key order.
    package static func serialize(_ components: [UnsafeRawBufferPointer], into writer: ByteWriter) {
        if components.count == 1 {
            writer.append(components[0])
            return
        }
        for component in components { appendComponent(component, into: writer) }
    }

    /// Appends one component of a key that has several.
    package static func appendComponent(
        _ component: UnsafeRawBufferPointer, into writer: ByteWriter
    ) {
        precondition(component.count <= maximumLength, "the key's length was not checked")
        writer.appendBigEndian(UInt16(component.count))
        writer.append(component)
        writer.append(0 as UInt8)
    }

    /// Checks a component before it is serialized, as Cassandra words it.
    package static func checkLength(_ count: Int) throws(CQLValueError) {
        guard count <= maximumLength else {
            throw CQLValueError("Key length of \(count) is longer than maximum of \(maximumLength)")
        }
    }

    /// Where in `key` its `count` components are.
    ///
    /// - Throws: `MalformedBytes` if the key has another shape.
    package static func components(
        of key: UnsafeRawBufferPointer, count: Int
    ) throws(MalformedBytes) -> [ByteRange] {
        if count == 1 { return [ByteRange(offset: 0, count: key.count)] }
        var reader = ByteReader(key)
        var ranges: [ByteRange] = []
        for _ in 0..<count {
            let length = Int(try reader.readBigEndian(UInt16.self))
            ranges.append(ByteRange(offset: reader.position, count: length))
            try reader.skip(length)
            guard try reader.readUInt8() == 0 else {
                throw MalformedBytes(
                    "component of a key does not end with 0", offset: reader.position)
            }
        }
        guard reader.isAtEnd else {
            throw MalformedBytes("bytes after the last component of a key", offset: reader.position)
        }
        return ranges
    }
}
