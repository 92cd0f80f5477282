// What a look-up asks each file of a table first, gathered in one piece of memory: most files do not have
// the partition, and are left at the cost of a comparison and a cache miss of their filter. All filters'
// misses overlap: their lines are asked for together before the first one is looked at.

internal import CMemory
internal import Encoding
internal import Model

/// One file, as a look-up asks it.
struct FileProbe: BitwiseCopyable {
    let minimumToken: Int64
    let maximumToken: Int64
    let filter: BloomFilter.View

    @inline(__always)
    func spans(_ token: Int64) -> Bool { minimumToken <= token && token <= maximumToken }
}

/// The files of a view, in its order. Valid as long as the view, which keeps the files.
final class FileProbes {
    let list: UnsafeMutableBufferPointer<FileProbe>

    init(_ sstables: [SSTable]) {
        list = .allocate(capacity: sstables.count)
        for (index, sstable) in sstables.enumerated() {
            list.initializeElement(
                at: index,
                to: FileProbe(
                    minimumToken: sstable.metadata.statistics.minimumToken,
                    maximumToken: sstable.metadata.statistics.maximumToken,
                    filter: sstable.metadata.filter.view))
        }
    }

    deinit { list.deallocate() }

    /// Has the processor load what the look-up will ask of the filters.
    @inline(__always)
    func prefetch(_ token: Int64, _ hash: UInt64) {
        for probe in list where probe.spans(token) { probe.filter.prefetch(hash) }
    }
}
