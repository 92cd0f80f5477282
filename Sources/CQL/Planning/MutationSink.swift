// Where built mutations are collected: their bytes one after another, in memory that is used again.

package import Encoding
package import Model

/// Collects mutations. It has one owner, which empties it between requests.
package final class MutationSink {
    /// One mutation among `bytes`.
    package struct Entry: Sendable {
        package let table: TableID
        package let token: Int64
        /// The serialized partition key.
        package let key: ByteRange
        /// The whole mutation, to be read by `MutationView`.
        package let range: ByteRange
        /// What a walk over its rows would find, if whoever built it knew.
        package var facts: RowSummary?
    }

    /// The mutations' bytes; `entries` says where each lies.
    package let bytes = ByteWriter(capacity: 4_096)
    @exclusivity(unchecked) package private(set) var entries: [Entry] = []

    // Working space of `ModificationPlan`.
    let partitionKey = ByteWriter()
    let clusteringKey = ByteWriter()
    let originalKey = ByteWriter()
    let row = ByteWriter()
    let staticRow = ByteWriter()
    let values = ByteWriter()

    /// Numbers the list elements of a request, so that those of one batch keep their order.
    @exclusivity(unchecked) var listPlaces = ListPlaces()

    /// What operations on lists by index or value see; set by whoever has read it.
    @exclusivity(unchecked) package var current: CurrentRows?

    package init() {}

    /// Forgets the mutations and keeps the memory.
    package func removeAll() {
        bytes.removeAll()
        // Mostly there is one; `removeAll(keepingCapacity:)` costs more than to take it out.
        while entries.popLast() != nil {}
        listPlaces = ListPlaces()
        if current != nil { current = nil }
    }

    /// The mutation's bytes, valid until the next one is built.
    package subscript(_ entry: Entry) -> UnsafeRawBufferPointer { bytes[entry.range] }

    /// The mutation as it is read, without reading its head again. Valid as long as its bytes.
    package func view(of entry: Entry) -> MutationView {
        MutationView(
            table: entry.table, token: entry.token, key: bytes[entry.key], of: bytes[entry.range])
    }

    /// Notes the mutation that was written from `start` on, with its key at `key`.
    func add(table: TableID, token: Int64, key: ByteRange, start: Int, facts: RowSummary? = nil) {
        entries.append(
            Entry(
                table: table, token: token, key: key,
                range: ByteRange(offset: start, count: bytes.count - start), facts: facts))
    }

    /// Makes one mutation of all those of the same partition, so that they are applied together.
    package func mergePartitions() throws(CQLError) {
        guard entries.count > 1 else { return }
        var groups: [[Entry]] = []
        var groupsOfToken: [Int64: [Int]] = [:]
        for entry in entries {
            let place = groupsOfToken[entry.token]?.first { index in
                groups[index][0].table == entry.table
                    && equalBytes(bytes[groups[index][0].key], bytes[entry.key])
            }
            if let place {
                groups[place].append(entry)
            } else {
                groupsOfToken[entry.token, default: []].append(groups.count)
                groups.append([entry])
            }
        }
        guard groups.count < entries.count else { return }
        do throws(MalformedBytes) {
            try rewrite(groups)
        } catch {
            preconditionFailure("a mutation that was just built is malformed: \(error)")
        }
    }

    private func rewrite(_ groups: [[Entry]]) throws(MalformedBytes) {
        let merged = ByteWriter(capacity: bytes.count)
        var places: [Entry] = []
        for group in groups {
            let start = merged.count
            if group.count == 1 {
                merged.append(bytes[group[0].range])
            } else {
                var partitions: [PartitionView] = []
                for entry in group {
                    partitions.append(
                        try PartitionView(try MutationView(bytes[entry.range]).partition))
                }
                MutationWriter.begin(
                    table: group[0].table, token: group[0].token, key: bytes[group[0].key],
                    into: merged)
                try PartitionMerge.merge(partitions, into: merged)
            }
            let keyOffset = group[0].key.offset - group[0].range.offset
            places.append(
                Entry(
                    table: group[0].table, token: group[0].token,
                    key: ByteRange(offset: start + keyOffset, count: group[0].key.count),
                    range: ByteRange(offset: start, count: merged.count - start)))
        }
        bytes.removeAll()
        bytes.append(merged.bytes)
        entries = places
    }
}
