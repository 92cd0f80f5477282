// Merging several replicas' answers to one read, and finding what each of them lacks.
//
// An answer that stopped at a limit says nothing about what lies behind its last row. So the merge is
// cut at the nearest such place of all answers (`Stop`), and whoever wants more asks again from there:
// that is short-read protection, and scans and single partitions are treated alike.
//
// A scan with a limit for each partition goes on behind one that reached it, so that an answer has gaps: behind
// the last row of every such partition. As long as the merged rows in front of the nearest gap are as many as
// are wanted of the partition, nobody misses what lies in it. If they are not, because a row is deleted on
// another replica, the merge is cut there.

package import Encoding
package import Model

/// How far answers go.
package enum ReadStop: Equatable, Sendable {
    /// Everything up to and including this token is known.
    case token(Int64)
    /// Everything up to and including this row or partition is known.
    case position(ReadCommand.Position)
}

/// Merges answers.
package enum ReadMerge {
    /// One replica's answer.
    package struct Answer {
        package let bytes: [UInt8]
        package init(bytes: [UInt8]) { self.bytes = bytes }
    }

    /// What came of a merge.
    package struct Merged {
        /// A read result, with deletions.
        package var result: [UInt8]
        /// Nil: the whole scope is known.
        package var stop: ReadStop?
        /// By answer: the mutations that bring that replica up to date.
        package var repairs: [[[UInt8]]]
    }

    /// How far one answer goes; nil if it covers the whole scope.
    package static func stop(of result: ReadResultView) throws(MalformedBytes) -> ReadStop? {
        if result.isExhausted { return nil }
        if let token = result.coveredThrough { return .token(token) }
        var partitions = result.partitions
        var last: ReadCommand.Position?
        while let (token, key, bytes) = try partitions.next() {
            last = ReadCommand.Position(token: token, key: [UInt8](key), clustering: nil)
            var rows = try PartitionView(bytes).rows
            while let row = try rows.next() { last?.clustering = [UInt8](row.key) }
        }
        guard let last else {
            throw MalformedBytes("an answer that stopped before anything", offset: 0)
        }
        return .position(last)
    }

    /// Whether `a` is nearer than `b`.
    package static func isNearer(_ a: ReadStop, than b: ReadStop, reversed: Bool) -> Bool {
        switch (a, b) {
        case (.token(let left), .token(let right)): return left < right
        case (.token(let left), .position(let right)): return left < right.token
        case (.position(let left), .token(let right)): return left.token <= right
        case (.position(let left), .position(let right)):
            if left.token != right.token { return left.token < right.token }
            let order = compareBytes(left.key, right.key)
            if order != 0 { return order < 0 }
            guard let first = left.clustering else { return false }
            guard let second = right.clustering else { return true }
            let rows = compareBytes(first, second)
            return reversed ? rows > 0 : rows < 0
        }
    }

    /// Merges answers to `command`.
    package static func merge(
        _ answers: [Answer], command: ReadCommand
    ) throws(MalformedBytes) -> Merged {
        // The arrays must stay where they are while views look at them.
        let held = answers.map { answer in
            let writer = ByteWriter(capacity: answer.bytes.count)
            writer.append(answer.bytes)
            return writer
        }
        defer { withExtendedLifetime(held) {} }
        var views: [ReadResultView] = []
        for writer in held { views.append(try ReadResultView(writer.bytes)) }
        var cut: ReadStop?
        for view in views {
            guard let stop = try stop(of: view) else { continue }
            if let nearest = cut, !isNearer(stop, than: nearest, reversed: command.reversed) {
                continue
            }
            cut = stop
        }
        var merger = Merger(command: command, cut: cut, views: views)
        return try merger.run()
    }

    private struct Head {
        let token: Int64
        let key: UnsafeRawBufferPointer
        let partition: UnsafeRawBufferPointer
    }

    /// Walks over all answers' partitions in ring order.
    private struct Merger {
        let command: ReadCommand
        var cut: ReadStop?
        var cursors: [ReadResultCursor]
        var heads: [Head?] = []
        var repairs: [[[UInt8]]]
        let output = ByteWriter(capacity: 4096)
        let merged = ByteWriter(capacity: 4096)
        let scratch = ByteWriter(capacity: 1024)

        init(command: ReadCommand, cut: ReadStop?, views: [ReadResultView]) {
            self.command = command
            self.cut = cut
            cursors = views.map(\.partitions)
            repairs = views.map { _ in [] }
        }

        mutating func advance(_ index: Int) throws(MalformedBytes) -> Head? {
            guard let next = try cursors[index].next() else { return nil }
            return Head(token: next.token, key: next.key, partition: next.partition)
        }

        mutating func run() throws(MalformedBytes) -> Merged {
            let start = ReadResultWriter.begin(into: output)
            for index in cursors.indices { heads.append(try advance(index)) }
            while let next = nearestHead(), !isBehindCut(next) {
                var sources: [(index: Int, view: PartitionView)] = []
                for index in heads.indices {
                    guard let head = heads[index], head.token == next.token,
                        equalBytes(head.key, next.key)
                    else { continue }
                    sources.append((index, try PartitionView(head.partition)))
                    heads[index] = try advance(index)
                }
                try mergePartition(next, sources)
            }
            ReadResultWriter.finish(start: start, isExhausted: cut == nil, into: output)
            return Merged(result: output.array, stop: cut, repairs: repairs)
        }

        func nearestHead() -> Head? {
            var nearest: Head?
            for case let head? in heads {
                guard let best = nearest else {
                    nearest = head
                    continue
                }
                if (head.token, compareBytes(head.key, best.key)) < (best.token, 0) {
                    nearest = head
                }
            }
            return nearest
        }

        func isBehindCut(_ head: Head) -> Bool {
            switch cut {
            case nil: false
            case .token(let token): head.token > token
            case .position(let position):
                head.token > position.token
                    || (head.token == position.token
                        && position.key.withUnsafeBytes { compareBytes(head.key, $0) > 0 })
            }
        }

        /// The row behind which nothing of that partition is known.
        func lastRow(of head: Head) -> [UInt8]? {
            guard case .position(let position) = cut, position.token == head.token,
                position.key.withUnsafeBytes({ equalBytes($0, head.key) })
            else { return nil }
            return position.clustering
        }

        mutating func mergePartition(
            _ head: Head, _ sources: [(index: Int, view: PartitionView)]
        ) throws(MalformedBytes) {
            merged.removeAll()
            let whole = ByteWriter(capacity: 1024)
            try PartitionMerge.merge(sources.map(\.view), reversed: command.reversed, into: whole)
            let view = try PartitionView(whole.bytes)
            let last = try endOfKnown(head, sources, view)
            PartitionWriter.begin(
                deletion: view.deletion, staticRow: view.staticRow, ranges: view.ranges,
                into: merged)
            var rows = view.rows
            while let (key, row) = try rows.next() {
                if let last, isBehind(key, last) { break }
                PartitionWriter.append(key: key, row: row, into: merged)
            }
            ReadResultWriter.append(
                token: head.token, key: head.key, partition: merged.bytes, into: output)
            for index in repairs.indices {
                let own = sources.first { $0.index == index }?.view
                if let repair = try repair(head, own, last) { repairs[index].append(repair) }
            }
        }

        /// The row behind which nothing of that partition is known, or wanted. If some of it is wanted, the merge
        /// ends there.
        mutating func endOfKnown(
            _ head: Head, _ sources: [(index: Int, view: PartitionView)], _ whole: PartitionView
        ) throws(MalformedBytes) -> [UInt8]? {
            let last = lastRow(of: head)
            let limit = command.partitionRowLimit
            guard limit != .max, case .range = command.scope else { return last }
            var gap: UnsafeRawBufferPointer?
            for source in sources {
                guard let end = try liveRow(number: limit, of: source.view) else { continue }
                if let nearest = gap, !isBefore(end, nearest) { continue }
                gap = end
            }
            guard let gap, last.map({ !isBehind(gap, $0) }) ?? true else { return last }
            let end = [UInt8](gap)
            let wanted = try liveRow(number: limit, of: whole)
            if wanted.map({ isBehind($0, end) }) ?? true {
                cut = .position(
                    ReadCommand.Position(
                        token: head.token, key: [UInt8](head.key), clustering: end))
            }
            return end
        }

        /// The key of that live row, counted from 1; nil if there are not so many.
        func liveRow(
            number: Int, of partition: PartitionView
        ) throws(MalformedBytes) -> UnsafeRawBufferPointer? {
            var live = 0
            var rows = partition.rows
            while let (key, row) = try rows.next() {
                if try RowView(row).isLive(nowInSeconds: command.nowInSeconds) { live += 1 }
                if live >= number { return key }
            }
            return nil
        }

        func isBehind(_ key: UnsafeRawBufferPointer, _ last: [UInt8]) -> Bool {
            let order = last.withUnsafeBytes { compareBytes(key, $0) }
            return command.reversed ? order < 0 : order > 0
        }

        /// The mutation with all that the merged partition has and `own` has not; nil if nothing.
        func repair(
            _ head: Head, _ own: PartitionView?, _ last: [UInt8]?
        ) throws(MalformedBytes) -> [UInt8]? {
            let view = try PartitionView(merged.bytes)
            let deletion =
                own?.deletion.merged(with: view.deletion) == own?.deletion
                ? Deletion.none : view.deletion
            let ranges = own?.ranges == view.ranges ? [] : view.ranges
            var staticRow = UnsafeRawBufferPointer(start: nil, count: 0)
            if !view.staticRow.isEmpty,
                try !sameRow(view.staticRow, own.map(\.staticRow) ?? staticRow)
            {
                staticRow = view.staticRow
            }
            var missing: [(UnsafeRawBufferPointer, UnsafeRawBufferPointer)] = []
            var ownRows = own?.rows
            var ownHead = try ownRows?.next()
            var rows = view.rows
            while let (key, row) = try rows.next() {
                while let candidate = ownHead, isBefore(candidate.key, key) {
                    ownHead = try ownRows?.next()
                }
                if let candidate = ownHead, equalBytes(candidate.key, key),
                    try sameRow(candidate.row, row)
                {
                    continue
                }
                missing.append((key, row))
            }
            if deletion.isNone && ranges.isEmpty && staticRow.isEmpty && missing.isEmpty {
                return nil
            }
            let writer = ByteWriter(capacity: 512)
            MutationWriter.begin(
                table: command.table, token: head.token, key: head.key, into: writer)
            PartitionWriter.begin(
                deletion: deletion, staticRow: staticRow, ranges: ranges, into: writer)
            // A mutation's rows are always sorted upwards.
            for (key, row) in command.reversed ? missing.reversed() : missing {
                PartitionWriter.append(key: key, row: row, into: writer)
            }
            return writer.array
        }

        func isBefore(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
            let order = compareBytes(a, b)
            return command.reversed ? order > 0 : order < 0
        }

        func sameRow(
            _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
        ) throws(MalformedBytes) -> Bool {
            if equalBytes(a, b) { return true }
            if a.isEmpty || b.isEmpty { return false }
            let key = UnsafeRawBufferPointer(start: nil, count: 0)
            scratch.removeAll()
            try ReadDigest.appendRow(key: key, a, purgeBefore: .min, into: scratch)
            let middle = scratch.count
            try ReadDigest.appendRow(key: key, b, purgeBefore: .min, into: scratch)
            return equalBytes(
                scratch[ByteRange(offset: 0, count: middle)],
                scratch[ByteRange(offset: middle, count: scratch.count - middle)])
        }
    }
}
