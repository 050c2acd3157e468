import LockVocabulary

/// A meter for events that are limited to a rate: the generic cell rate algorithm (ITU-T I.371, annex A.1).
///
/// The meter is one instant and needs no timer. Each event moves the instant forward by its price, and an event is
/// affordable as long as the instant is not further ahead of the clock than the credit.
struct RateMeter {
    /// When everything that was charged is paid.
    private(set) var paidAt = Instant.zero

    init() {}

    /// A meter with a debt that a former server left.
    init(paidAt: Instant) { self.paidAt = paidAt }

    struct Rate {
        /// What one event costs, in nanoseconds.
        fileprivate let price: Int64
        /// How much may be owed, in nanoseconds.
        fileprivate let credit: Int64

        /// So many events a second; what a tenth of a second allows, and at least one event, may come at once.
        init(perSecond count: Int) {
            price = 1_000_000_000 / Int64(max(1, count))
            credit = max(price, 100_000_000)
        }

        /// One event in each interval; `burst` events may come at once.
        init(every interval: Duration, burst: Int) {
            price = interval.wholeNanoseconds
            credit = price * Int64(burst)
        }
    }

    /// How many events are affordable now.
    func affordable(at rate: Rate, _ now: Instant) -> Int {
        Int(max(0, (rate.credit - max(0, paidAt.nanoseconds - now.nanoseconds)) / rate.price))
    }

    /// When one event is affordable at the earliest.
    func nextAffordable(at rate: Rate) -> Instant { paidAt.advanced(byNanoseconds: rate.price - rate.credit) }

    mutating func charge(_ count: Int, at rate: Rate, _ now: Instant) {
        paidAt = max(paidAt, now).advanced(byNanoseconds: Int64(count) * rate.price)
    }

    /// Whether nothing is owed.
    func isPaid(at now: Instant) -> Bool { paidAt <= now }
}
