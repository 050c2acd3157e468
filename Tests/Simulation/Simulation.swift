import LockCore
import LockModel
import LockServer
import LockVocabulary
import Seeded

/// The whole server with simulated sockets and a simulated clock, and clients that do what clients do: they pipeline, cut
/// their lines anywhere, stall, read slowly or not at all, half-close, die one by one and together, come again, and send
/// junk; the clock jumps, limits change, and the daemon is drained, killed and started again.
///
/// All of it follows from a seed. Each step draws from a generator of its own, so that steps can be left out of a history
/// and the others stay what they are (`shrink`). After every call of the server all that it said is held against the model.
public struct Simulation: ~Copyable {
    var server: Server
    var referee: Referee
    var clients: [Client] = []
    private var composer = Composer()
    var generator: SeededGenerator
    private let seed: UInt64
    var now = Instant.zero
    private var limits = ServerConfiguration.Limits()
    var rules: RuleFile
    var told: [(session: Int, word: String, token: UInt64)] = []
    private var processes: Int32 = 100
    /// Sessions that ended within the step.
    var ended: Set<Int> = []
    public internal(set) var trace: Trace
    /// What happened how often.
    public internal(set) var counts: [String: Int] = [:]

    /// - Parameter isTold: whether the trace keeps its lines, or only their sum.
    public init(seed: UInt64, isTold: Bool = false) {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        trace = Trace(isTold: isTold)
        var limits = ServerConfiguration.Limits()
        limits.rules.sessions = 9
        limits.rules.sessionGrants = 12
        limits.rules.sessionWaiters = 5
        limits.rules.grants = 40
        limits.line = Composer.lineLimit
        limits.unread = 1_500
        limits.unreadAtMost = 2_600
        limits.buffers = 8_000
        self.limits = limits
        let rules = RuleFile()
        self.rules = rules
        server = Self.start(limits, rules, after: 0, graceEnd: nil)
        referee = Referee(graceEnd: nil, after: 0, Self.model(limits), rules)
    }

    private static func start(
        _ limits: ServerConfiguration.Limits, _ rules: RuleFile, after token: UInt64, graceEnd: Instant?
    ) -> Server {
        var configuration = ServerConfiguration()
        if let policy = rules.policy { configuration.policy = policy }
        configuration.limits = limits
        configuration.program = "prwlockd/simulated"
        configuration.ownUserID = 500
        configuration.firstToken = Token(rawValue: token + 1)
        configuration.lastToken = Token(rawValue: .max - 1)
        configuration.graceEnd = graceEnd
        var server = Server(configuration)
        server.carriedOut = []
        return server
    }

    private static func model(_ limits: ServerConfiguration.Limits) -> Model.Limits {
        var model = Model.Limits()
        model.sessionGrants = limits.rules.sessionGrants
        model.sessionWaiters = limits.rules.sessionWaiters
        model.grants = limits.rules.grants
        model.waiters = limits.rules.waiters
        model.locks = limits.rules.locks
        return model
    }

    // MARK: - Steps

    /// The step with a number; throws what should not have happened.
    public mutating func step(_ number: Int) throws {
        generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(number))
        switch generator.number(0...999) {
        case ..<420: say()
        case ..<700: try deliver()
        case ..<840: try readSome()
        case ..<920: try pass(.milliseconds(generator.number(0...12)))
        case ..<945: try connect()
        case ..<965: stall()
        case ..<973: try halfClose()
        case ..<982: try die()
        case ..<985: try pass(.seconds(generator.number(1...7_200)))
        case ..<990: try reload()
        case ..<991: try drain()
        case ..<(referee.model.isDraining ? 998 : 992): try restart()
        default: try resume()
        }
        try reap()
        try check()
    }

    /// Everybody leaves; nothing may be left over.
    public mutating func end() throws {
        for index in clients.indices.reversed() {
            count("leaves")
            server.prepareEnd(clients[index].session, at: now)
            try observe()
            server.endOfInput(clients[index].session, at: now)
            try observe()
            try close(index)
        }
        // Whoever was held back owes for nothing after so long.
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
        let own = clients.count { $0.userID == userID }
        let isOwnFull = own >= rules.most("sessions", userID, of: limits.rules.sessions) ?? .max
        let isFull = clients.count >= limits.rules.sessions
        guard let session = server.open(peer, at: now) else {
            guard isFull || isOwnFull else { throw Violation("a session was refused") }
            return count(isFull ? "refused sessions" : "refused sessions of a user")
        }
        guard !isFull, !isOwnFull else { throw Violation("G12: too many sessions") }
        if generator.happens(4) {
            // There is a descriptor for the connection, and none to watch its process by.
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
            let line = composer.line(for: clients[index], &generator)
            clients[index].outbox += line.bytes
            clients[index].said.append(line)
            if let tag = line.tag { clients[index].open = clients[index].open.suffix(3) + [tag] }
            count("lines")
            trace.add(now, clients[index].session, "says", line.bytes)
        }
    }

    /// Some of what is on its way arrives, cut anywhere.
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

    /// A client reads, or its socket takes, some of what it is owed.
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

    /// The end of a client's input: it still reads.
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

    /// One or several die in the same instant, in the midst of what they say; perhaps with children that keep the socket.
    private mutating func die() throws {
        let number = generator.happens(30) ? 2 : 1
        let dead = clients.indices.shuffled(using: &generator).prefix(number)
        count("deaths", dead.count)
        for index in dead where !clients[index].isDone {
            trace.add(now, clients[index].session, "dies")
            server.prepareEnd(clients[index].session, at: now)
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
        limits.rules.sessionGrants = generator.number(4...12)
        limits.rules.sessionWaiters = generator.number(1...5)
        limits.rules.grants = generator.number(10...40)
        limits.rules.locks = generator.pick([3, 4, 1_000])
        server.setLimits(limits)
        referee.setLimits(Self.model(limits))
        guard generator.happens(60) else { return }
        rules = RuleFile(&generator)
        guard let policy = rules.policy else { throw Violation("a rule file is refused:\n\(rules.text)") }
        server.setPolicy(policy)
        referee.setRules(rules)
        trace.add(now, SessionID(slot: 0, serial: 0), "the rules are", Array(rules.text.utf8))
        count("rule files")
    }

    private mutating func drain() throws {
        guard !referee.model.isDraining else { return }
        count("drains")
        server.drain()
        referee.drain()
        try observe()
    }

    /// The daemon dies; another one begins, which knows the tokens and nothing else.
    private mutating func restart() throws {
        count("restarts")
        trace.add(now, SessionID(slot: 0, serial: 0), "the daemon is killed")
        clients = []
        let last = referee.lastToken + UInt64(generator.number(0...1_000))
        let isUnclean = generator.happens(70)
        let grace = isUnclean ? now.advanced(by: .milliseconds(500)) : nil
        server = Self.start(limits, rules, after: last, graceEnd: grace)
        referee = Referee(graceEnd: grace, after: last, Self.model(limits), rules)
        try pass(.zero)
    }

    // MARK: - What must be at every step

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
            // Whoever is over a limit is cut off, and is no longer here.
            guard owed <= limits.unreadAtMost else { throw Violation("G12: \(owed) bytes unread") }
            // Whatever is carried out is answered, but for what waits and for lists that are being told.
            let late = client.owed.filter { !$0.isListing }
            guard late.isEmpty else {
                throw Violation("session \(client.number) was not told: \(late.map(\.kind))")
            }
        }
        guard unread <= server.buffered, server.buffered <= limits.buffers else {
            throw Violation("G12: \(unread) bytes unread, \(server.buffered) kept")
        }
    }

    mutating func count(_ what: String, _ number: Int = 1) { counts[what, default: 0] += number }
}
