import LockCore
public import LockVocabulary

/// Whose lines are carried out when: each session, and each user, so many before others get their turn.
///
/// What comes of a session beyond its turn is parked, and the session is not read from until it is carried out:
///
///             lines beyond the turn, rows left            its account's turn
///  (reads) ─────────────────────────────────▶ [ QUEUED ] ────────────────────▶ goes on, and reads again if all is done
///                                                  │  ▲
///                       its user owes for lines    ▼  │ time
///                                              [ THROTTLED ]
///
/// Accounts take turns, and within an account its sessions: a user with a thousand sessions gets no more than one with one.
///
/// Invariants:
/// 1. A session with parked lines is queued, or waits until it has read what it is owed or was told its list.
/// 2. A session is queued once at the most, in the queue of its account.
/// 3. An account with a queue is among those to be served, or among the throttled, and in neither of them twice.
extension Server {
    /// How many lines of one session are carried out before others get their turn.
    private static var linesOfSession: Int { 64 }
    /// How many lines of one user, where there are others.
    private static var linesOfUser: Int { 128 }

    /// How many lines may be carried out now.
    func linesInTurn(of slot: Int, _ now: Instant) -> Int {
        let account = conversations[slot].account
        var lines = Self.linesOfSession
        if accountsInUse > 1, accounts[account].turn == turn {
            lines = min(lines, Self.linesOfUser - accounts[account].linesInTurn)
        }
        if let rate = conversations[slot].allowance.requests {
            lines = min(lines, accounts[account].affordable(rate, at: now))
        }
        return max(0, lines)
    }

    /// Takes work, in lines that cost as much, from the turn of a session's user, who pays for so many lines.
    mutating func charge(_ work: Int, forLines lines: Int = 0, _ slot: Int, _ now: Instant) {
        guard work > 0 else { return }
        let account = conversations[slot].account
        if accounts[account].turn != turn {
            accounts[account].turn = turn
            accounts[account].linesInTurn = 0
        }
        accounts[account].linesInTurn += work
        if let rate = conversations[slot].allowance.requests {
            accounts[account].pay(for: lines, rate, at: now)
        }
    }

    /// The session goes on when it is its turn.
    mutating func queue(_ slot: Int) {
        guard !conversations[slot].isQueued else { return }
        conversations[slot].isQueued = true
        let account = conversations[slot].account
        accounts[account].queue.append(conversations[slot].session)
        guard !accounts[account].isWaitingForTurn else { return }
        accounts[account].isWaitingForTurn = true
        accountsToServe.append(account)
    }

    /// Whether there is something to go on with, though no socket waits to take more.
    public var hasUnfinishedWork: Bool { !accountsToServe.isEmpty }

    /// Goes on with lists and lines, each user and each session for a turn.
    public mutating func resumeWork(at now: Instant) {
        turn &+= 1
        let served = accountsToServe
        accountsToServe = []
        for account in served { serve(account, now) }
    }

    private mutating func serve(_ account: Int, _ now: Instant) {
        var queue: [SessionID] = []
        swap(&queue, &accounts[account].queue)
        var done = 0
        var end: Instant?
        while done < queue.count, end == nil, !isOver(turnOf: account) {
            guard let slot = place(of: queue[done]) else {
                done += 1
                continue
            }
            // A list was paid for with its line.
            if !conversations[slot].isTelling, let rate = conversations[slot].allowance.requests,
                accounts[account].affordable(rate, at: now) == 0
            {
                end = accounts[account].solvent(rate)
            } else {
                done += 1
                conversations[slot].isQueued = false
                goOn(slot, now)
            }
        }
        // Those who had their turn, and have more, stand behind those who had none.
        accounts[account].queue.insert(contentsOf: queue[done...], at: 0)
        if let end {
            throttled.append((account, end))
        } else if accounts[account].queue.isEmpty {
            accounts[account].isWaitingForTurn = false
            forgetIfIdle(account, now)
        } else {
            accountsToServe.append(account)
        }
    }

    private func isOver(turnOf account: Int) -> Bool {
        accountsInUse > 1 && accounts[account].turn == turn
            && accounts[account].linesInTurn >= Self.linesOfUser
    }

    /// When a throttled account may go on at the earliest.
    var nextThrottleEnd: Instant? { throttled.lazy.map(\.until).min() }

    /// A new turn begins; those who were throttled for long enough are to be served.
    mutating func beginTurn(_ now: Instant) {
        turn &+= 1
        guard !throttled.isEmpty else { return }
        for (account, until) in throttled where until <= now { accountsToServe.append(account) }
        throttled.removeAll { $0.until <= now }
    }

    /// Nobody owes for lines any more: what there is to pay is another's to say now.
    mutating func forgiveDebts() {
        for account in accounts.indices { accounts[account].paidAt = .zero }
        accountsToServe += throttled.map(\.account)
        throttled = []
    }

    // MARK: - Accounts

    /// The account of a user, made if there is none.
    mutating func account(of userID: UInt32, _ now: Instant) -> Int {
        if let account = accountOfUser[userID] { return account }
        for account in accountOfUser.values { forgetIfIdle(account, now) }
        let account = vacantAccounts.popLast() ?? accounts.count
        if account == accounts.count {
            accounts.append(Account(userID: userID))
        } else {
            accounts[account] = Account(userID: userID)
        }
        accountOfUser[userID] = account
        return account
    }

    var accountsInUse: Int { accountOfUser.count }

    /// A session has left its account.
    mutating func leave(_ account: Int, _ now: Instant) {
        accounts[account].sessions -= 1
        forgetIfIdle(account, now)
    }

    /// An account goes with its last session, but not while its user owes for lines: to come again pays for nothing.
    mutating func forgetIfIdle(_ account: Int, _ now: Instant) {
        let record = accounts[account]
        guard record.sessions == 0, !record.isWaitingForTurn, record.paidAt <= now,
            accountOfUser[record.userID] == account
        else { return }
        accountOfUser[record.userID] = nil
        vacantAccounts.append(account)
    }
}
