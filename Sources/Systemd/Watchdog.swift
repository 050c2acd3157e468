#if Systemd
    import CSystemd
    import Glibc
#endif

/// The service manager's watchdog, which replaces this process when it stops sending pings (`sd_watchdog_enabled(3)`).
///
/// Only the thread that serves may send the ping (`Readiness.alive`). Otherwise a hung daemon would look alive.
public struct Watchdog: Sendable {
    /// How long the manager waits for a ping before it ends the process.
    public let patience: Duration

    /// The manager's watchdog for this process; nil if there is none.
    public init?() {
        #if Systemd
            // To ask libsystemd would load it.
            guard getenv("WATCHDOG_USEC") != nil else { return nil }
            var microseconds: UInt64 = 0
            guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
            patience = .microseconds(Int64(clamping: microseconds))
        #else
            return nil
        #endif
    }

    /// The interval between pings: half the patience, so that a late ping is still in time.
    public var period: Duration { patience / 2 }
}
