// Asking a node of the ring how it is: by its CQL port as a client would, and by its control socket.

internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a node of the ring is found.
struct NodeCondition {
    enum State: String {
        case up
        /// Runs, but has not said yet that it serves.
        case starting
        case paused
        /// Runs and does not answer.
        case silent
        case down
    }

    var state: State
    var process: pid_t?
    /// What the node told, by name.
    var facts: [String: String] = [:]
    /// How many nodes it takes for alive, itself included.
    var liveNodes: Int?
}

/// Looks at nodes.
enum RingProbe {
    /// What node `number` is doing.
    static func condition(
        of number: Int, in layout: RingLayout, timeoutMilliseconds: Int = 2_000
    ) throws(ServerFailure) -> NodeCondition {
        guard let process = try DataFolder.holder(path: layout.nodeFolder(number)) else {
            return NodeCondition(state: .down)
        }
        if RingProcesses.isPaused(process) {
            return NodeCondition(state: .paused, process: process)
        }
        let answer: AdminAnswer?
        do {
            answer = try AdminClient.ask(
                socketPath: layout.controlPath(number), AdminRequest(["probe"]),
                timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            return NodeCondition(state: .silent, process: process)
        }
        guard case .value(let value) = answer else {
            return NodeCondition(state: .starting, process: process)
        }
        var condition = NodeCondition(state: .starting, process: process)
        for field in value.fields { condition.facts[field.name] = field.value.text }
        condition.liveNodes = Int(value["live"].integer)
        if value["ready"].isTrue { condition.state = .up }
        return condition
    }

    /// Whether the node answers an OPTIONS request of the CQL native protocol.
    static func answersCQL(_ address: SocketAddress) -> Bool {
        guard address.address.count == 4 else { return false }
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        if descriptor < 0 { return false }
        defer { close(descriptor) }
        var limit = timeval()
        limit.tv_sec = 2
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var native = sockaddr_in()
        native.sin_family = sa_family_t(AF_INET)
        native.sin_port = address.port.bigEndian
        withUnsafeMutableBytes(of: &native.sin_addr) { $0.copyBytes(from: address.address) }
        let connected = withUnsafePointer(to: &native) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        // Version 4, no flags, stream 0, opcode 5 (OPTIONS), empty body.
        let request: [UInt8] = [4, 0, 0, 0, 5, 0, 0, 0, 0]
        guard connected, send(descriptor, request, request.count, 0) == request.count else {
            return false
        }
        var header = [UInt8](repeating: 0, count: 9)
        guard recv(descriptor, &header, header.count, Int32(MSG_WAITALL)) == header.count
        else { return false }
        // A response of version 4 with opcode 6 (SUPPORTED).
        return header[0] == 0x84 && header[4] == 6
    }
}
