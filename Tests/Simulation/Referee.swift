import LockCore
import LockModel
import LockServer
import LockVocabulary

/// Decides by the model which replies and notices the server owes, to the sender of a line and to other sessions.
struct Referee {
    private(set) var model: Model
    /// The request that made each grant.
    private(set) var ids: [Token: Int] = [:]
    /// The tokens of grants that were cached.
    private(set) var cachedTokens: Set<Token> = []
    private(set) var lastToken = Token(rawValue: 0)
    /// The session of each request and of each process.
    private var askers: [Int: Int] = [:]
    private var sessions: [Int32: Int] = [:]
    /// Grants since the last `checkNotices`; their tokens must be above all earlier ones.
    private var pending: [(id: Int, token: Token)] = []
    /// Whether the server had work left since all notices were last compared.
    var isLate = false
    /// Whether time has passed since then. What is due is done for one account after another, so a recall may come for a request
    /// that is due as well.
    var timeHasPassed = false
    /// Grants that may have been recalled while work was late, or not: the model cannot know.
    private var unsure: Set<Int> = []
    /// The notices that the server owes. Their tokens may be unknown until all output is read.
    private var notices: [(session: Int, word: String, id: Int)] = []

    private(set) var settings: Settings
    /// The user of each session, and the sessions that watch.
    private var users: [Int: UInt32] = [:]
    private var watchers: Set<Int> = []

    init(_ settings: Settings, patience: Duration?) {
        self.settings = settings
        model = Model(patience: patience)
        model.limits = settings.model
    }

    /// Starts another daemon; only the settings and the last token stay.
    mutating func restart(graceEnd: Instant?, after lastToken: Token) {
        let patience = model.patience
        self = Referee(settings, patience: patience)
        model = Model(graceEnd: graceEnd, patience: patience)
        model.limits = settings.model
        self.lastToken = lastToken
    }

    mutating func set(_ settings: Settings) {
        self.settings = settings
        model.limits = settings.model
        for session in users.keys { setShare(of: session) }
    }

    private mutating func setShare(of session: Int) {
        guard let user = users[session] else { return }
        model.shares[session] = (
            user, settings.rules.share("grants", user), settings.rules.share("waiters", user)
        )
    }

    mutating func drain() { model.isDraining = true }

    // MARK: - What clients did on their slots

    /// Takes note that a grant has a slot.
    mutating func cached(_ token: Token) { cachedTokens.insert(token) }

    /// Takes over the model in which a client has taken its lock again, under the same token.
    mutating func enter(_ model: Model, as id: Int, of session: Int, _ token: Token) {
        self.model = model
        askers[id] = session
        ids[token] = id
    }

    /// Carries out a release. Returns whether there was such a grant.
    mutating func carryOutRelease(
        _ release: Command, as id: Int, of session: Int, _ clients: inout [Client]
    ) -> Bool {
        let answers = model.carryOut(release, of: session, as: id, ids)
        takeEvents(&clients)
        return answers == [.done]
    }

    // MARK: - What the server did

    mutating func advance(to now: Instant, _ clients: inout [Client]) {
        model.advance(to: now)
        takeEvents(&clients)
    }

    mutating func drop(_ session: Int, _ clients: inout [Client]) {
        model.beginEnd(of: session)
        model.undecided = model.undecided.filter { askers[$0] != session }
        takeEvents(&clients)
    }

    /// Takes note that the server has granted or refused a waiting request.
    mutating func decided(_ session: Int, _ tag: String) {
        if let id = Self.id(tag), askers[id] == session { model.undecided.remove(id) }
    }

    private static func id(_ tag: String) -> Int? { Int(tag.dropFirst()) }

    /// Whether the server still owes the answer to a waiting request.
    func isUndecided(_ id: Int?) -> Bool { id.map(model.undecided.contains) ?? false }

    /// Whether a request of a session is granted in the model and not yet by the server.
    func hasLateGrants(_ session: Int) -> Bool {
        model.grants.contains { model.undecided.contains($0.id) && $0.party.session == session }
    }

    mutating func end(_ session: Int, _ clients: inout [Client]) {
        model.endSession(session)
        model.undecided = model.undecided.filter { askers[$0] != session }
        takeEvents(&clients)
        model.shares[session] = nil
        users[session] = nil
        watchers.remove(session)
    }

    /// Takes note of a line that was carried out, and of the reply that its sender must get.
    ///
    /// - Parameter limitedLate: whether the server refused it for a limit while work was late, or because its search took
    ///   too many steps; nil if neither.
    mutating func carryOut(
        _ line: Line, of index: Int, limitedLate: Bool? = nil, _ clients: inout [Client]
    ) throws(Violation) {
        let session = clients[index].number
        if let isLate = limitedLate {
            guard isLate || settings.limits.rules.searchSteps < 1_000 else {
                throw Violation("G8: no search is so long")
            }
            let code = isLate ? nil : "limit-waits"
            clients[index].owed.append(Expectation(tag: line.tag, .error(code: code)))
            return
        }
        // A lock that is only cached is no new one to the server, which reports each refusal for a limit where there are slots.
        let limit = model.limits.locks
        if clients.contains(where: { $0.slots != nil }) { model.limits.locks = .max }
        let expectation = answer(line, session)
        model.limits.locks = limit
        if let expectation { clients[index].owed.append(expectation) }
        takeEvents(&clients)
    }

    private mutating func answer(_ line: Line, _ session: Int) -> Expectation? {
        if let tag = line.tag, isOpen(tag, session) {
            return Expectation(tag: tag, .error(code: "tag-in-use"))
        }
        if isDenied(line.meaning, session) { return Expectation(tag: line.tag, .word("DENIED")) }
        switch line.meaning {
        case .command(let command): return answer(command, line, session)
        case .list, .status: return Expectation(tag: line.tag, .listing)
        case .watch: return watch(line, session)
        case .hello: return Expectation(tag: line.tag, .word("HELLO"))
        case .ping: return Expectation(tag: line.tag, .word("PONG"))
        case .quit: return Expectation(tag: line.tag, .word("BYE"))
        case .junk(let code): return Expectation(tag: line.tag, .error(code: code))
        }
    }

    private mutating func answer(_ command: Command, _ line: Line, _ session: Int) -> Expectation? {
        let before = model
        let request = model.request(command, of: session, as: line.id, ids)
        let idle = answersAboutIdle(command)
        let answers = model.carryOut(command, of: session, as: line.id, ids).union(idle)
        if answers == [.waiting] {
            if model.requests.contains(where: { $0.id == line.id }) { model.undecided.insert(line.id) }
            return nil
        }
        var expectation = Expectation(
            tag: line.tag, .answer(answers, reply: command.reply), id: request?.id)
        if let request, answers.contains(.deadlock) { expectation.asked = (request, before) }
        return expectation
    }

    private func isDenied(_ meaning: Line.Meaning, _ session: Int) -> Bool {
        let user = users[session] ?? 0
        func may(_ right: String, _ lock: String) -> Bool { settings.rules.may(right, lock, user) }
        switch meaning {
        case .command(.acquire(let lock, let mode, let owner, let wait, _)):
            if !may(mode == .read ? "read" : "write", lock) { return true }
            let party = Model.Party(session: session, owner: owner)
            let held = model.grants.filter { $0.party == party && !isUndecided($0.id) }.map(\.lock)
            return wait != .upTo(.zero) && settings.rules.refuses(lock, holding: held)
        case .command(.upgrade(let lock, _, _)): return !may("write", lock)
        case .command(.validate(let lock, _)), .status(let lock): return !may("look", lock)
        case .command(.revoke(let lock, _)): return !may("revoke", lock)
        case .command(.downgrade), .command(.release), .command(.releaseAtEnd), .command(.releaseAll),
            .command(.renew), .command(.cancel), .command(.cancelTagged), .command(.setRecall), .list,
            .watch, .hello, .ping, .quit, .junk:
            return false
        }
    }

    private mutating func watch(_ line: Line, _ session: Int) -> Expectation {
        let user = users[session] ?? 0
        let others = watchers.count { $0 != session && users[$0] == user }
        let share = settings.rules.share("watchers", user)
        guard watchers.contains(session) || share.allowsOneMore(than: others, besides: 0, of: .max) else {
            return Expectation(tag: line.tag, .error(code: "limit-watchers"))
        }
        watchers.insert(session)
        return Expectation(tag: line.tag, .word("OK"))
    }

    private func isOpen(_ tag: String, _ session: Int) -> Bool {
        guard let id = Self.id(tag) else { return false }
        return model.undecided.contains(id) && askers[id] == session
    }

    // MARK: - Effects on other sessions

    private mutating func takeEvents(_ clients: inout [Client]) {
        let events = model.events
        model.events = []
        for event in events {
            switch event {
            case .granted(let id, let mode, let died):
                expect(id, [.granted(mode, ownerDied: died)], &clients)
            case .refused(let id, let answers): expect(id, answers, &clients)
            case .expired(let id): note("EXPIRED", id)
            case .revoked(let id): note("REVOKED", id)
            case .recalled(let id): note("RECALL", id)
            }
        }
    }

    private mutating func expect(_ id: Int, _ answers: Set<Model.Answer>, _ clients: inout [Client]) {
        guard let session = askers[id], let index = clients.firstIndex(where: { $0.number == session })
        else { return }
        var expectation = Expectation(tag: Model.tag(of: id), .answer(answers, reply: nil), id: id)
        if let state = model.takeStateOfCircle(id), let reader = state.requests.first(where: { $0.id == id })
        {
            expectation.asked = (reader, state)
        }
        clients[index].owed.append(expectation)
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

    // MARK: - What clients received

    /// Takes note that a client received the grant of request `id`.
    mutating func granted(_ id: Int, _ token: Token) throws(Violation) {
        guard token > lastToken || ids[token] == nil else {
            throw Violation("G7: token \(token) was given twice")
        }
        ids[token] = id
        pending.append((id, token))
    }

    /// Compares tokens and notices with the model, once all output of the instant is read.
    ///
    /// While the server has work left, notices may be missing. A recall may then come although the request that caused it has
    /// gone, or not come because it has gone.
    mutating func checkNotices(
        received: inout [(session: Int, word: String, token: Token)], ended: Set<Int>, hasDueWork: Bool
    ) throws(Violation) {
        isLate = isLate || hasDueWork
        let isUnsure = isLate || timeHasPassed
        var missing: [(session: Int, word: String, id: Int)] = []
        for (_, token) in pending where token <= lastToken {
            throw Violation("G7: token \(token) after \(lastToken)")
        }
        lastToken = pending.map(\.token).max() ?? lastToken
        pending = []
        // What is late for a dead process is not told.
        notices.removeAll { ended.contains($0.session) || model.isEnding($0.session) }
        for notice in notices {
            let index = received.firstIndex {
                $0.session == notice.session && $0.word == notice.word && ids[$0.token] == notice.id
            }
            if let index {
                received.remove(at: index)
            } else if hasDueWork {
                missing.append(notice)
            } else if notice.word == "RECALL", isUnsure || unsure.contains(notice.id) {
                unsure.insert(notice.id)
            } else {
                throw Violation("session \(notice.session) did not receive: \(notice)")
            }
        }
        notices = missing
        received.removeAll { ended.contains($0.session) || model.isEnding($0.session) }
        for one in received {
            guard one.word == "RECALL", let id = ids[one.token], isUnsure || unsure.contains(id) else {
                throw Violation("session \(one.session) received without a reason: \(one)")
            }
            unsure.insert(id)
        }
        received = []
        isLate = hasDueWork
        timeHasPassed = false
    }

    /// Throws unless `811/t1:jobs>902:mail` is a circle that the request would have closed.
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
        guard asked.before.isCircle(hops, closedBy: asked.request) else {
            throw Violation("G8: there is no circle \(text)")
        }
    }
}

extension Model {
    /// The grants and requests as text.
    var state: String {
        let held = grants.map { "\($0.party.session)/\($0.party.owner) has \($0.lock) \($0.mode)" }
        let awaited = requests.map { "\($0.party.session)/\($0.party.owner) waits for \($0.lock) \($0.mode)" }
        return (held + awaited).joined(separator: ", ")
    }
}
