// Time-window compaction, as Cassandra's TimeWindowCompactionStrategy: files are gathered by the window
// in which their newest data was written, and never across windows, so that data that expires together
// lies together, and goes away as whole files, unread.
//
//     window of a file = floor(newest timestamp / window)
//     newest window:  size-tiered          older windows: one file each, as soon as there are two
//
// Cost: each byte is written about twice, plus the tiers of its own window.

internal import Model

/// Chooses by time.
struct TimeWindowStrategy {
    let options: CompactionOptions.TimeWindow

    init(_ options: CompactionOptions.TimeWindow) { self.options = options }

    /// The window in which the file's newest data was written.
    func window(_ file: CompactionFile) -> Int64 {
        let (unit, overflow) = options.windowSeconds.multipliedReportingOverflow(
            by: options.timestampsPerSecond)
        if overflow { return 0 }
        let quotient = file.maximumTimestamp / unit
        return file.maximumTimestamp % unit < 0 ? quotient - 1 : quotient
    }

    func choose(_ view: CompactionView) -> CompactionChoice? {
        let windows = view.files.map(window)
        guard let newest = windows.max() else { return nil }
        var byWindow: [Int64: [CompactionFile]] = [:]
        for (file, window) in zip(view.files, windows) where !file.isBusy {
            byWindow[window, default: []].append(file)
        }
        for window in byWindow.keys.sorted(by: >) {
            guard let files = byWindow[window] else { continue }
            if window == newest {
                if let choice = SizeTieredStrategy(options.newest).choose(
                    among: files, reason: .timeWindow)
                {
                    return choice
                }
            } else if files.count >= 2 {
                let smallest = files.sorted {
                    $0.bytes == $1.bytes ? $0.number < $1.number : $0.bytes < $1.bytes
                }
                return CompactionChoice(
                    Array(smallest.prefix(options.newest.maximumThreshold)), reason: .timeWindow,
                    mayShrink: true)
            }
        }
        return nil
    }
}
