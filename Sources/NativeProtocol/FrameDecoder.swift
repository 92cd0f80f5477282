// From a connection's byte stream to frames.
//
// A stream arrives in chunks that are cut anywhere. The decoder is fed one chunk at a time and gives
// out the frames that are whole, most often as views right into the chunk; only an unfinished tail is
// copied, to wait for its rest.
//
//     decoder.feed(chunk)
//     while let frame = try decoder.next() { ... }
//     decoder.finish()
//
// How bytes are framed changes once in a connection's life, after STARTUP was answered:
//
//     plain, not compressed ──STARTUP, v3 v4──▶ plain, bodies compressed by flag or not
//                           ──STARTUP, v5─────▶ segments, plain or lz4 (v5 specification, section 2.2)
//
//     plain:    | header 9 | body |  | header 9 | body | ...
//     segments: | header 6 or 8, with CRC24 | payload <= 131071 | CRC32 | ...
//               a self-contained payload holds whole frames, the others each a part of one big frame
//
// **Invariants.** A frame's body stays valid and in place until `finish`, so that all frames of a chunk
// can be decoded before the first is executed. Nothing is allocated for a length that a peer merely
// claims: memory grows with the bytes that came, and by at most 256 times when they are compressed.
// After an error the decoder yields nothing more.
//
// Cost in the usual case: one pass over the header, no copy, no allocation.

internal import Encoding
internal import Model

/// How a connection's bytes are cut into frames.
package enum Framing: Equatable, Sendable {
    /// Frames one after the other; a body with the compressed flag uses the algorithm.
    case plain(CompressionAlgorithm?)
    /// v5 segments, whose payloads are lz4 blocks or not.
    case segments(compressed: Bool)

    /// The framing after STARTUP named `compression`.
    package static func afterStartup(
        _ version: ProtocolVersion, compression: CompressionAlgorithm?
    ) -> Framing {
        version >= .v5 ? .segments(compressed: compression != nil) : .plain(compression)
    }
}

/// A message with its header. The body is uncompressed and belongs to the decoder.
package struct Frame {
    package let header: FrameHeader
    package let body: UnsafeRawBufferPointer

    @inlinable
    package init(header: FrameHeader, body: UnsafeRawBufferPointer) {
        self.header = header
        self.body = body
    }
}

/// Cuts one connection's incoming bytes into frames.
///
/// One owner, one call at a time: its fields need no check of exclusive access at run time, which cost
/// a third of the time to decode a small frame.
package final class FrameDecoder {
    /// How the bytes that were not looked at yet are framed. May be changed between two calls of
    /// `next`, and holds from the next byte on.
    @exclusivity(unchecked) package var framing: Framing = .plain(nil)
    /// The version of the first request, which all others must have; nil before it, and for a client.
    @exclusivity(unchecked) package private(set) var version: ProtocolVersion?

    private let side: ConnectionSide
    private let maximumBodyBytes: Int
    @exclusivity(unchecked) private var chunk = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var position = 0
    // Bytes of earlier chunks, and how many of them were given out.
    @exclusivity(unchecked) private var partial = ByteWriter(capacity: 16)
    @exclusivity(unchecked) private var partialPosition = 0
    // The self-contained payload whose frames are being given out.
    @exclusivity(unchecked) private var payload = UnsafeRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) private var payloadPosition = 0
    @exclusivity(unchecked) private var savedPayload: ByteWriter?
    // The parts of a frame that spans segments.
    @exclusivity(unchecked) private var message: ByteWriter?
    // Buffers that hold frames given out since the last `finish`.
    @exclusivity(unchecked) private var retired: [ByteWriter] = []
    @exclusivity(unchecked) private var scratch = ScratchBuffers()
    @exclusivity(unchecked) private var hasFailed = false

    /// A decoder for the bytes that `side` receives; frames with a larger body are refused.
    package init(side: ConnectionSide, maximumBodyBytes: Int = FrameHeader.maximumBodyBytes) {
        self.side = side
        self.maximumBodyBytes = min(maximumBodyBytes, FrameHeader.maximumBodyBytes)
    }

    /// How many bytes wait for their rest: what this connection holds between chunks.
    package var bufferedBytes: Int {
        partial.count - partialPosition + (payload.count - payloadPosition) + (message?.count ?? 0)
    }

    /// The memory that is held for bytes to come.
    package var heldBytes: Int { partial.heldBytes + scratch.heldBytes }

    /// Gives memory back that long frames have taken, unless one is under way. Only between chunks.
    package func giveBack() {
        precondition(chunk.isEmpty || hasFailed, "the chunk is not finished")
        if partial.count == 0 { partial.shrink(to: 16) }
        if payload.isEmpty { scratch.giveBack() }
    }

    /// How large the frame is that has begun and whose rest is to come, as far as its header tells; 0 if
    /// there is none.
    package var awaitedBytes: Int {
        let begun: UnsafeRawBufferPointer
        switch framing {
        case .plain: begun = UnsafeRawBufferPointer(rebasing: partial.bytes[partialPosition...])
        case .segments: begun = message?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
        }
        guard begun.count >= FrameHeader.size else { return 0 }
        let length = Int32(bigEndian: begun.loadUnaligned(fromByteOffset: 5, as: Int32.self))
        return FrameHeader.size + max(0, Int(length))
    }

    /// Hands in the next bytes, which must stay where they are until `finish`.
    package func feed(_ chunk: UnsafeRawBufferPointer) {
        precondition(self.chunk.isEmpty || hasFailed, "the previous chunk is not finished")
        self.chunk = chunk
        position = 0
    }

    /// The next whole frame, or nil if more bytes are needed.
    package func next() throws(FrameError) -> Frame? {
        guard !hasFailed else { return nil }
        do {
            switch framing {
            case .plain(let compression): return try nextPlain(compression)
            case .segments(let compressed): return try nextInSegments(compressed)
            }
        } catch {
            hasFailed = true
            throw error
        }
    }

    /// Ends the chunk: keeps what was not given out, and takes back the frames that were. Frames that
    /// were not asked for come with the following chunk, so a caller may stop early to hold back.
    package func finish() {
        if payloadPosition < payload.count {
            let rest = ByteWriter(capacity: payload.count - payloadPosition)
            rest.append(UnsafeRawBufferPointer(rebasing: payload[payloadPosition...]))
            savedPayload = rest
            payload = rest.bytes
        } else {
            payload = UnsafeRawBufferPointer(start: nil, count: 0)
            savedPayload = nil
        }
        payloadPosition = 0
        retired.removeAll(keepingCapacity: true)
        scratch.reset()
        if partialPosition == partial.count {
            partial.removeAll()
            partial.shrink(to: 64 * 1024)
        } else if partialPosition > 0 {
            partial.removeFirst(partialPosition)
        }
        partialPosition = 0
        if position < chunk.count, !hasFailed {
            partial.append(UnsafeRawBufferPointer(rebasing: chunk[position...]))
        }
        chunk = UnsafeRawBufferPointer(start: nil, count: 0)
        position = 0
    }

    // MARK: - Plain frames

    private func nextPlain(_ compression: CompressionAlgorithm?) throws(FrameError) -> Frame? {
        guard let start = try nextHeader(FrameHeader.size) else { return nil }
        let header = try decodeHeader(start)
        guard let whole = takeUnit(FrameHeader.size + header.bodyLength) else { return nil }
        pin(header.version)
        let body = UnsafeRawBufferPointer(rebasing: whole[FrameHeader.size...])
        guard header.flags.contains(.compressed), header.version < .v5 else {
            return Frame(header: header, body: body)
        }
        return try decompressed(header, body, compression)
    }

    private func decompressed(
        _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ compression: CompressionAlgorithm?
    ) throws(FrameError) -> Frame {
        guard let compression else {
            throw FrameError(
                "Compressed frame, but no compression was agreed upon", version: header.version,
                stream: header.stream)
        }
        do throws(MalformedBytes) {
            let length = try BodyCompression.decompressedLength(
                body, compression, limit: maximumBodyBytes)
            let target = scratch.allocate(length)
            try BodyCompression.decompress(body, compression, into: target)
            return Frame(header: header, body: UnsafeRawBufferPointer(target))
        } catch {
            throw FrameError(
                "Cannot decompress the frame: \(error)", version: header.version,
                stream: header.stream)
        }
    }

    private func decodeHeader(_ start: UnsafeRawPointer) throws(FrameError) -> FrameHeader {
        let header = try FrameHeader.decode(
            start, receivedBy: side, maximumBodyBytes: maximumBodyBytes)
        if let version, header.version != version {
            throw FrameError(
                "Invalid message version. Got \(header.version) but previous messages on this "
                    + "connection had version \(version)", version: version, stream: header.stream)
        }
        return header
    }

    private func pin(_ version: ProtocolVersion) {
        if side == .server, self.version == nil { self.version = version }
    }

    // MARK: - Segments

    private func nextInSegments(_ compressed: Bool) throws(FrameError) -> Frame? {
        while true {
            if payloadPosition < payload.count { return try nextInPayload() }
            guard let start = try nextHeader(SegmentHeader.size(compressed: compressed)) else {
                return nil
            }
            guard let header = SegmentHeader(start, compressed: compressed) else {
                throw broken("Corrupt segment header: its CRC24 does not match")
            }
            guard let whole = takeUnit(header.totalBytes) else { return nil }
            let content = try segmentPayload(whole, header)
            if header.isSelfContained {
                guard message == nil else {
                    throw broken("A self-contained segment interrupts a message")
                }
                payload = content
                payloadPosition = 0
            } else if let frame = try assemble(content) {
                return frame
            }
        }
    }

    private func segmentPayload(
        _ whole: UnsafeRawBufferPointer, _ header: SegmentHeader
    ) throws(FrameError) -> UnsafeRawBufferPointer {
        let end = header.headerBytes + header.payloadBytes
        let stored = UnsafeRawBufferPointer(rebasing: whole[header.headerBytes..<end])
        let expected = UInt32(
            littleEndian: whole.loadUnaligned(fromByteOffset: end, as: UInt32.self))
        guard SegmentChecksum.payload(stored) == expected else {
            throw broken("Corrupt segment payload: its CRC32 does not match")
        }
        guard header.uncompressedBytes > 0 else { return stored }
        let target = scratch.allocate(header.uncompressedBytes)
        do {
            try LZ4.decompress(stored, into: target)
        } catch {
            throw broken("Cannot decompress the segment: \(error)")
        }
        return UnsafeRawBufferPointer(target)
    }

    private func nextInPayload() throws(FrameError) -> Frame {
        guard let base = payload.baseAddress, payload.count - payloadPosition >= FrameHeader.size
        else { throw broken("A self-contained segment ends inside a frame") }
        let start = base + payloadPosition
        let header = try decodeHeader(start)
        guard header.bodyLength <= payload.count - payloadPosition - FrameHeader.size else {
            throw broken("A self-contained segment ends inside a frame")
        }
        pin(header.version)
        payloadPosition += FrameHeader.size + header.bodyLength
        return Frame(
            header: header,
            body: UnsafeRawBufferPointer(start: start + FrameHeader.size, count: header.bodyLength))
    }

    /// Adds a part of a big frame; gives the frame when it was the last.
    private func assemble(_ part: UnsafeRawBufferPointer) throws(FrameError) -> Frame? {
        let buffer = message ?? ByteWriter(capacity: part.count)
        message = buffer
        buffer.append(part)
        guard buffer.count >= FrameHeader.size, let start = buffer.bytes.baseAddress else {
            return nil
        }
        let header = try decodeHeader(start)
        let total = FrameHeader.size + header.bodyLength
        guard buffer.count >= total else { return nil }
        guard buffer.count == total else { throw broken("A message overruns its last segment") }
        pin(header.version)
        retired.append(buffer)
        message = nil
        return Frame(
            header: header,
            body: UnsafeRawBufferPointer(rebasing: buffer.bytes[FrameHeader.size...]))
    }

    private func broken(_ text: String) -> FrameError {
        FrameError(text, version: version ?? .v5)
    }

    // MARK: - Units: a plain frame or a segment

    /// The first `size` bytes of the next unit, or nil if they did not all come yet.
    private func nextHeader(_ size: Int) throws(FrameError) -> UnsafeRawPointer? {
        let waiting = partial.count - partialPosition
        if waiting == 0 {
            guard chunk.count - position >= size, let base = chunk.baseAddress else {
                // A version that we do not speak may come with a header of another length.
                try refuseUnknownVersion()
                return nil
            }
            return base + position
        }
        if waiting < size { moveToPartial(size - waiting) }
        guard partial.count - partialPosition >= size, let base = partial.bytes.baseAddress else {
            return nil
        }
        return UnsafeRawPointer(base + partialPosition)
    }

    private func refuseUnknownVersion() throws(FrameError) {
        guard case .plain = framing, side == .server, position < chunk.count else { return }
        let version = chunk[position]
        guard version & 0x7F < ProtocolVersion.v3.rawValue, chunk.count - position >= 8 else {
            return
        }
        throw .unsupportedVersion(
            version & 0x7F, stream: Int16(Int8(bitPattern: chunk[position + 2])))
    }

    /// The next `count` bytes as one whole, or nil if they did not all come yet.
    private func takeUnit(_ count: Int) -> UnsafeRawBufferPointer? {
        let waiting = partial.count - partialPosition
        if waiting == 0 {
            guard chunk.count - position >= count, let base = chunk.baseAddress else { return nil }
            defer { position += count }
            return UnsafeRawBufferPointer(start: base + position, count: count)
        }
        if waiting < count { moveToPartial(count - waiting) }
        guard partial.count - partialPosition >= count else { return nil }
        defer { partialPosition += count }
        return partial[ByteRange(offset: partialPosition, count: count)]
    }

    private func moveToPartial(_ wanted: Int) {
        if partialPosition > 0 {
            // Frames were given out of this buffer: it must not move before `finish`.
            let fresh = ByteWriter(capacity: partial.count - partialPosition + wanted)
            fresh.append(UnsafeRawBufferPointer(rebasing: partial.bytes[partialPosition...]))
            retired.append(partial)
            partial = fresh
            partialPosition = 0
        }
        let count = min(wanted, chunk.count - position)
        guard count > 0 else { return }
        partial.append(UnsafeRawBufferPointer(rebasing: chunk[position..<position + count]))
        position += count
    }
}

/// Memory for decompressed bytes that stays in place until it is reset.
private struct ScratchBuffers {
    private var used: [ByteWriter] = []
    private var spare: ByteWriter?
    private let keptBytes = 256 * 1024

    mutating func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let buffer = spare ?? ByteWriter(capacity: max(count, 16))
        spare = nil
        used.append(buffer)
        var target = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        _ = buffer.appendUninitialized(count) { room in
            target = room
            return count
        }
        return target
    }

    var heldBytes: Int { spare?.heldBytes ?? 0 }

    /// Forgets the memory that is kept for the next time.
    mutating func giveBack() { spare = nil }

    mutating func reset() {
        guard let kept = used.last else { return }
        used.removeAll(keepingCapacity: true)
        kept.removeAll()
        kept.shrink(to: keptBytes)
        spare = kept
    }
}
