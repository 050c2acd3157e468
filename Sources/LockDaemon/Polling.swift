import LockVocabulary

/// Decides, when there is nothing left to do, whether to look on for a moment or to sleep at once.
///
/// To wake a sleeping thread costs more than a request does, and whoever got a reply often asks again at once. But to
/// look on keeps a processor: where others want it, perhaps the very client, it is quicker to make room. Which of the two
/// is better depends on the host and on what else runs, so it is measured: how long it takes until something comes,
/// with either. The better one is kept, and the other tried again now and then.
///
/// It begins with sleep, which costs nobody anything, and tries the other where answers are slow with it.
///
/// Two rules keep it from looking on in vain:
/// 1. It looks on only where the last few answers came quickly. Whoever sends a line now and then costs nothing.
/// 2. Looks in vain are paid from an account that fills with time, so they are never more than a small share of it.
struct Polling {
    enum Way {
        case sleep
        case poll
    }

    /// How long to look on at the most; an answer within this is a quick one.
    static let span = Duration.microseconds(50)
    private static let spanNanoseconds = span.wholeNanoseconds
    /// An answer within this, in nanoseconds, while it sleeps says that whoever asks runs on the same processor. To look on
    /// would drive one of the two away, and then each line wakes a processor: there is nothing to be won by a trial.
    private static let soon: Int64 = 16_000
    /// So many quick answers in a row make another one likely.
    private static let likely = 4
    /// After so many quick answers the other way is tried, for so many.
    private static let untilTrial = 256
    private static let trial = 32
    /// One part in so many of the time may be spent in vain.
    private static let share: Int64 = 20
    /// How much the account holds at the most, in nanoseconds: enough for a burst after a rest.
    private static let most: Int64 = 1_000_000

    /// With one processor nobody could send anything meanwhile.
    private let isPossible: Bool
    private var account = most
    private var filled = Instant.zero
    private var quickInARow = 0
    private var better = Way.sleep
    /// Counts the quick answers since the last trial began, or would have.
    private var round = trial
    private var isTrial = false
    /// How long an answer takes with either way, in nanoseconds: an average that forgets.
    private var answerTime = (sleep: spanNanoseconds, poll: Int64(0))

    init(processors: Int) { isPossible = processors >= 2 }

    /// What to do now.
    mutating func choose(at now: Instant) -> Way {
        guard isPossible, quickInARow >= Self.likely else { return .sleep }
        guard (isTrial ? other(than: better) : better) == .poll else { return .sleep }
        let (passed, overflow) = now.nanoseconds.subtractingReportingOverflow(filled.nanoseconds)
        account = min(Self.most, account + (overflow ? 0 : max(0, passed) / Self.share))
        filled = now
        return account >= Self.spanNanoseconds ? .poll : .sleep
    }

    /// Something came, so long after that choice.
    mutating func answered(_ way: Way, after time: Duration) {
        let nanoseconds = time.wholeNanoseconds
        // A way that makes answers slow must not look as if it made them rare.
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

    /// Nothing came while it looked on; what that took is paid.
    mutating func wasInVain(_ time: Duration) {
        account -= time.wholeNanoseconds
        quickInARow = 0
    }

    /// A trial is over: the way that was quicker is kept.
    private mutating func endTrial() {
        isTrial = false
        better = answerTime.poll <= answerTime.sleep ? .poll : .sleep
    }

    private func other(than way: Way) -> Way { way == .poll ? .sleep : .poll }
}
