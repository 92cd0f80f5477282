// Turns: no client has a step of the shard to itself, whatever it asks.
//
// All that a client's request costs is counted, roughly, in units of a microsecond: so much for a request, for
// a byte of a statement's text, for a read and what it gave. A connection whose frames have cost a turn's
// worth keeps the others in its decoder until the next step, and so does a select that goes on from
// read to read (an IN of many keys, an aggregate over a table). The next step follows at once, but the
// world looks at its sockets before: so others wait for as many turns as there are clients that
// have work, and not for all of their work.
//
//     frames --handled--> a turn is used up --(this step ends; others are served)--> frames go on
//
// What takes long in one piece, above all reading a long statement, is not done here at all but by a job
// (`Shard+LongStatements`).

internal import Environment
internal import Model

extension Shard {
    /// What a turn may cost, in microseconds or so.
    static let turnCost = 500

    /// What is counted of requests.
    enum Cost {
        static let request = 2
        static let read = 2
        static let statement = 10

        /// Of parsing and planning a text.
        static func ofText(bytes: Int) -> Int { statement + bytes >> 5 }
        /// Of taking in what a read gave.
        static func ofResult(bytes: Int) -> Int { bytes >> 7 }
        /// Of making rows of what is known without a read.
        static func ofMadeRows(_ count: Int) -> Int { 3 * statement + count << 2 }
    }

    /// Begins a step: those go on who had to wait for their turn.
    func takeTurns() {
        guard !waitingConnections.isEmpty || !waitingSelects.isEmpty else { return }
        let (waiting, selects) = (waitingConnections, waitingSelects)
        waitingConnections.removeAll(keepingCapacity: true)
        waitingSelects.removeAll(keepingCapacity: true)
        for connection in waiting where connections[connection.id] === connection {
            goOn(connection)
        }
        for client in selects where !client.isAnswered {
            guard let run = client.select else { continue }
            guard client.place != nil || connections[client.connection] != nil else {
                // Nobody waits for the rest.
                readFailed(client, .serverError("the client has gone"))
                continue
            }
            drive(client, run)
        }
    }

    /// Whether somebody waits only for the next step.
    var hasTurnsWaiting: Bool { !waitingConnections.isEmpty || !waitingSelects.isEmpty }

    /// Tells the world whether the client is to be read from: not while its answers are not taken, storage
    /// lags behind, frames of it wait for their turn, or a large one for room.
    func updateReading(_ connection: ClientConnection) {
        let isWanted =
            !connection.isPaused && !connection.isHeld && !connection.isWaitingForTurn
            && !connection.isWaitingForRoom
        guard isWanted != connection.isReading else { return }
        connection.isReading = isWanted
        outbox.effects.append(.clientReading(connection.id, isWanted))
    }
}
