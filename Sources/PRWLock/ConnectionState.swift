import LockVocabulary
import LockWire

/// One session as its client sees it: what was asked, what is held, and what both become.
///
/// It does no I/O and knows no tasks: requests, lines and the end go in; what to send and whom to tell comes out, in
/// the order in which it is to be done.
///
///              opened               ended
///  [ CONNECTING ] ────▶ [ OPEN ] ──────────▶ [ ENDED ]
///
/// A request:
///
///               opened             reply
///   [ UNSENT ] ────────▶ [ SENT ] ──────────────────────▶ (answered)
///                         │    │ ERROR draining
///                  cancel │    └─────────▶ [ PARKED ] ──▶ (ended with the session)
///                         ▼   reply
///                   [ WITHDRAWN ] ─────▶ (gone; what it got is given back)
///
/// Invariants:
/// 1. Every request is answered once: by a reply, by the end, or as withdrawn; a withdrawn one at once.
/// 2. Every token that the daemon gave is held, or its release was sent. A held one is told of once, when it is
///    lost; nothing is held after the end.
/// 3. Rows belong to the oldest listing that is open, for the daemon finishes one before it begins another.
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

    private enum Stage { case unsent, sent, parked, withdrawn }

    private struct Open {
        let verb: Verb
        var stage: Stage
        var rows: [Row] = []
    }

    private var phase = Phase.connecting
    private var lastID: RequestID = 0
    private var open: [RequestID: Open] = [:]
    /// The requests that wait for the connection, in order.
    private var unsent: [RequestID] = []
    /// The open requests that rows may come for, in order.
    private var listings: [RequestID] = []
    private var held: Set<Token> = []

    /// Why the daemon ended the session, if it said so: an error that answers no request.
    private(set) var farewell: WireError?

    /// Whether the session has ended.
    var hasEnded: Bool { phase == .ended }

    /// Whether nothing is asked or held.
    var isIdle: Bool { open.isEmpty && held.isEmpty }

    // MARK: What the caller does

    /// Asks the daemon for something.
    mutating func submit(_ verb: Verb) -> (RequestID, [Action]) {
        let id = nextID()
        switch phase {
        case .connecting:
            open[id] = Open(verb: verb, stage: .unsent)
            unsent.append(id)
            return (id, [])
        case .open:
            return (id, [send(verb, as: id)])
        case .ended:
            return (id, [.ended(id)])
        }
    }

    /// Nobody waits for the answer any more; requests that cannot wait are answered all the same.
    mutating func cancel(_ id: RequestID) -> [Action] {
        guard let request = open[id] else { return [] }
        switch (request.verb, request.stage) {
        case (_, .unsent), (_, .parked):
            open[id] = nil
            unsent.removeAll { $0 == id }
            return [.withdrawn(id)]
        case (.acquire, .sent):
            open[id]?.stage = .withdrawn
            return [.withdrawn(id), sendCancel(of: id)]
        case (.upgrade, .sent):
            // Whoever asked has to know what became of the grant that it has, so it waits for the answer.
            return [sendCancel(of: id)]
        default:
            return []
        }
    }

    // MARK: What the connection does

    /// The connection is there: sends what was asked meanwhile.
    mutating func opened() -> [Action] {
        guard phase == .connecting else { return [] }
        phase = .open
        defer { unsent = [] }
        return unsent.compactMap { id in open[id].map { send($0.verb, as: id) } }
    }

    /// The connection is gone, or could not be made: everything asked is answered, everything held is lost.
    mutating func ended() -> [Action] {
        phase = .ended
        let lost = held.sorted().map { Action.lost($0, .disconnected) }
        let unanswered = open.filter { $0.value.stage != .withdrawn }.keys.sorted().map(Action.ended)
        (open, unsent, listings, held) = ([:], [], [], [])
        return lost + unanswered
    }

    /// The daemon said something.
    mutating func received(_ line: ServerLine) -> [Action] {
        switch line {
        case .reply(let tag?, let reply):
            guard let id = RequestID(tag.text), let request = open[id] else { return [] }
            return answer(reply, to: request, as: id)
        case .reply(nil, .error(let error)):
            farewell = error
            return []
        case .reply(nil, _): return []
        case .row(let row):
            if let listing = listings.first { open[listing]?.rows.append(row) }
            return []
        case .notice(.expired(_, let token)): return lose(token, .expired)
        case .notice(.revoked(_, let token)): return lose(token, .revoked)
        case .notice(.changed(let change)): return [.observed(change)]
        case .notice(.recall), .notice(.missed), .notice(.drain): return []
        }
    }

    private mutating func answer(_ reply: Reply, to request: Open, as id: RequestID) -> [Action] {
        if case .error(let error) = reply, error.code == .draining, mayWait(request.verb),
            request.stage == .sent
        {
            // The daemon leaves, and the next one may be asked once this one is gone, and not before: until then
            // others hold what they hold.
            open[id]?.stage = .parked
            return []
        }
        open[id] = nil
        listings.removeAll { $0 == id }
        switch (reply, request.verb) {
        case (.granted(let name, _, let token, _), .acquire) where request.stage == .withdrawn:
            return [sendIgnored(.release(name, Chooser(token: token)))]
        case (.granted(let name, let mode, let token, let ownerDied), _):
            let granted = Granted(name: name, mode: mode, token: token, ownerDied: ownerDied)
            held.insert(token)
            guard let old = request.verb.chosenToken else { return [.granted(id, granted)] }
            if old != token { held.remove(old) }
            return [.changed(id, old: old, granted)]
        case (.released(_, let token), _):
            held.remove(token)
            return request.stage == .withdrawn ? [] : [.answered(id, reply, [])]
        default:
            return request.stage == .withdrawn ? [] : [.answered(id, reply, request.rows)]
        }
    }

    private mutating func lose(_ token: Token, _ cause: LockLost.Cause) -> [Action] {
        held.remove(token) == nil ? [] : [.lost(token, cause)]
    }

    // MARK: Lines to send

    private mutating func nextID() -> RequestID {
        lastID += 1
        return lastID
    }

    private mutating func send(_ verb: Verb, as id: RequestID, stage: Stage = .sent) -> Action {
        open[id] = Open(verb: verb, stage: stage)
        if verb.isAnsweredWithRows { listings.append(id) }
        return .send(Request(tag: Tag(String(id)), verb: verb))
    }

    /// Sends a request whose answer nobody waits for.
    private mutating func sendIgnored(_ verb: Verb) -> Action { send(verb, as: nextID(), stage: .withdrawn) }

    private mutating func sendCancel(of id: RequestID) -> Action {
        guard let tag = Tag(String(id)) else { preconditionFailure("a number is a tag") }
        return sendIgnored(.cancelTagged(tag))
    }

    private func mayWait(_ verb: Verb) -> Bool {
        guard case .acquire(let acquire) = verb else { return false }
        return acquire.wait != .upTo(.zero)
    }
}

extension Verb {
    /// Whether rows come before the answer.
    fileprivate var isAnsweredWithRows: Bool {
        switch self {
        case .status, .list, .sessions, .stats, .help: true
        default: false
        }
    }

    /// The token of the grant that it is about.
    fileprivate var chosenToken: Token? {
        switch self {
        case .upgrade(_, let chooser, _), .downgrade(_, let chooser, _): chooser.token
        default: nil
        }
    }
}
