// Passwords: bcrypt as a job, because a hash takes some 50 ms, which no shard waits for.
//
//     shard --runJob--> a helper thread (or, in a simulation, a step of its own) --jobEnded--> shard
//
// A job draws nothing by chance: its salt comes from the shard's random stream. Hashes are those of
// Cassandra (`$2a$`), so either may read the other's.

internal import CCrypt
internal import Environment

/// bcrypt by the system's library.
enum Bcrypt {
    static let saltBytes = 16

    /// The hash of a password with that salt; nil where the system has no bcrypt.
    static func hash(_ password: String, cost: Int, salt: [UInt8]) -> String? {
        precondition(salt.count == saltBytes)
        guard
            let setting = text({ output in
                coterie_bcrypt_setting(UInt32(clamping: cost), salt, output)
            })
        else { return nil }
        return hash(password, setting: setting)
    }

    /// Whether the hash is that of the password; nil if it is no hash.
    static func verify(_ password: String, _ hash: String) -> Bool? {
        guard let made = self.hash(password, setting: hash) else { return nil }
        // As long as the longer one takes, wherever they differ.
        let (left, right) = (Array(made.utf8), Array(hash.utf8))
        var difference = left.count ^ right.count
        for index in 0..<max(left.count, right.count) {
            let first = index < left.count ? left[index] : 0
            let second = index < right.count ? right[index] : 0
            difference |= Int(first ^ second)
        }
        return difference == 0
    }

    /// Whether the text has the form of a hash.
    static func isHash(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 60, text.hasPrefix("$2"), bytes[3] == UInt8(ascii: "$"),
            bytes[6] == UInt8(ascii: "$"),
            [UInt8(ascii: "a"), UInt8(ascii: "b"), UInt8(ascii: "y")]
                .contains(bytes[2]),
            let cost = Int(String(decoding: bytes[4..<6], as: UTF8.self)), (4...31).contains(cost)
        else { return false }
        return bytes[7...].allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }

    private static func hash(_ password: String, setting: String) -> String? {
        text { coterie_bcrypt(password, setting, $0) }
    }

    /// What a C function writes, or nil if it says that it could not.
    private static func text(_ write: (UnsafeMutablePointer<CChar>) -> Int32) -> String? {
        let size = Int(COTERIE_BCRYPT_SIZE)
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            buffer.initialize(repeating: 0)
            count = buffer.withMemoryRebound(to: CChar.self) { characters in
                guard let base = characters.baseAddress, write(base) == 0 else { return 0 }
                return characters.firstIndex(of: 0) ?? 0
            }
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

/// One password to hash, or to hold against a hash. It belongs to the shard before and after it runs.
final class PasswordJob: Job {
    enum Work {
        case hash(cost: Int, salt: [UInt8])
        case verify(against: String)
    }

    enum Outcome: Equatable {
        case hash(String)
        case verified(Bool)
        /// No bcrypt here, or no hash of bcrypt.
        case impossible
    }

    let title = "hash a password"
    private let password: String
    private let work: Work
    private(set) var outcome = Outcome.impossible

    init(_ password: String, _ work: Work) {
        self.password = password
        self.work = work
    }

    func step(_ files: any FileSystem, budgetBytes: Int) throws(DiskFailure) -> JobProgress {
        switch work {
        case .hash(let cost, let salt):
            if let hash = Bcrypt.hash(password, cost: cost, salt: salt) { outcome = .hash(hash) }
        case .verify(let hash):
            if let isRight = Bcrypt.verify(password, hash) { outcome = .verified(isRight) }
        }
        return .done(bytes: 0)
    }
}

/// The passwords that a shard looks at: a few at a time, because flushes run on the same threads and
/// anybody may send passwords; the others wait in a line.
struct PasswordLine {
    static let maximumRunning = 2
    /// More than this are refused.
    static let maximumWaiting = 1_024

    fileprivate var running: [EffectID: PasswordPurpose] = [:]
    fileprivate var waiting: [(job: PasswordJob, purpose: PasswordPurpose)] = []
    fileprivate var head = 0

    /// Whether no more may come.
    var isFull: Bool { waiting.count - head >= Self.maximumWaiting }

    fileprivate mutating func pop() -> (job: PasswordJob, purpose: PasswordPurpose)? {
        guard head < waiting.count else { return nil }
        let next = waiting[head]
        head += 1
        if head == waiting.count || head > 256 {
            waiting.removeFirst(head)
            head = 0
        }
        return next
    }
}

/// Whom the end of a password's job is for.
enum PasswordPurpose {
    case login(LoginRun)
    case roles(RoleRun)
}

extension Shard {
    /// Starts hashing a password with a new salt.
    func hash(_ password: String, for purpose: PasswordPurpose) {
        let (first, second) = (saltStream.next(), saltStream.next())
        let salt = (0..<Bcrypt.saltBytes).map { index in
            UInt8(truncatingIfNeeded: (index < 8 ? first : second) >> UInt64(index % 8 * 8))
        }
        run(
            PasswordJob(
                password, .hash(cost: configuration.authentication.passwordCost, salt: salt)),
            for: purpose)
    }

    /// Starts a job whose end is told to `purpose`.
    func run(_ job: PasswordJob, for purpose: PasswordPurpose) {
        passwords.waiting.append((job, purpose))
        runPasswords()
    }

    private func runPasswords() {
        while passwords.running.count < PasswordLine.maximumRunning, let next = passwords.pop() {
            let id = effectIDs.next()
            passwords.running[id] = next.purpose
            outbox.effects.append(.runJob(id, next.job))
        }
    }

    /// A job has ended; false if it is none of ours.
    func passwordJobEnded(_ id: EffectID, _ job: any Job, _ failure: DiskFailure?) -> Bool {
        guard let purpose = passwords.running.removeValue(forKey: id) else { return false }
        defer { runPasswords() }
        let outcome = (job as? PasswordJob)?.outcome ?? .impossible
        switch purpose {
        case .login(let run): loginHashed(run, outcome)
        case .roles(let run): rolesHashed(run, outcome)
        }
        return true
    }
}
