import ArgumentParser

/// What can be measured, each beside the C echo server and what else the machine has.
enum Scenario: String, CaseIterable, ExpressibleByArgument {
    case roundTrip = "round-trip"
    case pipelined
    case handOver = "hand-over"
    case manyLocks = "many-locks"
    case idleSessions = "idle-sessions"
    case idle
    case startUp = "start-up"
    case deaths

    var summary: String {
        switch self {
        case .roundTrip: "one request at a time, WRITE and RELEASE of a free lock in turns"
        case .pipelined:
            "\(Pipelined.connections) connections with \(Pipelined.depth) requests in flight each"
        case .handOver: "from the release in one process until the grant in another that sleeps"
        case .manyLocks: "\(ManyLocks.many) held locks, and requests beside them"
        case .idleSessions: "\(IdleSessions.count) sessions that say nothing"
        case .idle: "wake-ups in 10 s, from 8 s after the last request"
        case .startUp: "from exec to the first answer"
        case .deaths: "\(Deaths.count) of each kind killed, until the next in line has the lock"
        }
    }

    func measure(_ bench: Bench) throws -> Outcome {
        switch self {
        case .roundTrip: try RoundTrip().measure(bench)
        case .pipelined: try Pipelined().measure(bench)
        case .handOver: try HandOver().measure(bench)
        case .manyLocks: try ManyLocks().measure(bench)
        case .idleSessions: try IdleSessions().measure(bench)
        case .idle: try Idle().measure(bench)
        case .startUp: try StartUp().measure(bench)
        case .deaths: try Deaths().measure(bench)
        }
    }
}
