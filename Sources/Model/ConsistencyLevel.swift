// How many replicas must answer (native protocol specification, section 3, [consistency]).

/// A consistency level, with its number on the wire.
package enum ConsistencyLevel: UInt16, Sendable, CaseIterable, CustomStringConvertible {
    case any = 0x0000
    case one = 0x0001
    case two = 0x0002
    case three = 0x0003
    case quorum = 0x0004
    case all = 0x0005
    case localQuorum = 0x0006
    case eachQuorum = 0x0007
    case serial = 0x0008
    case localSerial = 0x0009
    case localOne = 0x000A

    /// The name in CQL tools, for example `LOCAL_QUORUM`.
    package var description: String {
        switch self {
        case .any: "ANY"
        case .one: "ONE"
        case .two: "TWO"
        case .three: "THREE"
        case .quorum: "QUORUM"
        case .all: "ALL"
        case .localQuorum: "LOCAL_QUORUM"
        case .eachQuorum: "EACH_QUORUM"
        case .serial: "SERIAL"
        case .localSerial: "LOCAL_SERIAL"
        case .localOne: "LOCAL_ONE"
        }
    }

    /// The level of that name, in either case.
    package init?(name: String) {
        let upper = name.uppercased()
        guard let found = Self.allCases.first(where: { $0.description == upper }) else {
            return nil
        }
        self = found
    }

    /// Whether only replicas of the coordinator's datacenter count.
    package var isLocal: Bool { self == .localOne || self == .localQuorum || self == .localSerial }
    /// Whether the level is one of the two that only Paxos gives.
    package var isSerial: Bool { self == .serial || self == .localSerial }
}
