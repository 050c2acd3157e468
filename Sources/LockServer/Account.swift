import LockCore
import LockVocabulary

/// What the sessions of one user have and do together, so that no user can take what is everybody's.
struct Account {
    let userID: UInt32
    /// Sessions that are there.
    var sessions = 0
    /// Sessions that watch.
    var watchers = 0
    /// Bytes that its conversations keep.
    var buffered = 0

    /// The sessions that have something to go on with, in turn.
    var queue: [SessionID] = []
    /// Whether the account is among those to be served.
    var isWaitingForTurn = false
    /// The turn that it last worked in, and for how many lines.
    var turn: UInt64 = 0
    var linesInTurn = 0
    /// When all lines that it had carried out are paid for, at so many a second as it may have.
    ///
    /// The algorithm is the generic cell rate's (ITU-T I.371, annex A.1): one instant for each account, and no timer.
    var paidAt = Instant.zero

    init(userID: UInt32) { self.userID = userID }

    /// For how long work may be owed: so much may come in a burst.
    private static let credit = Duration.milliseconds(100).wholeNanoseconds

    /// How many lines it can pay for now, at so many a second.
    func affordable(_ rate: Int, at now: Instant) -> Int {
        let price = Self.price(rate)
        // A line at least may be owed, however dear.
        let left = max(Self.credit, price) - max(0, paidAt.nanoseconds - now.nanoseconds)
        return Int(max(0, left / price))
    }

    /// When it can pay for a line again.
    func solvent(_ rate: Int) -> Instant {
        let price = Self.price(rate)
        return paidAt.advanced(byNanoseconds: price - max(Self.credit, price))
    }

    mutating func pay(for lines: Int, _ rate: Int, at now: Instant) {
        paidAt = max(paidAt, now).advanced(byNanoseconds: Int64(lines) * Self.price(rate))
    }

    private static func price(_ rate: Int) -> Int64 { 1_000_000_000 / Int64(max(1, rate)) }
}

extension Policy.Allowance {
    /// What a user may have of a daemon that serves others as well: a quarter of what there is.
    static func quarter(of limits: ServerConfiguration.Limits) -> Policy.Allowance {
        var allowance = Policy.Allowance()
        allowance.sessions = max(1, min(limits.rules.sessions, limits.sessionRoom) / 4)
        allowance.grants = max(1, limits.rules.grants / 4)
        allowance.waiters = max(1, limits.rules.waiters / 4)
        allowance.watchers = 64
        return allowance
    }

    var share: Share { Share(grants: grants ?? .max, waiters: waiters ?? .max) }
}
