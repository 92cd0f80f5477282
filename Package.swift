// swift-tools-version: 6.2
// The rooms of Coterie, in the order in which a client's write walks through them.
// An arrow (a dependency) points only to rooms listed before; `Tests/ArchitectureTests` checks it.

import PackageDescription

/// One set of settings for every room.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "coterie",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "coterie", targets: ["coterie"]),
        // The storage engine without a database around it.
        .library(name: "CoterieEngine", targets: ["CoterieEngine"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        // CRC32C with the processor's instruction: one call for a whole buffer.
        .target(name: "CChecksum"),
        // bcrypt, with the system's libcrypt.
        .target(
            name: "CCrypt", linkerSettings: [.linkedLibrary("crypt", .when(platforms: [.linux]))]),
        // Prefetching into the processor's cache.
        .target(name: "CMemory"),
        .systemLibrary(
            name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"]), .brew(["lz4"])]),
        .systemLibrary(
            name: "CZstd", pkgConfig: "libzstd",
            providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite3"])]),
        // Linux's io_uring for block reads: a few functions around liburing.
        .target(
            name: "CUring", linkerSettings: [.linkedLibrary("uring", .when(platforms: [.linux]))]),
        // Bytes: readers, writers, checksums, Murmur3.
        room("Encoding", ["CChecksum"]),
        // The seam to the world, as plain values: effects, events, clocks, random streams.
        room("Environment", ["Encoding"]),
        // The shared nouns: tokens, keys, rows, cells, schema, and the one merge rule.
        room("Model", ["Encoding"]),
        // Commit log, memtable, SSTables, compaction: one shard's storage engine.
        room("Storage", ["Model", "Encoding", "Environment", "CLZ4", "CZstd", "CMemory"]),
        // Lexer, parser, analysis and plans.
        room("CQL", ["Model", "Encoding"]),
        // The frames and messages of the CQL native protocol, for both sides.
        room("NativeProtocol", ["Model", "Encoding", "CLZ4"]),
        // The token ring and who replicates what.
        room("Topology", ["Model", "Environment"]),
        // What nodes say to each other, and its bytes.
        room("PeerProtocol", ["Model", "Topology", "Encoding", "Environment"]),
        // Gossip and phi-accrual failure detection.
        room("Membership", ["PeerProtocol", "Environment"]),
        // Coordinator, read repair, hinted handoff, Paxos register.
        room("Replication", ["Model", "Topology", "PeerProtocol", "Encoding", "Environment"]),
        // The deterministic machine: a shard, a node of shards, the metadata log.
        room(
            "NodeLogic",
            [
                "Encoding", "Environment", "Model", "Storage", "CQL", "NativeProtocol", "Topology",
                "PeerProtocol", "Membership", "Replication", "CCrypt",
            ]),
        // The real files: log writes and syncs, helper threads that run job steps.
        room("Disk", ["Environment", "Encoding", "CUring"]),
        // The storage engine alone, as a library: its API is public.
        room("CoterieEngine", ["Storage", "Disk", "Model", "Environment", "Encoding"]),
        // Node metadata in SQLite; the only importer of SQLite.
        room("SQLiteMetadata", ["Environment", "Encoding", "CSQLite"]),
        // The real world: sockets, event loops, clocks, start and stop.
        room(
            "Server",
            ["NodeLogic", "Disk", "SQLiteMetadata", "PeerProtocol", "Environment", "Encoding"] + nio
        ),
        // The small CQL client of the shell, the lab and the tests.
        room("NativeClient", ["NativeProtocol", "Model", "Encoding"] + nio),
        // The simulated world: network, disk, clocks, clients, faults.
        room(
            "Simulation",
            [
                "NodeLogic", "PeerProtocol", "NativeProtocol", "Storage", "Model", "Environment",
                "Encoding",
            ]),
        // Experiments, histories, measures and reports.
        room(
            "ConsistencyLab",
            ["Simulation", "Model", "Environment", "Encoding"]),
        // The command line.
        .executableTarget(
            name: "coterie",
            dependencies: [
                "Server", "CoterieEngine", "NativeClient", "NativeProtocol",
                "ConsistencyLab", "NodeLogic", "Simulation", "SQLiteMetadata", "Storage", "Model",
                "Environment", "Encoding", "CMemory",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ] + nio,
            swiftSettings: settings),

        // What a program that uses the engine alone looks like; a test runs it.
        .executableTarget(
            name: "EngineExample", dependencies: ["CoterieEngine"], path: "Examples/EngineExample",
            swiftSettings: settings),

        tests("EncodingTests", ["Encoding"]),
        tests("ModelTests", ["Model", "Encoding"]),
        tests("StorageTests", ["Storage", "Model", "Environment", "Encoding"]),
        tests("CQLTests", ["CQL", "Model", "Encoding"]),
        tests("NativeProtocolTests", ["NativeProtocol", "Model", "Encoding"]),
        tests("TopologyTests", ["Topology", "Model", "Environment", "Encoding"]),
        tests(
            "MembershipTests",
            ["Membership", "PeerProtocol", "Topology", "Environment", "Encoding"]),
        tests(
            "PeerProtocolTests", ["PeerProtocol", "Topology", "Model", "Environment", "Encoding"]),
        tests(
            "ReplicationTests",
            ["Replication", "PeerProtocol", "Topology", "Model", "Environment", "Encoding"]),
        tests(
            "NodeLogicTests",
            [
                "NodeLogic", "Replication", "PeerProtocol", "Topology", "CQL", "Model",
                "Environment", "Encoding",
            ]),
        tests("MetadataStoreTests", ["SQLiteMetadata", "Simulation", "Environment", "Encoding"]),
        tests("DiskTests", ["Disk", "Environment", "Encoding"]),
        tests("CoterieEngineTests", ["CoterieEngine", "EngineExample"]),
        tests(
            "SimulationTests",
            [
                "Simulation", "ConsistencyLab", "NodeLogic", "CQL", "Replication", "NativeProtocol",
                "PeerProtocol", "Topology", "Storage", "Model", "Environment", "Encoding",
            ]),
        tests("CrashTests", ["Simulation"]),
        tests("ServerTests", ["Server", "PeerProtocol", "Environment", "Encoding"]),
        tests(
            "NativeClientTests",
            ["NativeClient", "NativeProtocol", "Model", "Encoding"] + nio),
        tests(
            "ShellTests", ["coterie", "NativeProtocol", "Model", "Environment", "Encoding"] + nio),
        .testTarget(
            name: "ConformanceTests", dependencies: ["coterie"], exclude: ["python"],
            swiftSettings: settings),
        tests(
            "FuzzTests",
            [
                "Storage", "CQL", "NativeProtocol", "PeerProtocol", "Model", "Environment",
                "Encoding",
            ]),
        tests("ArchitectureTests", []),
    ]
)
