import Glibc

/// What the daemon tells the service manager about itself (`sd_notify(3)`).
///
///   starting ──ready──▶ [ SERVING ] ──stopping──▶ [ LEAVING ]
///                         │     ▲
///                reloading│     │ready
///                         ▼     │
///                      [ RELOADING ]
///
/// Where no manager listens (`NOTIFY_SOCKET` is not set, or built without systemd) everything here does nothing.
///
/// No call waits, which `sd_notify` would: a manager that is stopped, or whose queue another process keeps full, is no
/// reason to serve no client. A change of state that was not taken is kept, and told again by `tellAgain`: a manager
/// that never hears `READY=1` would end the daemon. A status or a sign of life that was not taken is forgotten, as a
/// newer one replaces it.
public final class Readiness {
    private let manager: DatagramSender?
    /// Changes of state that were not taken, the oldest first: never more than three.
    private var untold: [Change] = []

    private struct Change {
        enum Kind: Equatable {
            case ready
            case reloading
            case stopping
        }

        let kind: Kind
        let text: String
    }

    public convenience init() {
        #if Systemd
            self.init(socket: getenv("NOTIFY_SOCKET").map { String(cString: $0) })
        #else
            self.init(socket: nil)
        #endif
    }

    /// With the path of the manager's socket; nil where there is none.
    package init(socket: String?) {
        manager = socket.flatMap(DatagramSender.init(path:))
    }

    /// Whether a manager listens.
    public var isHeard: Bool { manager != nil }

    /// Whether a change of state is still to be told.
    public var hasUntoldChange: Bool { !untold.isEmpty }

    /// Clients are served; also the end of a reload. The status is for people: `3 sessions, 2 locks`.
    public func ready(status: String) {
        tell(Change(kind: .ready, text: "READY=1\nSTATUS=\(Self.line(status))"))
    }

    /// Nothing has changed but the line that `systemctl status` shows. False if it was not taken.
    public func update(status: String) -> Bool {
        tellAgain()
        return untold.isEmpty && send("STATUS=\(Self.line(status))")
    }

    /// The settings are being read anew; `ready` ends it. The time tells the manager that this answers its
    /// own request and not an older one.
    public func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
        tell(Change(kind: .reloading, text: "RELOADING=1\nMONOTONIC_USEC=\(microseconds)"))
    }

    /// No new sessions come in; what is held runs out.
    public func stopping(status: String) {
        tell(Change(kind: .stopping, text: "STOPPING=1\nSTATUS=\(Self.line(status))"))
    }

    /// The sign of life for the watchdog. False if it was not taken.
    public func alive() -> Bool { send("WATCHDOG=1") }

    /// Tells what was not taken before, as far as it is taken.
    public func tellAgain() {
        while let first = untold.first, send(first.text) { untold.removeFirst() }
    }

    private func tell(_ change: Change) {
        guard isHeard else { return }
        // A reload that begins and ends while the manager takes nothing is none to the manager.
        if change.kind == .ready, untold.last?.kind == .reloading { untold.removeLast() }
        if untold.last?.kind == change.kind { untold.removeLast() }
        untold.append(change)
        tellAgain()
    }

    /// Sends variables, one to a line.
    private func send(_ variables: String) -> Bool {
        manager?.send(Array(variables.utf8)) ?? true
    }

    /// A status as one line: what came behind a line feed would be another variable.
    private static func line(_ status: String) -> String {
        String(status.map { $0.isNewline ? " " : $0 })
    }
}
