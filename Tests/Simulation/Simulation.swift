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
    var composer: Composer
    /// What the hostile account does, if there is one, and the steps of it that are left.
    let attack: Attack?
    var acts: [Attack.Act] = []
    var work: Work
    var generator: SeededGenerator
    private let seed: UInt64
    var now = Instant.zero
    var received: [(session: Int, word: String, token: Token)] = []
    private var processes: Int32 = 100
    /// How long readers are patient; it is the same for all daemons of a history.
    let patience: Duration?
    /// The facts, and how often in a hundred steps the server is replaced by one that goes on from them.
    var kept = Kept()
    private let successions: Int
    /// The memory of all slots.
    let slotStore = SlotStore()
    /// Whether a process has died since the daemon's start before it committed what it had done.
    var hasLostBatch = false
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
        attack = generator.happens(75) ? generator.pick(Attack.allCases) : nil
        composer = Composer(extra: attack == nil ? nil : Attack.lock)
        patience = generator.pick([nil, .zero, .milliseconds(3), .milliseconds(12)])
        successions = generator.pick([0, 3, 20, 100])
        let settings = Settings(isAttacked: attack != nil, isPatient: patience != nil, &generator)
        work = Work(Settings.turns(&generator), isPatient: patience != nil)
        work.set(settings.limits)
        server = Self.start(
            settings, work.turns, after: Token(rawValue: 0), graceEnd: nil, patience: patience, slotStore)
        referee = Referee(settings, patience: patience)
        trace.add(now, SessionID(slot: 0, serial: 0), "the rules are", Array(settings.rules.text.utf8))
    }

    static func start(
        _ settings: Settings, _ turns: ServerConfiguration.Turns, after token: Token, graceEnd: Instant?,
        patience: Duration?, _ slotStore: SlotStore
    ) -> Server {
        var configuration = ServerConfiguration()
        if let policy = settings.rules.policy { configuration.policy = policy }
        configuration.limits = settings.limits
        configuration.turns = turns
        configuration.pieceSize = 64
        configuration.program = "prwlockd/simulated"
        configuration.ownUserID = 500
        configuration.firstToken = Token(rawValue: token.rawValue + 1)
        configuration.lastToken = Token(rawValue: .max - 1)
        configuration.graceEnd = graceEnd
        configuration.patience = patience
        var server = Server(configuration)
        server.carriedOut = []
        server.workOfUsers = [:]
        server.keepsFacts = true
        server.slotMaker = { slotStore.make(for: $0) }
        return server
    }

    // MARK: - Steps

    /// Runs the step with this number; throws a violation of the guarantees.
    public mutating func step(_ number: Int) throws {
        generator = SeededGenerator(seed: seed &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(number))
        if attack != nil, generator.happens(12) {
            try goOnAttacking()
            try reap()
            return try check()
        }
        switch generator.number(0...999) {
        case ..<410: say()
        case ..<680: try deliver()
        case ..<810: try readSome()
        case ..<880: try pass(.milliseconds(generator.number(0...12)))
        case ..<915: try connect(generator.pick(RuleFile.users))
        case ..<935: stall()
        case ..<943: if let index = someone(), !clients[index].isDone { try halfClose(index) }
        case ..<952: try die()
        case ..<955: try pass(.seconds(generator.number(1...7_200)))
        case ..<985: try reload()
        case ..<986: try drain()
        case ..<(referee.model.isDraining ? 997 : 988): try restart()
        default: try resume()
        }
        try reap()
        try check()
        if generator.happens(successions) { try succeed() }
    }

    /// Ends all clients; nothing may be left over.
    public mutating func end() throws {
        for index in clients.indices.reversed() {
            count("leaves")
            let now = now
            let session = clients[index].session
            clients[index].isDead = true
            try beginEnd(index)
            try call(.end) { $0.endOfInput(session, at: now) }
            try observe()
            if let index = client(session) { try close(index) }
        }
        // After so long no account is throttled any more.
        try pass(.seconds(1_000))
        try rest()
        let left = [
            ("sessions", server.sessionCount), ("grants or waiters", server.isIdle ? 0 : 1),
            ("bytes", server.buffered), ("deadlines", server.nextDeadline == nil ? 0 : 1),
            ("locks", server.lockCount - referee.model.marks.count),
            ("lists", server.hasUnfinishedWork ? 1 : 0),
        ]
        for (what, number) in left where number != 0 { throw Violation("\(what) are left over: \(number)") }
        try server.checkInvariants()
    }

    /// One of the clients, but for the hostile account's.
    private mutating func someone() -> Int? {
        clients.indices.filter { clients[$0].userID != Attack.userID }.randomElement(using: &generator)
    }

    mutating func connect(_ userID: UInt32) throws {
        processes += 1
        let peer = Peer(processID: processes, userID: userID, groupID: 1)
        let settings = referee.settings
        let own = clients.count { $0.userID == userID }
        let most = settings.limits.rules.sessions
        let isOwnFull = !settings.rules.share("sessions", userID)
            .allowsOneMore(than: own, besides: clients.count - own, of: most)
        let isFull = clients.count >= most
        let now = now
        // A session that is not taken apart yet still has its place.
        let isLate = server.sessionCount > clients.count
        guard let session = try call(.open, { $0.open(peer, at: now) }) else {
            guard isFull || isOwnFull || isLate else { throw Violation("a session was refused") }
            return count(isFull ? "refused sessions" : "refused sessions of a user")
        }
        guard !isFull, !isOwnFull else { throw Violation("G12: too many sessions") }
        if generator.happens(4) {
            // The daemon has a descriptor for the connection, and none to watch the process.
            try call(.close) { $0.close(session, at: now) }
            server.carriedOut = []
            return count("out of descriptors")
        }
        clients.append(Client(session: session, userID: userID))
        referee.began(processes, Int(session.serial), of: userID)
        if userID != Attack.userID, generator.happens(70) { askForSlots(clients.count - 1) }
        count("sessions")
        trace.add(now, session, "connects")
        try observe()
    }

    private mutating func say() {
        guard let index = someone(), !clients[index].isDone, clients[index].outbox.count < 2_000 else {
            return
        }
        if clients[index].slots != nil, generator.happens(50) { return repeatItself(index) }
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

    mutating func arrive(_ index: Int, _ length: Int) throws {
        let bytes = Array(clients[index].outbox.prefix(length))
        clients[index].outbox.removeFirst(length)
        let (session, now) = (clients[index].session, now)
        if generator.happens(successions / 4) { try dieBeforeCommit(bytes, from: session) }
        try call(.receive) { server in
            bytes.withUnsafeBytes { server.receive($0, from: session, at: now) }
        }
        try observe()
    }

    /// A client reads some of its output.
    private mutating func readSome() throws {
        guard let index = someone(), clients[index].isReading else { return }
        let owed = server.withOutput(of: clients[index].session) { $0.count }
        guard owed > 0 else { return }
        let taken = generator.happens(70) ? owed : generator.number(1...owed)
        try read(taken, index)
    }

    mutating func read(_ count: Int, _ index: Int) throws {
        clients[index].seen -= count
        let (session, now) = (clients[index].session, now)
        try call(.wrote) { $0.wrote(count, to: session, at: now) }
        try observe()
    }

    private mutating func stall() {
        guard let index = someone() else { return }
        clients[index].isReading.toggle()
        count("stalls")
    }

    mutating func pass(_ duration: Duration) throws {
        // A request that could be granted in time may time out if the work is late.
        try finishDueWork()
        now = now.advanced(by: duration)
        let now = now
        try call(.round) { _ = $0.advance(to: now) }
        // A request that came before a late loss of patience could be part of a circle that the model does not know.
        while server.hasLateReaders { try call(.round) { _ = $0.advance(to: now) } }
        referee.timeHasPassed = true
        referee.advance(to: now, &clients)
        try observe()
    }

    mutating func resume() throws {
        let now = now
        try call(.resume) { $0.resumeWork(at: now) }
        try observe()
    }

    private mutating func finishDueWork() throws {
        while server.hasDueWork { try resume() }
    }

    /// Has the server do all that it can do now.
    private mutating func rest() throws {
        for _ in 0..<10_000 where server.hasUnfinishedWork { try resume() }
    }

    /// Ends a client's input; the client still reads.
    mutating func halfClose(_ index: Int) throws {
        count("half-closes")
        trace.add(now, clients[index].session, "half-closes")
        clients[index].isDone = true
        if case .open(reads: true, _) = server.interest(in: clients[index].session) {
            try arrive(index, clients[index].outbox.count)
        }
        clients[index].outbox = []
        let (session, now) = (clients[index].session, now)
        try call(.end) { $0.endOfInput(session, at: now) }
        try observe()
    }

    /// One or two clients die in the same instant, perhaps within a line.
    private mutating func die() throws {
        let number = generator.happens(30) ? 2 : 1
        try kill(Array(clients.indices.shuffled(using: &generator).prefix(number)))
    }

    /// Clients die in the same instant.
    mutating func kill(_ dead: [Int]) throws {
        count("deaths", dead.count)
        for index in dead { countSlots(ofDead: index) }
        for index in dead where !clients[index].isDone {
            trace.add(now, clients[index].session, "dies")
            try beginEnd(index)
        }
        for index in dead.sorted().reversed() {
            let (session, now) = (clients[index].session, now)
            try call(.end) { $0.died(session, at: now) }
            try observe()
            try close(index)
        }
    }

    private mutating func beginEnd(_ index: Int) throws {
        // The rules drop a request that could be granted, and the model would have its grant die.
        if referee.hasLateGrants(clients[index].number) { try finishDueWork() }
        let (session, now) = (clients[index].session, now)
        try call(.beginEnd) { $0.beginEnd(session, at: now) }
        try observe()
    }

    private mutating func close(_ index: Int) throws {
        let (session, now) = (clients[index].session, now)
        try call(.close) { $0.close(session, at: now) }
        try observe()
        clients.remove(at: index)
    }

    private mutating func reload() throws {
        count("reloads")
        let settings = Settings(isAttacked: attack != nil, isPatient: patience != nil, &generator)
        guard let policy = settings.rules.policy else {
            throw Violation("a rule file is refused:\n\(settings.rules.text)")
        }
        work.set(settings.limits)
        server.setLimits(settings.limits)
        server.setPolicy(policy)
        referee.set(settings)
        trace.add(now, SessionID(slot: 0, serial: 0), "the rules are", Array(settings.rules.text.utf8))
    }

    private mutating func drain() throws {
        guard !referee.model.isDraining else { return }
        count("drains")
        try call(.drain) { $0.drain() }
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
        acts = []
        work = Work(Settings.turns(&generator), isPatient: patience != nil)
        work.set(referee.settings.limits)
        kept = Kept()
        server = Self.start(
            referee.settings, work.turns, after: last, graceEnd: grace, patience: patience, slotStore)
        hasLostBatch = false
        referee.restart(graceEnd: grace, after: last)
        try pass(.zero)
    }

    // MARK: - Invariants of each step

    /// Closes the connections that the server wants closed.
    private mutating func reap() throws {
        for index in clients.indices.reversed()
        where server.interest(in: clients[index].session) == .close {
            count("closed")
            let (session, now) = (clients[index].session, now)
            try call(.close) { $0.close(session, at: now) }
            clients.remove(at: index)
        }
        while server.nextReadySession() != nil {}
        if server.carriedOut?.isEmpty == false { try observe() }
    }

    private mutating func check() throws {
        try server.checkInvariants()
        if let fault = referee.model.fault { throw Violation(fault) }
        if !server.hasDueWork {
            try checkLocks()
            guard server.sessionCount == clients.count else {
                throw Violation("the server has sessions of its own")
            }
        }
        var unread = 0
        for client in clients {
            let owed = server.withOutput(of: client.session) { $0.count }
            unread += owed
            // The server has cut off each client that was over this limit.
            guard owed <= referee.settings.limits.unreadAtMost else {
                throw Violation("G12: \(owed) bytes unread")
            }
            // Only waiting requests and lists in progress may lack a reply, and what the server has not decided yet.
            let late = client.owed.filter {
                !$0.isListing && !(server.hasDueWork && referee.isUndecided($0.id))
            }
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
