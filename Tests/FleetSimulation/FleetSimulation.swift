import LockClaims
import LockVocabulary
import Seeded
import SimulatedStore

/// Several hosts, each with a daemon, clients and a clock of its own, that share locks through a simulated store.
///
/// It has true time, in which one event happens after another: a message is delivered, a timer ends, a client does something, a
/// fault begins or ends. A history follows from its seed. Storms of faults and calms take turns.
struct FleetSimulation {
    /// A host, whether its daemon runs or not.
    struct Host {
        let name: String
        var clock: HostClock
        /// Nil after a crash, until the next one begins.
        var daemon: (any SimulatedDaemon)?
        /// The daemon and all of its host make no step; what reaches it waits.
        var isStopped = false
        var inbox: [Input] = []
        var clients: [Client] = []
        var boots = 0
        /// Whether it stays away for long after a crash.
        var isGone = false
        /// The highest epoch that its daemons have kept in a file.
        var epoch: Int64 = 0
        /// The names of which a transaction that is not answered gives up the write claim.
        var yielded: [StoreRequestID: [String]] = [:]
    }

    /// A process with a session.
    struct Client {
        let number: Int
        let session: SessionID
    }

    enum Input {
        case line(SessionID, String, id: Int)
        case death(SessionID)
        case delivery(SimulatedNetwork.Delivery)
    }

    enum Event {
        case acts(Int)
        case fault
        case storm
        case calm
        case cut(Int)
        case goesOn(Int)
        case starts(Int)
        case look
        case returns(Hold)
        case fails(SimulatedStore)
        case restored(SimulatedStore)
    }

    let settings: FleetSettings
    let maker: DaemonMaker
    var generator: SeededGenerator
    var hosts: [Host] = []
    var network: SimulatedNetwork
    var oracle: Oracle
    var registers: RegisterOracle
    var circles = CircleWatch()
    var agenda = Agenda<Event>()
    var now = Instant.zero
    var isStorm = false
    /// What goes wrong most often in this storm; nil for no preference.
    var focus: Int?
    /// Clients ask for nothing new, and release what they have.
    var isEnding = false
    var lastNumber = 0
    var trace: FleetTrace
    /// How many daemons have started.
    var starts = 0
    private var stepsAtOnce = 0

    init(seed: UInt64, hosts count: Int, maker: @escaping DaemonMaker, isTold: Bool) throws {
        generator = SeededGenerator(seed: seed)
        settings = FleetSettings(hosts: count, &generator)
        self.maker = maker
        trace = FleetTrace(isTold: isTold)
        network = SimulatedNetwork(hosts: count, seed: generator.next())
        oracle = Oracle(settings)
        let names = (0..<count).map { "h\($0)" }
        registers = RegisterOracle(prefix: "prwlock/", hosts: names, network.store)
        for (index, name) in names.enumerated() {
            hosts.append(Host(name: name, clock: newClock()))
            agenda.note(.starts(index), at: after(0, 300))
            agenda.note(.acts(index), at: after(0, 300))
        }
        agenda.note(.look, at: .zero)
        agenda.note(.storm, at: after(1_000, 4_000))
        oracle.calmSince = .zero
    }

    mutating func newClock() -> HostClock {
        HostClock(
            start: Instant(nanoseconds: Int64(generator.number(0...1_000_000)) * 1_000_000_000),
            gain: Int64(generator.pick([-80_000, -40_000, -500, 0, 500, 80_000])))
    }

    mutating func after(_ least: Int, _ most: Int) -> Instant {
        now.advanced(by: .microseconds(generator.number(least * 1_000...most * 1_000)))
    }

    func local(_ host: Int) -> Instant { hosts[host].clock.local(now) }

    // MARK: - Steps

    /// Lets the next event happen; throws a violation.
    mutating func step() throws {
        var next = Instant.earliest(agenda.next, network.nextDeadline) ?? now
        var due: Int?
        for (index, host) in hosts.enumerated() where !host.isStopped {
            guard let deadline = host.daemon?.nextDeadline else { continue }
            let instant = max(now, host.clock.world(deadline))
            if instant < next { (next, due) = (instant, index) }
        }
        stepsAtOnce = next > now ? 0 : stepsAtOnce + 1
        if stepsAtOnce > 5_000 { throw Violation("time stands still at \(now)") }
        now = max(now, next)
        oracle.advance(to: now)
        if let due {
            try batch(due, [])
        } else if let instant = network.nextDeadline, instant <= now {
            try deliver()
        } else if let event = agenda.take(until: now)?.event {
            try happen(event)
        }
        try registers.look(at: network, oracle, at: now)
        if registers.hasLostSessions { oracle.isUnsure = true }
        oracle.unprotected = oracle.unprotected.filter { !registers.hasSession(hosts[$0].name) }
    }

    private mutating func deliver() throws {
        var all: [[Input]] = Array(repeating: [], count: hosts.count)
        for (host, delivery) in network.take(until: now) { all[host].append(.delivery(delivery)) }
        try registers.look(at: network, oracle, at: now)
        if registers.hasLostSessions { oracle.isUnsure = true }
        for (host, inputs) in all.enumerated() where !inputs.isEmpty { try batch(host, inputs) }
    }

    /// What a daemon reads and does at once.
    mutating func batch(_ index: Int, _ inputs: [Input]) throws {
        guard let daemon = hosts[index].daemon else { return }
        guard !hosts[index].isStopped else {
            hosts[index].inbox += inputs
            return
        }
        var inputs = inputs
        if isStorm, generator.happens(settings.kills) {
            try killWorker(index)
            // What came for the former worker ended with its connection to the store.
            inputs.removeAll { if case .delivery = $0 { true } else { false } }
        }
        let local = local(index)
        for input in inputs {
            switch input {
            case .line(let session, let line, let id):
                oracle.asked[id]?.arrival = (local, now)
                daemon.receive(line, from: session, at: local)
            case .death(let session): daemon.died(session, at: local)
            case .delivery(let delivery):
                trace.add(now, hosts[index].name, "<- \(delivery)")
                noteAnswer(delivery, to: index)
                daemon.deliver(delivery, at: local)
            }
        }
        daemon.advance(to: local)
        daemon.commit()
        if isStorm, generator.happens(settings.kills) { try killWorker(index) }
        try send(index)
        try daemon.check()
        try hear(index)
        oracle.sawDeaths(index)
        try checkDeadlines(index)
    }

    private mutating func send(_ index: Int) throws {
        guard let daemon = hosts[index].daemon else { return }
        let local = local(index)
        daemon.commit()
        var count = 0
        while let (id, request, deadline) = daemon.nextRequest(at: local) {
            trace.add(now, hosts[index].name, "-> \(id.rawValue) \(request)")
            let end = hosts[index].clock.world(deadline)
            let yielded = registers.names(yieldedBy: request, of: hosts[index].name)
            if !yielded.isEmpty { hosts[index].yielded[id] = yielded }
            network.send(id, request, deadline: end, from: index, at: now)
            count += 1
            if count > 1_000 { throw Violation("\(hosts[index].name) sends without an end") }
        }
    }

    /// Without an answer, a host cannot know whether it had a claim all the time, or has got it back with another writer's mark.
    private mutating func noteAnswer(_ delivery: SimulatedNetwork.Delivery, to index: Int) {
        guard case .answer(let id, let answer) = delivery,
            let names = hosts[index].yielded.removeValue(forKey: id), case .unknown = answer
        else { return }
        for name in names { oracle.mayBeMarked(name) }
    }

    private mutating func killWorker(_ index: Int) throws {
        oracle.count("killed workers")
        oracle.isUnsure = true
        trace.add(now, hosts[index].name, "the worker is killed")
        hosts[index].yielded = [:]
        network.restart(index, at: now)
        do {
            try hosts[index].daemon?.succeed(at: local(index))
        } catch {
            throw Violation("G14: \(error)")
        }
    }

    private mutating func hear(_ index: Int) throws {
        guard let daemon = hosts[index].daemon else { return }
        let lines = daemon.takeLines(at: local(index)).enumerated().map { (Self.rank($1.line), $0, $1) }
        for (_, _, (session, line)) in lines.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
            trace.add(now, hosts[index].name, "\(session) receives \(line)")
            guard let client = hosts[index].clients.first(where: { $0.session == session }) else { continue }
            try hear(line, client.number, of: index)
        }
    }

    /// The order of lines that were written at once: what is lost comes before what is granted, and grants come by their tokens.
    /// A later end of the claims comes last, as it is for the grants before it.
    private static func rank(_ line: String) -> UInt64 {
        if line.hasPrefix("! REVOKED") || line.hasPrefix("! EXPIRED") { return 0 }
        if line.hasPrefix("! UNTIL") { return .max }
        guard line.contains(" GRANTED ") else { return 1 }
        return number("token", line.split(separator: " ")).map { $0 + 2 } ?? 2
    }

    /// Each request with a deadline is decided by then.
    private func checkDeadlines(_ index: Int) throws {
        let local = local(index)
        for request in oracle.asked.values
        where request.party.host == index && request.waits {
            if let deadline = request.deadline, deadline.advanced(by: .milliseconds(2)) < local {
                throw Violation("G5: no answer at the deadline, \(local): \(request)")
            }
        }
    }

    mutating func happen(_ event: Event) throws {
        switch event {
        case .acts(let index):
            try act(index)
            agenda.note(.acts(index), at: after(1, settings.pause))
        case .storm: beginStorm()
        case .calm: try beginCalm()
        case .fault:
            guard isStorm else { return }
            try fault()
            agenda.note(.fault, at: after(50, 1_000))
        case .cut(let index):
            guard isStorm, !isEnding else { return }
            network.silence(index, until: now.advanced(by: settings.lease * 3 / 2))
        case .goesOn(let index): try goOn(index)
        case .starts(let index): try start(index)
        case .look:
            try look()
            agenda.note(.look, at: after(100, 100))
        case .returns(let hold): try giveBack(hold)
        case .fails(let backup): fail(backup)
        case .restored(let backup): try restore(backup)
        }
    }

    /// Looks for requests that wait for too long.
    private mutating func look() throws {
        try circles.look(at: oracle, at: now)
        guard oracle.isCalm(at: now) else { return }
        if hosts.allSatisfy({ registers.hasSession($0.name) }) { oracle.allHostsAreBack() }
        let most = settings.maximumTurn * 4 + .seconds(20)
        for request in oracle.asked.values where request.waits {
            let since = max(request.sent, oracle.calmSince?.advanced(by: settings.recovery) ?? now)
            if since.duration(to: now) > most {
                throw Violation("no answer for \(since.duration(to: now)): \(request); \(state)")
            }
        }
        let waits = oracle.asked.values.contains { $0.waits && $0.sent.duration(to: now) > .seconds(5) }
        let since = max(oracle.lastProgress, oracle.calmSince?.advanced(by: settings.recovery) ?? now)
        if waits, since.duration(to: now) > .seconds(5) {
            throw Violation("no progress for \(since.duration(to: now)); \(state)")
        }
    }

    var state: String {
        let held = oracle.holds.map { "\($0.party) has \($0.name) \($0.mode)" }
        let waiting = oracle.asked.values.filter(\.waits).map {
            "\($0.party) waits for \($0.name) \($0.mode)"
        }
        return (held + waiting).joined(separator: ", ") + "; \(registers.described)"
    }
}
