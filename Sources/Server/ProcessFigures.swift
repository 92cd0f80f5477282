// The process's own figures.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What the operating system says about this process.
package enum ProcessFigures {
    static var processID: Int32 { getpid() }

    /// A name for this run of the machine's kernel, another one after each boot; empty where the
    /// system has none, which is safe: then nothing that was not synced is relied on.
    static func machineBoot() -> String {
        #if canImport(Glibc)
            let file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)
            if file < 0 { return "" }
            defer { close(file) }
            var buffer = [UInt8](repeating: 0, count: 36)
            guard read(file, &buffer, buffer.count) == buffer.count else { return "" }
            return String(decoding: buffer, as: UTF8.self)
        #else
            var buffer = [UInt8](repeating: 0, count: 64)
            var count = buffer.count
            guard sysctlbyname("kern.bootsessionuuid", &buffer, &count, nil, 0) == 0 else {
                return ""
            }
            return String(decoding: buffer.prefix(while: { $0 != 0 }), as: UTF8.self)
        #endif
    }

    /// Memory that the process holds now (on macOS: the most it ever held).
    package static func residentBytes() -> Int {
        #if canImport(Glibc)
            let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
            if file < 0 { return 0 }
            defer { close(file) }
            var buffer = [UInt8](repeating: 0, count: 128)
            let count = read(file, &buffer, buffer.count)
            if count <= 0 { return 0 }
            let words = String(decoding: buffer[0..<count], as: UTF8.self).split(separator: " ")
            guard words.count > 1, let pages = Int(words[1]) else { return 0 }
            return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        #else
            var usage = rusage()
            getrusage(RUSAGE_SELF, &usage)
            return Int(usage.ru_maxrss)
        #endif
    }

    /// User and system time that the process has used.
    package static func processorMicroseconds() -> Int64 {
        var usage = rusage()
        #if canImport(Glibc)
            getrusage(0, &usage)
        #else
            getrusage(RUSAGE_SELF, &usage)
        #endif
        let user = Int64(usage.ru_utime.tv_sec) * 1_000_000 + Int64(usage.ru_utime.tv_usec)
        return user + Int64(usage.ru_stime.tv_sec) * 1_000_000 + Int64(usage.ru_stime.tv_usec)
    }

    /// Lets the process open as many files and sockets as the system allows it.
    package static func raiseFileLimit() {
        var limit = rlimit()
        #if canImport(Glibc)
            let files: Int32 = 7  // RLIMIT_NOFILE
        #else
            let files = RLIMIT_NOFILE
        #endif
        guard getrlimit(files, &limit) == 0 else { return }
        // macOS refuses "unlimited" although it reports it as the maximum.
        limit.rlim_cur = min(limit.rlim_max, 1 << 20)
        #if canImport(Darwin)
            limit.rlim_cur = min(limit.rlim_cur, rlim_t(OPEN_MAX))
        #endif
        // With fewer files the node works too; opening one too many is reported where it happens.
        _ = setrlimit(files, &limit)
    }
}
