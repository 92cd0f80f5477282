// `shell --embedded`: a ring of a few nodes inside of the shell's own process.
//
// The nodes are the same as those of `ring up`, on 127.0.0.1 and ports that the system has free. Their
// data is in a temporary folder that is removed at the end, or in a folder that stays. A node that ends
// by itself ends the shell: there is nothing left to talk to.

internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Nodes that live as long as the shell.
struct EmbeddedRing {
    let host = "127.0.0.1"
    let port: Int
    private let servers: [NodeServer]
    /// The folder to remove.
    private let temporaryFolder: String?

    /// Starts the nodes; those of `folder` if there are some.
    static func start(nodes count: Int, folder: String?) throws -> EmbeddedRing {
        let path: String
        if let folder {
            path = ShellSession.expandedPath(folder)
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw ServerFailure("\(path): \(String(cString: strerror(errno)))")
            }
        } else {
            path = try temporary()
        }
        do {
            let servers = try serve(path, count)
            return EmbeddedRing(
                port: Int(servers.port), servers: servers.nodes,
                temporaryFolder: folder == nil ? path : nil)
        } catch {
            if folder == nil { FolderRemoval.remove(path) }
            throw error
        }
    }

    private static func serve(
        _ path: String, _ count: Int
    ) throws -> (nodes: [NodeServer], port: UInt16) {
        let found = try RingLayout.load(folder: path)
        if let found, found.nodes.count != count {
            throw ServerFailure("the ring in \(path) has \(found.nodes.count) nodes, not \(count)")
        }
        let layout: RingLayout
        if let found {
            layout = found
        } else {
            let port = try FreePorts.find(2 * count)
            layout = try RingLayout.new(
                folder: path, nodes: count, shardsOfNode: 1, isSameAddress: true,
                isOneProcess: true, settings: [], port: port, peerPort: port + UInt16(count),
                adminPort: nil)
            try LocalRing(layout: layout).create()
        }
        var nodes: [NodeServer] = []
        for number in layout.numbers {
            let address = layout.node(number).clientAddress
            var options = try layout.options(number)
            options.isQuiet = true
            nodes.append(
                try NodeServer(options) { reason in
                    NodeLog(node: address.description).error("the node ends: \(reason)")
                    _exit(70)
                })
        }
        for number in layout.numbers {
            var passed = 0
            while !RingProbe.answersCQL(layout.node(number).clientAddress) {
                guard passed < LocalRing.startMilliseconds else {
                    throw ServerFailure("node \(number) of the embedded ring does not answer")
                }
                RingProcesses.sleep(milliseconds: 5)
                passed += 5
            }
        }
        return (nodes, layout.node(1).clientPort)
    }

    private static func temporary() throws -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/coterie-shell-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ServerFailure("\(base): \(String(cString: strerror(errno)))")
        }
        return String(
            decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Ends the nodes and removes what was temporary.
    func stop() {
        for server in servers { server.stop() }
        if let temporaryFolder { FolderRemoval.remove(temporaryFolder) }
    }
}

/// Ports that nobody listens on.
enum FreePorts {
    /// The first of `count` ports in a row on 127.0.0.1 that could be bound a moment ago.
    static func find(_ count: Int) throws(ServerFailure) -> UInt16 {
        // Below the range that the system gives to outgoing connections; where to begin is the
        // process's number, so that two shells seldom try the same.
        var first = 20_000 + UInt16(truncatingIfNeeded: Int(getpid()) * 37 % 10_000)
        for _ in 0..<1_000 {
            if (0..<UInt16(count)).allSatisfy({ isFree(first + $0) }) { return first }
            first = first >= 31_000 ? 20_000 : first + UInt16(count)
        }
        throw ServerFailure("there are no \(count) free ports in a row on 127.0.0.1")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var native = sockaddr_in()
        native.sin_family = sa_family_t(AF_INET)
        native.sin_port = port.bigEndian
        native.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &native) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// Removes a folder of our own with all that is in it.
enum FolderRemoval {
    static func remove(_ path: String) {
        guard let listing = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(listing) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                        String(cString: $0)
                    }
                })
        }
        closedir(listing)
        for name in names where name != "." && name != ".." {
            let inside = path + "/" + name
            // A link is not followed. What cannot be removed stays behind in the temporary folder.
            if unlink(inside) != 0 { remove(inside) }
        }
        _ = rmdir(path)
    }
}
