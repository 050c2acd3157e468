import LockVocabulary
import LockWire

/// One session as its client sees it: what was asked, what is held, and what both become.
///
/// It does no I/O, reads no clock and knows no tasks: requests, lines and the end go in; what to send and whom to tell
/// comes out, in the order in which it is to be done.
///
///              opened               ended
///  [ CONNECTING ] ────▶ [ OPEN ] ──────────▶ [ ENDED ]
///
/// A request:
///
///               opened             reply
///   [ UNSENT ] ────────▶ [ SENT ] ──────────────────────▶ (answered)
///       │                 │    │ ERROR draining
///       │ cancel,  cancel,│    └─────────▶ [ PARKED ] ──▶ (ended with the session)
///       │ give up  give up▼   reply
///       ▼           [ WITHDRAWN ] ─────▶ (gone; what it got is given back)
///     (gone)
///
/// A request is given up when the daemon has not answered in time. The daemon may still read it, hours later, and the
/// session may hold other grants, so that it cannot just be closed. What is sent behind the request undoes it:
///
/// 1. A request for a lock: `CANCEL #tag`, in case it waits, and `RELEASE name owner=…`, in case it was granted. The
///    daemon carries them out in this order and in one turn, without the client. `RELEASE` is only sent where it cannot
///    mean another grant; where it could, the grant is released when its reply comes.
/// 2. An upgrade: `CANCEL #tag`. If it is granted all the same, the grant is downgraded to what it was when the reply
///    comes; what was asked about the grant by its old token meanwhile is asked again by the new one.
/// 3. Anything else is carried out when the daemon reads it: a release, a renewal, a question.
///
/// From then until its next line the daemon is silent. Requests for locks and questions are not sent to a silent daemon:
/// when their own time comes, nothing has to be undone, and a daemon that hangs for long does not make the client grow.
/// The answer to `CANCEL` is the line that ends the silence, at the latest.
///
/// Invariants:
/// 1. Every request is answered once: by a reply, by the end, as withdrawn or as given up; the latter two at once.
/// 2. Every token that the daemon gave is held, or its release was sent. A held one is told of once, when it is
///    lost; nothing is held after the end.
/// 3. Rows belong to the oldest listing that is open, for the daemon finishes one before it begins another.
/// 4. A line that is sent says how long its request may wait from then on (`CallTime`).
struct ConnectionState {
    /// Names a request of this session; its tag is the number.
    typealias RequestID = UInt64

    /// What to do, in this order.
    enum Action: Equatable {
        case send(Request)
        /// The request got a lock.
        case granted(RequestID, Granted)
        /// The request changed what was held under the old token.
        case changed(RequestID, old: Token, Granted)
        /// The request got any other answer.
        case answered(RequestID, Reply, [Row])
        /// The request was cancelled, and whatever it gets will be given back.
        case withdrawn(RequestID)
        /// The daemon did not answer in time, and whatever the request gets will be given back.
        case gaveUp(RequestID)
        /// The session ended before the request was answered.
        case ended(RequestID)
        /// What was held is not any more.
        case lost(Token, LockLost.Cause)
        /// Something happened that this session watches.
        case observed(Notice.Changed)
    }

    /// What the daemon granted.
    struct Granted: Equatable {
        var name: LockName
        var mode: LockMode
        var token: Token
        var ownerDied: Bool
    }

    private enum Phase { case connecting, open, ended }

    private enum Stage: Equatable {
        case unsent, sent
        /// The daemon leaves, and said so.
        case parked(WireError)
        /// Nobody waits for the answer, and what it gives is given back.
        case withdrawn
        /// Nobody waits for the answer, and what it says is so.
        case unattended
    }

    private struct Open {
        var verb: Verb
        var stage: Stage
        /// Until when it may wait; nil for without end, and for what does not wait.
        var deadline: Instant?
        var rows: [Row] = []
        /// The token that has come in the place of the one that it names.
        var newToken: Token?

        /// Whether the caller would rather wait for the next daemon than be turned away by this one.
        var mayWait: Bool {
            guard case .acquire(let acquire) = verb else { return false }
            return acquire.wait != .upTo(.zero)
        }
    }

    private struct Held {
        var name: LockName
        var mode: LockMode
        var owner: OwnerID
    }

    private var phase = Phase.connecting
    private var lastID: RequestID = 0
    private var open: [RequestID: Open] = [:]
    /// The requests that wait for the connection, or for the daemon to speak again, in order.
    private var unsent: [RequestID] = []
    /// The open requests that rows may come for, in order.
    private var listings: [RequestID] = []
    private var held: [Token: Held] = [:]
    /// Whether the daemon has said nothing since a request was given up.
    private var isSilent = false

    /// Why the daemon ended the session, if it said so: an error that answers no request.
    private(set) var farewell: WireError?

    /// Whether the session has ended.
    var hasEnded: Bool { phase == .ended }

    /// Whether nothing is asked or held.
    var isIdle: Bool { open.isEmpty && held.isEmpty }

    /// Whether nothing is held, and nobody waits for an answer.
    var isForsaken: Bool {
        held.isEmpty && open.values.allSatisfy { $0.stage == .withdrawn || $0.stage == .unattended }
    }

    /// The listing that rows come for.
    var currentListing: RequestID? { listings.first }

    /// Whether a request has no answer yet, also one that nobody waits for.
    func isOpen(_ id: RequestID) -> Bool { open[id] != nil }

    // MARK: What the caller does

    /// Asks the daemon for something.
    ///
    /// - Parameters:
    ///   - deadline: until when it may wait; without it, what the request says itself.
    ///   - now: what time it is.
    mutating func submit(
        _ verb: Verb, until deadline: Instant? = nil, at now: Instant = .zero
    ) -> (RequestID, [Action]) {
        let id = nextID()
        switch phase {
        case .open where !(isSilent && verb.mayBeDeferred):
            return (id, [send(verb, as: id, until: deadline, at: now)])
        case .connecting, .open:
            open[id] = Open(verb: verb, stage: .unsent, deadline: deadline)
            unsent.append(id)
            return (id, [])
        case .ended:
            return (id, [.ended(id)])
        }
    }

    /// The caller waits for the answer no more; what changes a grant is answered all the same.
    mutating func cancel(_ id: RequestID) -> [Action] {
        guard let request = open[id] else { return [] }
        switch (request.verb, request.stage) {
        case (_, .unsent), (_, .parked):
            forget(id)
            return [.withdrawn(id)]
        case (.acquire, .sent):
            open[id]?.stage = .withdrawn
            return [.withdrawn(id), sendCancel(of: id)]
        case (.upgrade, .sent):
            // The caller has to know what became of the grant that it has, so it waits for the answer.
            return [sendCancel(of: id)]
        case (let verb, .sent) where verb.isQuestion:
            open[id]?.stage = .unattended
            return [.withdrawn(id)]
        default:
            return []
        }
    }

    /// The daemon has not answered in time: the caller waits no more.
    mutating func giveUp(_ id: RequestID) -> [Action] {
        guard let request = open[id] else { return [] }
        switch (request.verb, request.stage) {
        case (_, .unsent):
            forget(id)
            return [.gaveUp(id)]
        case (_, .parked(let error)):
            forget(id)
            return [.answered(id, .error(error), [])]
        case (.acquire(let acquire), .sent):
            isSilent = true
            open[id]?.stage = .withdrawn
            var actions = [.gaveUp(id), sendCancel(of: id)]
            if let choice = choiceOfNoOther(than: id, acquire) {
                actions.append(sendIgnored(.release(acquire.name, choice)))
            }
            return actions
        case (.upgrade, .sent):
            isSilent = true
            open[id]?.stage = .unattended
            return [.gaveUp(id), sendCancel(of: id)]
        case (_, .sent):
            isSilent = true
            open[id]?.stage = .unattended
            return [.gaveUp(id)]
        case (_, .withdrawn), (_, .unattended):
            return []
        }
    }

    /// What chooses the grant that a request gets, and cannot choose another; nil if there is no such thing.
    private func choiceOfNoOther(than id: RequestID, _ acquire: Acquire) -> GrantChoice? {
        func mayBeMeant(_ name: LockName, _ owner: OwnerID) -> Bool {
            name == acquire.name && (owner == acquire.owner || acquire.owner.isSession)
        }
        let isHeld = held.values.contains { mayBeMeant($0.name, $0.owner) }
        let isAsked = open.contains { other, request in
            guard other != id, request.stage == .sent, case .acquire(let asked) = request.verb else {
                return false
            }
            return mayBeMeant(asked.name, asked.owner)
        }
        if isHeld || isAsked { return nil }
        return GrantChoice(owner: acquire.owner.isSession ? nil : acquire.owner)
    }

    private mutating func forget(_ id: RequestID) {
        open[id] = nil
        unsent.removeAll { $0 == id }
    }

    // MARK: What the connection does

    /// The connection is there: sends what was asked meanwhile.
    mutating func opened(at now: Instant = .zero) -> [Action] {
        guard phase == .connecting else { return [] }
        phase = .open
        return sendUnsent(at: now)
    }

    /// The connection is gone, or could not be made: everything asked is answered, everything held is lost.
    mutating func ended() -> [Action] {
        phase = .ended
        let lost = held.keys.sorted().map { Action.lost($0, .disconnected) }
        let unanswered = open.filter { $0.value.stage != .withdrawn && $0.value.stage != .unattended }
            .keys.sorted().map(Action.ended)
        (open, unsent, listings, held) = ([:], [], [], [:])
        return lost + unanswered
    }

    /// The daemon said something.
    mutating func received(_ line: ServerLine, at now: Instant = .zero) -> [Action] {
        let actions = understand(line, at: now)
        guard isSilent else { return actions }
        isSilent = false
        return actions + sendUnsent(at: now)
    }

    private mutating func understand(_ line: ServerLine, at now: Instant) -> [Action] {
        switch line {
        case .reply(let tag?, let reply):
            guard let id = RequestID(tag.text), let request = open[id] else { return [] }
            return answer(reply, to: request, as: id, at: now)
        case .reply(nil, .error(let error)):
            farewell = error
            return []
        case .reply(nil, _): return []
        case .row(let row):
            if let listing = listings.first, open[listing]?.stage == .sent {
                open[listing]?.rows.append(row)
            }
            return []
        case .notice(.expired(_, let token)): return lose(token, .expired)
        case .notice(.revoked(_, let token)): return lose(token, .revoked)
        case .notice(.changed(let change)): return [.observed(change)]
        case .notice(.recall), .notice(.missed), .notice(.drain): return []
        }
    }

    private mutating func answer(
        _ reply: Reply, to request: Open, as id: RequestID, at now: Instant
    ) -> [Action] {
        if case .error(let error) = reply, error.code == .draining, request.mayWait, request.stage == .sent {
            // The daemon leaves, and the next one may be asked once this one is gone, and not before: until then
            // others hold what they hold.
            open[id]?.stage = .parked(error)
            return []
        }
        if case .error(let error) = reply, error.code == .notHeld, let token = request.newToken,
            let verb = request.verb.choosing(token)
        {
            return [send(verb, as: id, until: request.deadline, at: now, stage: request.stage)]
        }
        open[id] = nil
        listings.removeAll { $0 == id }
        let isAttended = request.stage != .withdrawn && request.stage != .unattended
        switch (reply, request.verb) {
        case (.granted(let name, _, let token, _), .acquire) where request.stage == .withdrawn:
            return [sendIgnored(.release(name, GrantChoice(token: token)))]
        case (.granted(let name, let mode, let token, let ownerDied), .acquire(let acquire)):
            held[token] = Held(name: name, mode: mode, owner: acquire.owner)
            return [
                .granted(id, Granted(name: name, mode: mode, token: token, ownerDied: ownerDied))
            ]
        case (.granted(let name, let mode, let token, let ownerDied), let verb):
            let granted = Granted(name: name, mode: mode, token: token, ownerDied: ownerDied)
            let old = verb.chosenToken ?? token
            let before = held.removeValue(forKey: old)
            held[token] = Held(name: name, mode: mode, owner: before?.owner ?? .session)
            let changed = Action.changed(id, old: old, granted)
            guard case .upgrade = verb, request.stage == .unattended, let before else { return [changed] }
            rename(old, to: token)
            let (_, undoing) = submit(.downgrade(name, GrantChoice(token: token), to: before.mode))
            return [changed] + undoing
        case (.released(_, let token), _):
            held[token] = nil
            // Also one that nobody waits for says that the grant has ended.
            return request.stage == .withdrawn ? [] : [.answered(id, reply, [])]
        default:
            return isAttended ? [.answered(id, reply, request.rows)] : []
        }
    }

    /// A grant that its holder knows by the old token has a new one.
    private mutating func rename(_ old: Token, to new: Token) {
        for (id, request) in open where request.verb.chosenToken == old { open[id]?.newToken = new }
    }

    private mutating func lose(_ token: Token, _ cause: LockLost.Cause) -> [Action] {
        held.removeValue(forKey: token) == nil ? [] : [.lost(token, cause)]
    }

    // MARK: Lines to send

    private mutating func nextID() -> RequestID {
        lastID += 1
        return lastID
    }

    private mutating func sendUnsent(at now: Instant) -> [Action] {
        defer { unsent = [] }
        return unsent.compactMap { id in
            open[id].map { send($0.verb, as: id, until: $0.deadline, at: now) }
        }
    }

    private mutating func send(
        _ verb: Verb, as id: RequestID, until deadline: Instant? = nil, at now: Instant = .zero,
        stage: Stage = .sent
    ) -> Action {
        open[id] = Open(verb: verb, stage: stage, deadline: deadline)
        if verb.isAnsweredWithRows { listings.append(id) }
        let verb = deadline.map { verb.waiting(CallTime.wait(until: $0, from: now)) } ?? verb
        return .send(Request(tag: Tag(String(id)), verb: verb))
    }

    /// Sends a request whose answer nobody waits for.
    private mutating func sendIgnored(_ verb: Verb) -> Action { send(verb, as: nextID(), stage: .withdrawn) }

    private mutating func sendCancel(of id: RequestID) -> Action {
        guard let tag = Tag(String(id)) else { preconditionFailure("a number is a tag") }
        return sendIgnored(.cancelTagged(tag))
    }
}
