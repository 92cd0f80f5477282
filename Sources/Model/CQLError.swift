// The errors that a client sees, one case for each body of the native protocol (v5 specification,
// section 9). A message of one room becomes one of these in one place and is encoded in another.

/// What kind of write timed out or failed, by its name on the wire.
package enum WriteType: String, Sendable {
    case simple = "SIMPLE"
    case batch = "BATCH"
    case unloggedBatch = "UNLOGGED_BATCH"
    case counter = "COUNTER"
    case batchLog = "BATCH_LOG"
    case compareAndSet = "CAS"
}

/// An error answered to a client.
package enum CQLError: Error, Equatable, Sendable {
    case serverError(String)
    case protocolError(String)
    case badCredentials(String)
    case unavailable(String, consistency: ConsistencyLevel, required: Int, alive: Int)
    case overloaded(String)
    case bootstrapping(String)
    case truncateError(String)
    case writeTimeout(
        String, consistency: ConsistencyLevel, received: Int, required: Int, type: WriteType)
    /// A conditional write was not decided in time; `contentions` counts the ballots that lost.
    case conditionalTimeout(
        String, consistency: ConsistencyLevel, received: Int, required: Int, contentions: Int)
    /// A conditional write was overtaken after some replicas had accepted it: nobody knows its outcome.
    case conditionalUnknown(
        String, consistency: ConsistencyLevel, received: Int, required: Int)
    case readTimeout(
        String, consistency: ConsistencyLevel, received: Int, required: Int, dataPresent: Bool)
    case readFailure(
        String, consistency: ConsistencyLevel, received: Int, required: Int,
        failures: [ReplicaFailure], dataPresent: Bool)
    case writeFailure(
        String, consistency: ConsistencyLevel, received: Int, required: Int,
        failures: [ReplicaFailure], type: WriteType)
    /// A function or an operator could not compute a value.
    case functionFailure(String, keyspace: String, function: String, arguments: [String])
    /// The text carries `line L:C` first.
    case syntax(String)
    case unauthorized(String)
    case invalid(String)
    case configuration(String)
    /// `table` is empty for a keyspace.
    case alreadyExists(String, keyspace: String, table: String)
    case unprepared(String, id: [UInt8])

    /// A replica that answered with an error, and why (the reason map of the v5 specification).
    package struct ReplicaFailure: Equatable, Sendable {
        /// Four or sixteen bytes.
        package let address: [UInt8]
        package let reason: UInt16

        package init(address: [UInt8], reason: UInt16) {
            self.address = address
            self.reason = reason
        }
    }

    /// The text for a person.
    package var message: String {
        switch self {
        case .serverError(let text), .protocolError(let text), .badCredentials(let text),
            .overloaded(let text), .bootstrapping(let text), .truncateError(let text),
            .syntax(let text), .unauthorized(let text), .invalid(let text),
            .configuration(let text), .alreadyExists(let text, _, _), .unprepared(let text, _),
            .functionFailure(let text, _, _, _),
            .unavailable(let text, _, _, _), .writeTimeout(let text, _, _, _, _),
            .readTimeout(let text, _, _, _, _), .readFailure(let text, _, _, _, _, _),
            .writeFailure(let text, _, _, _, _, _), .conditionalTimeout(let text, _, _, _, _),
            .conditionalUnknown(let text, _, _, _):
            text
        }
    }
}
