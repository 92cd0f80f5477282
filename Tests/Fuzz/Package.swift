// swift-tools-version: 6.2
// The fuzz targets with libFuzzer and the address sanitizer: a package of its own, because every room
// that is to be watched must be compiled with the fuzzer's instrumentation. It has the rooms' sources
// by a link and the same name for their `package` declarations; `scripts/fuzz` builds and runs it.

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .unsafeFlags(["-sanitize=fuzzer,address", "-parse-as-library", "-enable-testing"]),
]

func room(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Rooms/\(name)", swiftSettings: settings)
}

let package = Package(
    name: "coterie-fuzz",
    platforms: [.macOS(.v15)],
    targets: [
        .target(name: "CChecksum", path: "Rooms/CChecksum"),
        .target(name: "CMemory", path: "Rooms/CMemory"),
        .systemLibrary(name: "CLZ4", path: "Rooms/CLZ4", pkgConfig: "liblz4"),
        .systemLibrary(name: "CZstd", path: "Rooms/CZstd", pkgConfig: "libzstd"),
        room("Encoding", ["CChecksum"]),
        room("Environment", ["Encoding"]),
        room("Model", ["Encoding"]),
        room("Storage", ["Model", "Encoding", "Environment", "CLZ4", "CZstd", "CMemory"]),
        room("CQL", ["Model", "Encoding"]),
        room("NativeProtocol", ["Model", "Encoding", "CLZ4"]),
        room("Topology", ["Model", "Encoding", "Environment"]),
        room("PeerProtocol", ["Model", "Topology", "Encoding", "Environment"]),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Storage", "CQL", "NativeProtocol", "PeerProtocol", "Topology", "Model",
                "Environment", "Encoding",
            ], path: "Targets", swiftSettings: settings),
        .executableTarget(
            name: "fuzz", dependencies: ["FuzzTargets"], path: "Runner", swiftSettings: settings,
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
    ]
)
