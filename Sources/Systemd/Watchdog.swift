#if Systemd
    import CSystemd
#endif

/// The service manager's promise to replace this process when it falls silent (`sd_watchdog_enabled(3)`).
///
/// Only the thread that serves may give the sign of life (`Readiness.alive`), or a hung daemon would look alive.
public struct Watchdog: Sendable {
    /// How long the manager waits for a sign of life before it ends the process.
    public let patience: Duration

    /// The watchdog that the manager keeps for this process; nil if it keeps none.
    public init?() {
        #if Systemd
            var microseconds: UInt64 = 0
            guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
            patience = .microseconds(Int64(clamping: microseconds))
        #else
            return nil
        #endif
    }

    /// How often to give the sign of life: at half the time, so that one that is late does no harm.
    public var period: Duration { patience / 2 }
}
