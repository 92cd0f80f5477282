// Carrying out what a shard asked for, in its order.

internal import Encoding
package import Environment

extension SimulatedWorld {
    /// Carries out the shard's outbox. Appends take time during which the shard is busy and after
    /// which the effects behind them happen.
    func carryOut(_ shard: SimulatedShard, of node: SimulatedNode, cost: Int64) {
        var delay = cost
        for effect in shard.outbox.effects {
            if node.passCrashPoint() {
                finishDeath(of: node)
                return
            }
            guard carryOut(effect, of: shard, node, delay: &delay) else { return }
        }
        shard.busyUntil = now.nanoseconds + delay
        if let wakeAt = shard.outbox.wakeAt {
            let time = node.clock.time(of: wakeAt).nanoseconds
            // A shard that wants to go on at once does so a microsecond later.
            shard.wantedWake = max(time, now.nanoseconds + delay + 1_000)
            queueWake(shard)
        }
        // Whatever came while the shard was being stepped waits until it is not busy any more.
        if !shard.inbox.isEmpty { makeReady(shard) }
    }

    /// Carries out one effect; false: the node died of it.
    private func carryOut(
        _ effect: Effect, of shard: SimulatedShard, _ node: SimulatedNode, delay: inout Int64
    ) -> Bool {
        let time = now.nanoseconds + delay
        let bytes = shard.outbox.bytes
        switch effect {
        case .clientBytes(let id, let range): sendToClient(shard, id, bytes[range], at: time)
        case .clientClose(let id): closeClient(shard, id, at: time)
        case .clientReading(let id, let isReading): setReading(shard, id, isReading)
        case .peerLink(let host, _): keepLink(shard, to: host)
        case .peerUnlink(let host): dropLink(shard, to: host)
        case .peerMessage(let host, let range): send(shard, to: host, bytes[range], at: time)
        case .shardMessage(let target, let range):
            precondition(target.value < node.shardCount, "no such shard \(target.value)")
            let arrival = max(
                time + settings.mailboxDelay.sample(&shard.mailboxStream),
                shard.mailboxTimes[target.value])
            shard.mailboxTimes[target.value] = arrival
            queue.push(
                at: arrival,
                .shardMessage(
                    node.shards[target.value], life: node.life, from: shard.index,
                    Array(bytes[range])))
        case .logAppend(let file, let offset, let range):
            do {
                try shard.disk.write(file, at: offset, bytes[range])
            } catch {
                return fail(node, error)
            }
            delay += settings.disk.append.sample(&shard.diskStream)
        case .logSync(let id, let file):
            do {
                let token = try shard.disk.beginLogSync(file)
                let end = time + settings.disk.sync.sample(&shard.diskStream)
                queue.push(at: end, .logSynced(shard, id, file, token: token, life: node.life))
            } catch {
                return fail(node, error)
            }
        case .readBlock(let id, let file, let offset, let count):
            let end = time + settings.disk.read.sample(&shard.diskStream)
            queue.push(
                at: end,
                .blockRead(shard, id, file, offset: offset, count: count, life: node.life))
        case .runJob(let id, let job):
            let start = time + settings.disk.jobStep.sample(&shard.diskStream)
            queue.push(at: start, .jobStep(shard, id, job, life: node.life))
        case .commitMetadata(let id, let batch):
            let token = node.store.begin(batch)
            let end = time + settings.disk.metadataCommit.sample(&shard.diskStream)
            queue.push(at: end, .metadataCommitted(shard, id, token: token, life: node.life))
        // A simulated client may come at any time, which is more than the server allows.
        case .acceptClients: break
        case .report: break
        case .commandAnswer(let id, let answer):
            commandAnswers.removeValue(forKey: id)?(answer)
        case .stopNode(let reason):
            failures.append("\(now) ms: node \(node.index) stopped: \(reason)")
            node.crashKind = .stopped
            node.lastDeath = reason
            finishDeath(of: node)
            return false
        }
        return true
    }

    /// The world's disk failed under an effect: the node ends, as the server ends it.
    private func fail(_ node: SimulatedNode, _ failure: DiskFailure) -> Bool {
        if failure.reason != .crashed {
            failures.append("\(now) ms: node \(node.index): \(failure)")
            node.crashKind = .stopped
        }
        node.lastDeath = failure.description
        finishDeath(of: node)
        return false
    }

    func readBlock(
        _ shard: SimulatedShard, _ id: EffectID, _ file: FileName, offset: Int, count: Int
    ) {
        let writer = ByteWriter(capacity: max(count, 16))
        do {
            try shard.disk.read(file, at: offset, count: count, into: writer)
        } catch {
            deliver(
                .blockRead(id, .failed(error)), to: shard, .blockRead, detail: id.sequence,
                text: "\(file) failed: \(error.detail)")
            return
        }
        record(
            .blockRead, node: shard.node, shard: shard.index, detail: id.sequence, writer.bytes,
            text: "\(file)@\(offset)")
        shard.inbox.events.append(.blockRead(id, .bytes(writer.array)))
        makeReady(shard)
    }

    /// One step of a job, and the queueing of its next.
    func stepJob(_ shard: SimulatedShard, _ id: EffectID, _ job: any Job, life: UInt32) {
        let node = nodes[shard.node]
        let moved = shard.disk.movedBytes
        let progress: JobProgress
        do {
            progress = try job.step(
                shard.disk, budgetBytes: settings.configuration.storage.jobStepBytes)
        } catch {
            if node.isDying || error.reason == .crashed {
                finishDeath(of: node)
            } else {
                deliver(
                    .jobEnded(id, job, error), to: shard, .jobEnded, detail: id.sequence,
                    text: "\(job.title) failed: \(error)")
            }
            return
        }
        if node.isDying {
            // The job swallowed the crash; the node is dead nevertheless.
            finishDeath(of: node)
            return
        }
        let bytes = Int64(shard.disk.movedBytes - moved)
        switch progress {
        case .more:
            record(
                .jobStep, node: shard.node, shard: shard.index, detail: UInt64(bytes),
                text: job.title)
            let cost =
                settings.disk.jobStep.sample(&shard.diskStream)
                + bytes * settings.disk.nanosecondsPerByte
            queue.push(at: now.nanoseconds + cost, .jobStep(shard, id, job, life: life))
        case .done:
            jobCount += 1
            deliver(
                .jobEnded(id, job, nil), to: shard, .jobEnded, detail: id.sequence,
                text: job.title)
        }
    }

    /// Gives an operator's command to a shard; `answer` is called when it replies.
    package func command(
        _ words: [String], node: Int, shard: Int = 0, _ answer: @escaping (AdminAnswer) -> Void
    ) {
        let target = nodes[node].shards[shard]
        guard target.machine != nil else { return }
        let id = EffectID(
            incarnation: nodes[node].incarnation, sequence: 1 << 63 | nextCommand)
        nextCommand += 1
        commandAnswers[id] = answer
        deliver(
            .command(id, AdminRequest(words)), to: target, .command, detail: id.sequence,
            text: words.joined(separator: " "))
    }
}
