public import LockClaims
public import LockVocabulary
import Seeded

/// The ways between hosts and a simulated store: what they do to messages follows from a seed.
///
/// It has true time. Each host sends requests with deadlines and takes what is delivered: answers, each at most once, and the
/// events of its watch in their order. Nothing holds between an answer and an event, or between two answers.
///
/// A request may be lost, carried out after its deadline, or twice. Its answer may be lost or late. At the deadline it is
/// unknown, which says nothing about whether it was or will be carried out.
public struct SimulatedNetwork {
    /// What a host receives.
    public enum Delivery {
        case answer(StoreRequestID, StoreAnswer)
        case event(StoreEvent)
    }

    /// How often in a thousand requests each fault occurs.
    public struct Faults: Sendable {
        public var lostRequests = 0
        public var lostAnswers = 0
        /// Delays of seconds, of a request or of its answer.
        public var late = 0
        public var doubled = 0
        /// Connections that end after a request was sent.
        public var disconnected = 0
        /// New leases, and keep-alives, of which the answer is late by up to a third of the lease. The host is cut off when it
        /// has taken a new lease, or right after the keep-alive: what it believes of the lease is then put to the test.
        public var slowLeases = 0
        public var slowKeepAlives = 0

        public static let none = Faults()
        public static let hostile: Faults = {
            var faults = Faults(lostRequests: 15, lostAnswers: 30, late: 25, doubled: 25, disconnected: 5)
            (faults.slowLeases, faults.slowKeepAlives) = (250, 40)
            return faults
        }()

        public init(
            lostRequests: Int = 0, lostAnswers: Int = 0, late: Int = 0, doubled: Int = 0,
            disconnected: Int = 0
        ) {
            (self.lostRequests, self.lostAnswers, self.late) = (lostRequests, lostAnswers, late)
            (self.doubled, self.disconnected) = (doubled, disconnected)
        }
    }

    /// How much longer messages of each kind take at most; each takes a half of it or more.
    public struct Delays: Sendable {
        public var requests = Duration.zero
        public var answers = Duration.zero
        public var events = Duration.zero
        /// So many answers in a thousand are lost, beside those that are lost on all links.
        public var lostAnswers = 0

        public init(
            requests: Duration = .zero, answers: Duration = .zero, events: Duration = .zero,
            lostAnswers: Int = 0
        ) {
            (self.requests, self.answers, self.events) = (requests, answers, events)
            self.lostAnswers = lostAnswers
        }
    }

    private enum Event {
        case arrival(Int, StoreRequestID, StoreRequest, incarnation: Int)
        case answer(Int, StoreRequestID, StoreAnswer, incarnation: Int)
        case deadline(Int, StoreRequestID, incarnation: Int)
        case watched(Int, StoreEvent, watch: Int)
        case connection(Int, connection: Int)
        case mute(Int, until: Instant)
        case election
    }

    private struct Link {
        var isConnected = false
        /// Rises when the host's process ends: what was sent to the former one is not delivered.
        var incarnation = 0
        /// Rises when a connection ends: what was on its way to the host on it is lost.
        var connection = 0
        var asked: [StoreRequestID: Bool] = [:]
        /// What was asked while there was no connection.
        var unsent: [(id: StoreRequestID, request: StoreRequest)] = []
        /// Nothing passes until then, in either direction.
        var silentUntil = Instant.zero
        /// Nothing that the host sends passes until then.
        var muteUntil = Instant.zero
        /// What each kind of message takes longer until then.
        var slow: (delays: Delays, until: Instant)?
        var watched: (prefix: [UInt8], next: Revision)?
        /// Rises when a watch begins: what the former one has under way is lost.
        var watches = 0
        var watch: SimulatedWatch?
        /// When the last event of the watch is delivered.
        var lastEvent = Instant.zero
    }

    public var store: SimulatedStore
    /// The hosts that asked for the changes of each revision; the ends of leases have none.
    public private(set) var authors: [Revision: Int] = [:]
    public var faults: Faults
    private var generator: SeededGenerator
    private var agenda = Agenda<Event>()
    private var links: [Link]
    private var deliveries: [(host: Int, delivery: Delivery)] = []
    /// There is no leader until then.
    private var electionEnd: Instant?

    public init(hosts: Int, seed: UInt64, faults: Faults = .none, store: SimulatedStore = SimulatedStore()) {
        links = Array(repeating: Link(), count: hosts)
        generator = SeededGenerator(seed: seed)
        (self.faults, self.store) = (faults, store)
        for host in links.indices { agenda.note(.connection(host, connection: 0), at: .zero) }
    }

    // MARK: - A host's side

    /// Sends a request. A watch has no answer but its events.
    public mutating func send(
        _ id: StoreRequestID, _ request: StoreRequest, deadline: Instant, from host: Int, at now: Instant
    ) {
        if case .watch(let prefix, let revision) = request {
            links[host].watched = (prefix, revision)
            links[host].watch = nil
            links[host].watches += 1
            if links[host].isConnected { beginWatch(host, at: now) }
            return
        }
        links[host].asked[id] = true
        agenda.note(.deadline(host, id, incarnation: links[host].incarnation), at: max(now, deadline))
        guard links[host].isConnected else { return links[host].unsent.append((id, request)) }
        pass(id, request, from: host, at: now)
        if happens(faults.disconnected) {
            disconnect(host, for: .milliseconds(generator.number(1...2_000)), at: now)
        }
    }

    /// What is delivered until then, in order.
    public mutating func take(until now: Instant) -> [(host: Int, delivery: Delivery)] {
        if electionEnd == nil { store.advance(to: now) }
        while let (at, event) = agenda.take(until: now) { happen(event, at: at) }
        watch(at: now)
        defer { deliveries = [] }
        return deliveries
    }

    /// When something happens next.
    public var nextDeadline: Instant? {
        Instant.earliest(agenda.next, electionEnd == nil ? store.nextDeadline : nil)
    }

    /// The host's process ends, and the next one connects: nothing more is delivered to the former one, and what it has asked
    /// may still be carried out.
    public mutating func restart(_ host: Int, at now: Instant) {
        links[host].incarnation += 1
        links[host].connection += 1
        links[host].watches += 1
        links[host].asked = [:]
        links[host].unsent = []
        (links[host].watched, links[host].watch) = (nil, nil)
        links[host].isConnected = false
        agenda.note(.connection(host, connection: links[host].connection), at: now.advanced(by: delay()))
    }

    // MARK: - Faults

    /// Nothing passes between a host and the store. The host is not told: its member has no quorum, or packets are dropped.
    public mutating func silence(_ host: Int, until end: Instant) {
        links[host].silentUntil = max(links[host].silentUntil, end)
    }

    /// What a host sends does not pass; what is sent to it does.
    public mutating func mute(_ host: Int, until end: Instant) {
        links[host].muteUntil = max(links[host].muteUntil, end)
    }

    /// The messages of a host take longer for some time.
    public mutating func slowDown(_ host: Int, by delays: Delays, until end: Instant) {
        links[host].slow = (delays, end)
    }

    /// The connection of a host ends, and is made again after some time.
    public mutating func disconnect(_ host: Int, for duration: Duration, at now: Instant) {
        guard links[host].isConnected else { return }
        links[host].isConnected = false
        links[host].connection += 1
        links[host].watches += 1
        links[host].watch = nil
        for id in links[host].asked.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
            give(host, id, .unknown("the connection was lost"))
        }
        deliveries.append((host, .event(.disconnected("the connection was lost"))))
        agenda.note(
            .connection(host, connection: links[host].connection), at: now.advanced(by: duration))
    }

    /// The leader dies: nothing is carried out until there is another one.
    public mutating func changeLeader(for duration: Duration, at now: Instant) {
        guard electionEnd == nil else { return }
        electionEnd = now.advanced(by: duration)
        agenda.note(.election, at: now.advanced(by: duration))
    }

    /// The cluster is replaced by one that was restored from a backup: all connections end.
    public mutating func restore(_ backup: SimulatedStore, at now: Instant) {
        store = backup
        store.changeLeader(at: now)
        authors = authors.filter { $0.key <= backup.revision }
        // What was sent to the former members ends with their connections.
        agenda.removeAll { if case .arrival = $0 { true } else { false } }
        for host in links.indices { disconnect(host, for: .milliseconds(generator.number(1...100)), at: now) }
    }

    /// Ends all faults of the network: what is silent speaks again, and late keep-alives of processes that have ended arrive. They
    /// would otherwise have the leases of dead hosts live on in the calm.
    public mutating func calm(at now: Instant) {
        faults = .none
        var late: [Event] = []
        agenda.removeAll { event in
            guard case .arrival(let host, _, .keepAlive, let incarnation) = event,
                incarnation != links[host].incarnation
            else { return false }
            late.append(event)
            return true
        }
        for event in late { agenda.note(event, at: now.advanced(by: delay())) }
        for host in links.indices {
            links[host].silentUntil = min(links[host].silentUntil, now)
            links[host].muteUntil = min(links[host].muteUntil, now)
            links[host].slow = nil
        }
    }

    // MARK: - Events

    private mutating func happen(_ event: Event, at now: Instant) {
        switch event {
        case .arrival(let host, let id, let request, let incarnation):
            if let later = electionEnd ?? silence(of: host, at: now, sending: true) {
                // The message waits at the member or in the network, or is lost there.
                guard generator.happens(60) else { return }
                let at = later.advanced(by: delay())
                return agenda.note(.arrival(host, id, request, incarnation: incarnation), at: at)
            }
            store.advance(to: now)
            let before = store.revision
            guard let answer = store.carryOut(request, at: now) else { return }
            if store.revision > before { authors[store.revision] = host }
            watch(at: now)
            if happens(faults.lostAnswers + lostAnswers(host, now)) { return }
            let late =
                slowAnswer(answer, to: host, at: now)
                ?? (happens(faults.late) ? Duration.milliseconds(generator.number(10...9_000)) : .zero)
            agenda.note(
                .answer(host, id, answer, incarnation: incarnation),
                at: now.advanced(by: delay()).advanced(by: late + slowness(host, \.answers, now)))
        case .answer(let host, let id, let answer, let incarnation):
            guard incarnation == links[host].incarnation else { return }
            if let later = silence(of: host, at: now) {
                return agenda.note(.answer(host, id, answer, incarnation: incarnation), at: later)
            }
            give(host, id, answer)
        case .deadline(let host, let id, let incarnation):
            guard incarnation == links[host].incarnation else { return }
            links[host].unsent.removeAll { $0.id == id }
            give(host, id, .unknown("no answer in time"))
        case .watched(let host, let event, let watch):
            guard watch == links[host].watches else { return }
            if let later = silence(of: host, at: now) {
                return agenda.note(.watched(host, event, watch: watch), at: later)
            }
            if case .changes(_, let revision) = event { links[host].watched?.next = revision + 1 }
            deliveries.append((host, .event(event)))
        case .connection(let host, let connection):
            guard connection == links[host].connection else { return }
            if let later = silence(of: host, at: now) { return agenda.note(event, at: later) }
            connect(host, at: now)
        case .mute(let host, let end):
            if faults.slowLeases > 0 { mute(host, until: end) }
        case .election:
            electionEnd = nil
            store.changeLeader(at: now)
            watch(at: now)
        }
    }

    private mutating func connect(_ host: Int, at now: Instant) {
        guard !links[host].isConnected else { return }
        links[host].isConnected = true
        deliveries.append((host, .event(.connected)))
        let unsent = links[host].unsent
        links[host].unsent = []
        for (id, request) in unsent { pass(id, request, from: host, at: now) }
        beginWatch(host, at: now)
    }

    /// A watch goes on where the last delivered event was.
    private mutating func beginWatch(_ host: Int, at now: Instant) {
        guard let (prefix, next) = links[host].watched else { return }
        links[host].watch = store.watch(prefix: prefix, from: next)
        watch(at: now)
    }

    /// Sends what the watches have to show.
    private mutating func watch(at now: Instant) {
        for host in links.indices {
            guard var watch = links[host].watch else { continue }
            for event in store.read(&watch) {
                if case .watchLost = event { (links[host].watched, links[host].watch) = (nil, nil) }
                let late = happens(faults.late) ? Duration.milliseconds(generator.number(10...3_000)) : .zero
                let sooner = now.advanced(by: delay()).advanced(by: late + slowness(host, \.events, now))
                let at = max(links[host].lastEvent, sooner)
                links[host].lastEvent = at
                agenda.note(.watched(host, event, watch: links[host].watches), at: at)
            }
            if links[host].watch != nil { links[host].watch = watch }
        }
    }

    private mutating func pass(
        _ id: StoreRequestID, _ request: StoreRequest, from host: Int, at now: Instant
    ) {
        if happens(faults.lostRequests) { return }
        let incarnation = links[host].incarnation
        for _ in 0..<(happens(faults.doubled) ? 2 : 1) {
            let late = happens(faults.late) ? Duration.milliseconds(generator.number(10...15_000)) : .zero
            agenda.note(
                .arrival(host, id, request, incarnation: incarnation),
                at: now.advanced(by: delay()).advanced(by: late + slowness(host, \.requests, now)))
        }
    }

    private mutating func slowness(
        _ host: Int, _ kind: KeyPath<Delays, Duration>, _ now: Instant
    ) -> Duration {
        guard let slow = links[host].slow, slow.until > now, slow.delays[keyPath: kind] > .zero else {
            return .zero
        }
        let most = Int(slow.delays[keyPath: kind] / .microseconds(1))
        return .microseconds(generator.number(most / 2...most))
    }

    private func lostAnswers(_ host: Int, _ now: Instant) -> Int {
        guard let slow = links[host].slow, slow.until > now else { return 0 }
        return slow.delays.lostAnswers
    }

    private mutating func give(_ host: Int, _ id: StoreRequestID, _ answer: StoreAnswer) {
        guard links[host].asked.removeValue(forKey: id) != nil else { return }
        deliveries.append((host, .answer(id, answer)))
    }

    /// How late an answer about a lease is, if it is one that puts the host to the test.
    private mutating func slowAnswer(_ answer: StoreAnswer, to host: Int, at now: Instant) -> Duration? {
        let (seconds, rate, isNew) =
            switch answer {
            case .lease(_, let seconds): (seconds, faults.slowLeases, true)
            case .alive(let seconds): (seconds, faults.slowKeepAlives, false)
            default: (0, 0, false)
            }
        guard seconds > 0, happens(rate) else { return nil }
        let late = Duration.milliseconds(generator.number(Int(seconds) * 100...Int(seconds) * 300))
        let begin = isNew ? late + .milliseconds(generator.number(5...100)) : .milliseconds(1)
        let end = now.advanced(by: late + .milliseconds(seconds * 1_500))
        agenda.note(.mute(host, until: end), at: now.advanced(by: begin))
        return late
    }

    private func silence(of host: Int, at now: Instant, sending: Bool = false) -> Instant? {
        let end = max(links[host].silentUntil, sending ? links[host].muteUntil : .zero)
        return end > now ? end : nil
    }

    private mutating func delay() -> Duration { .microseconds(generator.number(100...1_500)) }

    private mutating func happens(_ inAThousand: Int) -> Bool {
        inAThousand > 0 && generator.number(0...999) < inAThousand
    }
}
