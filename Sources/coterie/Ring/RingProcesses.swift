// The processes of a local ring: starting them so that they outlive us, finding them again, and
// sending them signals.
//
// Who runs a node is told by the lock of its data folder, which holds the process id and is released
// by the kernel when the process ends. So a stale number is never taken for a running node.

internal import Server

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Starts and finds processes.
enum RingProcesses {
    /// Starts this program with `arguments`, in a session of its own, its output appended to a file.
    static func spawn(_ arguments: [String], logPath: String) throws(ServerFailure) -> pid_t {
        let program = try executablePath()
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
            let newSession: Int32 = 0x0400  // POSIX_SPAWN_SETSID
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
            let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, a GNU extension
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(
            &actions, 1, logPath, O_WRONLY | O_CREAT | O_APPEND, mode_t(0o644))
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawnattr_setflags(&attributes, Int16(newSession))
        var pointers: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, program, &actions, &attributes, pointers, environ)
        if result != 0 {
            throw ServerFailure(
                "\(program) cannot be started: \(String(cString: strerror(result)))")
        }
        return process
    }

    /// Whether a child of ours has ended.
    static func hasEnded(child: pid_t) -> Bool {
        var status: Int32 = 0
        return waitpid(child, &status, WNOHANG) == child
    }

    /// Sends a signal. A process that has ended meanwhile is no error.
    static func send(_ signal: Int32, to process: pid_t) throws(ServerFailure) {
        if kill(process, signal) != 0, errno != ESRCH {
            throw ServerFailure(
                "signal \(signal) to process \(process): \(String(cString: strerror(errno)))")
        }
    }

    /// Stops a process and waits until it stands: the signal reaches one of its threads, which has to be scheduled
    /// before the others stop, and these go on until then. Where the kernel does not tell the states of threads,
    /// that is, elsewhere than on Linux, nothing is waited for.
    ///
    /// - Throws: `ServerFailure` if the signal cannot be sent, or a thread still runs after ten seconds.
    static func pause(_ process: pid_t) throws(ServerFailure) {
        try send(SIGSTOP, to: process)
        for _ in 0..<2_000 {
            if threads(of: process).allSatisfy({ $0 == "T" || $0 == "Z" }) { return }
            sleep(milliseconds: 5)
        }
        throw ServerFailure("process \(process) does not stop")
    }

    /// Whether the process was stopped by SIGSTOP. Only Linux tells.
    static func isPaused(_ process: pid_t) -> Bool {
        (try? state("/proc/\(process)/stat")) == "T"
    }

    /// The state of each thread of a process; none if it has ended or the kernel does not tell.
    private static func threads(of process: pid_t) -> [Character] {
        let folder = "/proc/\(process)/task"
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var states: [Character] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(
                    to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)
                ) { String(cString: $0) }
            }
            // What cannot be read has ended meanwhile.
            guard !name.hasPrefix("."), let state = try? state("\(folder)/\(name)/stat") else {
                continue
            }
            states.append(state)
        }
        return states
    }

    /// The state in a file of /proc: the first letter after the name's closing parenthesis; nil if there is
    /// no such file.
    private static func state(_ path: String) throws(ServerFailure) -> Character? {
        guard let text = try TextFile.read(path), let end = text.lastIndex(of: ")") else {
            return nil
        }
        return text[text.index(after: end)...].first { $0 != " " }
    }

    static func sleep(milliseconds: UInt32) {
        usleep(milliseconds * 1_000)
    }

    private static func executablePath() throws(ServerFailure) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        #if canImport(Darwin)
            var size = UInt32(buffer.count)
            guard _NSGetExecutablePath(&buffer, &size) == 0 else {
                throw ServerFailure("this program's path is too long")
            }
            let count = strlen(buffer)
        #else
            let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
            guard count > 0 else { throw ServerFailure("this program cannot be found in /proc") }
        #endif
        return String(decoding: buffer[0..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
