// When the tombstones and expiring cells of a file can be forgotten: local deletion times, counted in a
// bounded number of bins, so that a compaction can tell how much of a file gc grace has passed by.
//
// A new time makes a bin of its own; when there are too many, the two nearest ones become one at the
// later of their times (an estimate never calls droppable what is not). After Ben-Haim and Tom-Tov,
// "A Streaming Parallel Decision Tree Algorithm", 2010, without interpolation.

internal import Encoding

/// Counts of local deletion times. Bins are sorted by time.
struct TombstoneHistogram: Equatable, Sendable {
    struct Bin: Equatable, Sendable {
        /// Seconds since 1970: nothing in the bin is later.
        var time: UInt32
        var count: Int
    }

    private(set) var bins: [Bin] = []
    static let maximumBins = 64

    init() {}

    mutating func add(_ time: UInt32) {
        var low = 0
        var high = bins.count
        while low < high {
            let middle = (low + high) >> 1
            if bins[middle].time < time { low = middle + 1 } else { high = middle }
        }
        if low < bins.count, bins[low].time == time {
            bins[low].count += 1
            return
        }
        bins.insert(Bin(time: time, count: 1), at: low)
        if bins.count > Self.maximumBins { joinNearest() }
    }

    private mutating func joinNearest() {
        var best = 1
        for index in 2..<bins.count
        where bins[index].time - bins[index - 1].time < bins[best].time - bins[best - 1].time {
            best = index
        }
        bins[best].count += bins[best - 1].count
        bins.remove(at: best - 1)
    }

    /// How many there are.
    var total: Int { bins.reduce(0) { $0 + $1.count } }

    /// At least so many have a local deletion time before `time`.
    func count(before time: Int64) -> Int {
        var count = 0
        for bin in bins where Int64(bin.time) < time { count += bin.count }
        return count
    }

    /// `bins varint | (time u32, count varint)*`.
    func encode(into writer: ByteWriter) {
        writer.appendVarint(UInt64(bins.count))
        for bin in bins {
            writer.appendLittleEndian(bin.time)
            writer.appendVarint(UInt64(bin.count))
        }
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        let count = try reader.readCount()
        guard count <= Self.maximumBins else {
            throw MalformedBytes("histogram of \(count) bins", offset: reader.position)
        }
        for _ in 0..<count {
            let time = try reader.readLittleEndian(UInt32.self)
            guard bins.last.map({ $0.time < time }) ?? true else {
                throw MalformedBytes("histogram out of order", offset: reader.position)
            }
            bins.append(Bin(time: time, count: Int(clamping: try reader.readVarint())))
        }
    }
}
