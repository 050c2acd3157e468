import LockCore
import LockVocabulary

/// The accounts of all users, and the order in which accounts are served: fair queueing with a quota in each round.
///
/// If a session has more work than its quota, the rest is parked, and the session is queued in the backlog of its account.
/// The shell does not read from a session with parked lines:
///
///              work left over                 the account's turn in a round
///  ( reads ) ──────────────────▶ [ WAITING ] ───────────────────────────────▶ goes on, and reads again if all is done
///                                   │   ▲
///          the account owes lines   ▼   │ time
///                                [ THROTTLED ]
///
/// Accounts take turns, and within an account its sessions, so that a user with a thousand sessions gets no more service
/// than a user with one. All work is charged here, in `charge`.
///
/// Invariants:
/// 1. A session is in at most one backlog, once: that of its account; `queued` holds exactly these sessions.
/// 2. An account with a backlog is in `waiting`, in the current round, or in `throttled`, and only in one of them.
struct Accounts: ~Copyable {
    /// The work of one session before another session has a turn.
    private let quotaOfSession: Int
    /// The work of one account in a round, if there are other accounts.
    private let quotaOfAccount: Int
    /// The work of an account in a round if it is the only one.
    private let quotaAlone: Int
    /// All work so far, in units, and the notices to watchers among it.
    private(set) var workDone = 0
    private(set) var noticesSent = 0
    /// The work of each user, if a caller that checks the order of service asks for it.
    var workOfUsers: [UInt32: Int]?

    private var haveChangedDebts = false

    private let anchor = Anchor()
    private var records = OwnedArray<Account>()
    private var vacant: [AccountID] = []
    private var byUser: [UInt32: AccountID] = [:]
    /// Accounts with a backlog, in the order in which they are served.
    private var waiting: [AccountID] = []
    /// Accounts that go on when enough of their debt is paid.
    private var throttled: [(account: AccountID, until: Instant)] = []
    private var queued: Set<SessionID> = []
    private var round: UInt64 = 0
    /// All work, and one unit for each round: a virtual time.
    private var clock: UInt64 { UInt64(workDone) &+ round }
    /// Accounts that have not had their turn in the round that `next` serves, the first of them last.
    private var turns: [AccountID] = []
    private var turn: Turn?

    /// The turn of one account: each session that was in the backlog at its beginning goes on at most once.
    private struct Turn {
        let account: AccountID
        var backlog: ArraySlice<SessionID>
    }

    init(_ turns: ServerConfiguration.Turns) {
        quotaOfSession = turns.session
        quotaOfAccount = turns.account
        quotaAlone = turns.alone
    }

    // Without this `deinit` other modules destroy the fields themselves, and Swift 6.3 then omits that of `OwnedArray`.
    deinit {}

    // MARK: - Sessions

    /// Counts one more session for a user; nil if the user has as many as allowed.
    ///
    /// - Parameters:
    ///   - portion: how many the user may have of the limit.
    ///   - all: the sessions of all users.
    mutating func enter(
        _ userID: UInt32, within portion: Portion, having all: Int, of limit: Int, at now: Instant
    ) -> AccountID? {
        let account = account(of: userID, at: now)
        let own = self[account].sessions
        guard own < portion.most(besides: all - own, of: limit) else {
            removeIfIdle(account, at: now)
            return nil
        }
        self[account].sessions += 1
        return account
    }

    /// Counts a session that a former server had, whatever the limits are now.
    mutating func readmit(_ userID: UInt32, at now: Instant) -> AccountID {
        let account = account(of: userID, at: now)
        self[account].sessions += 1
        return account
    }

    // MARK: - Facts

    /// What each user owes for lines, with the instant at which all is paid; nil if it has not changed since the last call.
    mutating func takeChangedDebts(at now: Instant) -> [(userID: UInt32, paidAt: Instant)]? {
        guard haveChangedDebts else { return nil }
        haveChangedDebts = false
        return byUser.compactMap { userID, account in
            let debt = self[account].debt
            return debt.isPaid(at: now) ? nil : (userID, debt.paidAt)
        }
    }

    mutating func restoreDebt(of userID: UInt32, paidAt: Instant, at now: Instant) {
        let account = account(of: userID, at: now)
        self[account].debt = RateMeter(paidAt: paidAt)
        removeIfIdle(account, at: now)
    }

    /// Takes back one `enter`.
    mutating func leave(_ account: AccountID, at now: Instant) {
        self[account].sessions -= 1
        removeIfIdle(account, at: now)
    }

    private mutating func account(of userID: UInt32, at now: Instant) -> AccountID {
        if let account = byUser[userID] { return account }
        for account in byUser.values { removeIfIdle(account, at: now) }
        let account: AccountID
        if let free = vacant.popLast() {
            account = free
            self[account] = Account(userID: userID)
        } else {
            account = AccountID(rawValue: records.count)
            records.append(Account(userID: userID))
        }
        byUser[userID] = account
        return account
    }

    /// Removes an account without sessions and debt; if the debt did not stay, a user could drop it by connecting again.
    private mutating func removeIfIdle(_ account: AccountID, at now: Instant) {
        guard self[account].sessions == 0, !self[account].isWaiting, self[account].debt.isPaid(at: now),
            !self[account].owes(at: clock), byUser[self[account].userID] == account
        else { return }
        byUser[self[account].userID] = nil
        vacant.append(account)
    }

    // MARK: - Cost

    /// How much work a session may do now, before others have their turn.
    func quota(of payer: Payer, at now: Instant) -> Int {
        var quota = min(quotaOfSession, allowance(of: payer.account))
        if let rate = payer.rate {
            quota = min(quota, self[payer.account].debt.affordable(at: .init(perSecond: rate), now))
        }
        return max(0, quota)
    }

    /// Charges work to the account that caused it. The only place where work is charged.
    mutating func charge(_ cost: Cost, to payer: Payer, at now: Instant) {
        guard cost.work > 0 else { return }
        charge(cost.work, to: payer.account)
        if let rate = payer.rate {
            self[payer.account].debt.charge(cost.lines, at: .init(perSecond: rate), now)
            haveChangedDebts = true
        }
    }

    /// Charges work that no line of a present session causes.
    mutating func charge(_ work: Int, to account: AccountID) {
        // An account that is alone owes nothing to others.
        let quota = byUser.count > 1 ? quotaOfAccount : .max
        self[account].add(work, beyond: quota, in: round, at: clock)
        count(work, of: account)
    }

    /// Charges a notice to the account of the session that watches.
    mutating func chargeNotice(to account: AccountID) {
        charge(1, to: account)
        noticesSent &+= 1
    }

    /// Charges work that had a turn of its own.
    mutating func chargeTurn(_ work: Int, to account: AccountID) {
        self[account].addInTurn(work, of: quotaOfAccount, in: round)
        count(work, of: account)
    }

    /// Counts work, which may be charged to none.
    @inline(__always)
    mutating func count(_ work: Int, of account: AccountID? = nil) {
        workDone &+= work
        guard workOfUsers != nil, let account else { return }
        let user = self[account].userID
        workOfUsers?[user, default: 0] += work
    }

    /// What an account may still do in this round. One that is alone takes nothing from others, but a newcomer may wait.
    @inline(__always)
    private func allowance(of account: AccountID) -> Int {
        guard byUser.count > 1 else { return self[account].rest(of: quotaAlone, in: round) }
        return self[account].allowance(of: quotaOfAccount, in: round, at: clock)
    }

    /// Drops all debts, because other rates hold from now on.
    mutating func forgiveDebts() {
        for index in 0..<records.count { records[index].debt = RateMeter() }
        haveChangedDebts = true
        waiting += throttled.map(\.account)
        throttled = []
    }

    // MARK: - Order

    /// Whether a session has a place in its account's backlog.
    @inline(__always)
    func isQueued(_ session: SessionID) -> Bool { !queued.isEmpty && queued.contains(session) }

    /// Puts a session at the end of its account's backlog, if it is not in it.
    mutating func queue(_ session: SessionID, of account: AccountID) {
        guard queued.insert(session).inserted else { return }
        self[account].backlog.append(session)
        guard !self[account].isWaiting else { return }
        self[account].isWaiting = true
        waiting.append(account)
    }

    /// Whether an account can go on now.
    var haveWork: Bool { !waiting.isEmpty }

    /// When a throttled account can go on at the earliest.
    var nextThrottleEnd: Instant? { throttled.lazy.map(\.until).min() }

    /// Begins a round, so that every account has its full quota again, and ends throttling that is due.
    mutating func beginRound(at now: Instant) {
        round &+= 1
        guard !throttled.isEmpty else { return }
        for (account, until) in throttled where until <= now { waiting.append(account) }
        throttled.removeAll { $0.until <= now }
    }

    /// Gives every account that waits a turn. Call `next` afterwards until it returns nil.
    mutating func beginTurns() {
        round &+= 1
        turns = waiting.reversed()
        waiting = []
    }

    /// The next session that goes on; nil when every account had its turn.
    ///
    /// - Parameter rate: the rate that limits the session's next work; nil if none does.
    mutating func next(at now: Instant, rate: (SessionID) -> Int?) -> SessionID? {
        while true {
            guard let account = turn?.account else {
                guard beginTurn() else { return nil }
                continue
            }
            guard allowance(of: account) > 0, let session = turn?.backlog.first else {
                endTurn(at: now)
                continue
            }
            if let rate = rate(session) {
                let debt = self[account].debt
                let limit = RateMeter.Rate(perSecond: rate)
                if debt.affordable(at: limit, now) == 0 {
                    endTurn(throttledUntil: debt.nextAffordable(at: limit), at: now)
                    continue
                }
            }
            turn?.backlog.removeFirst()
            queued.remove(session)
            return session
        }
    }

    private mutating func beginTurn() -> Bool {
        guard let account = turns.popLast() else { return false }
        var backlog: [SessionID] = []
        swap(&backlog, &self[account].backlog)
        turn = Turn(account: account, backlog: backlog[...])
        return true
    }

    private mutating func endTurn(throttledUntil end: Instant? = nil, at now: Instant) {
        guard let turn else { return }
        let account = turn.account
        self.turn = nil
        // Sessions without a turn stand before those that had one and have more.
        self[account].backlog.insert(contentsOf: turn.backlog, at: 0)
        if let end {
            throttled.append((account, end))
        } else if self[account].backlog.isEmpty {
            self[account].isWaiting = false
            removeIfIdle(account, at: now)
        } else {
            waiting.append(account)
        }
    }

    private subscript(account: AccountID) -> Account {
        @inline(__always)
        _read { yield records[account.rawValue] }
        @inline(__always)
        _modify { yield &records[account.rawValue] }
    }
}
