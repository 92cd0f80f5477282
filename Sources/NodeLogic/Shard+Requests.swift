// What has waited long enough.

internal import Environment
internal import PeerProtocol

extension Shard {
    /// Ends the requests whose deadline has come. Those that were answered in time are no longer known.
    func expireRequests() {
        while let key = deadlines.popExpired(now: now.monotonic) {
            switch key {
            case .write(let id): writeExpired(id)
            case .read(let id): readExpired(id)
            case .truncation(let id): truncationExpired(id)
            case .schema(let id): schemaExpired(id)
            case .hints(let target, let id): hintExpired(target, id)
            case .conditional(let id): conditionalExpired(id)
            case .conditionalTick(let id): conditionalTick(id)
            case .increment(let id): incrementExpired(id)
            case .batchLog(let id): batchLogExpired(id)
            }
        }
        speculateExpired()
    }
}
