// Operators' commands as far as they are about the process: its ports, its figures, and files from
// outside its folder. Everything else is for shard 0.

internal import Disk
package import Environment
internal import NodeLogic
internal import Synchronization

extension NodeServer {
    /// Obeys a command; `answer` is called once, on any thread.
    package func obey(
        _ request: AdminRequest, answer: @escaping @Sendable (AdminAnswer) -> Void
    ) {
        let verb = AdminRequest([AdminVerbs.synonyms[request.verb] ?? request.verb] + request.arguments)
        do throws(ServerFailure) {
            switch request.verb {
            case "statusbinary":
                answer(.value(["running": .bool(servesClients)]))
            case "disablebinary":
                stopServingClients()
                answer(.value([:]))
            case "enablebinary":
                parts.clientGate.setAllowed(true)
                answer(.value([:]))
            case "drain":
                stopServingClients()
                runners[0].command(verb, answer: answer)
            case "import", "refresh": try importFiles(request, answer)
            case "probe", "info":
                let figures = figures
                runners[0].command(verb) { told in
                    guard case .value(let value) = told else { return answer(told) }
                    answer(.value(value.joined(with: figures)))
                }
            default: runners[0].command(verb, answer: answer)
            }
        } catch {
            answer(.refused(error.description))
        }
    }


    /// The process's own figures.
    private var figures: AdminValue {
        let connections = runners.reduce(0) { $0 + $1.connectionCount.load(ordering: .relaxed) }
        return [
            "pid": .count(Int(ProcessFigures.processID)),
            "incarnation": .count(Int(incarnation.value)), "shards": .count(options.shardCount),
            "host_id": .text(host.description), "connections": .count(connections),
            "native_transport": .bool(servesClients),
            "resident_bytes": .count(ProcessFigures.residentBytes()),
            "processor_microseconds": .integer(Int64(ProcessFigures.processorMicroseconds())),
            "uptime_seconds": .integer(
                (NodeServer.monotonicMilliseconds() - startedMilliseconds) / 1_000),
            "datacenter": .text(options.configuration.cluster.datacenter),
            "rack": .text(options.configuration.cluster.rack),
        ]
    }

    // MARK: The client port

    private var servesClients: Bool { parts.clientGate.isListening }

    /// Closes the port and all connections of clients.
    private func stopServingClients() {
        parts.clientGate.setAllowed(false)
        for runner in runners { runner.closeClients() }
    }

    // MARK: Import

    /// Gives the files of a folder names in the node's folder, and asks the shards to take them in.
    /// `refresh` takes those that lie in `upload/<keyspace>/<table>` of the data folder.
    private func importFiles(
        _ request: AdminRequest, _ answer: @escaping @Sendable (AdminAnswer) -> Void
    ) throws(ServerFailure) {
        let names = request.arguments.filter { !$0.hasPrefix("-") || $0 == "-" }
        let path: String
        if request.verb == "refresh" {
            guard names.count == 2, !names.contains(where: { $0.contains("/") }) else {
                throw ServerFailure("usage: refresh <keyspace> <table>")
            }
            path = "\(folder.path)/upload/\(names[0])/\(names[1])"
        } else {
            guard names.count == 3 else {
                throw ServerFailure("usage: import <keyspace> <table> <directory>")
            }
            path = names[2]
        }
        let number = nextImport.add(1, ordering: .relaxed).oldValue
        let lead = "import-\(number)-"
        let words = ["import-staged", lead] + request.arguments.filter { $0 != names.dropFirst(2).first }
        // Copying takes its time: not on an event loop.
        importThread.run { [folder, runners] in
            do throws(ServerFailure) {
                try ImportStaging.stage(path, into: folder.filesPath, lead: lead)
                runners[0].command(AdminRequest(words), answer: answer)
            } catch {
                answer(.refused(error.description))
            }
        }
    }
}
