// Who to log in as: from a file that nobody else may read, by the rules and with the warnings of cqlsh.
//
//     ~/.cassandra/credentials          ~/.cassandra/cqlshrc
//     [plain_text_auth]                 [auth_provider]
//     username = ada                    module = cassandra.auth
//     password = ...                    classname = PlainTextAuthProvider
//     [PlainTextAuthProvider]           username = ada
//
// A section of the credentials file is used by its name: `plain_text_auth` by shells of any age, the
// class's name with `[auth_provider]`, whose only class here is PlainTextAuthProvider. The first wins.
// Names and passwords in cqlshrc count too, and are warned about.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A name and a password, either of which may be missing.
struct Credentials: Equatable {
    var user: String?
    var password: String?

    /// Those of the person's files: `rules` is cqlshrc, at `path`, and `file` the credentials' path.
    static func read(
        _ rules: SettingsFile, path: String, file: String, _ warnings: inout [String]
    ) throws -> Credentials {
        let old = Credentials(
            user: rules.value("authentication", "username"),
            password: rules.value("authentication", "password"))
        if old != Credentials() {
            if old.password != nil, !isPrivate(path) {
                warnings.append(
                    "\nWarning: Password is found in an insecure cqlshrc file. The file is owned or "
                        + "readable by other users on the system.")
            }
            let blank = old.password != nil && !isPrivate(path) ? "" : "\n"
            warnings.append(
                blank + "Notice: Credentials in the cqlshrc file is deprecated and will be ignored "
                    + "in the future.\nPlease use a credentials file to specify the username and "
                    + "password.\n")
        }
        let own = try secrets(file, &warnings)
        var result = Credentials(
            user: own.value("plain_text_auth", "username") ?? old.user,
            password: own.value("plain_text_auth", "password") ?? old.password)
        try result.complete(rules, path, own, &warnings)
        return result
    }

    /// Adds what the section of the provider says.
    private mutating func complete(
        _ rules: SettingsFile, _ path: String, _ own: SettingsFile, _ warnings: inout [String]
    ) throws {
        let section = "auth_provider"
        let module = rules.value(section, "module")
        let name = rules.value(section, "classname")
        switch (module, name) {
        case (nil, nil), ("cassandra.auth", "PlainTextAuthProvider"): break
        case (nil, _), (_, nil):
            // Half a class is none, and then nobody logs in.
            self = Credentials()
            return
        case (let module?, let name?):
            throw ShellFailure(
                "\(path): [auth_provider] \(module).\(name) is not supported: only "
                    + "cassandra.auth.PlainTextAuthProvider is")
        }
        let given = rules.value(section, "password")
        if given != nil {
            let isOpen = !Self.isPrivate(path)
            if isOpen {
                warnings.append(
                    "\nWarning: Password is found in an insecure cqlshrc file.\n"
                        + String(repeating: " ", count: 20)
                        + "The file is owned or readable by other users on the system.")
            }
            let indent = "\n" + String(repeating: " ", count: 8)
            warnings.append(
                (isOpen ? "" : "\n") + "Notice: Credentials in the cqlshrc file is deprecated and"
                    + indent + "will be ignored in the future.\n" + indent
                    + "Please use a credentials file to" + indent
                    + "specify the username and password.\n")
        }
        let provider = "PlainTextAuthProvider"
        user = user ?? own.value(provider, "username") ?? rules.value(section, "username")
        password = password ?? own.value(provider, "password") ?? given
    }

    /// The credentials file; empty with a warning if others may read it.
    private static func secrets(
        _ path: String, _ warnings: inout [String]
    ) throws -> SettingsFile {
        guard isPrivate(path) else {
            warnings.append(
                """

                Warning: Credentials file '\(path)' exists but is not used, because:
                  a. the file owner is not the current user; or
                  b. the file is readable by group or other.
                Please ensure the file is owned by the current user and is not readable by group or \
                other.
                On a Linux or UNIX-like system, you often can do this by using the `chown` and \
                `chmod` commands:
                  chown YOUR_USERNAME credentials
                  chmod 600 credentials

                """)
            return SettingsFile()
        }
        return SettingsFile(try TextFile.read(path) ?? "")
    }

    /// Whether the file is the user's, or the user the superuser, and neither group nor others may read
    /// it. A file that is not there harms nobody.
    private static func isPrivate(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return true }
        return (geteuid() == 0 || status.st_uid == geteuid()) && status.st_mode & 0o044 == 0
    }
}
