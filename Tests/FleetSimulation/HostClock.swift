import LockVocabulary

/// The clock of a host (`CLOCK_BOOTTIME`): it began at another time than that of other hosts, and is a little fast or slow.
struct HostClock {
    /// What it showed at the beginning of the history.
    let start: Instant
    /// How much it gains in a million units of time.
    let gain: Int64

    /// What the clock shows at an instant of true time.
    func local(_ now: Instant) -> Instant {
        start.advanced(byNanoseconds: now.nanoseconds + now.nanoseconds / 1_000 * gain / 1_000)
    }

    /// The first instant of true time at which the clock shows this or more.
    func world(_ local: Instant) -> Instant {
        let passed = local.nanoseconds - start.nanoseconds
        guard passed > 0 else { return .zero }
        guard passed < 1 << 60 else { return Instant(nanoseconds: .max) }
        var guess = Int64(Double(passed) * 1_000_000 / Double(1_000_000 + gain))
        while self.local(Instant(nanoseconds: guess)) < local { guess += 1 }
        while guess > 0, self.local(Instant(nanoseconds: guess - 1)) >= local { guess -= 1 }
        return Instant(nanoseconds: guess)
    }
}
