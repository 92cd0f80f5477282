// `coterie admin`: operators' commands by nodetool's grammar. The node tells facts; here they get
// nodetool's shape, so that scripts which read it go on working, or become JSON or YAML.
//
//     coterie admin [-h HOST] [-p PORT] [-F json|yaml] VERB [options] [arguments]
//
// Exit codes: 0 when it was done, 1 with a line that says why not, 2 when the node says that something
// was found (verify).

internal import ArgumentParser
internal import Environment
internal import NodeLogic
internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Sends one command to a node.
struct AdminCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin", abstract: "Command a running node, as nodetool does.",
        usage: "coterie admin [-h <host>] [-p <port>] [-F <format>] <verb> [<arguments> ...]",
        discussion: """
            The verbs, their options and what they print are nodetool's; -F json or -F yaml works for \
            all of them. The node is found by its address: -h 127.0.0.2.

            Verbs: \(AdminVerbs.all.joined(separator: ", "))
            """, helpNames: .long)

    @Argument(parsing: .captureForPassthrough, help: "The verb with its options and arguments.")
    var words: [String] = []

    func run() throws {
        if words.isEmpty || words == ["help"] || words == ["--help"] {
            print(Self.helpMessage())
            return
        }
        try CommandFailure.reporting {
            let line = try AdminLine(words)
            let target = try line.target
            let answer = try AdminClient.ask(
                target, AdminRequest(line.request), timeoutMilliseconds: line.timeout)
            switch answer {
            case nil:
                throw ServerFailure(
                    "Failed to connect to '\(target.host):\(target.port)' - "
                        + "is the node running, and is that its admin port?")
            case .refused(let reason): throw ServerFailure(reason)
            case .value(let value):
                for warning in value["warnings"].elements {
                    CommandFailure.printError("warning: \(warning.text)")
                }
                print(line.show(value), terminator: "")
                if line.verb == "verify", !value["findings"].elements.isEmpty {
                    throw ExitCode(2)
                }
            }
        }
    }
}

/// A command line of nodetool's: global options, the verb, and what belongs to it.
struct AdminLine {
    enum Format: String {
        case text
        case json
        case yaml
    }

    private(set) var host = "127.0.0.1"
    private(set) var port = AdminClient.defaultPort
    private(set) var format = Format.text
    /// The verb with its options and arguments.
    private(set) var request: [String] = []

    var verb: String { AdminVerbs.synonyms[request.first ?? ""] ?? request.first ?? "" }

    init(_ words: [String]) throws(ServerFailure) {
        var rest = Array(words.reversed())
        func value(of option: String, _ inline: String?) throws(ServerFailure) -> String {
            guard let value = inline ?? rest.popLast() else {
                throw ServerFailure("\(option) needs a value")
            }
            return value
        }
        while let word = rest.popLast() {
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let inline = parts.count > 1 ? parts[1] : nil
            switch parts.first {
            case "-h" where request.isEmpty, "--host" where request.isEmpty:
                host = try value(of: word, inline)
            case "-p" where request.isEmpty, "--port" where request.isEmpty:
                let text = try value(of: word, inline)
                guard let number = UInt16(text) else {
                    throw ServerFailure("\(text) is no port")
                }
                port = number
            // Accepted because scripts give them; there are no passwords and one way to print ports.
            case "-pp" where request.isEmpty, "--print-port" where request.isEmpty: break
            case "-u" where request.isEmpty, "-pw" where request.isEmpty,
                "-pwf" where request.isEmpty, "--username" where request.isEmpty,
                "--password" where request.isEmpty, "--password-file" where request.isEmpty:
                throw ServerFailure("\(word): the admin port has no users and no passwords")
            case "-F", "--format":
                let text = try value(of: word, inline)
                guard let chosen = Format(rawValue: text) else {
                    throw ServerFailure("arguments for -F are json,yaml only.")
                }
                format = chosen
            case .some where request.isEmpty && word.hasPrefix("-"):
                throw ServerFailure("Found unexpected parameters: [\(word)]")
            default: request.append(word)
            }
        }
        guard let first = request.first else { throw ServerFailure("no verb was given") }
        guard AdminVerbs.all.contains(AdminVerbs.synonyms[first] ?? first) else {
            throw ServerFailure(AdminVerbs.unknown(first))
        }
    }

    var target: SocketAddress {
        get throws(ServerFailure) {
            let name = host == "localhost" ? "127.0.0.1" : host
            return SocketAddress(address: try NodeArguments.address(name), port: port)
        }
    }

    /// Verbs that only tell are answered at once; a node that does not is stopped.
    var timeout: Int {
        let slow = [
            "cleanup", "compact", "drain", "flush", "garbagecollect", "import", "refresh", "scrub",
            "snapshot", "upgradesstables", "verify",
        ]
        return slow.contains(verb) ? 0 : 10_000
    }

    /// The answer as it is printed.
    func show(_ value: AdminValue) -> String {
        switch format {
        case .json: AdminText.json(value) + "\n"
        case .yaml: AdminText.yaml(value)
        case .text: AdminOutput(verb: verb, words: Array(request.dropFirst()), value: value).text
        }
    }
}
