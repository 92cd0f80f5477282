// Point selects (`PointSelect`): one row by its key, which is one read and needs no machine that goes from read to
// read.
//
//     this shard's answer is enough, and in memory     -> answered on the spot
//     another shard of this node has the only replica  -> forwarded to it
//     anything else                                    -> a read of one command, and then the answer
//
// On the spot the key is looked up where it lies in the frame, and the row's values are copied from the read's
// result into the answer. That is what most reads of one row are, where one answer is enough and clients ask a
// replica. Its cost is that of the engine's read, one walk over the row's cells and one copy of its values; nothing
// is allocated.

internal import CQL
internal import Encoding
internal import Environment
internal import Model
internal import NativeProtocol
internal import PeerProtocol
internal import Storage
internal import Topology

/// How the answer to a point select is to look.
struct PointAnswer {
    let select: SelectPlan
    let nowInSeconds: Int64
    let form: RowsForm
}

/// A point select that is answered later: its key is kept to be held against the replicas' answer.
struct PointRun {
    let answer: PointAnswer
    let key: [UInt8]
    let clustering: [UInt8]?

    init(_ answer: PointAnswer, _ place: PointPlace) {
        self.answer = answer
        key = [UInt8](place.key)
        clustering = place.clustering.map { [UInt8]($0) }
    }

    /// The read of the row. There is no second one, so that no limit is reached; small ones are short in a message.
    func command(_ token: Token) -> ReadCommand {
        ReadCommand(
            table: answer.select.table.id, scope: .partition(token: token.value, key: key),
            slices: clustering.map { [ClusteringSlice(key: $0)] },
            nowInSeconds: answer.nowInSeconds, rowLimit: 2, partitionRowLimit: 2)
    }

    func withPlace(_ body: (PointPlace) -> Void) {
        key.withBytes { key in
            guard let clustering else { return body(PointPlace(key: key, clustering: nil)) }
            clustering.withBytes { body(PointPlace(key: key, clustering: $0)) }
        }
    }
}

extension Shard {
    /// Carries out the select that is being handled if it is a point select. False: nothing was done.
    func readPoint(
        _ select: SelectPlan, _ values: BoundValues, _ form: RowsForm, _ client: ClientRequest
    ) -> Bool {
        guard select.isPoint, parameters.pagingState == nil,
            let place = select.pointPlace(values, pointRow)
        else { return false }
        workDone += Cost.read
        let point = PointAnswer(
            select: select,
            nowInSeconds: parameters.nowInSeconds.map(Int64.init) ?? now.wall.seconds, form: form)
        let token = Token.of(place.key)
        let placement = enoughPlacement(for: client, parameters.consistency, select.table.id, token)
        let isOurs = owner(of: token) == index
        if isOurs, placement != nil, readOnSpot(point, token, place, client) { return true }
        let pointRun = PointRun(point, place)
        let run = SelectRun(.point(pointRun), form, consistency: parameters.consistency)
        client.select = run
        let command = pointRun.command(token)
        // Where there are other replicas, they are asked if this node's is slow.
        if !isOurs, let placement, placement.replicaCount <= 1 {
            forward(command, token, client)
        } else {
            startRead(command, consistency: run.consistency, client: client)
        }
        return true
    }

    /// Answers out of this shard's memory; false, with nothing done, if the row is not there, or not simply.
    private func readOnSpot(
        _ point: PointAnswer, _ token: Token, _ place: PointPlace, _ client: ClientRequest
    ) -> Bool {
        let table = point.select.table.id
        resultScratch.removeAll()
        guard
            case .done = storage.readSimply(
                table, token: token.value, key: place.key, row: place.clustering,
                nowInSeconds: point.nowInSeconds, into: resultScratch)
        else {
            client.isNotSimple = true
            return false
        }
        noteRead(of: table, .localRead, storage.lastRead, since: now.monotonic)
        noteTombstones(storage.lastRead.tombstones, client)
        do throws(MalformedBytes) {
            answer(client, point, place, try ReadResultView(resultScratch.bytes))
        } catch {
            preconditionFailure("a result that was just made is malformed: \(error)")
        }
        return true
    }

    /// Answers with what lives of the row.
    func answer(
        _ client: ClientRequest, _ point: PointAnswer, _ place: PointPlace,
        _ result: ReadResultView
    ) {
        workDone += Cost.ofResult(bytes: result.bytes.count)
        let select = point.select
        let hasRow: Bool
        do throws(MalformedBytes) {
            hasRow = try select.takePoint(
                place, result, nowInSeconds: point.nowInSeconds, pointRow)
        } catch {
            answer(client, error: .serverError("malformed read result: \(error)"))
            return
        }
        guard result.bytes.count <= SelectExecution.resultBytes else {
            answer(client, error: SelectExecution.tooLarge)
            return
        }
        warnOfTombstones(client)
        answer(client, point.form) { rows in
            guard hasRow else { return }
            select.appendPoint(pointRow, into: rows.frames)
            rows.endRow()
        }
    }

    /// Where the table's rows live, if this node's answer is all that a read of that token at that level waits
    /// for, and nobody follows the request step by step.
    private func enoughPlacement(
        for client: ClientRequest, _ level: ConsistencyLevel, _ table: TableID, _ token: Token
    ) -> Placement? {
        guard observer == nil, client.trace == nil, !level.isSerial, level != .eachQuorum,
            let placement = cluster.route(of: table)?.placement
        else { return nil }
        if placement.isLocal { return placement }
        guard let own = cluster.ownIndex,
            BlockFor.required(
                level, placement: placement, localDatacenter: cluster.ownDatacenter) == 1
        else { return nil }
        // Where all nodes hold everything, the token need not be looked up.
        let isReplica =
            placement.replicaCount == cluster.topology.nodes.count
            || placement.replicas(of: token).contains(own)
        return isReplica ? placement : nil
    }

    // MARK: Other shards

    /// Lets the shard of this node answer that has the row, of which there is no other replica.
    private func forward(_ command: ReadCommand, _ token: Token, _ client: ClientRequest) {
        let id = requestIDs.next()
        let span = timeout(of: command, for: client)
        forwarded[id] = client
        deadlines.add(.read(id), span: span, now: now.monotonic)
        bodyScratch.removeAll()
        command.encode(into: bodyScratch)
        sendRequest(.read, to: host, token: token, request: id, budget: span) { writer in
            ReadRequest(wantsDigest: false, command: bodyScratch.bytes).encode(into: writer)
        }
    }

    /// The other shard has answered. What is not the whole row is left to the general way.
    func forwardedAnswered(_ client: ClientRequest, _ response: ReadResponse) {
        guard !client.isAnswered, let run = client.select,
            case .point(let point) = run.machine
        else { return }
        let bytes: UnsafeRawBufferPointer
        switch response {
        case .data(let data): bytes = data
        case .dataBehind(let tombstones, let data):
            noteTombstones(tombstones, client)
            bytes = data
        case .digest, .failed:
            startRead(
                point.command(Token.of(point.key)), consistency: run.consistency, client: client)
            return
        }
        do throws(MalformedBytes) {
            let result = try ReadResultView(bytes)
            guard result.isExhausted else {
                startRead(
                    point.command(Token.of(point.key)), consistency: run.consistency,
                    client: client)
                return
            }
            client.select = nil
            point.withPlace { answer(client, point.answer, $0, result) }
        } catch {
            readFailed(client, .serverError("a replica's answer is malformed: \(error)"))
        }
    }

    /// The other shard has not answered in time.
    func forwardedExpired(_ id: RequestID) {
        guard let client = forwarded.removeValue(forKey: id), let run = client.select else {
            return
        }
        readFailed(
            client,
            .readTimeout(
                "Operation timed out - received only 0 responses.", consistency: run.consistency,
                received: 0, required: 1, dataPresent: false))
    }
}
