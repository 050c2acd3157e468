import LockModel
import LockVocabulary

/// Holds what the server does against the model: what each line that was carried out must be answered, and what follows
/// from it for others.
struct Referee {
    private(set) var model: Model
    /// The request by which each grant was made, by its token.
    private var ids: [UInt64: Int] = [:]
    private(set) var lastToken: UInt64 = 0
    /// Which session made a request, and which a process has.
    private var askers: [Int: Int] = [:]
    private var sessions: [Int32: Int] = [:]
    /// Grants of this instant, whose tokens are to be above all before.
    private var pending: [(id: Int, token: UInt64)] = []
    /// What is to be told besides replies, by session; the tokens may only be known when all is read.
    private var notices: [(session: Int, word: String, id: Int)] = []

    private var rules: RuleFile
    /// Of which user each session is, and which of them watch.
    private var users: [Int: UInt32] = [:]
    private var watchers: Set<Int> = []

    init(graceEnd: Instant?, after lastToken: UInt64, _ limits: Model.Limits, _ rules: RuleFile) {
        model = Model(graceEnd: graceEnd)
        self.rules = rules
        model.limits = limits
        self.lastToken = lastToken
    }

    mutating func setLimits(_ limits: Model.Limits) {
        model.limits = limits
        for session in users.keys { setShare(of: session) }
    }

    mutating func setRules(_ rules: RuleFile) {
        self.rules = rules
        for session in users.keys { setShare(of: session) }
    }

    private mutating func setShare(of session: Int) {
        guard let user = users[session] else { return }
        let grants = rules.most("grants", user, of: model.limits.grants) ?? .max
        model.shares[session] = (user, grants, rules.most("waiters", user, of: model.limits.waiters) ?? .max)
    }

    mutating func drain() { model.isDraining = true }

    // MARK: - What was done

    mutating func advance(to now: Instant, _ clients: inout [Client]) {
        model.advance(to: now)
        takeEvents(&clients)
    }

    mutating func drop(_ session: Int, _ clients: inout [Client]) {
        model.dropRequests(of: session)
        takeEvents(&clients)
    }

    mutating func end(_ session: Int, _ clients: inout [Client]) {
        model.endSession(session)
        takeEvents(&clients)
        model.shares[session] = nil
        users[session] = nil
        watchers.remove(session)
    }

    /// A line was carried out: who sent it is to be answered.
    mutating func carryOut(_ line: Line, of index: Int, _ clients: inout [Client]) {
        let session = clients[index].number
        // Its own effects come before its answer, as those of a cancel.
        let expectation = answer(line, session)
        if let expectation { clients[index].owed.append(expectation) }
        takeEvents(&clients)
    }

    private mutating func answer(_ line: Line, _ session: Int) -> Expectation? {
        if let tag = line.tag, isOpen(tag, session) {
            return Expectation(tag: tag, .error(code: "tag-in-use"))
        }
        if isDenied(line.meaning, session) { return Expectation(tag: line.tag, .word("DENIED")) }
        switch line.meaning {
        case .acquire(let lock, let mode, let owner, let wait, let lease):
            let request = Model.Request(
                id: line.id, party: Model.Party(session: session, owner: owner), lock: lock, mode: mode,
                lease: lease, deadline: wait.deadline(from: model.now))
            let before = model
            return decided(model.acquire(request, mayWait: wait != .upTo(.zero)), line, request, before)
        case .upgrade(let lock, let choice, let wait):
            let matches = matches(session, lock, choice)
            let party = matches.first?.party ?? Model.Party(session: session, owner: "-")
            var request = Model.Request(id: line.id, party: party, lock: lock, mode: .write)
            request.upgrades = matches.first?.id
            let before = model
            return decided(model.upgrade(line.id, lock, matches, wait: wait), line, request, before)
        case .release(let lock, let choice, let atEnd):
            let matches = matches(session, lock, choice)
            return plain(atEnd ? model.releaseAtEnd(matches) : model.release(matches), line)
        case .releaseAll(let owner):
            let ended = model.releaseAll(of: Model.Party(session: session, owner: owner))
            return Expectation(tag: line.tag, .releasedAll(grants: ended.grants, waiters: ended.waiters))
        case .downgrade(let lock, let choice, let mode):
            return plain(model.downgrade(matches(session, lock, choice), to: mode), line)
        case .renew(let lock, let choice, let lease):
            return plain(model.renew(matches(session, lock, choice), lease: lease), line)
        case .cancel(let lock, let owner):
            return cancelled(
                model.requests.filter {
                    $0.party.session == session && $0.lock == lock
                        && (owner == nil || $0.party.owner == owner)
                }, line)
        case .cancelTagged(let tag):
            return cancelled(
                model.requests.filter { $0.party.session == session && "r\($0.id)" == tag }, line)
        case .validate(let lock, let token):
            let isValid = model.grants.contains { $0.lock == lock && $0.id == ids[token] }
            return Expectation(tag: line.tag, .word(isValid ? "VALID" : "STALE"))
        case .revoke(let lock, let token):
            return plain(model.revoke(model.grants.filter { $0.lock == lock && $0.id == ids[token] }), line)
        case .list, .status: return Expectation(tag: line.tag, .listing)
        case .watch: return watch(line, session)
        case .hello(let recall):
            if let recall { model.setRecall(recall, of: session) }
            return Expectation(tag: line.tag, .word("HELLO"))
        case .ping: return Expectation(tag: line.tag, .word("PONG"))
        case .quit: return Expectation(tag: line.tag, .word("BYE"))
        case .junk(let code): return Expectation(tag: line.tag, .error(code: code))
        }
    }

    private func isDenied(_ meaning: Line.Meaning, _ session: Int) -> Bool {
        let user = users[session] ?? 0
        switch meaning {
        case .acquire(let lock, let mode, let owner, let wait, _):
            if !rules.may(mode == .read ? "read" : "write", lock, user) { return true }
            let party = Model.Party(session: session, owner: owner)
            let held = model.grants.filter { $0.party == party }.map(\.lock)
            return wait != .upTo(.zero) && rules.refuses(lock, holding: held)
        case .upgrade(let lock, _, _): return !rules.may("write", lock, user)
        case .validate(let lock, _), .status(let lock): return !rules.may("look", lock, user)
        case .revoke(let lock, _): return !rules.may("revoke", lock, user)
        default: return false
        }
    }

    private mutating func watch(_ line: Line, _ session: Int) -> Expectation {
        let user = users[session] ?? 0
        let others = watchers.count { $0 != session && users[$0] == user }
        let most = rules.most("watchers", user, of: nil) ?? .max
        guard watchers.contains(session) || others < most else {
            return Expectation(tag: line.tag, .error(code: "limit-watchers"))
        }
        watchers.insert(session)
        return Expectation(tag: line.tag, .word("OK"))
    }

    private func decided(
        _ answers: Set<Model.Answer>, _ line: Line, _ request: Model.Request, _ before: Model
    ) -> Expectation? {
        if answers == [.waiting] { return nil }
        var expectation = Expectation(tag: line.tag, .answer(answers), id: line.id)
        if answers.contains(.deadlock) { expectation.asked = (request, before) }
        return expectation
    }

    private func plain(_ answers: Set<Model.Answer>, _ line: Line) -> Expectation {
        Expectation(tag: line.tag, .answer(answers))
    }

    private mutating func cancelled(_ matches: [Model.Request], _ line: Line) -> Expectation {
        let answers = model.cancel(matches)
        return plain(answers == [.done] ? [.cancelled] : answers, line)
    }

    private func isOpen(_ tag: String, _ session: Int) -> Bool {
        model.requests.contains { $0.party.session == session && "r\($0.id)" == tag }
    }

    private func matches(_ session: Int, _ lock: String, _ choice: Line.Choice) -> [Model.Grant] {
        model.grants.filter { grant in
            grant.party.session == session && grant.lock == lock
                && (choice.token.map { ids[$0] == grant.id } ?? true)
                && (choice.owner == nil || choice.owner == grant.party.owner)
        }
    }

    // MARK: - What follows for others

    private mutating func takeEvents(_ clients: inout [Client]) {
        let events = model.events
        model.events = []
        for event in events {
            switch event {
            case .granted(let id, let mode, let died):
                owe(id, [.granted(mode, ownerDied: died)], &clients)
            case .refused(let id, let answers): owe(id, answers, &clients)
            case .expired(let id): note("EXPIRED", id)
            case .revoked(let id): note("REVOKED", id)
            case .recalled(let id): note("RECALL", id)
            }
        }
    }

    private mutating func owe(_ id: Int, _ answers: Set<Model.Answer>, _ clients: inout [Client]) {
        guard let session = askers[id], let index = clients.firstIndex(where: { $0.number == session })
        else { return }
        clients[index].owed.append(Expectation(tag: "r\(id)", .answer(answers), id: id))
    }

    private mutating func note(_ word: String, _ id: Int) {
        if let session = askers[id] { notices.append((session, word, id)) }
    }

    mutating func asks(_ line: Line, _ session: Int) { askers[line.id] = session }

    mutating func began(_ processID: Int32, _ session: Int, of user: UInt32) {
        sessions[processID] = session
        users[session] = user
        setShare(of: session)
    }

    // MARK: - What was told

    /// A client was told of a grant, by the request `id`.
    mutating func granted(_ id: Int, _ token: UInt64) throws(Violation) {
        guard token > lastToken || ids[token] == nil else {
            throw Violation("G7: token \(token) was given twice")
        }
        ids[token] = id
        pending.append((id, token))
    }

    /// All that was told at this instant was read.
    mutating func settle(
        told: inout [(session: Int, word: String, token: UInt64)], ended: Set<Int>
    ) throws(Violation) {
        for (_, token) in pending where token <= lastToken {
            throw Violation("G7: token \(token) after \(lastToken)")
        }
        lastToken = pending.map(\.token).max() ?? lastToken
        pending = []
        for notice in notices where !ended.contains(notice.session) {
            let index = told.firstIndex {
                $0.session == notice.session && $0.word == notice.word && ids[$0.token] == notice.id
            }
            guard let index else { throw Violation("session \(notice.session) was not told: \(notice)") }
            told.remove(at: index)
        }
        notices = []
        told.removeAll { ended.contains($0.session) }
        if let one = told.first { throw Violation("session \(one.session) was told for no reason: \(one)") }
    }

    /// Whether `811/t1:jobs>902:mail` is a circle that the request would have closed.
    func checkCircle(
        _ text: Substring, _ asked: (request: Model.Request, before: Model)
    ) throws(Violation) {
        var hops: [(party: Model.Party, lock: String)] = []
        for hop in text.split(separator: ">") {
            if hop.first == "+" { return }
            let halves = hop.split(separator: ":", maxSplits: 1)
            let who = (halves.first ?? "").split(separator: "/")
            let number = Int32(who.first ?? "").flatMap { sessions[$0] } ?? -1
            let party = Model.Party(session: number, owner: who.count > 1 ? String(who[1]) : "-")
            hops.append((party, String(halves.last ?? "")))
        }
        if hops.count == 1, hops.first?.party == asked.request.party { return }
        guard asked.before.isCircle(hops, closedBy: asked.request) else {
            throw Violation("G8: there is no circle \(text)")
        }
    }
}

extension Model {
    /// Who holds and waits, for people.
    var state: String {
        let held = grants.map { "\($0.party.session)/\($0.party.owner) has \($0.lock) \($0.mode)" }
        let awaited = requests.map { "\($0.party.session)/\($0.party.owner) waits for \($0.lock) \($0.mode)" }
        return (held + awaited).joined(separator: ", ")
    }
}
