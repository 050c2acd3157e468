import LockClaims
import LockVocabulary
import SimulatedStore

/// A host of a test: its claims, a stand-in for its rules, and its messages, which a test can hold back one by one.
final class TestHost {
    let configuration: ClaimsConfiguration
    var claims: Claims
    var rules: [LockName: TestRules] = [:]
    var now: Instant
    /// Requests that were sent and have not reached the store.
    var sent: [(id: StoreRequestID, request: StoreRequest)] = []
    /// Answers that have not reached the host.
    var answers: [(id: StoreRequestID, answer: StoreAnswer)] = []
    var watch: SimulatedWatch?
    /// Whether requests wait for the test to carry them out.
    var holdsRequests = false
    /// Whether answers wait for the test to deliver them.
    var holdsAnswers = false
    var holdsEvents = false
    /// Whether its watch shows nothing any more, until there is another one.
    var hangs = false
    /// Whether the process is stopped.
    var isStopped = false
    var events: [FleetEvent] = []

    init(_ configuration: ClaimsConfiguration, at now: Instant) {
        self.configuration = configuration
        self.now = now
        claims = Claims(configuration)
    }

    // MARK: - Its sessions

    func acquire(_ name: LockName, _ mode: ClaimMode, isProbe: Bool = false) {
        rules[name, default: TestRules()].waiting.append(TestRules.Request(mode: mode, isProbe: isProbe))
        state(name)
    }

    func upgrade(_ name: LockName) {
        rules[name, default: TestRules()].isUpgrading = true
        state(name)
    }

    func release(_ name: LockName, died: Bool = false) {
        guard rules[name]?.holders.popLast() != nil else { return }
        if died { rules[name]?.mark = .yes }
        state(name)
    }

    func holders(_ name: LockName) -> [ClaimMode] { rules[name]?.holders ?? [] }
    func rules(_ name: LockName) -> TestRules { rules[name] ?? TestRules() }

    /// States the situation of a name, and follows what the claims direct, until both are settled.
    func state(_ name: LockName) {
        rules[name]?.settle()
        claims.update(name, rules(name).situation, at: now)
        settle()
    }

    func settle() {
        if claims.takeSeizure() {
            for name in rules.keys { rules[name]?.seize() }
            for name in rules.keys.sorted() { claims.update(name, rules(name).situation, at: now) }
        }
        while let name = claims.nextChanged() {
            let directive = claims.directive(for: name)
            rules[name, default: TestRules()].follow(directive)
            claims.update(name, rules(name).situation, at: now)
        }
        events += claims.takeEvents()
    }

    /// The process is killed, and another one goes on from what it has kept. What it has sent is on its way.
    func restart() {
        answers = []
        watch = nil
        if let facts = claims.facts {
            claims = Claims(configuration, from: facts)
        } else {
            claims = Claims(configuration)
            for name in rules.keys { rules[name]?.seize() }
        }
        for name in rules.keys.sorted() { claims.update(name, rules(name).situation, at: now) }
        settle()
    }

    // MARK: - Messages

    func pull() {
        while let next = claims.nextRequest(at: now) { sent.append((next.id, next.request)) }
        settle()
    }

    func answer(_ id: StoreRequestID, _ answer: StoreAnswer) {
        claims.answer(id, answer, at: now)
        settle()
    }
}

/// A store with hosts, in virtual time.
final class TestFleet {
    var store: SimulatedStore
    var hosts: [TestHost] = []
    private(set) var now = Instant(nanoseconds: 1_000_000_000_000)

    init(
        _ count: Int, store: SimulatedStore = SimulatedStore(),
        _ change: (inout ClaimsConfiguration) -> Void = { _ in }
    ) {
        self.store = store
        for number in 1...count {
            guard let name = HostName("web\(number)") else { fatalError("a host name") }
            var configuration = ClaimsConfiguration(host: name, instance: "instance\(number)")
            change(&configuration)
            hosts.append(TestHost(configuration, at: now))
        }
    }

    subscript(index: Int) -> TestHost { hosts[index] }

    /// Lets all messages through that are not held back, until nothing moves.
    func run() {
        repeat {} while step()
    }

    private func step() -> Bool {
        var hasMoved = false
        for host in hosts where !host.isStopped {
            host.now = now
            host.claims.advance(to: now)
            host.settle()
            host.pull()
            while !host.holdsRequests, !host.sent.isEmpty {
                carryOut(host)
                hasMoved = true
            }
            while !host.holdsAnswers, !host.answers.isEmpty {
                deliver(host)
                hasMoved = true
            }
            if deliverEvents(host) { hasMoved = true }
        }
        return hasMoved
    }

    /// The store carries out the next request of a host.
    func carryOut(_ host: TestHost) {
        let (id, request) = host.sent.removeFirst()
        if case .watch(let prefix, let revision) = request {
            host.watch = store.watch(prefix: prefix, from: revision)
            host.hangs = false
        } else if let answer = store.carryOut(request, at: now) {
            host.answers.append((id, answer))
        }
    }

    /// A host gets the next answer.
    func deliver(_ host: TestHost) {
        let (id, answer) = host.answers.removeFirst()
        host.answer(id, answer)
    }

    /// The next request of a host has no answer in time; it is on its way, and returned.
    func giveUp(_ host: TestHost) -> StoreRequest {
        let (id, request) = host.sent.removeFirst()
        host.answer(id, .unknown("no answer in time"))
        return request
    }

    private func deliverEvents(_ host: TestHost) -> Bool {
        guard !host.holdsEvents, !host.hangs, var watch = host.watch else { return false }
        let events = store.read(&watch)
        host.watch = watch
        for event in events {
            if case .watchLost = event { host.watch = nil }
            host.claims.note(event, at: now)
            host.settle()
        }
        return !events.isEmpty
    }

    /// Lets time pass, from one deadline to the next.
    func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        run()
        while now < end {
            var next = Instant.earliest(end, store.nextDeadline) ?? end
            for host in hosts where !host.isStopped {
                next = min(next, host.claims.nextDeadline ?? end)
            }
            now = max(min(next, end), now.advanced(byNanoseconds: 1_000))
            store.advance(to: now)
            run()
        }
    }

    /// The register of a name, as text; empty if the key is absent.
    func register(_ name: LockName) -> String {
        let key = Array("prwlock/n/\(name)".utf8)
        return String(decoding: store[key]?.value ?? [], as: UTF8.self)
    }

    /// Puts a value, as an administrator may.
    func put(_ key: String, _ value: String) {
        _ = store.carryOut(
            .transaction(Transaction(then: [.put(key: Array(key.utf8), value: Array(value.utf8), lease: 0)])),
            at: now)
    }
}

extension LockName {
    init(known text: String) {
        guard let name = LockName(text) else { fatalError("\(text) is not a name") }
        self = name
    }
}

let job = LockName(known: "job")
let other = LockName(known: "other")
