// A mutual exclusion lock and a queue that threads wait at, on the system's own primitives.
//
// Only the world has threads (`Disk`, `Server`); the rooms of the machine never see these.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A lock for short sections: never held over input or output.
// Sendable unchecked: the mutex itself is made to be shared.
package final class Lock: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        let result = pthread_mutex_init(mutex, nil)
        precondition(result == 0, "pthread_mutex_init answered \(result)")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` while no other thread is inside a section of this lock.
    package func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }
}

/// First in, first out, between threads. Unbounded by itself: what is put in is bounded by who puts.
// Sendable unchecked: all state is read and written under `mutex`; elements change owner.
package final class WorkQueue<Element>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let filled: UnsafeMutablePointer<pthread_cond_t>
    private var elements: [Element] = []
    private var head = 0
    private var isClosed = false

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        filled = .allocate(capacity: 1)
        filled.initialize(to: pthread_cond_t())
        precondition(pthread_mutex_init(mutex, nil) == 0 && pthread_cond_init(filled, nil) == 0)
    }

    deinit {
        pthread_cond_destroy(filled)
        filled.deallocate()
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Puts an element at the end and wakes one waiting thread. False once the queue is closed.
    @discardableResult
    package func push(_ element: Element) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if isClosed { return false }
        elements.append(element)
        pthread_cond_signal(filled)
        return true
    }

    /// Waits for the first element; nil when the queue is closed and empty.
    package func pop() -> Element? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == elements.count {
            if isClosed { return nil }
            pthread_cond_wait(filled, mutex)
        }
        return takeFirst()
    }

    /// The same; when nothing has come for `milliseconds`, runs `idle` once before it waits on.
    package func pop(idleAfter milliseconds: Int, _ idle: () -> Void) -> Element? {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        let nanoseconds = deadline.tv_nsec + milliseconds % 1_000 * 1_000_000
        deadline.tv_sec += milliseconds / 1_000 + nanoseconds / 1_000_000_000
        deadline.tv_nsec = nanoseconds % 1_000_000_000
        pthread_mutex_lock(mutex)
        while head == elements.count, !isClosed {
            if pthread_cond_timedwait(filled, mutex, &deadline) == ETIMEDOUT {
                pthread_mutex_unlock(mutex)
                idle()
                return pop()
            }
        }
        defer { pthread_mutex_unlock(mutex) }
        return head == elements.count ? nil : takeFirst()
    }

    /// Waits for at least one element and takes all there are; nil when closed and empty.
    package func popAll() -> [Element]? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == elements.count {
            if isClosed { return nil }
            pthread_cond_wait(filled, mutex)
        }
        let all = Array(elements[head...])
        elements.removeAll(keepingCapacity: true)
        head = 0
        return all
    }

    /// Takes no more; threads that wait get what is left and then nil.
    package func close() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        isClosed = true
        pthread_cond_broadcast(filled)
    }

    private func takeFirst() -> Element {
        let element = elements[head]
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024, head * 2 > elements.count {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }
}

/// A thread of the operating system that runs one function to its end.
// Sendable unchecked: immutable after `init`; `join` is called by one owner.
package final class OwnThread: @unchecked Sendable {
    private let handle: pthread_t

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts the thread. The name is for people who look at the process (15 letters on Linux).
    package init(name: String, _ body: @escaping @Sendable () -> Void) {
        handle = Self.launch(Start(name: name, body: body))
    }

    private static func launch(_ start: Start) -> pthread_t {
        let argument = Unmanaged.passRetained(start).toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let result = pthread_create(
                &thread, nil,
                { argument in
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    pthread_setname_np(start.name)
                    start.body()
                    return nil
                }, argument)
            guard result == 0, let thread else {
                preconditionFailure("pthread_create answered \(result)")
            }
            return thread
        #else
            var thread = pthread_t()
            let result = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                    OwnThread.nameCurrentThread(start.name)
                    start.body()
                    return nil
                }, argument)
            precondition(result == 0, "pthread_create answered \(result)")
            return thread
        #endif
    }

    #if !canImport(Darwin)
        /// By the file system, since the call for it is a GNU extension that Swift does not see. A
        /// name that cannot be set is no loss.
        private static func nameCurrentThread(_ name: String) {
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            if file < 0 { return }
            _ = write(file, name, min(name.utf8.count, 15))
            close(file)
        }
    #endif

    /// Waits for the thread's end; to be called once.
    package func join() {
        pthread_join(handle, nil)
    }
}
