public import LockVocabulary

/// How long requests waited and grants were held: of all locks, and of those that cost most.
///
/// A wait and a grant count when they end. All waits are counted of their locks, because a request that waits costs much more
/// than the count. So are the grants that requests wait for, and those of a millisecond and more. Of each 32 others, one is,
/// 32 times: the usual grant costs a few additions. Nothing here decides anything, and no fact keeps it.
public struct LockTimes: Sendable {
    /// The waits for all locks.
    public private(set) var waits = TimeBuckets()
    /// The grants of all locks.
    public private(set) var holds = TimeBuckets()
    /// The locks that cost most.
    public internal(set) var hot = HotLocks()

    /// Grants of so many microseconds and more are all counted of their locks.
    static var long: Int { 1_000 }
    /// Of so many shorter grants one is counted of its lock.
    static var sampled: Int { 32 }

    /// How many short grants go by until one is counted of its lock.
    private var untilSample = 1
    private var draws: UInt64 = 1
    /// The grants that requests waited for lately, by the lowest bits of their locks' slots; empty before the first one.
    private var recent: [Recent] = []

    /// Counts a grant; returns how often it is to be counted of its lock.
    @inline(__always)
    mutating func noteHold(_ time: Int, isAwaited: Bool) -> Int {
        holds.add(time)
        guard time < Self.long, !isAwaited else { return 1 }
        untilSample &-= 1
        return untilSample == 0 ? takeSample() : 0
    }

    /// Draws how many grants go by until the next sample, 32 in the mean.
    ///
    /// With a fixed number, a program that takes locks in a fixed order could have the same one counted. The draw is the same in
    /// each run (a linear congruential generator, D. Knuth's MMIX).
    @inline(never)
    private mutating func takeSample() -> Int {
        draws = draws &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        untilSample = 1 + Int((draws >> 32) % UInt64(2 * Self.sampled - 1))
        return Self.sampled
    }

    mutating func noteWait(_ time: Int) { waits.add(time) }

    // MARK: - What requests waited for

    /// A grant that has ended while requests waited for its lock.
    struct Hold {
        let holder: HotLocks.LongestWait.Holder
        let since: Instant
        let end: Instant

        var isLong: Bool { end.nanoseconds &- since.nanoseconds >= Int64(LockTimes.long) * 1_000 }

        /// How much of the time since an instant it took.
        func overlap(since start: Instant) -> Int64 { end.nanoseconds - max(since, start).nanoseconds }
    }

    /// The last such grant of a lock, and the longest one of those of a millisecond and more.
    private struct Recent {
        var lock = UInt32.max
        var last: Hold?
        var longest: Hold?
    }

    /// How many locks `recent` knows. Two locks with one place displace each other; then a holder is not known.
    private static var recentCount: Int { 64 }

    /// Notes a grant that ends while requests wait for its lock. Returns whether it was long: then call `noteLong` too.
    mutating func noteEnd(_ hold: Hold, on lock: Slot<Lock>) -> Bool {
        if recent.isEmpty { recent = Array(repeating: Recent(), count: Self.recentCount) }
        let place = Int(lock.raw) % Self.recentCount
        if recent[place].lock != lock.raw { recent[place] = Recent(lock: lock.raw) }
        recent[place].last = hold
        return hold.isLong
    }

    /// Notes a long grant that has just been noted, with the instant since when the oldest request has waited.
    mutating func noteLong(_ hold: Hold, on lock: Slot<Lock>, oldest: Instant) {
        let place = Int(lock.raw) % Self.recentCount
        guard let longest = recent[place].longest, longest.end > oldest,
            longest.overlap(since: oldest) > hold.overlap(since: oldest)
        else {
            recent[place].longest = hold
            return
        }
    }

    /// The grant that took most of the time since an instant, of those that are known.
    func longest(on lock: Slot<Lock>, since start: Instant, or present: Hold?) -> Hold? {
        var candidates = [present]
        if !recent.isEmpty, case let known = recent[Int(lock.raw) % Self.recentCount], known.lock == lock.raw
        {
            candidates += [known.last, known.longest]
        }
        return candidates.compactMap { $0 }
            .filter { $0.end > start }
            .max { $0.overlap(since: start) < $1.overlap(since: start) }
    }
}

/// Where waits and grants end.
extension LockTable {
    /// Begins a new report of what locks have cost (`HotLocks.Costs.sinceReport`).
    public mutating func beginHotReport() { times.hot.beginReport() }

    /// Counts a grant that ends. Call this while the record of its lock is there.
    @inline(__always)
    mutating func noteHold(since start: Instant, on lock: Slot<Lock>, isAwaited: Bool) {
        let time = microseconds(since: start)
        let count = times.noteHold(time, isAwaited: isAwaited)
        if count > 0 { noteHold(time, times: count, on: lock) }
    }

    @inline(never)
    private mutating func noteHold(_ time: Int, times count: Int, on lock: Slot<Lock>) {
        let place = times.hot.place(of: name(of: lock))
        times.hot.count(count, at: place) { $0.holds.add(time, times: count) }
    }

    /// Notes a grant that ends while requests wait for its lock.
    @inline(never)
    mutating func noteBlocker(_ grant: Grant) {
        let hold = hold(grant)
        guard times.noteEnd(hold, on: grant.lock), let oldest = oldestWait(on: grant.lock) else { return }
        times.noteLong(hold, on: grant.lock, oldest: oldest)
    }

    /// Counts a wait that ends, whatever its end. Call this while the records of the request and its lock are there.
    mutating func noteWait(_ waiter: Slot<Waiter>) {
        let time = microseconds(since: waiters[waiter].since)
        times.noteWait(time)
        let place = times.hot.place(of: name(of: waiters[waiter].lock))
        let isLongest = time > times.hot.longestWait(at: place)
        let behind = isLongest ? blocker(of: waiters[waiter]) : nil
        times.hot.count(time, at: place) {
            $0.waits.add(time)
            if isLongest { $0.longest = HotLocks.LongestWait(time: time, end: clock, behind: behind) }
        }
    }

    /// The holder that a request waited for most of the time; nil if it is not known.
    private func blocker(of waiter: Waiter) -> HotLocks.LongestWait.Holder? {
        let lock = locks[waiter.lock]
        var present = lock.exclusive ?? lock.holders.first
        if let grant = present, grant == waiter.upgrades {
            present = lock.holders.first == grant ? grants[grant].lockLinks.next : lock.holders.first
        }
        let hold = present.flatMap { isFleet($0) ? nil : self.hold(grants[$0]) }
        return times.longest(on: waiter.lock, since: waiter.since, or: hold)?.holder
    }

    private func hold(_ grant: Grant) -> LockTimes.Hold {
        LockTimes.Hold(
            holder: HotLocks.LongestWait.Holder(
                processID: sessions[owners[grant.owner].session].processID, mode: grant.mode),
            since: grant.since, end: clock)
    }

    @inline(__always)
    private func microseconds(since start: Instant) -> Int {
        // The time of the commands does not go back. A division without a sign is a product and a shift.
        Int(UInt64(bitPattern: clock.nanoseconds &- start.nanoseconds) / 1_000)
    }
}
