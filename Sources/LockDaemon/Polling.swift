import LockVocabulary

/// Decides whether to look at the event set for a while before the thread sleeps.
///
/// To wake a sleeping thread costs more than a request does, so after work it pays to look on for a moment: whoever
/// got a reply often asks again at once. Looks that find something cost nothing that counts. Looks in vain are
/// paid from an account that fills with time, so that they are never more than a small share of it, and whoever
/// sends a line now and then costs a few of them a second.
struct Polling {
    /// How long to look on at the most.
    static let span = Duration.microseconds(50)
    /// One part in so many of the time may be spent in vain.
    private static let share: Int64 = 20
    /// How much the account holds at the most, in nanoseconds: enough for a burst after a rest.
    private static let most: Int64 = 1_000_000

    /// With one processor nobody could send anything meanwhile.
    private let isPossible: Bool
    private var account = most
    private var filled = Instant.zero

    init(processors: Int) { isPossible = processors >= 2 }

    /// Until when to look on, after work that was done by `now`; nil for not at all.
    mutating func end(from now: Instant) -> Instant? {
        guard isPossible else { return nil }
        let (passed, overflow) = now.nanoseconds.subtractingReportingOverflow(filled.nanoseconds)
        account = min(Self.most, account + (overflow ? 0 : max(0, passed) / Self.share))
        filled = now
        return account >= Self.span.wholeNanoseconds ? now.advanced(by: Self.span) : nil
    }

    /// Nothing came: what that took is paid.
    mutating func wasInVain(from start: Instant, to end: Instant) {
        account -= start.duration(to: end).wholeNanoseconds
    }
}
