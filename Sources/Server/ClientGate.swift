// The port for clients, which the node opens and closes while it runs: its shards know when.
//
//     closed --begin, set(true)--> listening --set(false)--> closed        any --end--> ended
//
// A closed gate refuses connections (nothing listens); those that were accepted before stay.

internal import Disk
internal import Environment

/// Listens for clients while the node wants it.
// Sendable unchecked: all mutable state is read and written under `lock`.
final class ClientGate: @unchecked Sendable {
    private let address: Environment.SocketAddress
    private let log: NodeLog
    private let lock = Lock()
    /// Holds the port without listening; nil once it was listened on and closed.
    private var held: Acceptor?
    private var accept: Acceptor.Accept?
    private var isWanted = false
    /// An operator may close the gate whatever the shards want.
    private var isAllowed = true
    private var listening: (acceptor: Acceptor, thread: OwnThread)?
    private var hasEnded = false

    /// Takes the port. Throws a message that says what is wrong with it.
    init(_ address: Environment.SocketAddress, log: NodeLog) throws(ServerFailure) {
        self.address = address
        self.log = log
        held = try Acceptor(address: address, purpose: "CQL", log: log)
    }

    /// From now on there are shards to give clients to.
    func begin(_ accept: @escaping Acceptor.Accept) throws(ServerFailure) {
        try lock.withLock { () throws(ServerFailure) in
            self.accept = accept
            try follow()
        }
    }

    /// Opens or closes the gate; on any thread.
    func set(_ isOpen: Bool) {
        lock.withLock {
            isWanted = isOpen
            do { try follow() } catch { log.error("clients cannot be let in: \(error)") }
        }
    }

    /// An operator closes the gate, or leaves it to the shards again; on any thread.
    func setAllowed(_ isOn: Bool) {
        lock.withLock {
            isAllowed = isOn
            do { try follow() } catch { log.error("clients cannot be let in: \(error)") }
        }
    }

    /// Whether clients are let in now.
    var isListening: Bool { lock.withLock { listening != nil } }

    /// Closes the gate for good.
    func end() {
        lock.withLock {
            hasEnded = true
            close()
        }
    }

    private func follow() throws(ServerFailure) {
        guard let accept, !hasEnded else { return }
        if !isWanted || !isAllowed { return close() }
        guard listening == nil else { return }
        let acceptor: Acceptor
        if let held {
            acceptor = held
        } else {
            acceptor = try Acceptor(address: address, purpose: "CQL", log: log)
        }
        held = nil
        listening = (acceptor, try acceptor.run(accept))
        log.info("listening cql=\(address)")
    }

    private func close() {
        guard let (acceptor, thread) = listening else { return }
        listening = nil
        acceptor.stop()
        thread.join()
        log.info("no longer listening cql=\(address)")
    }
}
