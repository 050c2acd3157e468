import LockVocabulary

/// The choice, after work, between polling for a moment and sleeping at once.
///
/// To wake a sleeping thread costs more than a request, and a client often sends the next line right after a reply. But
/// polling occupies a processor that another process may need, perhaps the client itself. The better way depends on the host
/// and on other load. So this measures, for each way, how long it takes until the next event comes (an answer). It keeps
/// the better way, and tries the other now and then.
///
/// It begins with sleep, and tries polling only where answers are slow with sleep.
///
/// Two rules limit polling in vain:
/// 1. It polls only if the last few answers came quickly. So a client that sends a line now and then costs nothing.
/// 2. It pays for polling in vain from an account that fills with time. So this never exceeds a small share of the time.
struct Polling {
    enum Way {
        case sleep
        case poll
    }

    /// The longest time to poll; an answer within this time is a quick one.
    static var span: Duration { .nanoseconds(spanNanoseconds) }
    private static var spanNanoseconds: Int64 { 50_000 }
    /// An answer to sleep within this time, in nanoseconds, shows that the client runs on the same processor. Polling would
    /// move one of the two to another processor, and then each line wakes a processor. So there is no trial.
    private static var soon: Int64 { 16_000 }
    /// The number of quick answers in a row after which another one is likely.
    private static var likely: Int { 4 }
    /// The number of quick answers until a trial of the other way, and in a trial.
    private static var untilTrial: Int { 256 }
    private static var trial: Int { 32 }
    /// Polling in vain may take one part in so many of the time.
    private static var share: Int64 { 20 }
    /// The most that the account holds, in nanoseconds: enough for a burst after a rest.
    private static var most: Int64 { 1_000_000 }

    /// Not with one processor: no client could send anything meanwhile.
    let isPossible: Bool
    private var account = most
    private var filled = Instant.zero
    private var quickInARow = 0
    private var better = Way.sleep
    /// The number of quick answers since a trial began, or was not worth it.
    private var round = trial
    private var isTrial = false
    /// The time until an answer with either way, in nanoseconds: a moving average.
    private var answerTime = (sleep: spanNanoseconds, poll: Int64(0))

    init(processors: Int) { isPossible = processors >= 2 }

    /// The way to wait now.
    mutating func choose(at now: Instant) -> Way {
        guard isPossible, quickInARow >= Self.likely else { return .sleep }
        guard (isTrial ? other(than: better) : better) == .poll else { return .sleep }
        let (passed, overflow) = now.nanoseconds.subtractingReportingOverflow(filled.nanoseconds)
        account = min(Self.most, account + (overflow ? 0 : max(0, passed) / Self.share))
        filled = now
        return account >= Self.spanNanoseconds ? .poll : .sleep
    }

    /// Notes the time from a choice to the answer.
    mutating func answered(_ way: Way, after time: Duration) { answered(way, after: time.wholeNanoseconds) }

    /// The same in nanoseconds: to make a `Duration` of them and back takes longer than the rest.
    mutating func answered(_ way: Way, after nanoseconds: Int64) {
        // Limit the effect of a rare answer on the average: it says nothing about the way.
        let counted = min(nanoseconds, 2 * Self.spanNanoseconds)
        switch way {
        case .sleep: answerTime.sleep += (counted - answerTime.sleep) / 8
        case .poll: answerTime.poll += (counted - answerTime.poll) / 8
        }
        guard nanoseconds <= 4 * Self.spanNanoseconds else {
            quickInARow = 0
            return
        }
        quickInARow = min(quickInARow + 1, Self.likely)
        round += 1
        if round == Self.trial, isTrial { endTrial() }
        if round == Self.untilTrial { beginRound() }
    }

    private mutating func beginRound() {
        round = 0
        isTrial = better == .poll || answerTime.sleep > Self.soon
    }

    /// Pays for polling without an answer.
    mutating func wasInVain(_ time: Duration) {
        account -= time.wholeNanoseconds
        quickInARow = 0
    }

    /// Keeps the quicker way after a trial.
    private mutating func endTrial() {
        isTrial = false
        better = answerTime.poll <= answerTime.sleep ? .poll : .sleep
    }

    private func other(than way: Way) -> Way { way == .poll ? .sleep : .poll }
}
