// Point selects (`PointSelect`): one row by its key, which is one read and needs no machine that goes from read to
// read.
//
//     this shard's answer is enough, and in memory  -> answered on the spot
//     anything else                                 -> a read of one command, and then the answer
//
// On the spot the key is looked up where it lies in the frame, and the row's values are copied from the read's
// result into the answer. That is what most reads of a table without clustering columns are, where one answer is
// enough and clients ask a replica. Its cost is that of the engine's read, one walk over the row's cells and one copy
// of its values; nothing is allocated.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import Storage
internal import Topology

/// How the answer to a point select is to look.
struct PointAnswer {
    let select: SelectPlan
    let nowInSeconds: Int64
    let columns: RowsMetadata
    let skipsMetadata: Bool
    /// The id of the columns that the client knows (v5).
    let knownMetadataID: [UInt8]?
}

extension Shard {
    /// Carries out the select that is being handled if it is a point select. False: nothing was done.
    func readPoint(
        _ select: SelectPlan, _ values: BoundValues, columns: RowsMetadata,
        knownMetadataID: [UInt8]?, _ client: ClientRequest
    ) -> Bool {
        guard select.isPoint, parameters.pagingState == nil,
            let key = select.pointKey(values, pointRow)
        else { return false }
        workDone += Cost.read
        let point = PointAnswer(
            select: select,
            nowInSeconds: parameters.nowInSeconds.map(Int64.init) ?? now.wall.seconds,
            columns: columns, skipsMetadata: parameters.skipsMetadata,
            knownMetadataID: knownMetadataID)
        let token = Token.of(key)
        if owner(of: token) == index, observer == nil, client.trace == nil,
            isEnough(for: parameters.consistency, select.table.id, token),
            readOnSpot(point, token, key, client)
        {
            return true
        }
        let kept = [UInt8](key)
        let run = SelectRun(
            .point(point, key: kept), columns: columns,
            consistency: parameters.consistency, skipsMetadata: point.skipsMetadata,
            knownMetadataID: knownMetadataID)
        client.select = run
        startRead(
            ReadCommand(
                table: select.table.id, scope: .partition(token: token.value, key: kept),
                nowInSeconds: point.nowInSeconds),
            consistency: parameters.consistency, client: client)
        return true
    }

    /// Answers out of this shard's memory; false, with nothing done, if the row is not there, or not simply.
    private func readOnSpot(
        _ point: PointAnswer, _ token: Token, _ key: UnsafeRawBufferPointer,
        _ client: ClientRequest
    ) -> Bool {
        let table = point.select.table.id
        resultScratch.removeAll()
        guard
            case .done = storage.readSimply(
                table, token: token.value, key: key, nowInSeconds: point.nowInSeconds,
                into: resultScratch)
        else {
            client.isNotSimple = true
            return false
        }
        noteRead(of: table, .localRead, storage.lastRead, since: now.monotonic)
        noteTombstones(storage.lastRead.tombstones, client)
        do throws(MalformedBytes) {
            answer(client, point, key, try ReadResultView(resultScratch.bytes))
        } catch {
            preconditionFailure("a result that was just made is malformed: \(error)")
        }
        return true
    }

    /// Answers with what lives of the row.
    func answer(
        _ client: ClientRequest, _ point: PointAnswer, _ key: UnsafeRawBufferPointer,
        _ result: ReadResultView
    ) {
        workDone += Cost.ofResult(bytes: result.bytes.count)
        let select = point.select
        let hasRow: Bool
        do throws(MalformedBytes) {
            hasRow = try select.takePoint(
                key, result, nowInSeconds: point.nowInSeconds, pointRow)
        } catch {
            answer(client, error: .serverError("malformed read result: \(error)"))
            return
        }
        guard result.bytes.count <= SelectExecution.resultBytes else {
            answer(client, error: SelectExecution.tooLarge)
            return
        }
        warnOfTombstones(client)
        answer(client) { encoder in
            var rows = RowsWriter(
                encoder, client.version, stream: client.stream, point.columns,
                skipMetadata: point.skipsMetadata, knownMetadataID: point.knownMetadataID,
                prefix: client.prefix)
            if hasRow {
                select.appendPoint(pointRow, into: rows.frames)
                rows.endRow()
            }
            rows.finish()
        }
    }

    /// Whether this node's answer is all that a read of that token at that level waits for.
    private func isEnough(for level: ConsistencyLevel, _ table: TableID, _ token: Token) -> Bool {
        guard !level.isSerial, level != .eachQuorum,
            let placement = cluster.route(of: table)?.placement
        else { return false }
        if placement.isLocal { return true }
        guard let own = cluster.ownIndex,
            BlockFor.required(
                level, placement: placement, localDatacenter: cluster.ownDatacenter) == 1
        else { return false }
        // Where all nodes hold everything, the token need not be looked up.
        return placement.replicaCount == cluster.topology.nodes.count
            || placement.replicas(of: token).contains(own)
    }
}
