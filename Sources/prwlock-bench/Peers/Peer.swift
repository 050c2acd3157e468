/// A lock that `peers` measures, with the program that takes part for it.
struct Peer {
    enum Part {
        /// This program, with a lock that is written in C or in Swift.
        case native
        /// The Python interpreter.
        case python
    }

    /// A server that the participants of a peer need.
    enum Needed: CaseIterable {
        case daemon, redis, postgreSQL, etcd
    }

    /// The word in the orders and in JSON.
    let id: String
    /// The name in the table.
    let name: String
    let part: Part
    var needs: Needed?
    /// Whether two readers hold the lock at once.
    var hasReaders = true
    /// Whether one pair may take so long that a window has to be long: a lock that is polled, or written to disk.
    var isSlow = false
    /// The properties of the lock that a figure does not show.
    let remark: String

    var isOurs: Bool { needs == .daemon }
    var isCached: Bool { isOurs && id.hasSuffix("-cached") }

    static let all: [Peer] = [
        Peer(
            id: "c-cached", name: "prwlock, C, cached", part: .native, needs: .daemon,
            remark: "libprwlock: in turn by the daemon, writers first; free when the holder dies"),
        Peer(
            id: "swift-cached", name: "prwlock, Swift, cached", part: .native, needs: .daemon,
            remark: "BlockingClient, with…Lock: as from C"),
        Peer(
            id: "python-cached", name: "prwlock, Python, cached", part: .python, needs: .daemon,
            remark: "RWLock: as from C"),
        Peer(
            id: "c", name: "prwlock, C, no cache", part: .native, needs: .daemon,
            remark: "each acquire and each release is a round trip to the daemon"),
        Peer(
            id: "swift", name: "prwlock, Swift, no cache", part: .native, needs: .daemon,
            remark: "as from C without the cache"),
        Peer(
            id: "python", name: "prwlock, Python, no cache", part: .python, needs: .daemon,
            remark: "as from C without the cache"),
        Peer(
            id: "pthread", name: "pthread_rwlock, shared", part: .native,
            remark: "in shared memory, from C: held for ever if the holder dies; readers may starve writers"),
        Peer(
            id: "flock", name: "flock(2)", part: .native,
            remark: "from C: no order, so a process may take it again and again while another one waits"),
        Peer(
            id: "ofd", name: "OFD locks, fcntl(2)", part: .native, remark: "from C: no order, as flock(2)"),
        Peer(
            id: "original", name: "prwlock 0.4, Python", part: .python,
            remark: "the original package: pthread_rwlock by ctypes"),
        Peer(
            id: "fasteners", name: "fasteners, Python", part: .python, isSlow: true,
            remark: "InterProcessReaderWriterLock: who waits tries again after 10 to 100 ms; no order"),
        Peer(
            id: "filelock", name: "filelock FileLock, Python", part: .python, hasReaders: false, isSlow: true,
            remark: "flock(2) of one process at a time: who waits tries again after 50 ms; no order"),
        Peer(
            id: "filelock-rw", name: "filelock ReadWriteLock", part: .python, isSlow: true,
            remark: "a transaction of SQLite, from Python; no order"),
        Peer(
            id: "redis", name: "Redis, redis-py Lock", part: .python, needs: .redis, hasReaders: false,
            isSlow: true,
            remark: "SET NX PX: who waits tries again after 100 ms; free when its time is over; no order"),
        Peer(
            id: "postgresql", name: "PostgreSQL advisory lock", part: .python, needs: .postgreSQL,
            remark: "by psycopg2, on a Unix socket: in turn; free when the connection ends"),
        Peer(
            id: "etcd", name: "etcd lock", part: .python, needs: .etcd, hasReaders: false, isSlow: true,
            remark:
                "one member on loopback, by its JSON gateway from Python, written to disk: in turn; free when "
                + "the lease ends"),
    ]
}

/// What the participants of a peer do.
enum PeerScenario: String, CaseIterable {
    case alone = "write"
    case readers = "read"
    case turns
    case mixed

    /// The number of processes that take part.
    var participants: Int { self == .alone ? 1 : 2 }

    var heading: String {
        switch self {
        case .alone: "alone"
        case .readers: "2 processes read"
        case .turns: "2 write in turns"
        case .mixed: "2, one in 10 writes"
        }
    }

    /// The name in JSON.
    var name: String {
        switch self {
        case .alone: "alone"
        case .readers: "two-reading"
        case .turns: "two-writing-in-turns"
        case .mixed: "two-mixed"
        }
    }

    /// The exact meaning, for --help.
    var method: String {
        switch self {
        case .alone: "one process writes, and no other one wants the lock."
        case .readers: "two processes read, each as fast as it can."
        case .turns:
            """
            two processes write, each as fast as it can, and only a grant counts that follows a grant of the other \
            process. So a lock that lets a process take it ten times in a row gets no credit for nine of them.
            """
        case .mixed:
            "two processes, each as fast as it can; of ten pairs of each process one writes and nine read."
        }
    }
}
