// Which rows of a DESCRIBE a client gets, and where its next page begins. The rows are made anew for each page, so
// that a page only goes on while the schema is the one that the page before it was of.
//
//     paging state   0x44 | version of the schema 16 | rows that were shown: u64 big-endian

package import Encoding
package import Model

package struct DescribePage {
    package let rows: Range<Int>
    /// Nil at the end.
    package let pagingState: [UInt8]?

    private static let mark: UInt8 = 0x44

    /// The page of `count` rows that a client wants who asks for `size` of them at a time, or for all, and gives
    /// back the `state` that came with the page before.
    package init(
        of count: Int, size: Int?, state: UnsafeRawBufferPointer?, schema: UniqueID
    ) throws(CQLError) {
        let first = if let state { try Self.shown(state, schema) } else { 0 }
        guard first <= count else { throw PagingState.invalid }
        let end = size.map { min($0, count - first) + first } ?? count
        rows = first..<end
        guard end < count else {
            pagingState = nil
            return
        }
        let writer = ByteWriter()
        writer.append(Self.mark)
        writer.append(schema)
        writer.appendBigEndian(UInt64(end))
        pagingState = writer.array
    }

    private static func shown(
        _ state: UnsafeRawBufferPointer, _ schema: UniqueID
    ) throws(CQLError) -> Int {
        let version: UniqueID
        let shown: UInt64
        do throws(MalformedBytes) {
            var reader = ByteReader(state)
            guard try reader.readUInt8() == mark else { throw MalformedBytes("mark", offset: 0) }
            version = try reader.readUniqueID()
            shown = try reader.readBigEndian(UInt64.self)
            guard reader.remaining == 0 else { throw MalformedBytes("rest", offset: 0) }
        } catch {
            throw PagingState.invalid
        }
        guard version == schema else {
            throw .invalid(
                "The schema has changed since the previous page of the DESCRIBE statement result."
                    + " Please retry the DESCRIBE statement.")
        }
        guard let rows = Int(exactly: shown) else { throw PagingState.invalid }
        return rows
    }
}
