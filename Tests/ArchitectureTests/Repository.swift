// The repository as text: what the architecture tests look at.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file of the repository.
struct SourceFile: CustomStringConvertible {
    /// From the repository's root, for example `Sources/Disk/Lock.swift`.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
    var description: String { path }

    /// The room or test target that the file belongs to.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 1 ? String(parts[1]) : ""
    }

    /// The text without comments and string literals, so that words in them do not count. Line breaks
    /// stay where they are.
    var code: String {
        var result = ""
        var rest = text[...]
        while let first = rest.first {
            if rest.hasPrefix("//") {
                rest = rest.drop { $0 != "\n" }
            } else if rest.hasPrefix("\"\"\"") {
                rest = Self.afterLiteral(rest.dropFirst(3), end: "\"\"\"", into: &result)
            } else if first == "\"" {
                rest = Self.afterLiteral(rest.dropFirst(), end: "\"", into: &result)
            } else {
                result.append(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    private static func afterLiteral(
        _ start: Substring, end: String, into result: inout String
    ) -> Substring {
        var rest = start
        while !rest.isEmpty, !rest.hasPrefix(end) {
            if rest.first == "\n" { result.append("\n") }
            rest = rest.dropFirst(rest.first == "\\" ? 2 : 1)
        }
        return rest.dropFirst(end.count)
    }
}

/// All text files below the repository's root.
enum Repository {
    /// Found from this very file: `Tests/ArchitectureTests/Repository.swift`.
    static let root: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/")
    }()

    /// Files with that ending below `folder`, sorted by path.
    static func files(_ folder: String, ending: String) -> [SourceFile] {
        var found: [SourceFile] = []
        collect(folder, ending, into: &found)
        return found.sorted { $0.path < $1.path }
    }

    /// One file, or nil if it is not there.
    static func file(_ path: String) -> SourceFile? {
        guard let stream = fopen("\(root)/\(path)", "r") else { return nil }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        return SourceFile(path: path, text: String(decoding: bytes, as: UTF8.self))
    }

    /// Whether a file or folder is there.
    static func exists(_ path: String) -> Bool { access("\(root)/\(path)", F_OK) == 0 }

    private static func collect(_ folder: String, _ ending: String, into found: inout [SourceFile])
    {
        guard let stream = opendir("\(root)/\(folder)") else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            if name.hasPrefix(".") { continue }
            let path = "\(folder)/\(name)"
            if name.hasSuffix(ending), let file = file(path) { found.append(file) }
            if entry.pointee.d_type == UInt8(DT_DIR) { collect(path, ending, into: &found) }
        }
    }
}

/// The targets of the manifest, in its order, read as text.
struct Manifest {
    struct Target {
        let name: String
        let kind: String
        /// Names of rooms and products, as the manifest lists them.
        let dependencies: [String]
    }

    let targets: [Target]

    /// Reads `Package.swift`: each target begins with its function's name, and what stands between its
    /// first brackets is what it depends on.
    init() {
        let text = Repository.file("Package.swift")?.text ?? ""
        let body = text[(text.firstRange(of: "targets: [\n")?.upperBound ?? text.endIndex)...]
        let code = body.split(separator: "\n").filter {
            !$0.drop { $0 == " " }.hasPrefix("//")
        }.joined(separator: "\n")
        var found: [Target] = []
        var rest = code[...]
        let kinds = ["room(", "tests(", ".target(", ".systemLibrary(", ".executableTarget("]
        while !rest.isEmpty {
            guard let kind = kinds.first(where: { rest.hasPrefix($0) }) else {
                rest = rest.dropFirst()
                continue
            }
            let call = Self.balanced(rest.dropFirst(kind.count - 1))
            let names = Self.literals(call)
            if let name = names.first {
                let list = call[(call.firstIndex(of: "[") ?? call.endIndex)...]
                let isRoom = kind != ".target(" && kind != ".systemLibrary("
                let dependencies = isRoom ? Self.literals(Self.balanced(list)) : []
                let extra = call.contains("+ nio") ? ["NIOCore", "NIOPosix"] : []
                found.append(
                    Target(
                        name: name, kind: String(kind.dropLast()),
                        dependencies: dependencies + extra))
            }
            rest = rest.dropFirst(kind.count + call.count - 1)
        }
        targets = found
    }

    func target(_ name: String) -> Target? { targets.first { $0.name == name } }

    /// From an opening bracket to its closing one.
    private static func balanced(_ text: Substring) -> Substring {
        var depth = 0
        for index in text.indices {
            if "([".contains(text[index]) { depth += 1 }
            if ")]".contains(text[index]) { depth -= 1 }
            if depth == 0 { return text[...index] }
        }
        return text
    }

    /// The string literals of a piece of code, in order.
    private static func literals(_ code: Substring) -> [String] {
        let parts = code.split(separator: "\"", omittingEmptySubsequences: false)
        return stride(from: 1, to: parts.count, by: 2).map { String(parts[$0]) }
    }
}
