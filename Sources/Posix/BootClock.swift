import Glibc

/// The clock that never jumps and keeps running in suspend (`CLOCK_BOOTTIME`).
public enum BootClock {
    /// Nanoseconds since the host was booted.
    public static func now() -> Int64 {
        var time = timespec()
        // This cannot fail: the clock exists since Linux 2.6.39.
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
