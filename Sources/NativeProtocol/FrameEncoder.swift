// From frames to a connection's outgoing bytes.
//
// Frames are written one after the other into `frames`, whole and uncompressed; `flush`, once per step,
// turns them into what travels: as they are, with compressed bodies (v3, v4), or in segments (v5),
// where the small frames of a step share a segment and a big one is cut into several.
//
//     encoder.begin(header); encoder.frames.append...; encoder.end()     any number of times
//     encoder.flush(into: output)
//
// **Ordering.** The answer to STARTUP is still framed the old way: flush it, then set `framing`.
//
// Cost: one copy of the bytes from `frames` to the output, so that lengths are known when the segments'
// headers are written; for a response of 100 bytes that is a few nanoseconds.

package import Encoding

/// Collects one connection's outgoing frames. One owner, one call at a time: its fields need no check
/// of exclusive access at run time.
package final class FrameEncoder {
    // Below this, compressing costs more than it saves.
    private static let smallestCompressedBytes = 512
    private static let ordinaryBytes = 512

    /// How the frames of the next flush travel. Only to be changed when nothing waits.
    @exclusivity(unchecked) package var framing: Framing = .plain(nil) {
        willSet { precondition(frames.count == 0, "frames of the old framing were not flushed") }
    }
    /// The frames that wait for the flush; append bodies here, between `begin` and `end`.
    package let frames = ByteWriter(capacity: ordinaryBytes)

    private let side: ConnectionSide
    @exclusivity(unchecked) private var frameStart: Int?

    /// The bytes of the frames that were not flushed yet, before compression.
    package var waitingBytes: Int { frames.count }

    /// An encoder for the bytes that `side` sends.
    package init(side: ConnectionSide) {
        self.side = side
    }

    /// Starts a frame; its body's length is filled in by `end`.
    package func begin(
        _ version: ProtocolVersion, flags: FrameFlags = FrameFlags(), stream: Int16,
        _ opcode: Opcode
    ) {
        precondition(frameStart == nil, "the frame before was not ended")
        frameStart = frames.count
        FrameHeader(version: version, flags: flags, stream: stream, opcode: opcode, bodyLength: 0)
            .encode(into: frames, sentBy: side)
    }

    /// Ends the frame.
    package func end() {
        guard let start = frameStart else { preconditionFailure("no frame was begun") }
        let length = frames.count - start - FrameHeader.size
        precondition(length <= FrameHeader.maximumBodyBytes, "frame over the protocol's limit")
        frames.overwriteBigEndian(at: start + 5, Int32(length))
        frameStart = nil
    }

    /// Takes back the frame that was begun, for an error that shows while it is written.
    package func cancel() {
        guard let start = frameStart else { return }
        frames.truncate(to: start)
        frameStart = nil
    }

    /// How long the body of the frame that was begun is by now.
    package var bodyLength: Int {
        frameStart.map { frames.count - $0 - FrameHeader.size } ?? 0
    }

    /// Appends all waiting frames to `output` as they travel, and forgets them.
    package func flush(into output: ByteWriter) {
        precondition(frameStart == nil, "a frame is not ended")
        guard frames.count > 0 else { return }
        switch framing {
        case .plain(nil): output.append(frames.bytes)
        case .plain(.some(let compression)): flushCompressed(compression, into: output)
        case .segments(let compressed): flushSegments(compressed, into: output)
        }
        frames.removeAll()
        frames.shrink(to: 256 * 1024)
    }

    /// The memory that is held for frames to come.
    package var heldBytes: Int { frames.heldBytes }

    /// Gives memory back that long frames have taken, unless some wait.
    package func giveBack() { frames.shrink(to: Self.ordinaryBytes) }

    private func frameLength(at offset: Int) -> Int {
        let length = frames.bytes.loadUnaligned(fromByteOffset: offset + 5, as: Int32.self)
        return FrameHeader.size + Int(Int32(bigEndian: length))
    }

    private func flushCompressed(_ compression: CompressionAlgorithm, into output: ByteWriter) {
        var offset = 0
        while offset < frames.count {
            let end = offset + frameLength(at: offset)
            let bodyStart = offset + FrameHeader.size
            let start = output.count
            output.append(UnsafeRawBufferPointer(rebasing: frames.bytes[offset..<bodyStart]))
            let body = UnsafeRawBufferPointer(rebasing: frames.bytes[bodyStart..<end])
            if body.count >= Self.smallestCompressedBytes,
                BodyCompression.compress(body, compression, into: output)
            {
                let flags = frames.bytes[offset + 1] | FrameFlags.compressed.rawValue
                output.overwriteBigEndian(at: start + 1, flags)
                output.overwriteBigEndian(
                    at: start + 5, Int32(output.count - start - FrameHeader.size))
            } else {
                output.append(body)
            }
            offset = end
        }
    }

    private func flushSegments(_ compressed: Bool, into output: ByteWriter) {
        let limit = SegmentHeader.maximumPayloadBytes
        var segmentStart = 0
        var offset = 0
        while offset < frames.count {
            let length = frameLength(at: offset)
            if offset + length - segmentStart > limit, offset > segmentStart {
                appendSegment(segmentStart..<offset, isSelfContained: true, compressed, output)
                segmentStart = offset
            }
            offset += length
            guard length > limit else { continue }
            while segmentStart < offset {
                let part = segmentStart..<min(segmentStart + limit, offset)
                appendSegment(part, isSelfContained: false, compressed, output)
                segmentStart = part.upperBound
            }
        }
        if segmentStart < offset {
            appendSegment(segmentStart..<offset, isSelfContained: true, compressed, output)
        }
    }

    private func appendSegment(
        _ range: Range<Int>, isSelfContained: Bool, _ compressed: Bool, _ output: ByteWriter
    ) {
        let payload = UnsafeRawBufferPointer(rebasing: frames.bytes[range])
        var header = SegmentHeader(
            payloadBytes: payload.count, isSelfContained: isSelfContained,
            isCompressedForm: compressed)
        let start = output.count
        if compressed, payload.count >= Self.smallestCompressedBytes {
            output.appendZeros(header.headerBytes)
            let written = output.appendUninitialized(LZ4.bound(payload.count)) { target in
                LZ4.compress(payload, into: target) ?? 0
            }
            if written > 0, written < payload.count {
                header.payloadBytes = written
                header.uncompressedBytes = payload.count
                finishSegment(header, at: start, output)
                return
            }
            output.truncate(to: start)
        }
        header.encode(into: output)
        output.append(payload)
        output.appendLittleEndian(SegmentChecksum.payload(payload))
    }

    /// Writes the header over the room left for it, and the checksum behind the payload.
    private func finishSegment(_ header: SegmentHeader, at start: Int, _ output: ByteWriter) {
        let encoded = ByteWriter(capacity: 16)
        header.encode(into: encoded)
        for (index, byte) in encoded.bytes.enumerated() {
            output.overwriteLittleEndian(at: start + index, byte)
        }
        let stored = output[
            ByteRange(offset: start + header.headerBytes, count: header.payloadBytes)]
        output.appendLittleEndian(SegmentChecksum.payload(stored))
    }
}
