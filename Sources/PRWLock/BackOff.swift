import Glibc

/// The pauses between attempts that fail: none before the first, then from 10 ms on twice as long each time, up to 1 s.
struct BackOff {
    /// How long one goes on trying to reach a daemon that was there.
    static let patience = Duration.seconds(5)

    private(set) var next = Duration.zero

    /// Counts an attempt.
    mutating func skip() { next = next == .zero ? .milliseconds(10) : min(next * 2, .seconds(1)) }

    /// Sleeps before an attempt, and counts it.
    mutating func pause() {
        if next > .zero { usleep(UInt32(next / .microseconds(1))) }
        skip()
    }
}
