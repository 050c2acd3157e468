import LockVocabulary

/// What work is charged to: an account, and the rate that the policy allows the session, in lines a second.
struct Payer {
    let account: AccountID
    let rate: Int?
}

/// The account of one user: what the user's sessions have and do together.
struct Account {
    let userID: UInt32
    /// How many sessions the user has.
    var sessions = 0
    /// The sessions with work left over, in the order of service.
    var backlog: [SessionID] = []
    /// Whether the account waits for its turn or is throttled.
    var isWaiting = false
    /// What the account owes for lines, where a rate limits them.
    var debt = RateMeter()
    /// The last round in which the account worked, and the work that it did in that round.
    private var round: UInt64 = 0
    private var work = 0
    /// When its work beyond a quota is made up for: a time of `Accounts.clock`.
    private var dueUntil: UInt64 = 0

    init(userID: UInt32) { self.userID = userID }

    /// What is left of a quota in this round.
    func rest(of quota: Int, in round: UInt64) -> Int { max(0, quota - (round == self.round ? work : 0)) }

    /// What the account may still do in this round. Nothing, until others could do as much as it did beyond its quotas.
    func allowance(of quota: Int, in round: UInt64, at clock: UInt64) -> Int {
        if owes(at: clock) { return 0 }
        return rest(of: quota, in: round)
    }

    /// Whether work beyond a quota is not made up for.
    func owes(at clock: UInt64) -> Bool { dueUntil > clock }

    /// Notes work, which begins at this time of the clock and advances it.
    mutating func add(_ work: Int, beyond quota: Int, in round: UInt64, at clock: UInt64) {
        let before = round == self.round ? self.work : 0
        self.round = round
        self.work = before + work
        let beyond = max(0, self.work - quota) - max(0, before - quota)
        // Its own work makes up for nothing.
        dueUntil = max(dueUntil, clock) + UInt64(work + beyond)
    }

    /// Notes work that had turns of its own: it takes the place of other work in this round, and leaves no debt.
    mutating func addInTurn(_ work: Int, of quota: Int, in round: UInt64) {
        let before = round == self.round ? self.work : 0
        self.round = round
        self.work = max(before, min(before + work, quota))
    }
}
