// A select reads the rows of its results: what lives of a row goes into the places of the current row.

internal import Encoding
internal import Model

extension SelectExecution {
    /// Reads a partition's rows. `keepsPlace`: the read may have to go on behind the last row. False if the page was completed before its end.
    func consumePartition(
        _ partition: PartitionView, _ key: UnsafeRawBufferPointer, _ token: Int64, keepsPlace: Bool
    ) throws -> Bool {
        output.token = token
        for index in output.slots.indices { output.slots[index] = RowOutput.Slot() }
        try plan.readPartitionKey(key, into: &output.slots)
        if !partition.staticRow.isEmpty {
            staticCollections?.removeAll()
            if try readCells(
                try RowView(partition.staticRow), partition.deletion,
                collections: staticCollections)
            {
                open?.staticRow = Array(partition.staticRow)
                open?.deletion = partition.deletion
            }
        }
        shownRows = 0
        var last: UnsafeRawBufferPointer?
        defer { if keepsPlace, let last { open?.clustering = Array(last) } }
        var rows = partition.rows
        while let (clustering, bytes) = try rows.next() {
            shownRows += 1
            last = clustering
            let row = try RowView(bytes)
            clearRegulars()
            rowCollections?.removeAll()
            let covering = partition.shadow(of: clustering).merged(with: row.deletion)
            let hasCells = try readCells(row, covering, collections: rowCollections)
            let isMarked =
                row.liveness.isLive(nowInSeconds: context.nowInSeconds)
                && !covering.shadows(row.liveness.timestamp)
            // A row that lives by cells of dropped columns alone is none.
            guard hasCells || isMarked else {
                passedTombstones += 1
                continue
            }
            open?.hadLiveRows = true
            guard remainingInPartition > 0 || group != nil else { continue }
            try readClustering(clustering, row)
            guard output.accepts(filters) else { continue }
            guard try take(clustering) else {
                // The row begins a group that the next page shows.
                rowsEnded = false
                return false
            }
            if isPageComplete {
                rowsEnded = rows.reader.isAtEnd
                return false
            }
        }
        return true
    }

    func clearRegulars() {
        let first = plan.columns.count - plan.table.regulars.count
        for slot in first..<plan.columns.count { output.slots[slot] = RowOutput.Slot() }
    }

    /// Puts the row's live cells into their places. False if there are none. Collections are put together
    /// in `writer`, which a table without them has none of.
    func readCells(
        _ row: RowView, _ covering: Deletion, collections writer: ByteWriter?
    ) throws -> Bool {
        guard let writer else {
            return try plan.readPlainCells(
                row, covering, nowInSeconds: context.nowInSeconds, into: &output.slots)
        }
        var found = false
        var assembly = CollectionAssembly()
        var times: [(slot: Int, elements: [RowOutput.CellTime?])] = []
        var complexColumn: UInt32?
        var complexDeletion = Deletion.none
        var cells = row.cells
        while let cell = try cells.next() {
            guard cell.column < plan.slotByColumnID.count else { continue }
            let slot = plan.slotByColumnID[Int(cell.column)]
            guard slot >= 0 else { continue }
            if cell.isComplexDeletion {
                complexColumn = cell.column
                complexDeletion = Deletion(
                    timestamp: cell.timestamp, localDeletionTime: cell.localDeletionTime)
                continue
            }
            guard cell.isLive(nowInSeconds: context.nowInSeconds),
                !covering.shadows(cell.timestamp),
                complexColumn != cell.column || !complexDeletion.shadows(cell.timestamp)
            else { continue }
            if plan.hasReturnedColumns,
                cell.timestamp <= plan.columns[Int(slot)].deadThrough
            {
                continue
            }
            found = true
            if cell.flags.contains(.hasPath) {
                let type = plan.columns[Int(slot)].type
                try assembly.add(cell, slot: Int(slot), type: type, into: writer)
                if plan.needsElementTimes { try note(cell, slot: Int(slot), type, &times) }
                continue
            }
            output.slots[Int(slot)] = RowOutput.Slot(
                value: cell.value, time: RowOutput.CellTime(cell))
        }
        // The writer's memory stays where it is from here on until the next row.
        for (slot, range) in assembly.finish(into: writer) {
            output.slots[slot] = RowOutput.Slot(value: writer[range])
        }
        for (slot, elements) in times { output.note(elements, slot: slot) }
        return found
    }

    /// Notes when an element or field was written.
    func note(
        _ cell: Cell, slot: Int, _ type: CQLType,
        _ times: inout [(slot: Int, elements: [RowOutput.CellTime?])]
    ) throws(MalformedBytes) {
        if times.last?.slot != slot { times.append((slot, [])) }
        if case .userDefined = type {
            var path = ByteReader(cell.path)
            let field = Int(try path.readBigEndian(UInt16.self))
            while times[times.count - 1].elements.count < field {
                times[times.count - 1].elements.append(nil)
            }
        }
        times[times.count - 1].elements.append(RowOutput.CellTime(cell))
    }

    func readClustering(
        _ encoded: UnsafeRawBufferPointer, _ row: RowView
    ) throws(MalformedBytes) {
        guard plan.needsClustering, !plan.table.clustering.isEmpty else { return }
        try clusteringValues.read(
            encoded, row, plan.table, from: plan.table.partitionKey.count, into: &output.slots)
    }
}

extension RowOutput.CellTime {
    init(_ cell: Cell) {
        self.init(
            timestamp: cell.timestamp, timeToLive: cell.timeToLive,
            expiresAt: cell.localDeletionTime)
    }
}
