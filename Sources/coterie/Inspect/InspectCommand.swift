// `coterie inspect`: what stands in a node's files, for a person or, as JSON, for a program. The node may
// run or not; nothing is changed. Damage is told with file and offset, and ends with exit code 1.
//
// SSTables, manifests, logs and hints lie in `files` of the data folder; the metadata beside it tells
// the tables' columns. A file without them is shown with its keys and values as bytes.

internal import ArgumentParser
internal import Environment
internal import Model
internal import NodeLogic
internal import SQLiteMetadata
internal import Server
internal import Storage

/// The kinds of files.
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what stands in a node's files; changes nothing.",
        subcommands: [
            Metadata.self, SSTable.self, Dump.self, Keys.self, Largest.self, Verify.self,
            Manifest.self, Log.self, Hints.self,
        ])

    /// A file by its path, with what its folder tells of it.
    struct Place: ParsableArguments {
        @Argument(help: "The file's path.")
        var path: String
        @Option(help: "The table of an SSTable, as keyspace.table, where its manifest does not tell.")
        var table: String?

        private var parts: (folder: String, name: String) {
            guard let slash = path.lastIndex(of: "/") else { return (".", path) }
            return (String(path[..<slash]), String(path[path.index(after: slash)...]))
        }

        var folder: InspectedFolder { InspectedFolder(path: parts.folder) }
        var file: FileName { FileName(parts.name) }

        /// The table of an SSTable; nil if nobody tells.
        func schema() throws -> TableSchema? {
            let metadataPath = parts.folder + "/../metadata.db"
            guard InspectedMetadata.isThere(metadataPath) else {
                if let table { throw ServerFailure("\(metadataPath) is not there to tell of \(table)") }
                return nil
            }
            let schema = try InspectedMetadata.read(metadataPath).schema
            if let table {
                let names = table.split(separator: ".").map(String.init)
                guard names.count == 2, let found = schema.table(names[0], names[1]) else {
                    throw ServerFailure("there is no table \(table)")
                }
                return found
            }
            guard let id = try LogInspection.table(of: file, folder) else { return nil }
            return schema.table(id)
        }
    }
}

/// The metadata of a node, read without changing it.
enum InspectedMetadata {
    static func isThere(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        let folder = InspectedFolder(path: parts.dropLast().joined(separator: "/"))
        do { return try folder.size(of: FileName(String(parts.last ?? ""))) > 0 } catch {
            return false
        }
    }

    static func read(_ path: String) throws -> MetadataInspection {
        try MetadataInspection(try SQLiteMetadataStore(readingPath: path).load())
    }
}

extension InspectCommand {
    struct Metadata: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The node's identity, the agreed log, nodes, tables and truncations.")

        @Argument(help: "The node's data folder.")
        var dataFolder: String

        func run() throws {
            try CommandFailure.reporting {
                let metadata = try InspectedMetadata.read(dataFolder + "/metadata.db")
                print(AdminText.yaml(metadata.summary), terminator: "")
            }
        }
    }

    struct SSTable: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sstable", abstract: "The figures of an SSTable.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let inspection = try SSTableInspection(place.file, place.folder)
                print(AdminText.yaml(inspection.summary), terminator: "")
            }
        }
    }

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The content of an SSTable as JSON, in the shape of sstabledump.")

        @OptionGroup var place: Place
        @Option(help: "Only this partition, its key in hexadecimal.")
        var key: String?

        func run() throws {
            try CommandFailure.reporting {
                let schema = try place.schema()
                let inspection = try SSTableInspection(place.file, place.folder)
                var wanted: [UInt8]?
                if let key {
                    wanted = try CQLType.blob.parse(key.hasPrefix("0x") ? key : "0x" + key)
                }
                var isFirst = true
                print("[")
                try inspection.dump(schema, key: wanted) { partition in
                    print((isFirst ? "  " : ", ") + AdminText.json(partition))
                    isFirst = false
                }
                print("]")
            }
        }
    }

    struct Keys: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The partition keys of an SSTable with their tokens.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let schema = try place.schema()
                try SSTableInspection(place.file, place.folder).dump(schema, keysOnly: true) {
                    print("\($0["partition"]["token"].text) \($0["partition"]["key"].text)")
                }
            }
        }
    }

    struct Largest: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "partitions", abstract: "The largest partitions of an SSTable.")

        @OptionGroup var place: Place
        @Option(help: "How many.")
        var count = 10

        func run() throws {
            try CommandFailure.reporting {
                let schema = try place.schema()
                let inspection = try SSTableInspection(place.file, place.folder)
                var rows = [["Bytes", "Rows", "Token", "Key"]]
                for entry in try inspection.largestPartitions(max(1, count), of: schema) {
                    rows.append([
                        entry["bytes"].text, entry["rows"].text, entry["token"].text,
                        entry["key"].text,
                    ])
                }
                print(AdminText.table(rows, right: [0, 1, 2]), terminator: "")
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Hold every block of an SSTable against its checksum, index and order.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let report = try SSTableInspection(place.file, place.folder).verify()
                for finding in report.findings { print(finding.description) }
                print("\(report.partitions) partitions, \(report.rows) rows read")
                if !report.findings.isEmpty { throw ExitCode(1) }
            }
        }
    }

    struct Manifest: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The SSTables that a manifest names, and how far tables are flushed.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let value = try LogInspection.manifest(place.file, place.folder)
                print(AdminText.yaml(value), terminator: "")
            }
        }
    }

    struct Log: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "commitlog", abstract: "The records of a commit log segment, a line each.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let end = try LogInspection.commitLog(place.file, place.folder) {
                    print(AdminText.json($0))
                }
                print(AdminText.json(end))
            }
        }
    }

    struct Hints: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The hints of a file, a line each.")

        @OptionGroup var place: Place

        func run() throws {
            try CommandFailure.reporting {
                let end = try LogInspection.hints(place.file, place.folder) {
                    print(AdminText.json($0))
                }
                print(AdminText.json(end))
            }
        }
    }
}
