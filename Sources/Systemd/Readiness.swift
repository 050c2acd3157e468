import Glibc
import LockVocabulary

/// The daemon's notifications to the service manager (`sd_notify(3)`).
///
///   starting ──ready──▶ [ SERVING ] ──stopping──▶ [ LEAVING ]
///                         │     ▲
///                reloading│     │ready
///                         ▼     │
///                      [ RELOADING ]
///
/// Without a manager (`NOTIFY_SOCKET` is not set, or a build without systemd) all calls do nothing.
///
/// No call waits, as `sd_notify` would: clients must be served even if the manager is stopped, or another process keeps
/// its queue full. A change of state that the manager's queue did not take is kept, and `tellAgain` sends it again: a
/// manager that never sees `READY=1` ends the daemon. A status or a watchdog ping that was not taken is dropped,
/// because a newer one replaces it.
public final class Readiness {
    private let manager: DatagramSender?
    /// Changes of state that the manager's queue did not take, the oldest first: never more than three.
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

    /// - Parameter socket: the path of the manager's socket; nil if there is none.
    package init(socket: String?) {
        manager = socket.flatMap(DatagramSender.init(path:))
    }

    /// Whether there is a manager.
    public var isHeard: Bool { manager != nil }

    /// Whether a change of state is still to be sent.
    public var hasUntoldChange: Bool { !untold.isEmpty }

    /// Reports that the daemon serves clients; also ends a reload. The status is text for operators: `3 sessions, 2
    /// locks`.
    public func ready(status: String) {
        tell(Change(kind: .ready, text: "READY=1\nSTATUS=\(Self.line(status))"))
    }

    /// Replaces only the line that `systemctl status` shows. Returns false if the line was not taken.
    public func update(status: String) -> Bool {
        tellAgain()
        return untold.isEmpty && send("STATUS=\(Self.line(status))")
    }

    /// Reports that a reload has begun; `ready` ends it. The time shows the manager that this notification answers its
    /// current request and not an older one.
    public func reloading() {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
        tell(Change(kind: .reloading, text: "RELOADING=1\nMONOTONIC_USEC=\(microseconds)"))
    }

    /// Reports that the daemon accepts no new sessions and waits for the held locks to end.
    public func stopping(status: String) {
        tell(Change(kind: .stopping, text: "STOPPING=1\nSTATUS=\(Self.line(status))"))
    }

    /// Sends the watchdog's ping. Returns false if it was not taken.
    public func alive() -> Bool { send("WATCHDOG=1") }

    /// Sends the kept changes of state again, up to the first that is not taken.
    public func tellAgain() {
        while let first = untold.first, send(first.text) { untold.removeFirst() }
    }

    private func tell(_ change: Change) {
        guard isHeard else { return }
        // If a reload begins and ends while the manager takes nothing, do not report it.
        if change.kind == .ready, untold.last?.kind == .reloading { untold.removeLast() }
        if untold.last?.kind == change.kind { untold.removeLast() }
        untold.append(change)
        tellAgain()
    }

    /// Sends variables, one on each line.
    private func send(_ variables: String) -> Bool {
        manager?.send(Array(variables.utf8)) ?? true
    }

    /// The status as one line: text after a line feed would be another variable.
    private static func line(_ status: String) -> String { Harmless.show(status) }
}
