// RESULT rows, streamed (v5 specification, section 4.2.5.2).
//
//     kind 4 | flags 4 | columns 4 | [paging state] | [new metadata id, v5] | [columns] | rows 4 | values
//
// Values are appended as they are read; the row count is filled in at the end, and so is the paging
// state, because only then one knows whether a page follows. That moves the page's bytes up once,
// which is less than remembering rows elsewhere.

public import Encoding
internal import Model

/// The flags of rows metadata.
package struct RowsFlags: OptionSet, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let globalTable = RowsFlags(rawValue: 0x0001)
    package static let hasMorePages = RowsFlags(rawValue: 0x0002)
    package static let noMetadata = RowsFlags(rawValue: 0x0004)
    package static let metadataChanged = RowsFlags(rawValue: 0x0008)
}

/// Writes one page of rows into a frame.
public struct RowsWriter {
    /// Where values go that are generated in place (`beginValue` and `endValue`); others are given to
    /// `append`. Each row has as many as there are columns.
    public let frames: ByteWriter
    /// The rows ended so far.
    @usableFromInline var rowCount = 0

    private let encoder: FrameEncoder
    private let flagsOffset: Int
    private var countOffset: Int
    private var flags: RowsFlags

    /// Begins the frame and writes the columns, unless `skipMetadata` says that the client knows them.
    /// `hasOtherColumns`: a v5 EXECUTE carried another id than that of `metadata`; then the columns are sent
    /// nevertheless, with their new id.
    package init(
        _ encoder: FrameEncoder, _ version: ProtocolVersion, stream: Int16,
        _ metadata: RowsMetadata, skipMetadata: Bool = false,
        hasOtherColumns: Bool = false, prefix: ResponsePrefix? = nil
    ) {
        self.encoder = encoder
        frames = encoder.frames
        encoder.beginResponse(version, stream: stream, .result, prefix: prefix)
        frames.appendBigEndian(ResultKind.rows.rawValue)
        var flags = RowsFlags()
        if version >= .v5, hasOtherColumns {
            flags.insert(.metadataChanged)
        } else if skipMetadata {
            flags.insert(.noMetadata)
        }
        if !flags.contains(.noMetadata), metadata.hasGlobalTable { flags.insert(.globalTable) }
        self.flags = flags
        flagsOffset = frames.count
        frames.appendBigEndian(flags.rawValue)
        frames.appendBigEndian(Int32(metadata.columns.count))
        if flags.contains(.metadataChanged) { frames.appendShortBytes(metadata.id) }
        if !flags.contains(.noMetadata) { frames.append(metadata.specifications(version)) }
        countOffset = frames.count
        frames.appendBigEndian(Int32(0))
    }

    /// Appends a value of the row, or null.
    @inlinable
    public func append(_ value: UnsafeRawBufferPointer?) {
        guard let value else {
            frames.appendBigEndian(Int32(-1))
            return
        }
        frames.appendBigEndian(Int32(truncatingIfNeeded: value.count))
        frames.append(value)
    }

    /// Appends whole rows that are encoded already, each value as [bytes].
    package mutating func appendRows(_ bytes: UnsafeRawBufferPointer, count: Int) {
        frames.append(bytes)
        rowCount += count
    }

    /// Says that a row's values are all written.
    @inlinable
    public mutating func endRow() { rowCount += 1 }

    /// How many bytes of values were written.
    package var byteCount: Int { frames.count - countOffset - 4 }

    /// Ends the frame; a paging state says that another page follows.
    package mutating func finish(pagingState: [UInt8]? = nil) {
        frames.overwriteBigEndian(at: countOffset, Int32(rowCount))
        if let pagingState {
            flags.insert(.hasMorePages)
            frames.overwriteBigEndian(at: flagsOffset, flags.rawValue)
            let length = UInt32(pagingState.count)
            let prefix = (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
            frames.insert(prefix + pagingState, at: flagsOffset + 8)
        }
        encoder.end()
    }

    /// Takes the frame back, for an error that shows while rows are read.
    package func cancel() { encoder.cancel() }
}
