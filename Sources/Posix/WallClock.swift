import CLinux
import Glibc

/// The clock of the calendar (`CLOCK_REALTIME`); it can be set, also backwards.
public enum WallClock {
    /// Microseconds since 1970.
    public static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
    }
}
