// The house rules that a compiler does not check: which room may know which, what pure rooms must not
// touch, and that every file says what it is for.

import Testing

@Suite struct ArchitectureTests {
    /// Rooms that are the same in a server and in a simulation: no threads, files, clocks or chance.
    static let pureRooms = [
        "Encoding", "Environment", "Model", "Storage", "CQL", "NativeProtocol", "Topology",
        "PeerProtocol", "Membership", "Replication", "NodeLogic",
    ]
    /// The order in which a client's write walks through the rooms.
    static let order =
        pureRooms + [
            "Disk", "CoterieEngine", "SQLiteMetadata", "Server", "NativeClient", "Simulation",
            "ConsistencyLab",
            "coterie",
        ]
    static let sources = Repository.files("Sources", ending: ".swift")
    static let tests = Repository.files("Tests", ending: ".swift")

    @Test func manifestListsTheRoomsInTheirOrder() {
        let rooms = Manifest().targets.map(\.name).filter { Self.order.contains($0) }
        #expect(rooms == Self.order)
    }

    @Test func arrowsPointOnlyToRoomsListedBefore() {
        var before: Set<String> = []
        for target in Manifest().targets where target.kind != "tests" {
            for dependency in target.dependencies where Self.order.contains(dependency) {
                #expect(before.contains(dependency), "\(target.name) depends on \(dependency)")
            }
            before.insert(target.name)
        }
    }

    @Test func serverAndSimulationDoNotKnowEachOther() {
        let manifest = Manifest()
        #expect(manifest.target("Server")?.dependencies.contains("Simulation") == false)
        #expect(manifest.target("Simulation")?.dependencies.contains("Server") == false)
    }

    @Test func importsAreDeclared() {
        let manifest = Manifest()
        let known = Set(manifest.targets.map(\.name))
        for file in Self.sources + Self.tests {
            guard let target = manifest.target(file.target) else { continue }
            for module in Self.imports(of: file) where known.contains(module) {
                #expect(
                    module == target.name || target.dependencies.contains(module),
                    "\(file) imports \(module), which \(target.name) does not declare")
            }
        }
    }

    @Test func onlyTheWorldImportsWhatTouchesIt() {
        let allowed: [String: Set<String>] = [
            "CSQLite": ["SQLiteMetadata"],
            "NIOCore": ["Server", "NativeClient", "coterie"],
            "NIOPosix": ["Server", "NativeClient", "coterie"],
            "ArgumentParser": ["coterie"],
            "Synchronization": [
                "Server", "Disk", "CoterieEngine", "Environment", "NativeClient", "coterie",
            ],
        ]
        for file in Self.sources {
            for module in Self.imports(of: file) {
                #expect(
                    module != "Foundation" && module != "FoundationEssentials"
                        && module != "Dispatch",
                    "\(file) imports \(module)")
                if let rooms = allowed[module] {
                    #expect(rooms.contains(file.target), "\(file) imports \(module)")
                }
            }
        }
    }

    @Test(arguments: pureRooms)
    func pureRoomTouchesNoClockThreadFileOrChance(room: String) {
        // Calls by name, each with what stands around it in code.
        let forbidden = [
            "Task {", "Task.", "async ", "await ", "DispatchQueue", "Thread", "pthread_",
            "ContinuousClock", "SuspendingClock", "Date(", "UUID(", "SystemRandomNumberGenerator",
            ".random(", ".randomElement(", ".shuffled()", ".shuffle()", "clock_gettime",
            "gettimeofday", "time(nil)", "getenv(", "fopen(", "openat(", "pwrite(", "pread(",
            "socket(",
        ]
        for file in Self.sources where file.target == room {
            let code = file.code
            for word in forbidden {
                for (number, line) in code.split(
                    separator: "\n", omittingEmptySubsequences: false
                ).enumerated() where Self.line(line, calls: word) {
                    Issue.record("\(file):\(number + 1) uses \(word)")
                }
            }
        }
    }

    @Test func productCodeForcesNothing() {
        for file in Self.sources {
            let code = file.code
            for word in ["try!", "as!"] where code.contains(word) {
                Issue.record("\(file) uses \(word)")
            }
        }
    }

    @Test func everyFileSaysWhatItIsFor() {
        for file in Self.sources + Self.tests {
            let first = file.lines.first ?? ""
            // Small tests explain themselves by their names.
            if file.path.hasPrefix("Tests/"), first.hasPrefix("import") { continue }
            #expect(first.hasPrefix("// "), "\(file) does not begin with what it is for")
        }
    }

    @Test func everyScriptSaysWhatItIsFor() {
        for name in [
            "run", "build", "test", "format", "lint", "ci", "conformance", "install", "bench",
        ] {
            let lines = Repository.file("scripts/\(name)")?.lines ?? []
            #expect(lines.count > 1 && lines[1].hasPrefix("# "), "scripts/\(name)")
        }
    }

    @Test func linksOfTheDocumentsAreAlive() {
        let documents =
            [Repository.file("README.md")].compactMap { $0 }
            + Repository.files("docs", ending: ".md")
        for document in documents {
            let folder = document.path.split(separator: "/").dropLast().joined(separator: "/")
            for link in Self.links(of: document) {
                let path = link.prefix { $0 != "#" }
                if path.isEmpty || link.contains("://") || link.hasPrefix("mailto:") { continue }
                let target = folder.isEmpty ? String(path) : "\(folder)/\(path)"
                #expect(Repository.exists(target), "\(document) links to \(link)")
            }
        }
    }

    // MARK: - Reading

    /// The modules that a file imports.
    private static func imports(of file: SourceFile) -> [String] {
        file.lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"), index + 1 < words.count,
                words[..<index].allSatisfy({
                    ["internal", "package", "public", "private", "fileprivate"].contains($0)
                        || $0.hasPrefix("@")
                })
            else { return nil }
            return String(words[index + 1])
        }
    }

    /// Whether the word stands in the line, not as the end of a longer name.
    private static func line(_ line: Substring, calls word: String) -> Bool {
        var rest = line
        while let range = rest.firstRange(of: word) {
            let before = rest[..<range.lowerBound].last
            let isWhole =
                !(word.first?.isLetter ?? false) || !(before?.isLetter ?? false) && before != "_"
            if isWhole { return true }
            rest = rest[range.upperBound...]
        }
        return false
    }

    /// The targets of `[text](target)`.
    private static func links(of document: SourceFile) -> [String] {
        var found: [String] = []
        var rest = document.text[...]
        while let range = rest.firstRange(of: "](") {
            rest = rest[range.upperBound...]
            if let end = rest.firstIndex(of: ")") { found.append(String(rest[..<end])) }
        }
        return found
    }
}
