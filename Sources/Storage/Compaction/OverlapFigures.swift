// How files lie over each other: what a read may have to look at, and how much space a full compaction
// would about give back. Estimates from sizes and token ranges, without reading anything.

/// Figures of a set of files.
struct OverlapFigures: Equatable {
    /// The largest number of files over one token.
    private(set) var depth = 0
    /// All bytes for each byte of the largest file at each place: what stays if everything smaller there
    /// only replaces it. 0 without files.
    private(set) var spaceAmplification = 0.0

    /// Cost: a sort, and for each border of a file the files over it.
    init(_ files: [CompactionFile]) {
        let borders = files.flatMap { [$0.tokens.lowerBound, $0.tokens.upperBound] }.sorted()
        let sorted = files.sorted { $0.tokens.lowerBound < $1.tokens.lowerBound }
        var next = 0
        var active: [CompactionFile] = []
        var all = 0.0
        var largest = 0.0
        var previous: Int64?
        for border in borders where border != previous {
            if let previous {
                // Files of one token have no width: their bytes count where they begin.
                add(active, width(previous, border), &all, &largest)
            }
            while next < sorted.count, sorted[next].tokens.lowerBound == border {
                active.append(sorted[next])
                next += 1
            }
            depth = max(depth, active.count)
            let points = active.filter { $0.tokens.lowerBound == $0.tokens.upperBound }
            if !points.isEmpty {
                all += points.reduce(0) { $0 + Double($1.bytes) }
                largest += points.map { Double($0.bytes) }.max() ?? 0
            }
            active.removeAll { $0.tokens.upperBound == border }
            previous = border
        }
        if largest > 0 { spaceAmplification = all / largest }
    }

    private func add(
        _ files: [CompactionFile], _ span: Double, _ all: inout Double, _ largest: inout Double
    ) {
        var most = 0.0
        for file in files {
            let whole = width(file.tokens.lowerBound, file.tokens.upperBound)
            let bytes = whole > 0 ? Double(file.bytes) * span / whole : 0
            all += bytes
            most = max(most, bytes)
        }
        largest += most
    }
}
