// Memory for one block at a time, aligned so that a read around the page cache can go there.

/// A reusable buffer with one owner.
package final class BlockBuffer {
    private var storage: UnsafeMutableRawBufferPointer
    private static let usualBytes = 32 << 10

    package init() {
        storage = .allocate(byteCount: Self.usualBytes, alignment: BlockReader.alignment)
    }

    deinit { storage.deallocate() }

    /// So many bytes of it; what was there before is gone.
    func memory(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if count > storage.count {
            storage.deallocate()
            storage = .allocate(
                byteCount: BlockReader.roundedUp(count), alignment: BlockReader.alignment)
        }
        return UnsafeMutableRawBufferPointer(rebasing: storage[..<count])
    }
}
