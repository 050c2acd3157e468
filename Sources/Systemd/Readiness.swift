#if Systemd
    import CSystemd
    import Glibc
#endif

/// What the daemon tells the service manager about itself (`sd_notify(3)`).
///
///   starting ──ready──▶ [ SERVING ] ──stopping──▶ [ LEAVING ]
///                         │     ▲
///                reloading│     │ready
///                         ▼     │
///                      [ RELOADING ]
///
/// Where nobody listens (`NOTIFY_SOCKET` is not set, or built without systemd) everything here does nothing,
/// and a manager that cannot be reached is no reason to serve nobody: errors are passed over.
public enum Readiness {
    /// Clients are served; also the end of a reload. The status is for people: `3 sessions, 2 locks`.
    public static func ready(status: String) {
        notify("READY=1\nSTATUS=\(status)")
    }

    /// Nothing has changed but the line that `systemctl status` shows.
    public static func update(status: String) {
        notify("STATUS=\(status)")
    }

    /// The settings are being read anew; `ready` ends it. The time tells the manager that this answers its
    /// own request and not an older one.
    public static func reloading() {
        #if Systemd
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
            notify("RELOADING=1\nMONOTONIC_USEC=\(microseconds)")
        #endif
    }

    /// No new sessions come in; what is held runs out.
    public static func stopping(status: String) {
        notify("STOPPING=1\nSTATUS=\(status)")
    }

    /// Sends variables, one to a line.
    static func notify(_ state: String) {
        #if Systemd
            sd_notify(0, state)
        #endif
    }
}
