// What a local ring consists of, remembered in a plain file `ring.conf` in its folder:
//
//     # A local ring of coterie; written by `coterie ring up`.
//     one-process no
//     shards 1
//     set write_request_timeout=2s
//     node 127.0.0.1 9042 7000 7199
//     node 127.0.0.2 9042 7000 7199
//
// Nodes are numbered from 1 in the order of their lines; node N lives in the folder `node-N`.

internal import Environment
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A ring on this machine.
struct RingLayout: Equatable {
    /// One node's addresses.
    struct Node: Equatable {
        var address: [UInt8]
        var clientPort: UInt16
        var peerPort: UInt16
        /// For operators' commands; nil: the usual one, if it is free.
        var adminPort: UInt16?

        var clientAddress: SocketAddress { SocketAddress(address: address, port: clientPort) }
    }

    static let maximumNodes = 64

    /// The ring's folder.
    var folder: String
    var nodes: [Node]
    var shardsOfNode: Int
    /// All nodes are threads of one process.
    var isOneProcess: Bool
    var settings: [String]

    /// A new ring: addresses 127.0.0.1, .2, ... or one address with rising ports.
    static func new(
        folder: String, nodes count: Int, shardsOfNode: Int?, isSameAddress: Bool,
        isOneProcess: Bool, settings: [String], port: UInt16, peerPort: UInt16,
        adminPort: UInt16?
    ) throws(ServerFailure) -> RingLayout {
        guard (1...maximumNodes).contains(count) else {
            throw ServerFailure("a local ring has 1 to \(maximumNodes) nodes, not \(count)")
        }
        let lastPort = Int(max(port, peerPort, adminPort ?? 0)) + (isSameAddress ? count : 0)
        guard lastPort <= Int(UInt16.max) else {
            throw ServerFailure("there are no ports above \(UInt16.max)")
        }
        let nodes = (0..<count).map { index in
            isSameAddress
                ? Node(
                    address: [127, 0, 0, 1], clientPort: port + UInt16(index),
                    peerPort: peerPort + UInt16(index),
                    adminPort: adminPort.map { $0 + UInt16(index) })
                : Node(
                    address: [127, 0, 0, UInt8(index + 1)], clientPort: port, peerPort: peerPort,
                    adminPort: adminPort)
        }
        let shards = shardsOfNode ?? max(1, NodeArguments.processorCount / count)
        return RingLayout(
            folder: folder, nodes: nodes, shardsOfNode: try NodeArguments.shardCount(shards),
            isOneProcess: isOneProcess, settings: settings)
    }

    /// The numbers of the nodes, from 1.
    var numbers: ClosedRange<Int> { 1...nodes.count }

    func nodeFolder(_ number: Int) -> String { "\(folder)/node-\(number)" }
    func logPath(_ number: Int) -> String {
        isOneProcess ? "\(folder)/log" : "\(nodeFolder(number))/log"
    }
    func controlPath(_ number: Int) -> String { "\(nodeFolder(number))/control.sock" }
    func node(_ number: Int) -> Node { nodes[number - 1] }

    /// Says which numbers exist if this one does not.
    func check(_ number: Int) throws(ServerFailure) {
        if !numbers.contains(number) {
            throw ServerFailure(
                "there is no node \(number): the ring in \(folder) has nodes 1 to \(nodes.count)")
        }
    }

    /// How node `number` is run.
    func options(_ number: Int) throws -> NodeOptions {
        NodeOptions(
            dataFolder: nodeFolder(number), address: node(number).address,
            clientPort: node(number).clientPort, peerPort: node(number).peerPort,
            adminPort: node(number).adminPort,
            shardCount: shardsOfNode, configuration: try NodeArguments.configuration(settings))
    }

    // MARK: - The file

    private static func path(_ folder: String) -> String { folder + "/ring.conf" }

    /// The ring of a folder, or nil if there is none.
    static func load(folder: String) throws(ServerFailure) -> RingLayout? {
        guard let text = try TextFile.read(path(folder)) else { return nil }
        var layout = RingLayout(
            folder: folder, nodes: [], shardsOfNode: 1, isOneProcess: false, settings: [])
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ", maxSplits: 4).map(String.init)
            switch (words.first, words.count) {
            case ("one-process", 2): layout.isOneProcess = words[1] == "yes"
            case ("shards", 2): layout.shardsOfNode = try NodeArguments.shardCount(Int(words[1]))
            case ("set", _): layout.settings.append(String(line.dropFirst(4)))
            case ("node", 4), ("node", 5):
                let admin = words.count > 4 ? UInt16(words[4]) : nil
                guard let client = UInt16(words[2]), let peer = UInt16(words[3]),
                    words.count == 4 || admin != nil
                else {
                    throw ServerFailure("\(path(folder)): cannot read \"\(line)\"")
                }
                layout.nodes.append(
                    Node(
                        address: try NodeArguments.address(words[1]), clientPort: client,
                        peerPort: peer, adminPort: admin))
            default: throw ServerFailure("\(path(folder)): cannot read \"\(line)\"")
            }
        }
        guard (1...maximumNodes).contains(layout.nodes.count) else {
            throw ServerFailure("\(path(folder)): names no nodes")
        }
        return layout
    }

    /// Remembers the ring.
    func save() throws(ServerFailure) {
        var text = "# A local ring of coterie; written by `coterie ring up`.\n"
        text += "one-process \(isOneProcess ? "yes" : "no")\nshards \(shardsOfNode)\n"
        for setting in settings { text += "set \(setting)\n" }
        for node in nodes {
            let admin = node.adminPort.map { " \($0)" } ?? ""
            text += "node \(node.clientAddress.host) \(node.clientPort) \(node.peerPort)\(admin)\n"
        }
        try TextFile.write(text, to: Self.path(folder))
    }
}

/// Small text files.
enum TextFile {
    static let maximumBytes = 1 << 20

    /// The file's text, at most its last megabyte; nil if there is no such file.
    static func read(_ path: String) throws(ServerFailure) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        if file < 0 {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw ServerFailure("\(path): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        lseek(file, max(0, end - off_t(maximumBytes)), SEEK_SET)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < maximumBytes {
            let count = SystemFile.read(file, &buffer, buffer.count)
            if count < 0 { throw ServerFailure("\(path): \(String(cString: strerror(errno)))") }
            if count == 0 { break }
            bytes += buffer[0..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Replaces the file in one step.
    static func write(_ text: String, to path: String) throws(ServerFailure) {
        let temporary = path + ".new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(0o644))
        if file < 0 { throw ServerFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard SystemFile.write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0,
            rename(temporary, path) == 0
        else { throw ServerFailure("\(path): \(String(cString: strerror(errno)))") }
    }
}

/// The system's calls under names that a method of ours does not hide.
private enum SystemFile {
    static func read(_ file: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
            Glibc.read(file, buffer, count)
        #else
            Darwin.read(file, buffer, count)
        #endif
    }

    static func write(_ file: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
            Glibc.write(file, bytes, count)
        #else
            Darwin.write(file, bytes, count)
        #endif
    }
}
