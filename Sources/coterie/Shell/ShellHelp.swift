// HELP: what the shell understands.

extension ShellSession {
    private static let topics: [(name: String, usage: String, text: String)] = [
        (
            "CONSISTENCY", "CONSISTENCY [level]",
            "Shows or sets how many replicas must answer: ANY, ONE, TWO, THREE, QUORUM, ALL, "
                + "LOCAL_QUORUM, EACH_QUORUM, SERIAL, LOCAL_SERIAL or LOCAL_ONE."
        ),
        (
            "SERIAL", "SERIAL CONSISTENCY [level]",
            "Shows or sets the consistency of the Paxos phase of conditional updates: SERIAL or "
                + "LOCAL_SERIAL."
        ),
        (
            "DESCRIBE",
            "DESC[RIBE] KEYSPACES | TABLES | TYPES | KEYSPACE [name] | TABLE name | TYPE name"
                + " | SCHEMA | CLUSTER | name",
            "Shows what there is, as CQL that makes it again. The server answers it."
        ),
        (
            "EXPAND", "EXPAND [ON | OFF]", "Prints each row as a list of its columns."
        ),
        (
            "PAGING", "PAGING [ON | OFF | rows]",
            "Shows or sets how many rows are fetched at a time."
        ),
        ("SHOW", "SHOW VERSION | HOST", "Says what the shell is connected to."),
        ("SOURCE", "SOURCE 'file'", "Runs the statements of a file."),
        ("USE", "USE keyspace;", "Makes a keyspace the one that names without a keyspace are of."),
        ("CLEAR", "CLEAR", "Clears the screen."),
        ("EXIT", "EXIT", "Ends the shell, as does Ctrl-D."),
        ("HELP", "HELP [command]", "Shows this."),
    ]

    /// Prints the help for a command, or the list of them.
    func help(_ arguments: [String]) {
        guard let name = arguments.first?.uppercased() else {
            output.print("\nCommands of the shell, which end with their line:\n")
            for topic in Self.topics { output.print("  \(topic.usage)") }
            output.print(
                "\nEverything else is CQL: it goes to the server and ends with a semicolon.")
            output.print("HELP with a command says more about it.\n")
            return
        }
        let key = name == "DESC" ? "DESCRIBE" : name == "QUIT" ? "EXIT" : name
        guard let topic = Self.topics.first(where: { $0.name == key }) else {
            output.print("No help for \(name): it is not a command of the shell.")
            return
        }
        output.print("\n  \(topic.usage)\n\n  \(topic.text)\n")
    }
}
