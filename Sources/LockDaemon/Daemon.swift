import CLinux
import Glibc
import LockCore
import LockServer
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// The daemon from its start to its end.
///
///                          TERM, INT
///  [ SERVING ] ─────────────────────────────────────▶ [ DRAINING ] ───▶ (ended)
///    │    ▲                                            nobody holds or waits, or
///    │    │ somebody came meanwhile                    the time for that is over
///    ▼    │
///  [ LEAVING ] ──────────────────────────────────────────────────────▶ (ended)
///   no session for a while, or none        nobody came
///   where the system's daemon has come
///
/// All of it is one thread's. `Reactor` has the sessions; the house is kept here, between two of its batches.
public final class Daemon {
    private enum Phase {
        case serving
        case draining(until: Instant)
        case ended
    }

    private var configuration: Configuration
    let journal: Journal
    private var supervision = Supervision()
    let endpoint: Endpoint
    let surroundings = Surroundings.current()
    private let signals: Signals
    let state: TokenState
    var reactor: Reactor
    var listener: Listener?
    var place: Place
    /// How many sessions there are descriptors for.
    private let room: Int
    /// Reads options and rules again.
    private let reader: SettingsReader
    /// Why the options and rules that were read last do not hold; nil if they do.
    private var settingsFault: String?
    private var phase = Phase.serving
    /// After how long without a session it leaves; nil for never.
    private var idlePatience: Duration?
    /// When it has been without a session for long enough; nil while there is one.
    private var idleEnd: Instant?
    private var isTokenFaultKnown = false

    /// Runs a daemon, and ends the process with its status.
    public static func run(_ configuration: Configuration) -> Never {
        let inheritance = Inheritance(configuration)
        let journal = Journal(program: "prwlockd", level: configuration.logLevel)
        if !inheritance.remains.isEmpty {
            let list = inheritance.remains.joined(separator: ", ")
            journal.write(
                .notice, "keeps \(list) of the process that started it: resetting that is not permitted")
        }
        if configuration.detaches {
            // Before there are threads, which a fork would leave behind.
            let code = linux_detach()
            guard code == 0 else {
                let fault = SystemError(code: code, call: "fork")
                journal.write(.error, "cannot go into the background: \(fault)")
                exit(Departure.Status.cannotListen.rawValue)
            }
        }
        if inheritance.starter == .client { Shelter.seek(in: .current(), journal) }
        do throws(Departure) {
            let daemon = try Daemon(configuration, journal)
            daemon.serve()
            // What is left in memory goes with the process, which is quicker than to take it apart.
            exit(Departure.Status.done.rawValue)
        } catch {
            journal.write(.error, error.reason)
            exit(error.status.rawValue)
        }
    }

    /// Writes a text to standard output, and ends the process.
    public static func print(_ text: String) -> Never {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                end(Departure(.noOutput, "\(SystemError.last("write", "standard output"))"))
            }
            rest = rest.dropFirst(count)
        }
        exit(Departure.Status.done.rawValue)
    }

    /// Ends the process because its options or rules cannot be followed.
    public static func refuse(_ reason: String) -> Never { end(Departure(.usage, reason)) }

    /// Ends the process, and says why.
    static func end(_ departure: Departure) -> Never {
        Journal(program: "prwlockd", level: .error).write(.error, departure.reason)
        exit(departure.status.rawValue)
    }

    private init(_ configuration: Configuration, _ journal: Journal) throws(Departure) {
        let room = DescriptorLimit.raise()
        var configuration = configuration
        self.room = room
        self.journal = journal
        do throws(SystemError) { signals = try Signals() } catch {
            throw Departure(.cannotListen, "\(error)")
        }
        endpoint = try Endpoint(configuration, in: surroundings)
        let facts = RuleFile.facts(servesOneUser: endpoint.servesOneUser)
        let settings: Settings
        do throws(ConfigurationFault) { settings = try .atStart(configuration, facts) } catch {
            throw Departure(.usage, "\(error)")
        }
        configuration = settings.configuration
        configuration.limits.sessionRoom = room
        self.configuration = configuration
        idlePatience = configuration.exitWhenIdle
        settingsFault = settings.fault
        let support = Self.watchSupport(journal)
        let socket = try endpoint.listen()
        do throws(Departure) {
            place = try Place(endpoint, in: surroundings, journal)
            state = try TokenState(
                configuration, endpoint, surroundings, journal)
        } catch {
            endpoint.turnAway(socket)
            throw error
        }
        do throws(SystemError) {
            reactor = try Self.makeReactor(configuration, state, settings.policy, facts, watching: support)
            reader = try SettingsReader(facts)
            try reactor.events.add(reader.rawValue, .settings, .readable)
            try reactor.events.add(signals.rawValue, .signals, .readable)
            if let reserve = state.reserve { try reactor.events.add(reserve.rawValue, .tokens, .readable) }
            try place.join(reactor.events)
            listener = try Listener(socket, in: reactor.events)
        } catch {
            throw Departure(.cannotListen, "\(error)")
        }
        settings.remember()
        if let fault = settings.fault {
            journal.write(.refused("started with the last good options and rules", because: fault))
        }
        if room < configuration.limits.rules.sessions {
            journal.write(
                .notice,
                "the limit of open files leaves room for \(room) sessions: raise it, or lower --max-sessions")
        }
    }

    /// Which ways there are to watch processes; the journal says if there is none.
    private static func watchSupport(_ journal: Journal) -> ProcessWatch.Support {
        var support = ProcessWatch.Support()
        // For tests of how it goes on kernels before Linux 6.5.
        if getenv("PRWLOCK_TEST_NO_PEERPIDFD") != nil { support.asksSocket = false }
        if !support.isThere {
            let reason = support.refusal.map { " (\($0))" } ?? ""
            journal.write(
                .warning,
                "processes cannot be watched\(reason): a session ends with its socket alone, "
                    + "so a child that keeps the socket open keeps the locks")
        }
        return support
    }

    private static func makeReactor(
        _ configuration: Configuration, _ state: borrowing TokenState, _ policy: Policy,
        _ facts: Policy.Facts,
        watching support: ProcessWatch.Support
    ) throws(SystemError) -> Reactor {
        var server = ServerConfiguration()
        server.policy = policy
        server.limits = configuration.limits
        server.program = "prwlockd/\(Release.version)"
        server.ownUserID = geteuid()
        server.firstToken = state.first
        server.lastToken = state.last
        if state.followsUncleanEnd, configuration.grace > .zero {
            server.graceEnd = Instant(nanoseconds: BootClock.now()).advanced(by: configuration.grace)
        }
        server.hostRows = [
            ServerConfiguration.HostRow("process-watches", support.isThere ? 1 : 0),
            ServerConfiguration.HostRow("token-files", state.fileCount),
        ]
        if let namespace = ProcessNamespace.own {
            server.hostRows.append(ServerConfiguration.HostRow("pid-namespace", Int(clamping: namespace)))
        }
        let polling = Polling(processors: Int(linux_allowed_processors()))
        // An entry for a holder that died names the unit, which nothing tells any more by then.
        return try Reactor(
            Server(server), polling: polling, watching: support, reporting: facts.intersection(.unit))
    }

    // MARK: - Serving

    private func serve() {
        journal.write(.info, "serving \(endpoint.path ?? "a socket without a name")")
        supervision.begin(status, at: reactor.now)
        // It may have been removed before there was anything to see it.
        lookAtPlace()
        while true {
            keepHouse()
            if case .ended = phase { return }
            let occasions = reactor.turn(until: nextDeadline)
            if occasions.contains(.signals) { heedSignals() }
            if occasions.contains(.tokens) { takeTokens() }
            if occasions.contains(.settings) { takeSettings() }
            if occasions.contains(.questions) { answerQuestions() }
            if occasions.contains(.place) { lookAtPlace() }
            if occasions.contains(.connections) { listener?.accept(into: &reactor, journal) }
        }
    }

    /// When the house is to be looked after though nothing happens.
    private var nextDeadline: Instant? {
        let retry = earliest(listener?.retry, place.retry)
        return switch phase {
        case .serving: earliest(earliest(idleEnd, retry), supervision.deadline)
        case .draining(let end): earliest(earliest(end, place.retry), supervision.deadline)
        case .ended: reactor.now
        }
    }

    /// Once a batch: each property that is read here costs every request.
    private func keepHouse() {
        let now = reactor.now
        report(reactor.server.takeEvents())
        if let reserve = state.reserve { reserve.has(left: reactor.server.tokensLeft) }
        resumeListening(at: now)
        if let retry = place.retry, retry <= now { retryPlace() }
        if supervision.keep(status, journal, at: now) {
            reactor.server.shell.lostEntries = journal.lost
        }
        switch phase {
        case .serving: lookWhetherIdle(at: now)
        case .draining(let end):
            if reactor.server.isIdle || now >= end { self.end() }
        case .ended: break
        }
    }

    private var status: Supervision.Status {
        Supervision.Status(
            sessions: reactor.server.sessionCount, locks: reactor.server.lockCount, fault: settingsFault)
    }

    private func resumeListening(at now: Instant) {
        let isTime = listener?.retry.map { $0 <= now } ?? false
        let hasClosedSome = reactor.hasClosedSome
        guard hasClosedSome || isTime else { return }
        listener?.resume(in: reactor)
        reactor.hasClosedSome = false
    }

    private func heedSignals() {
        while let signal = signals.next() {
            switch signal {
            case .end: drain(because: "told to end")
            case .reload:
                supervision.reloading()
                reader.ask(configuration, reactor.server.policy)
            }
        }
    }

    private func takeTokens() {
        guard let reserve = state.reserve else { return }
        let fault = reserve.takeAnswer()
        reactor.server.allowTokens(through: reserve.reserved)
        if let fault, !isTokenFaultKnown {
            journal.write(.outOfTokens(fault))
        } else if fault == nil, isTokenFaultKnown {
            journal.write(.info, "tokens can be reserved again")
        }
        isTokenFaultKnown = fault != nil
    }

    /// Takes over what was read anew, whole or not at all.
    private func takeSettings() {
        guard let answer = reader.take() else { return }
        switch answer {
        case .read(let settings, let changesPolicy):
            let new = settings.configuration
            let unchanged = new.needingRestart(comparedTo: configuration)
            configuration.limits = new.limits
            configuration.limits.sessionRoom = room
            configuration.rules = new.rules
            configuration.logLevel = new.logLevel
            journal.level = new.logLevel
            reactor.server.setLimits(configuration.limits)
            if changesPolicy { reactor.setPolicy(settings.policy) }
            settingsFault = nil
            journal.write(.info, "limits, rules and log level are read again")
            if !unchanged.isEmpty {
                journal.write(.warning, "only a restart changes \(unchanged.joined(separator: ", "))")
            }
        case .refused(let fault):
            settingsFault = fault
            reactor.server.shell.refusedReloads += 1
            journal.write(.refused("nothing is changed", because: fault))
        }
        reactor.server.shell.reloads += 1
        supervision.reloaded(status)
    }

    private func report(_ events: [ServerEvent]) {
        for event in events { journal.write(JournalEntry(event)) }
    }

    // MARK: - Ending

    var isDraining: Bool { if case .draining = phase { true } else { false } }

    private func drain(because reason: String) {
        guard case .serving = phase else { return }
        journal.write(.info, "draining: \(reason)")
        phase = .draining(until: reactor.now.advanced(by: configuration.drain))
        supervision.end(status)
        listener?.shut(in: reactor)
        reactor.drain()
    }

    private func end() {
        phase = .ended
        // Who holds a lock to the last has the next daemon wait for a while, as after a crash (G1).
        if reactor.server.isIdle { state.finish(left: reactor.server.tokensLeft) }
        if let listener = listener.take() { endpoint.remove(listener.release()) }
        journal.write(.info, "ended")
    }

    /// How long a daemon that is to make room for the system's waits before it tries again to leave.
    private static let yieldPause = Duration.milliseconds(10)

    /// Leaves with the last session from here on.
    func yield() { idlePatience = Self.yieldPause }

    private func lookWhetherIdle(at now: Instant) {
        guard let patience = idlePatience else { return }
        guard reactor.sessionCount == 0 else {
            idleEnd = nil
            return
        }
        guard let end = idleEnd else {
            idleEnd = now.advanced(by: patience)
            return
        }
        if now >= end { leave() }
    }

    /// Ends unless somebody comes at this moment.
    private func leave() {
        idleEnd = nil
        guard let leaving = listener.take() else { return }
        do {
            let outcome = try endpoint.leave(leaving.release()) { connection in
                try? self.reactor.admit(connection)
            }
            switch consume outcome {
            case .left:
                phase = .ended
                place.vacate()
                state.finish(left: reactor.server.tokensLeft)
                journal.write(
                    .info,
                    place.isYielding
                        ? "ended, to make room for the system's daemon"
                        : "ended, after \(configuration.exitWhenIdle ?? .zero) without a session")
            case .stayed(let socket):
                listener = try Listener(socket, in: reactor.events)
                // It may stand on a file of its own again.
                try place.settle(in: reactor.events)
            }
        } catch {
            journal.write(.error, "no longer listening (\(error))")
            phase = .ended
            // Nobody holds anything.
            if reactor.server.isIdle { state.finish(left: reactor.server.tokensLeft) }
        }
    }
}
