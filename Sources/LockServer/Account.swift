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

    init(userID: UInt32) { self.userID = userID }

    /// The work of this round, with what is left of the rounds before: more than a quota of work takes several rounds.
    func work(in round: UInt64) -> Int {
        let rounds = Int(clamping: min(round - self.round, 1 << 32))
        return max(0, work - rounds * Self.quota)
    }

    /// The work of one account in a round, if there are other accounts.
    static var quota: Int { 128 }

    mutating func add(_ work: Int, in round: UInt64) {
        self.work = self.work(in: round) + work
        self.round = round
    }
}
