import LockVocabulary
import LockWire
import Rendezvous

/// One session with the daemon, without I/O and without a clock.
///
/// `Connection` (for tasks) and `BlockingSession` (for one thread) are its shells. A shell calls these in any order:
///
/// 1. `submit`, `post`, `cancel`, `abandon` for its callers,
/// 2. `opened`, `received`, `ended` for its socket,
/// 3. `timePassed` when `alarm` is over.
///
/// After each call, the shell sends `output` and carries out `takeEvents()`.
///
/// A request:
///
///               opened             reply
///   [ UNSENT ] ────────▶ [ SENT ] ──────────────────────▶ completed
///       │                 │ ▲  │ ERROR draining
///       │  BUSY held-by=? │ │  └─────────▶ [ PARKED ] ──▶ completed when the session ends
///       │                 ▼ │ alarm
///       │              [ PAUSED ]
///       │ cancel, end of time
///       ▼
///   completed; a request that was sent stays open, unattended, until its reply
///
/// A request that has no answer at the end of its time is given up. The daemon may still read it, even hours later.
/// Closing the session would undo the request, but would also lose every other grant of the session. So the session sends
/// what undoes the request right behind it:
///
/// 1. For a request for a lock: `CANCEL #tag` in case it waits, and `RELEASE name owner=…` in case it was granted. The
///    daemon carries out both in this order without the client. `RELEASE` is only sent if it cannot name another grant.
///    Otherwise the session releases the grant by its token when the reply comes.
/// 2. For an upgrade: `CANCEL #tag`. If the upgrade is granted nevertheless, the session downgrades the grant to its
///    former mode. A request that named the grant by its former token is repeated with the new one.
/// 3. For anything else: nothing. The daemon carries the request out when it reads it.
///
/// From then on until its next line the daemon counts as silent, and requests for locks and questions are held back. So
/// nothing has to be undone when their time ends, and a client of a hanging daemon does not grow. The answer to `CANCEL`
/// ends the silence at the latest.
///
/// Invariants:
/// 1. Every attended request is completed once.
/// 2. Every grant is held or lost until its holder lets it go, or its release was sent. A loss is reported once. No grant
///    is held after the end.
/// 3. Rows belong to the oldest open listing, because the daemon finishes one before it begins the next.
/// 4. A line states the wait that is left when it is sent.
struct Session {
    enum Phase {
        case connecting, open
        case ended(LockError)
    }

    private(set) var phase = Phase.connecting
    private var lastNumber: UInt64 = 0
    var requests: [RequestID: OpenRequest] = [:]
    /// The open requests that rows may come for, oldest first.
    private var listings: [RequestID] = []
    var grants = Grants()
    private var queue = Queue()
    /// Whether the daemon has sent nothing since a request was given up.
    var isSilent = false
    /// Why the daemon ends the session: an error that answers no request.
    private var farewell: LockError?
    var events: [Event] = []

    /// The bytes to send. The shell removes what the socket took.
    var output: [UInt8] = []

    /// When the shell must call `timePassed`, at the latest; nil for never.
    var alarm: Instant?

    /// Whether the daemon has given this session slots.
    private var hasSlots = false

    /// A session that begins with `HELLO`.
    ///
    /// - Parameter caches: whether it asks for slots.
    init(greeting: Note? = nil, caches: Bool = false) {
        if let greeting { greet(greeting, caches: caches, at: .zero) }
    }

    private mutating func greet(_ greeting: Note, caches: Bool, at now: Instant) {
        post(.other(.hello(client: greeting, recall: nil, cache: caches ? true : nil)), at: now)
    }

    /// Hands over the events since the last call, in their order.
    mutating func takeEvents() -> [Event] {
        defer { events = [] }
        return events
    }

    // MARK: What callers do

    /// Begins a request. Its outcome is an event.
    mutating func submit(_ call: Call, _ time: CallTime, at now: Instant) -> RequestID {
        add(OpenRequest(call: call, time: time, isAttended: true), at: now)
    }

    /// Begins a request without a caller that waits for its outcome.
    mutating func post(_ call: Call, at now: Instant) {
        _ = add(OpenRequest(call: call, time: .unlimited, isAttended: false), at: now)
    }

    private mutating func add(_ request: OpenRequest, at now: Instant) -> RequestID {
        lastNumber += 1
        let id = RequestID(number: lastNumber)
        requests[id] = request
        switch request.call {
        case .release(let grant): _ = grants.beginRelease(of: grant)
        case .upgrade(let grant), .downgrade(let grant, _), .renew(let grant, _): grants.endCaching(of: grant)
        case .acquire, .other: break
        }
        if let grant = request.call.grant, let loss = grants.loss(of: grant) {
            guard case .release = request.call, case .open = phase, grants.mayBeHeld(grant) else {
                finish(id, .lost(loss))
                return id
            }
            leave(id, .lost(loss))
        }
        setAlarm(request.time.end)
        switch phase {
        case .open where !(isSilent && request.call.isHeldBackFromSilentDaemon): send(id, at: now)
        case .connecting, .open: break
        case .ended(let failure): finish(id, Outcome(after: failure))
        }
        return id
    }

    /// Forgets a cached grant that the daemon took while it was not held.
    mutating func forgetTaken(_ grant: GrantID) { grants.forgetTaken(grant) }

    /// Releases a grant without a caller that waits, unless its release was asked for already.
    mutating func abandon(_ grant: GrantID, at now: Instant) {
        if grants.beginRelease(of: grant) { post(.release(grant), at: now) }
    }

    /// Renews the lease of a grant at this interval until the grant is released or lost.
    mutating func keepRenewed(_ grant: GrantID, every interval: Duration, at now: Instant) {
        setAlarm(grants.beginRenewals(of: grant, every: interval, at: now))
    }

    /// The caller was cancelled. A request that changes a grant is completed by its answer all the same.
    mutating func cancel(_ id: RequestID, at now: Instant) {
        guard let request = requests[id], request.isAttended else { return }
        switch (request.stage, request.call) {
        case (.unsent, _), (.parked, _), (.paused, _):
            finish(id, .cancelled)
        case (.sent, .acquire):
            leave(id, .cancelled)
            sendCancel(of: id, at: now)
        case (.sent, .upgrade):
            // The caller must learn the mode of its grant, so it keeps waiting, but not long for a stopped daemon.
            requests[id]?.isCancelled = true
            requests[id]?.time.shorten(at: now)
            setAlarm(requests[id]?.time.end)
            sendCancel(of: id, at: now)
        case (.sent, .renew), (.sent, .other): leave(id, .cancelled)
        case (.sent, .downgrade), (.sent, .release): break
        }
    }

    // MARK: What the socket does

    /// The connection stands.
    mutating func opened(at now: Instant) {
        guard case .connecting = phase else { return }
        phase = .open
        sendUnsent(at: now)
    }

    /// The connection has ended or was closed, or could not be made. Every grant is lost and every request is completed.
    mutating func ended(because reason: LockError = .disconnected) {
        if case .ended = phase { return }
        let isClosed = reason == .closed
        let failure = isClosed ? reason : farewell ?? reason
        phase = .ended(failure)
        for grant in grants.all { lose(grant, isClosed ? .closed : .disconnected) }
        for (id, request) in requests.sorted(by: { $0.key < $1.key }) {
            let loss = request.call.grant.flatMap(grants.loss(of:))
            finish(id, loss.map(Outcome.lost) ?? Outcome(after: failure))
        }
        (output, alarm) = ([], nil)
    }

    /// A line of the daemon has arrived.
    mutating func received(_ line: ServerLine, at now: Instant) {
        switch line {
        case .reply(let tag?, let reply):
            if let id = UInt64(tag.text).map(RequestID.init), let request = requests[id] {
                answer(reply, to: request, as: id, at: now)
            }
        case .reply(nil, .error(let error)): farewell = LockError(error)
        case .reply(nil, _): break
        case .row(let row):
            if let id = listings.first {
                requests[id]?.rows.append(row)
                requests[id]?.time.extend(at: now)
            }
        case .notice(.expired(_, let token)): lose(grants[token], .expired)
        case .notice(.revoked(_, let token)): lose(grants[token], .revoked)
        case .notice(.until(let until)): extend(until, at: now)
        case .notice(let notice): events.append(.noticed(notice))
        }
        guard isSilent else { return }
        isSilent = false
        sendUnsent(at: now)
    }

    private mutating func answer(_ reply: Reply, to request: OpenRequest, as id: RequestID, at now: Instant) {
        let refusal = LockError(refusal: reply, waited: request.time.waited(at: now))
        switch request.call {
        case .acquire(let acquire): answer(reply, refusal, to: acquire, request, as: id, at: now)
        case .upgrade(let grant), .downgrade(let grant, _), .renew(let grant, _), .release(let grant):
            answer(reply, refusal, about: grant, request, as: id, at: now)
        case .other(.hello(let greeting?, _, cache: true)):
            if case .hello(_, _, _, _, let slots?) = reply, slots > 0 { hasSlots = true }
            // A daemon that does not know the word has not taken the name either.
            if case .error(let error) = reply, error.code == .unknownArgument {
                greet(greeting, caches: false, at: now)
            }
            finish(id, .answered(reply, []))
        case .other: finish(id, refusal.map(Outcome.refused) ?? .answered(reply, request.rows))
        }
    }

    private mutating func answer(
        _ reply: Reply, _ refusal: LockError?, to acquire: Acquire, _ request: OpenRequest, as id: RequestID,
        at now: Instant
    ) {
        if case .granted(let name, let mode, let token, let ownerDied, let slot, let until) = reply {
            let grant = GrantID(request: id)
            let terms = Terms(
                name: name, owner: acquire.owner, mode: mode, token: token, ownerDied: ownerDied,
                slot: acquire.mayCache ? slot : nil, isShared: until != nil)
            if request.isAttended {
                grants.add(grant, terms)
                if let until { extend(until, at: now) }
            } else {
                post(.other(.release(name, GrantChoice(token: token))), at: now)
            }
            finish(id, .granted(grant))
            return sendOldestQueued(at: now)
        }
        if request.isAttended, case .error(let error) = reply, error.code == .draining,
            !request.time.isImmediate
        {
            // The next daemon may serve the request, but not before this one has ended: its locks are held until then.
            requests[id]?.stage = .parked(error)
        } else if request.isAttended, case .busy(_, _, let holders) = reply,
            let next = requests[id]?.time.repetition(heldBy: holders, at: now)
        {
            requests[id]?.stage = .paused(until: next)
            setAlarm(next)
        } else if request.isAttended, case .error(let error) = reply, error.code == .limitWaiters,
            requests.contains(where: { $0 != id && $1.mayWait })
        {
            queue(id, at: now)
        } else {
            finish(id, .refused(refusal ?? .disconnected))
            sendOldestQueued(at: now)
        }
    }

    /// Keeps a request here because too many of the session wait. It is sent again when one of them is answered.
    ///
    /// Its lock may become free earlier, so it is also sent again after a pause.
    private mutating func queue(_ id: RequestID, at now: Instant) {
        let next = now.advanced(by: queue.insert(id))
        let until = min(next, requests[id]?.time.deadline ?? next)
        requests[id]?.stage = .paused(until: until)
        setAlarm(until)
    }

    private mutating func sendOldestQueued(at now: Instant) {
        while let id = queue.takeOldest() {
            if case .paused = requests[id]?.stage { return send(id, at: now) }
        }
    }

    private mutating func answer(
        _ reply: Reply, _ refusal: LockError?, about grant: GrantID, _ request: OpenRequest, as id: RequestID,
        at now: Instant
    ) {
        defer { if request.mayWait { sendOldestQueued(at: now) } }
        let former = grants.terms(of: grant)
        let isHeld = former != nil && grants.loss(of: grant) == nil
        if reply.isNotHeld, grants.mayBeHeld(grant), former?.token != request.token {
            // An upgrade that was given up has changed the token after the line was sent.
            return send(id, at: now)
        }
        if case .granted(_, let mode, let token, let ownerDied, _, let until) = reply {
            grants.change(grant, mode, token, ownerDied: ownerDied)
            if let until { extend(until, at: now) }
            if case .upgrade = request.call, !request.isAttended, let former {
                post(.downgrade(grant, to: former.mode), at: now)
            }
            finish(id, .done)
        } else if reply.isCancelled, isHeld, request.isCancelled {
            finish(id, .cancelled)
        } else if reply.isCancelled || reply.isNotHeld {
            // The notice of a loss precedes the reply and says how. A daemon that sent none has revoked the grant.
            lose(grant, .revoked)
            finish(id, grants.loss(of: grant).map(Outcome.lost) ?? .refused(.disconnected))
        } else {
            if case .renew(_, let lease) = request.call {
                setAlarm(grants.renewed(grant, for: lease?.duration, at: now))
            }
            finish(id, refusal.map(Outcome.refused) ?? .done)
        }
    }

    mutating func lose(_ grant: GrantID?, _ cause: LockLost.Cause) {
        if let grant, let loss = grants.lose(grant, cause) { events.append(.lost(grant, loss)) }
    }

    // MARK: Completion

    private mutating func complete(_ id: RequestID, _ outcome: Outcome) {
        if requests[id]?.isAttended == true { events.append(.completed(id, outcome)) }
    }

    /// Completes a request for its caller before its reply.
    mutating func leave(_ id: RequestID, _ outcome: Outcome) {
        complete(id, outcome)
        requests[id]?.isAttended = false
    }

    mutating func finish(_ id: RequestID, _ outcome: Outcome) {
        complete(id, outcome)
        if case .release(let grant) = requests[id]?.call { grants.letGo(grant) }
        requests[id] = nil
        listings.removeAll { $0 == id }
    }

    // MARK: Lines to send

    private mutating func sendUnsent(at now: Instant) {
        let unsent = requests.filter { if case .unsent = $0.value.stage { true } else { false } }
        for id in unsent.keys.sorted() { send(id, at: now) }
    }

    mutating func sendCancel(of id: RequestID, at now: Instant) {
        post(.other(.cancelTagged(id.tag)), at: now)
    }

    mutating func send(_ id: RequestID, at now: Instant) {
        guard let request = requests[id] else { return }
        let terms = request.call.grant.map(terms(of:))
        let verb = request.call.verb(
            about: terms, waiting: request.time.wait(at: now), knowsCaching: hasSlots)
        if verb.isAnsweredWithRows { listings.append(id) }
        requests[id]?.stage = .sent
        requests[id]?.token = terms?.token
        Request(tag: id.tag, verb: verb).encode(into: &output)
    }
}
