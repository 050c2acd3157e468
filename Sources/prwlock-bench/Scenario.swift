import ArgumentParser

/// The scenarios. Each measures the daemon beside the C echo server and other programs of the machine.
enum Scenario: String, CaseIterable, ExpressibleByArgument {
    case roundTrip = "round-trip"
    case pipelined
    case handOver = "hand-over"
    case neighbour
    case manyLocks = "many-locks"
    case idleSessions = "idle-sessions"
    case idle
    case startUp = "start-up"
    case deaths

    /// Whether the scenario measures one request at a time, so that the scheduler's placement of processes matters.
    var isOfLatency: Bool { self == .roundTrip || self == .handOver }

    /// Whether all processes stay on one processor. Those of `neighbour` do not: there the scheduler's time slices would hide
    /// the turns of the daemon.
    var isPinned: Bool { self != .neighbour }

    /// The measured quantity, for the table's heading.
    var summary: String {
        switch self {
        case .roundTrip: "one request at a time, WRITE and RELEASE of a free lock in turns"
        case .pipelined:
            "\(Pipelined.connections) connections with \(Pipelined.depth) requests in flight each"
        case .handOver: "from the release in one process until the grant in another that sleeps"
        case .neighbour: "one request at a time beside a hostile user"
        case .manyLocks: "\(ManyLocks.many) held locks, and requests beside them"
        case .idleSessions: "\(IdleSessions.count) sessions that say nothing"
        case .idle: "wake-ups in 10 s, from 8 s after the last request"
        case .startUp: "from exec to the first answer"
        case .deaths: "\(Deaths.count) of each kind killed, until the next in line has the lock"
        }
    }

    /// The method of measurement, as far as a reader needs it.
    var method: String {
        switch self {
        case .roundTrip:
            """
            `WRITE n wait=0` and `RELEASE n`; echo gets the same lines, Redis SET NX and DEL, flock(2) two open \
            descriptions of one file. A second echo server tells how far the machine's noise moves a ratio.
            """
        case .pipelined:
            """
            A batch of 16 is one write, and the next follows when all are answered, as redis-benchmark does it. In \
            turns: `WRITE k wait=0 lease=30s` and `RELEASE k`; for Redis `SET k v NX PX 30000` and `DEL k`. Every \
            request counts, and each connection has locks of its own. p50 and p99 are those of a batch.
            """
        case .handOver:
            """
            Two processes take turns; each holds for 20 µs after the other waits and sleeps, and the time runs from \
            before its RELEASE is sent until the other has read its grant. It is compared with a round trip to echo, \
            which also wakes two processes.
            """
        case .neighbour:
            """
            As round-trip, alone and beside each attack, which is a process of another user's (65534) if this runs as \
            root, and of the same user's if not: then only turns between sessions are measured. Each attack meets a \
            new daemon; its preparation is not measured. The echo server, with a backlog of \(Neighbour.backlog), \
            meets those attacks that it can stand, for what the machine itself does. A first answer is that to a new \
            connection, from before connect(2). Memory is the most that was resident. --attack chooses; the attacks:

            \(Attack.allCases.map { "\($0.name): \($0.text)" }.joined(separator: "\n"))
            """
        case .manyLocks:
            """
            One daemon with \(ManyLocks.many) locks held by 100 sessions and one with \(ManyLocks.few) get the same \
            requests in turns: one at a time, and pipelined over 3,200 other names.
            """
        case .idleSessions: "Each has been answered one PING. Memory is what is resident."
        case .idle: "Context switches of all threads, with sessions open and a lock held."
        case .startUp: "From before fork until PONG, with attempts to connect every 100 µs."
        case .deaths:
            """
            By kill -9, from before the kill until the grant is read: a holder; a waiting writer, with a reader \
            behind it; a holder whose child goes on with the socket open. Beside it what the kernel alone takes \
            until the other end of a socket pair sees the end.
            """
        }
    }

    func measure(_ bench: Bench) throws -> Outcome {
        switch self {
        case .roundTrip: try RoundTrip().measure(bench)
        case .pipelined: try Pipelined().measure(bench)
        case .handOver: try HandOver().measure(bench)
        case .neighbour: try Neighbour().measure(bench)
        case .manyLocks: try ManyLocks().measure(bench)
        case .idleSessions: try IdleSessions().measure(bench)
        case .idle: try Idle().measure(bench)
        case .startUp: try StartUp().measure(bench)
        case .deaths: try Deaths().measure(bench)
        }
    }
}
