import LockCore
import LockServer
import LockVocabulary

/// The work of each call of the server, in the units of `LockServer/README.md`, and the order of service.
///
/// The bounds are those that the README states. What an account owes is known from what it was charged, and from the rounds.
struct Work {
    /// A call of the server.
    enum Call {
        case open, receive, wrote, beginEnd, end, close, drain
        /// `advance` and `resumeWork`: each begins a round.
        case round, resume
    }

    let turns: ServerConfiguration.Turns
    /// The virtual time of the accounts: all work, and one unit for each round.
    private var clock = 0
    /// When at the latest each user's work beyond the quotas is made up for.
    private var due: [UInt32: Int] = [:]
    /// What each user has done in this round.
    private var ofRound: [UInt32: Int] = [:]
    private var charged: [UInt32: Int] = [:]
    private var done = 0
    private var told = 0
    /// The most grants and requests that a session could have so far, and the steps of a search.
    private var stakes = 0
    private var searchSteps = 0
    /// What it may cost to look through one lock, which one line in a batch may do.
    private var longLook = 0

    private let isPatient: Bool

    /// - Parameter isPatient: whether readers lose patience.
    init(_ turns: ServerConfiguration.Turns, isPatient: Bool) {
        self.turns = turns
        self.isPatient = isPatient
    }

    mutating func set(_ limits: ServerConfiguration.Limits) {
        stakes = max(stakes, limits.rules.sessionGrants)
        longLook = max(longLook, (limits.rules.grants + limits.rules.waiters) / 4)
        searchSteps = limits.rules.searchSteps
    }

    /// Notes that another server goes on, which counts from zero.
    mutating func succeed() {
        done = 0
        told = 0
        charged = [:]
    }

    /// Whether an account surely owes no work.
    func hasTurn(_ user: UInt32) -> Bool { due[user, default: 0] <= clock }

    mutating func begin(_ call: Call) {
        guard call == .round || call == .resume else { return }
        clock += 1
        ofRound = [:]
    }

    /// Takes note of the work of a call. Returns it, without notices, with its bound.
    mutating func end(
        _ call: Call, _ server: borrowing Server, accounts: Int
    ) -> (work: Int, bound: Int) {
        let (all, notices) = server.workDone
        let work = all - done
        done = all
        clock += work
        for (user, sum) in server.workOfUsers ?? [:] { note(sum - charged[user, default: 0], of: user) }
        defer { told = notices }
        return (work - (notices - told), bound(of: call, accounts: accounts))
    }

    /// A debt is the work, and once more what is beyond the quota, from the time of the work on. The order of the work in
    /// one call is not known here, so this is the most that it can be.
    private mutating func note(_ work: Int, of user: UInt32) {
        guard work > 0 else { return }
        charged[user, default: 0] += work
        let before = ofRound[user, default: 0]
        ofRound[user] = before + work
        let beyond = max(0, before + work - turns.account) - max(0, before - turns.account)
        due[user] = max(due[user, default: 0] + work + beyond, clock + beyond)
    }

    /// How much work was charged to a user so far.
    func charged(to user: UInt32) -> Int { charged[user, default: 0] }

    /// What the last line of a turn may cost: the way to its lock, what it looks through, what it ends, and what follows.
    private var longestLine: Int {
        1 + 13 + 16 + longLook + stakes + stakes / 4 + 2 * searchSteps / 4 + 2 * (turns.steps + 1)
    }

    /// The end of a session: a turn of steps.
    private var endOfSession: Int { turns.steps + 1 }

    private var turnOfSession: Int {
        let reader = isPatient ? longestLine : 0
        return turns.session + longestLine + turns.rows / 4 + 1 + endOfSession + reader
    }

    private func bound(of call: Call, accounts: Int) -> Int {
        // The last turn of a batch may take a step more, for a session that it completes.
        let batch = turns.batch + 2 + (isPatient ? longestLine : 0)
        switch call {
        case .open, .beginEnd, .drain: return 0
        case .close: return endOfSession
        case .wrote, .end: return turnOfSession
        case .receive: return batch + turnOfSession
        case .round: return batch
        case .resume:
            // One of the accounts may be the only one with sessions.
            return batch + max(turns.alone + turnOfSession, accounts * (turns.account + turnOfSession))
        }
    }
}

extension Simulation {
    /// Calls the server, and holds its work against the bound.
    mutating func call<Result>(_ call: Work.Call, _ body: (inout Server) -> Result) throws -> Result {
        work.begin(call)
        let waiting = call == .resume ? waitingForTurn : []
        let result = body(&server)
        let before = waiting.map { work.charged(to: $0.user) }
        let users = Set(RuleFile.users).count + 1
        let (done, bound) = work.end(call, server, accounts: users)
        guard done <= bound else { throw Violation("G12: \(call) took \(done) units of work, of \(bound)") }
        if done > work.turns.steps { count("calls of more than a turn") }
        if server.hasDueWork {
            count("calls that leave work")
            referee.isLate = true
        }
        for ((session, user), before) in zip(waiting, before)
        where work.charged(to: user) == before && server.isQueued(session) {
            throw Violation("G13: session \(session) of user \(user) was not served in its round")
        }
        if !waiting.isEmpty { count("rounds") }
        return result
    }

    /// The sessions with lines or rows left that must be served in this round, because their account owes nothing.
    private var waitingForTurn: [(session: SessionID, user: UInt32)] {
        clients.filter { client in
            server.isQueued(client.session) && work.hasTurn(client.userID)
                && !referee.settings.rules.hasRate(client.userID)
        }.map { ($0.session, $0.userID) }
    }
}
