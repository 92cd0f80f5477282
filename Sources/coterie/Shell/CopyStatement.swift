// COPY as a person writes it:
//
//     COPY [keyspace.]table [(column, ...)] FROM | TO 'file' | STDIN | STDOUT [WITH name = value [AND ...]]

/// A COPY statement, read.
struct CopyStatement: Equatable {
    enum Direction: String { case from = "FROM", to = "TO" }

    var keyspace: String?
    var table: String
    /// The columns named; none for all.
    var columns: [String] = []
    var direction: Direction
    /// Nil for the standard input or output.
    var file: String?
    /// Options by their names in lower case, the later ones counting.
    var options: [(name: String, value: String)] = []

    static func == (left: CopyStatement, right: CopyStatement) -> Bool {
        left.keyspace == right.keyspace && left.table == right.table
            && left.columns == right.columns && left.direction == right.direction
            && left.file == right.file
            && left.options.map { "\($0.name)=\($0.value)" }
                == right.options.map { "\($0.name)=\($0.value)" }
    }

    /// Reads a statement.
    init(_ text: String) throws(ImproperCommand) {
        var rest = CommandLexer.tokens(text)[...]
        func take(_ value: String) -> Bool {
            guard let token = rest.first, token.kind == .mark || token.kind == .word,
                token.value.lowercased() == value
            else { return false }
            rest = rest.dropFirst()
            return true
        }
        func name() throws(ImproperCommand) -> String {
            guard let name = rest.first?.name else { throw ImproperCommand() }
            rest = rest.dropFirst()
            return name
        }
        guard take("copy") else { throw ImproperCommand() }
        table = try name()
        if take(".") {
            keyspace = table
            table = try name()
        }
        if take("(") {
            repeat { columns.append(try name()) } while take(",")
            guard take(")") else { throw ImproperCommand() }
        }
        if take("from") {
            direction = .from
        } else if take("to") {
            direction = .to
        } else {
            throw ImproperCommand()
        }
        if !take(direction == .from ? "stdin" : "stdout") {
            guard let token = rest.first, token.kind == .string, token.isWhole else {
                throw ImproperCommand()
            }
            file = token.value
            rest = rest.dropFirst()
        }
        if take("with") {
            repeat {
                guard let option = rest.first?.keyword else { throw ImproperCommand() }
                rest = rest.dropFirst()
                guard take("="), let value = rest.first,
                    value.kind != .mark, value.isWhole
                else { throw ImproperCommand() }
                rest = rest.dropFirst()
                options.append((option, value.value))
            } while take("and")
        }
        guard rest.isEmpty else { throw ImproperCommand() }
    }
}
