// One file of the simulated disk, with everything that a power loss could make of it.
//
// `bytes` is what the kernel shows. Below it lie layers of undo, oldest first: a sync closes the
// top layer, and when that sync has ended, its layer and all below are forgotten. At a power loss
// each sector of 512 bytes independently shows its newest content or what any layer remembers of
// it, and the size any that it had since the last ended sync.
//
//     kernel bytes          written, survives a kill
//     layer n (open)        old sectors since the last sync was begun
//     layer n-1 (token 7)   old sectors since the sync before; gone when sync 7 ends
//     durable               what is below all layers
//
// Invariants: there is always exactly one open layer, the last; bytes.count <= size, and what lies
// between reads as zeros (a preallocated file costs no memory).

internal import Encoding
package import Environment

/// A file's content, in the kernel and on the platter.
final class SimulatedFile {
    static let sectorBytes = 512

    struct Layer {
        /// The sync that will make this layer's changes durable; 0 while it is open.
        var token: UInt64
        /// The size when the layer was opened.
        let oldSize: Int
        /// Old content by sector number; shorter than a sector where the rest was zeros.
        var oldSectors: [Int: [UInt8]] = [:]
    }

    private var bytes: [UInt8] = []
    private(set) var size: Int
    private var layers: [Layer]

    init(preallocate: Int) {
        size = preallocate
        layers = [Layer(token: 0, oldSize: 0)]
    }

    func write(at offset: Int, _ source: UnsafeRawBufferPointer) {
        guard source.count > 0 else { return }
        remember(offset..<offset + source.count)
        let end = offset + source.count
        if bytes.count < end {
            bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
        }
        bytes.withUnsafeMutableBytes { target in
            UnsafeMutableRawBufferPointer(rebasing: target[offset..<end]).copyMemory(from: source)
        }
        size = max(size, end)
    }

    func read(at offset: Int, count: Int, into writer: ByteWriter) {
        let end = min(offset + count, size)
        guard offset < end else { return }
        let stored = min(end, bytes.count)
        if offset < stored {
            bytes.withUnsafeBytes { source in
                writer.append(UnsafeRawBufferPointer(rebasing: source[offset..<stored]))
            }
        }
        let zeros = end - max(offset, stored)
        if zeros > 0 { writer.appendZeros(zeros) }
    }

    func truncate(to newSize: Int) {
        if newSize < bytes.count {
            remember(newSize..<bytes.count)
            bytes.removeSubrange(newSize...)
        }
        size = newSize
    }

    /// Keeps the old content of the sectors that `range` touches, if this layer has not yet.
    private func remember(_ range: Range<Int>) {
        let top = layers.count - 1
        let first = range.lowerBound / Self.sectorBytes
        let last = (range.upperBound - 1) / Self.sectorBytes
        for sector in first...last where layers[top].oldSectors[sector] == nil {
            let start = sector * Self.sectorBytes
            let end = min(start + Self.sectorBytes, bytes.count)
            layers[top].oldSectors[sector] = start < end ? Array(bytes[start..<end]) : []
        }
    }

    /// Begins a sync: what was written so far will be durable when `endSync` is called.
    func beginSync(token: UInt64) {
        layers[layers.count - 1].token = token
        layers.append(Layer(token: 0, oldSize: size))
    }

    /// Ends a sync; a token that is not known any more is ignored.
    func endSync(token: UInt64) {
        guard let index = layers.firstIndex(where: { $0.token == token }) else { return }
        layers.removeSubrange(...index)
    }

    /// Everything written so far becomes durable.
    func sync() { layers = [Layer(token: 0, oldSize: size)] }

    /// Whether anything could be lost.
    var isDurable: Bool {
        layers.allSatisfy { $0.oldSectors.isEmpty && $0.oldSize == size }
    }

    /// Makes of the file what a power loss may leave; drawn from the stream. What is left is
    /// durable. With `tears`, the last sector drawn may be new at its begin and old behind.
    func losePower(_ stream: inout RandomStream, tears: Bool = false) {
        defer { sync() }
        if isDurable { return }
        // Extremes are drawn often: nothing or everything unsynced is lost in half of the cases.
        let mode = stream.below(4)
        let sizes = layers.map(\.oldSize) + [size]
        let newSize: Int =
            switch mode {
            case 0: sizes[0]
            case 1: size
            default: sizes[Int(stream.below(UInt64(sizes.count)))]
            }
        let sectors = Set(layers.flatMap(\.oldSectors.keys)).sorted()
        for sector in sectors {
            // Versions from the oldest to the newest; the newest is what the kernel showed.
            let versions = layers.compactMap { $0.oldSectors[sector] }
            let choice: Int =
                switch mode {
                case 0: 0
                case 1: versions.count
                default: Int(stream.below(UInt64(versions.count + 1)))
                }
            let kept = tears && stream.chance(1, outOf: 4) ? Int(stream.below(512)) : 0
            if choice < versions.count { restore(sector, versions[choice], from: kept) }
        }
        size = newSize
        if bytes.count > newSize { bytes.removeSubrange(newSize...) }
    }

    /// Puts back the old bytes of a sector from that one on.
    private func restore(_ sector: Int, _ old: [UInt8], from first: Int) {
        let start = sector * Self.sectorBytes
        let end = start + Self.sectorBytes
        if bytes.count < end {
            bytes.append(contentsOf: repeatElement(0, count: end - bytes.count))
        }
        for index in first..<Self.sectorBytes {
            bytes[start + index] = index < old.count ? old[index] : 0
        }
    }

    /// Changes a byte that has the first value to the second, in the kernel and in all that a power
    /// loss could bring back.
    func replace(_ old: UInt8, at offset: Int, by new: UInt8) {
        if self[offset] == old { self[offset] = new }
        let (sector, index) = offset.quotientAndRemainder(dividingBy: Self.sectorBytes)
        for layer in layers.indices {
            guard let kept = layers[layer].oldSectors[sector], index < kept.count,
                kept[index] == old
            else { continue }
            layers[layer].oldSectors[sector]?[index] = new
        }
    }

    var writtenBytes: Int { bytes.count }

    /// The byte at an offset, or nil where none was ever written.
    subscript(offset: Int) -> UInt8? {
        get { offset >= 0 && offset < bytes.count ? bytes[offset] : nil }
        set { if let newValue, offset >= 0, offset < bytes.count { bytes[offset] = newValue } }
    }
}

/// One flipped bit. It can be mended, so that a run goes on behind the report of it.
package final class SimulatedDamage {
    /// The file's name at that time.
    package let file: FileName
    package let offset: Int
    let content: SimulatedFile
    private let sound: UInt8
    private let damaged: UInt8

    init?(_ content: SimulatedFile, _ file: FileName, _ offset: Int, _ bit: UInt8) {
        guard let sound = content[offset] else { return nil }
        self.file = file
        self.offset = offset
        self.content = content
        self.sound = sound
        damaged = sound ^ (1 << (bit & 7))
        content[offset] = damaged
    }

    /// Puts the bit back, unless the byte was written anew.
    package func mend() { content.replace(damaged, at: offset, by: sound) }
}
