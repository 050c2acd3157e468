import LockCore
import LockModel
import LockServer
import LockVocabulary
import Seeded

/// The whole server with simulated sockets, a simulated clock and simulated clients.
///
/// Clients pipeline, cut their lines anywhere, stall, read slowly or not at all, half-close, die one by one and together,
/// reconnect, and send junk. The clock jumps, limits change, and the daemon drains, is killed and starts again.
///
/// A history follows from its seed. Each step has a generator of its own: a step that is removed does not change the
/// others (`shrink`). After every call of the server its output is compared with the model.
public struct Simulation: ~Copyable {
    var server: Server
    var referee: Referee
    var clients: [Client] = []
    private var composer = Composer()
    var generator: SeededGenerator
    private let seed: UInt64
    var now = Instant.zero
    var received: [(session: Int, word: String, token: Token)] = []
    private var processes: Int32 = 100
    /// How long readers are patient; it is the same for all daemons of a history.
    private let patience: Duration?
    /// Sessions that ended since the last `observe`.
    var ended: Set<Int> = []
    public internal(set) var trace: Trace
    /// How often each reply and event occurred.
    public internal(set) var counts: [String: Int] = [:]

    /// - Parameter isTold: whether the trace keeps its lines, or only their sum.
    public init(seed: UInt64, isTold: Bool = false) {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        trace = Trace(isTold: isTold)
        let settings = Settings(&generator)
        patience = generator.pick([nil, .zero, .milliseconds(3), .milliseconds(12)])
        server = Self.start(settings, after: Token(rawValue: 0), graceEnd: nil, patience: patience)
        referee = Referee(settings, patience: patience)
        trace.add(now, SessionID(slot: 0, serial: 0), "the rules are", Array(settings.rules.text.utf8))
    }

    private static func start(
        _ settings: Settings, after token: Token, graceEnd: Instant?, patience: Duration?
    ) -> Server {
        var configuration = ServerConfiguration()
        if let policy = settings.rules.policy { configuration.policy = policy }
        configuration.limits = settings.limits
        configuration.program = "prwlockd/simulated"
        configuration.ownUserID = 500
        configuration.firstToken = Token(rawValue: token.rawValue + 1)
        configuration.lastToken = Token(rawValue: .max - 1)
        configuration.graceEnd = graceEnd
        configuration.patience = patience
        var server = Server(configuration)
        server.carriedOut = []
        return server
    }

    // MARK: - Steps

    /// Runs the step with this number; throws a violation of the guarantees.
    public mutating func step(_ number: Int) throws {
        generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(number))
        switch generator.number(0...999) {
        case ..<410: say()
        case ..<680: try deliver()
        case ..<810: try readSome()
        case ..<880: try pass(.milliseconds(generator.number(0...12)))
        case ..<915: try connect()
        case ..<935: stall()
        case ..<943: try halfClose()
        case ..<952: try die()
        case ..<955: try pass(.seconds(generator.number(1...7_200)))
        case ..<985: try reload()
        case ..<986: try drain()
        case ..<(referee.model.isDraining ? 997 : 988): try restart()
        default: try resume()
        }
        try reap()
        try check()
    }

    /// Ends all clients; nothing may be left over.
    public mutating func end() throws {
        for index in clients.indices.reversed() {
            count("leaves")
            server.beginEnd(clients[index].session, at: now)
            try observe()
            server.endOfInput(clients[index].session, at: now)
            try observe()
            try close(index)
        }
        // After so long no account is throttled any more.
        try pass(.seconds(1_000))
        server.resumeWork(at: now)
        let left = [
            ("sessions", server.sessionCount), ("grants or waiters", server.isIdle ? 0 : 1),
            ("bytes", server.buffered), ("deadlines", server.nextDeadline == nil ? 0 : 1),
            ("locks", server.lockCount - referee.model.marks.count),
            ("lists", server.hasUnfinishedWork ? 1 : 0),
        ]
        for (what, number) in left where number != 0 { throw Violation("\(what) are left over: \(number)") }
        try server.checkInvariants()
    }

    private mutating func someone() -> Int? { clients.indices.randomElement(using: &generator) }

    private mutating func connect() throws {
        let userID = generator.pick(RuleFile.users)
        processes += 1
        let peer = Peer(processID: processes, userID: userID, groupID: 1)
        let settings = referee.settings
        let own = clients.count { $0.userID == userID }
        let most = settings.limits.rules.sessions
        let isOwnFull = !settings.rules.share("sessions", userID)
            .allowsOneMore(than: own, besides: clients.count - own, of: most)
        let isFull = clients.count >= most
        guard let session = server.open(peer, at: now) else {
            guard isFull || isOwnFull else { throw Violation("a session was refused") }
            return count(isFull ? "refused sessions" : "refused sessions of a user")
        }
        guard !isFull, !isOwnFull else { throw Violation("G12: too many sessions") }
        if generator.happens(4) {
            // The daemon has a descriptor for the connection, and none to watch the process.
            server.close(session, at: now)
            server.carriedOut = []
            return count("out of descriptors")
        }
        clients.append(Client(session: session, userID: userID))
        referee.began(processes, Int(session.serial), of: userID)
        count("sessions")
        trace.add(now, session, "connects")
        try observe()
    }

    private mutating func say() {
        guard let index = someone(), !clients[index].isDone, clients[index].outbox.count < 2_000 else {
            return
        }
        for _ in 0..<(generator.happens(30) ? generator.number(2...8) : 1) {
            let line = composer.line(
                for: clients[index], others: clients.flatMap(\.grants), &generator)
            clients[index].outbox += line.bytes
            clients[index].said.append(line)
            if let tag = line.tag { clients[index].open = clients[index].open.suffix(3) + [tag] }
            count("lines")
            trace.add(now, clients[index].session, "sends", line.bytes)
        }
    }

    /// Delivers some bytes of a client, cut anywhere.
    private mutating func deliver() throws {
        guard let index = someone(), !clients[index].outbox.isEmpty,
            case .open(reads: true, _) = server.interest(in: clients[index].session)
        else { return }
        let length = clients[index].outbox.count
        try arrive(index, generator.happens(60) ? length : generator.number(1...length))
    }

    private mutating func arrive(_ index: Int, _ length: Int) throws {
        let bytes = Array(clients[index].outbox.prefix(length))
        clients[index].outbox.removeFirst(length)
        bytes.withUnsafeBytes { server.receive($0, from: clients[index].session, at: now) }
        try observe()
    }

    /// A client reads some of its output.
    private mutating func readSome() throws {
        guard let index = someone(), clients[index].isReading else { return }
        let owed = server.withOutput(of: clients[index].session) { $0.count }
        guard owed > 0 else { return }
        let taken = generator.happens(70) ? owed : generator.number(1...owed)
        clients[index].seen -= taken
        server.wrote(taken, to: clients[index].session, at: now)
        try observe()
    }

    private mutating func stall() {
        guard let index = someone() else { return }
        clients[index].isReading.toggle()
        count("stalls")
    }

    private mutating func pass(_ duration: Duration) throws {
        now = now.advanced(by: duration)
        server.advance(to: now)
        referee.advance(to: now, &clients)
        try observe()
    }

    private mutating func resume() throws {
        server.resumeWork(at: now)
        try observe()
    }

    /// Ends a client's input; the client still reads.
    private mutating func halfClose() throws {
        guard let index = someone(), !clients[index].isDone else { return }
        count("half-closes")
        trace.add(now, clients[index].session, "half-closes")
        clients[index].isDone = true
        if case .open(reads: true, _) = server.interest(in: clients[index].session) {
            try arrive(index, clients[index].outbox.count)
        }
        clients[index].outbox = []
        server.endOfInput(clients[index].session, at: now)
        try observe()
    }

    /// One or two clients die in the same instant, perhaps within a line.
    private mutating func die() throws {
        let number = generator.happens(30) ? 2 : 1
        let dead = clients.indices.shuffled(using: &generator).prefix(number)
        count("deaths", dead.count)
        for index in dead where !clients[index].isDone {
            trace.add(now, clients[index].session, "dies")
            server.beginEnd(clients[index].session, at: now)
            try observe()
        }
        for index in dead.sorted().reversed() {
            server.died(clients[index].session, at: now)
            try observe()
            try close(index)
        }
    }

    private mutating func close(_ index: Int) throws {
        server.close(clients[index].session, at: now)
        try observe()
        clients.remove(at: index)
    }

    private mutating func reload() throws {
        count("reloads")
        let settings = Settings(&generator)
        guard let policy = settings.rules.policy else {
            throw Violation("a rule file is refused:\n\(settings.rules.text)")
        }
        server.setLimits(settings.limits)
        server.setPolicy(policy)
        referee.set(settings)
        trace.add(now, SessionID(slot: 0, serial: 0), "the rules are", Array(settings.rules.text.utf8))
    }

    private mutating func drain() throws {
        guard !referee.model.isDraining else { return }
        count("drains")
        server.drain()
        referee.drain()
        try observe()
    }

    /// The daemon dies; the next one knows the last token and nothing else.
    private mutating func restart() throws {
        count("restarts")
        trace.add(now, SessionID(slot: 0, serial: 0), "the daemon is killed")
        clients = []
        let last = Token(rawValue: referee.lastToken.rawValue + UInt64(generator.number(0...1_000)))
        let isUnclean = generator.happens(70)
        let grace = isUnclean ? now.advanced(by: .milliseconds(500)) : nil
        server = Self.start(referee.settings, after: last, graceEnd: grace, patience: patience)
        referee.restart(graceEnd: grace, after: last)
        try pass(.zero)
    }

    // MARK: - Invariants of each step

    /// Closes the connections that the server wants closed.
    private mutating func reap() throws {
        for index in clients.indices.reversed()
        where server.interest(in: clients[index].session) == .close {
            count("closed")
            server.close(clients[index].session, at: now)
            clients.remove(at: index)
        }
        while server.nextReadySession() != nil {}
        if server.carriedOut?.isEmpty == false { try observe() }
    }

    private mutating func check() throws {
        try server.checkInvariants()
        if let fault = referee.model.fault { throw Violation(fault) }
        guard server.lockCount == referee.model.locks.count, server.sessionCount == clients.count else {
            throw Violation("the server has locks or sessions of its own")
        }
        var unread = 0
        for client in clients {
            let owed = server.withOutput(of: client.session) { $0.count }
            unread += owed
            // The server has cut off each client that was over this limit.
            guard owed <= referee.settings.limits.unreadAtMost else {
                throw Violation("G12: \(owed) bytes unread")
            }
            // Only waiting requests and lists in progress may lack a reply.
            let late = client.owed.filter { !$0.isListing }
            guard late.isEmpty else {
                throw Violation("session \(client.number) did not receive: \(late.map(\.kind))")
            }
        }
        guard unread <= server.buffered, server.buffered <= referee.settings.limits.buffers else {
            throw Violation("G12: \(unread) bytes unread, \(server.buffered) kept")
        }
    }

    mutating func count(_ what: String, _ number: Int = 1) { counts[what, default: 0] += number }
}
