// Another number of shards at a node's start: the files of the old generation of prefixes become those
// of the new one, where each shard owns another slice of the tokens.
//
//     removeGeneration(leftovers) -> for each old prefix: open, replay, flush all, checkpoint
//         -> for each new prefix: link every SSTable that overlaps its slice, write a manifest
//         -> the caller commits the new generation in its metadata -> removeGeneration(old)
//
// Nothing is rewritten: a file that straddles slices is linked under several names, each owner passes
// over what is not its own, and compaction writes only what is. Crash-safe: until the caller's commit
// the old generation is whole (flushed, which is always allowed) and the new one a leftover that the
// next attempt removes; after it the old one is.
//
// Positions of the old logs mean nothing in the new ones: the new manifests have none, and the new
// logs begin at segment 1. The caller must forget truncation positions with the old generation.

internal import Encoding
package import Environment
package import Model

/// The change of a node's shards, before its first step.
package enum Resharding {
    /// A shard of a generation: its file name prefix and its tokens.
    package struct ShardFiles: Equatable, Sendable {
        package var prefix: String
        package var slice: ClosedRange<Int64>
        /// Of an old shard: what its log must not bring back.
        package var truncations: [TableID: LogPosition]

        package init(
            prefix: String, slice: ClosedRange<Int64>, truncations: [TableID: LogPosition] = [:]
        ) {
            self.prefix = prefix
            self.slice = slice
            self.truncations = truncations
        }
    }

    /// Makes the files of the new shards out of those of the old ones, durably. Blocks. `incarnation`
    /// is this start's.
    package static func reshard(
        from old: [ShardFiles], to new: [ShardFiles], configuration: Configuration.Storage,
        schema: SchemaSnapshot, incarnation: Incarnation, files: any FileSystem,
        clock: ClockReading
    ) throws(StorageError) {
        for shard in new { try removeGeneration(shard.prefix, files: files) }
        var sources: [(file: FileName, entry: ManifestEntry, metadata: SSTableMetadata)] = []
        for shard in old {
            let engine = try StorageEngine.open(
                StorageStart(
                    configuration: configuration, prefix: shard.prefix, slice: shard.slice,
                    schema: schema, incarnation: incarnation, truncations: shard.truncations,
                    effectIDs: EffectIDs(incarnation: incarnation)),
                files: files, clock: clock)
            for (entry, metadata) in try engine.flushAllNow(files) {
                sources.append(
                    (StorageEngine.sstableName(shard.prefix, entry.number), entry, metadata))
            }
        }
        for shard in new {
            var state = ManifestState()
            for source in sources {
                let statistics = source.metadata.statistics
                guard statistics.minimumToken <= shard.slice.upperBound,
                    statistics.maximumToken >= shard.slice.lowerBound
                else { continue }
                var entry = source.entry
                entry.number = state.nextNumber
                entry.position = .zero
                state.apply(.add(entry))
                let name = StorageEngine.sstableName(shard.prefix, entry.number)
                try storing { () throws(DiskFailure) in try files.link(source.file, to: name) }
            }
            try storing { () throws(DiskFailure) in
                _ = try ManifestFile.writeCheckpoint(
                    state, ManifestFile.name(shard.prefix, 1), files)
            }
        }
        try storing { () throws(DiskFailure) in try files.syncFolder() }
    }

    /// Removes all engine files of a prefix: an old generation after the commit, or what an attempt
    /// that was not committed left.
    package static func removeGeneration(
        _ prefix: String, files: any FileSystem
    ) throws(StorageError) {
        try storing { () throws(DiskFailure) in
            for file in try files.list()
            where CommitLog.number(of: file, prefix: prefix) != nil
                || ManifestFile.number(of: file, prefix: prefix) != nil
                || StorageEngine.sstableNumber(file, prefix) != nil
            {
                try files.remove(file)
            }
            try files.syncFolder()
        }
    }
}

extension StorageEngine {
    /// Flushes every memtable at once and makes the manifest say so; the engine ends with it.
    func flushAllNow(
        _ files: any FileSystem
    ) throws(StorageError) -> [(ManifestEntry, SSTableMetadata)] {
        for table in tableList where !table.live.isEmpty { try flushNow(table, files) }
        try storing { () throws(DiskFailure) in try manifest.writeCheckpointNow(files) }
        return tableList.flatMap { table in
            table.sstables.compactMap { sstable in
                manifest.state.entries[sstable.number].map { ($0, sstable.metadata) }
            }
        }
    }
}
