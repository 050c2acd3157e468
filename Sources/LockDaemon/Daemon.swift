import CLinux
import Glibc
import Keeping
import LockClaims
import LockCore
import LockServer
import LockVocabulary
import Posix
import Rendezvous
import Systemd

/// The daemon from its start to its end.
///
///                          TERM, INT
///  [ SERVING ] ─────────────────────────────────────▶ [ DRAINING ] ───▶ [ ENDING ] ──▶ (ended)
///    │    ▲                                            no grant and no     ▲  the disk has the
///    │    │ a client came meanwhile                    waiter is left, or  │  last token, or the
///    ▼    │                                            the time is over    │  time is over
///  [ LEAVING ] ────────────────────────────────────────────────────────────┘
///   no session for a while, or none        no client came
///   where the system's daemon exists
///
/// All of it belongs to the main thread. `Reactor` has the sessions. Everything else happens here, between two batches: as
/// work of the main queue, or as housekeeping when the reactor has news.
@MainActor public final class Daemon {
    enum Phase {
        case serving
        case draining
        /// The daemon grants nothing more, and waits until the disk has the last token.
        case ending
        case ended
    }

    var configuration: Configuration
    let journal: Journal
    let supervision: Supervision
    let endpoint: Endpoint
    let surroundings = Surroundings.current()
    let state: TokenState
    var reactor: Reactor
    var listener: Listener?
    let place: Place
    /// The number of sessions for which the limit of descriptors leaves room.
    let room: Int
    let reader: SettingsReader
    /// The fault of the options and rules that the daemon read last; nil if it uses them.
    var settingsFault: String?
    var phase = Phase.serving
    /// Whether the time for holders and waiters is over.
    var isDrainOver = false
    /// The time without a session after which the daemon leaves; nil for no such end.
    var idlePatience: Duration?
    /// The start of the time without a session; nil while a session exists.
    var idleStart: Instant?
    /// Whether a timer runs that ends this time.
    var awaitsIdleEnd = false
    /// The way to the keeper; nil without one.
    private var kept: KeptDescriptors?
    private var keeperEnd: ReadSource?
    private var hasReportedTokenFault = false
    private var hasReportedUnkept = false
    /// What the daemon has of its fleet; nil if it shares no names.
    var membership: Membership?
    private var signals: Signals?
    private var deadline: ReadSource?

    init(
        _ configuration: Configuration, _ journal: Journal, _ kept: consuming KeptDescriptors?
    ) throws(Departure) {
        var kept = kept
        let room = DescriptorLimit.raise()
        var configuration = configuration
        self.room = room
        self.journal = journal
        supervision = Supervision(journal)
        let listener = kept?.takeOne("listener")
        endpoint = try Endpoint(
            configuration, in: surroundings, kept: listener.inspect { $0.rawValue })
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
        try Cluster.check(configuration.cluster)
        let support = Self.watchSupport(journal)
        let goesOn = kept.inspect { $0.names.contains("ledger") } ?? false
        let socket: OwnedDescriptor
        if let listener {
            // `SO_PEERCRED` shows clients the process that called `listen` last, and the former worker did.
            UnixSocket.setBacklog(of: listener, to: UnixSocket.defaultBacklog)
            socket = listener
        } else {
            socket = try endpoint.listen()
        }
        do throws(Departure) {
            place = try Place(endpoint, in: surroundings, journal, kept: kept?.takeOne("place"))
            state = try TokenState(
                configuration, endpoint, surroundings, journal, goesOn: goesOn)
        } catch {
            endpoint.turnAway(socket)
            throw error
        }
        let folder = configuration.cluster.url == nil ? nil : try state.fleetFolder()
        let claims = try configuration.cluster.url.map { url throws(Departure) in
            try ClaimsConfiguration(configuration.cluster, url, in: folder)
        }
        do throws(SystemError) {
            // To end here would end the sessions of a daemon that goes on. Without the check, libdispatch waits for a thread; for
            // lack of a descriptor it ends the process, and the keeper tries again.
            if !goesOn { try DispatchRoom.checkStart() }
            reactor = try Self.makeReactor(
                configuration, state, settings.policy, facts, claims, watching: support, &kept, journal)
        } catch {
            throw Departure(.cannotListen, "\(error)")
        }
        self.kept = kept
        reader = SettingsReader(facts)
        reactor.news.tokens = tokenMargin
        if let fault = keepState() { throw Departure(.cannotListen, "the keeper: \(fault)") }
        beginSources()
        listen(on: socket)
        try join(folder)
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

    /// The ways in which this kernel lets the daemon watch processes. The journal reports it if there is none.
    private static func watchSupport(_ journal: Journal) -> ProcessWatch.Support {
        var support = ProcessWatch.Support()
        // Tests use this to run as on a kernel before Linux 6.5.
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

    // MARK: - Serving

    /// Makes the sources of the descriptors that live as long as the daemon.
    private func beginSources() {
        signals = Signals(end: { self.drain() }, reload: { self.reload() })
        deadline = ReadSource(reactor.timerDescriptor) { self.reactor.acknowledgeTimer() }
        place.begin(changed: { self.lookAtPlace() }, asked: { self.answerQuestions() })
        state.reserve?.begin { self.takeTokens($0) }
        keeperEnd = kept.inspect { ReadSource($0.channel.rawValue) { self.lookAtKeeper() } }
    }

    /// Accepts clients on this socket.
    func listen(on socket: consuming OwnedDescriptor) {
        if endpoint.isOwn,
            let fault = tellKeeper({ channel throws(SystemError) in
                try channel.keep("listener", [socket.rawValue])
            })
        {
            journal.write(.error, "the keeper does not take the new socket: \(fault)")
        }
        listener = Listener(socket) { self.accept() }
    }

    /// Ends the daemon if its keeper is gone: it would not survive its next fault, and `kill -9` of the process that people know
    /// as the daemon is to end it. A service manager has what the next keeper needs, so then no session is to notice.
    private func lookAtKeeper() {
        guard kept.inspect({ $0.channel.isKeeperGone }) ?? false else { return }
        keeperEnd?.suspend()
        journal.write(.error, "the keeper is gone")
        if getenv("NOTIFY_SOCKET") != nil { _exit(Departure.Status.cannotListen.rawValue) }
        drain()
    }

    /// Calls the body with the way to the keeper, if there is one. Returns the fault of the call.
    private func tellKeeper(_ body: (borrowing KeeperChannel) throws(SystemError) -> Void) -> SystemError? {
        kept.inspect { kept in
            do throws(SystemError) {
                try body(kept.channel)
                return nil
            } catch {
                return error
            }
        } ?? nil
    }

    /// Gives the keeper what the next worker goes on from.
    private func keepState() -> SystemError? {
        tellKeeper { channel throws(SystemError) in
            for entry in reactor.continuity.inspect({ $0.unkept }) ?? [] {
                try channel.keep(entry.name, entry.descriptors)
            }
            if let number = place.watchDescriptor { try channel.keep("place", [number]) }
        }
    }

    private func accept() { listener?.accept(into: &reactor, journal) }

    /// The loop. `Reactor` describes a batch, and the interleavings of batches and drains.
    func serve() throws(Departure) {
        // One that goes on has served before.
        if kept.inspect({ $0.before }) ?? nil == nil { try awaitFleet() }
        journal.write(.info, "serving \(endpoint.path ?? "a socket without a name")")
        // The keeper acts before the manager does, which would end the keeper as well.
        supervision.whenAlive = { period in
            _ = self.tellKeeper { channel throws(SystemError) in
                try channel.watch(milliseconds: UInt32(clamping: period.wholeMilliseconds * 3 / 2))
            }
        }
        supervision.begin(status)
        if let before = kept.inspect({ $0.before }) ?? nil {
            journal.write(.wentOn(after: before, reactor.counts))
        } else if reactor.counts.sessions > 0 {
            journal.write(.tookOver(reactor.counts))
        }
        if reactor.care.hasFoundCause {
            _ = tellKeeper { channel throws(SystemError) in try channel.pardon() }
        }
        _ = tellKeeper { channel throws(SystemError) in try channel.ready() }
        // Another process may have removed the socket before the watch began.
        lookAtPlace()
        keepHouse()
        while true {
            turn()
            if case .ended = phase { return }
        }
    }

    /// Serves until the main queue has work or there is news, and does what follows.
    func turn() {
        reactor.serve()
        if reactor.linkHasWork { membership?.link.serve() }
        if reactor.mainQueueHasWork { MainQueue.drain() }
        keepHouse()
    }

    /// Acts on what a batch or a drain has changed.
    private func keepHouse() {
        for event in reactor.server.takeEvents() { journal.write(JournalEntry(event)) }
        if reactor.server.tokensLeft < reactor.news.tokens {
            reactor.news.tokens = 0
            state.reserve?.extend()
        }
        if reactor.hasClosedSome {
            reactor.hasClosedSome = false
            listener?.resume()
            if let shortage = reactor.shortage.take() { listener?.report(shortage, journal) }
        }
        if reactor.hasUnkeptSocket, !hasReportedUnkept {
            hasReportedUnkept = true
            journal.write(.notKept)
        }
        keepMembership()
        switch phase {
        case .serving: lookWhetherIdle()
        case .draining: if reactor.server.isIdle || isDrainOver { end() }
        case .ending, .ended: break
        }
        supervision.update(status)
        reactor.news.counts = supervision.toldCounts
        reactor.server.shell.lostEntries = journal.lost
    }

    /// Whether sessions may still get and release locks.
    var isServing: Bool {
        switch phase {
        case .serving, .draining: true
        case .ending, .ended: false
        }
    }

    var status: Supervision.Status {
        Supervision.Status(counts: reactor.counts, fleet: fleetStatus, fault: settingsFault)
    }

    /// The number of tokens below which the disk is to reserve more. A worker that goes on begins with those that the disk had
    /// before the last write, and these should be a block.
    private var tokenMargin: UInt64 {
        guard let block = state.reserve?.block else { return 0 }
        return kept == nil ? block : 2 * block + 1
    }

    private func takeTokens(_ fault: SystemError?) {
        guard let reserve = state.reserve else { return }
        reactor.server.allowTokens(through: reserve.reserved)
        if fault == nil { reactor.news.tokens = tokenMargin }
        if let fault, !hasReportedTokenFault {
            journal.write(.outOfTokens(fault))
        } else if fault == nil, hasReportedTokenFault {
            journal.write(.info, "tokens can be reserved again")
        }
        hasReportedTokenFault = fault != nil
    }
}
