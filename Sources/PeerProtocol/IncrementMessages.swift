// The bodies of the messages between a coordinator and the replica that leads an increment
// (docs/protocols/counters.md).

package import Encoding

/// Increments for their leader (`PeerMessageKind.increment`).
package struct IncrementRequest {
    /// The number of the consistency level that the leader reaches before it answers.
    package let consistency: UInt16
    /// A mutation whose counter cells hold a shard of nobody: what is to be added.
    package let mutation: UnsafeRawBufferPointer

    package init(consistency: UInt16, mutation: UnsafeRawBufferPointer) {
        self.consistency = consistency
        self.mutation = mutation
    }

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        consistency = try reader.readLittleEndian(UInt16.self)
        mutation = try reader.readBytes(reader.remaining)
    }

    package func encode(into writer: ByteWriter) {
        writer.appendLittleEndian(consistency)
        writer.append(mutation)
    }
}

/// What came of it (`.incrementResponse`).
package enum IncrementResponse: Equatable, Sendable {
    case applied
    /// Nothing was done: too few replicas live.
    case unavailable(required: Int, alive: Int)
    /// The leader has counted, and too few others have answered.
    case timedOut(received: Int, required: Int)
    /// Nothing was done, or it may have been: the reason's code.
    case failed(reason: UInt16)

    package init(_ body: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(body)
        let kind = try reader.readUInt8()
        let first = Int(try reader.readLittleEndian(UInt16.self))
        let second = Int(try reader.readLittleEndian(UInt16.self))
        try reader.expectEnd()
        switch kind {
        case 0: self = .applied
        case 1: self = .unavailable(required: first, alive: second)
        case 2: self = .timedOut(received: first, required: second)
        case 3: self = .failed(reason: UInt16(first))
        default: throw MalformedBytes("unknown outcome \(kind)", offset: 0)
        }
    }

    package func encode(into writer: ByteWriter) {
        let (kind, first, second): (UInt8, Int, Int) =
            switch self {
            case .applied: (0, 0, 0)
            case .unavailable(let required, let alive): (1, required, alive)
            case .timedOut(let received, let required): (2, received, required)
            case .failed(let reason): (3, Int(reason), 0)
            }
        writer.append(kind)
        writer.appendLittleEndian(UInt16(clamping: first))
        writer.appendLittleEndian(UInt16(clamping: second))
    }
}
