import LockVocabulary
import LockWire
import PRWLock
import Posix

/// Reports that a process waits for a lock: on a terminal as a line that is kept up to date, and to the service manager
/// as its status.
///
/// It queries the lock's status over a second session, because the first one waits for the decision. It writes to the
/// terminal only while this process is in the foreground; a background job would write into the output of another
/// program.
struct WaitingLine: ~Copyable {
    /// The way of the status to the service manager.
    enum Manager {
        case none
        case itself(ServiceManager)
        /// Through the monitor, because the manager accepts messages only from the unit's main process.
        case monitor(channel: Int32)
    }

    private let request: Acquire
    private let daemon: DaemonChoice
    private let manager: Manager
    private let columns: Int
    /// When to report next; nil for never.
    private(set) var nextUpdate: Deadline?
    private var isShown = false

    private static let interval = Duration.seconds(1)
    /// Report early, because a unit's start may have a short time limit.
    private static let managerDelay = Duration.milliseconds(100)
    /// The limit for connecting and for each of two answers. The request cannot proceed meanwhile.
    private static let patience = Duration.milliseconds(200)

    init(_ request: Acquire, _ daemon: DaemonChoice, for manager: Manager = .none) {
        self.request = request
        self.daemon = daemon
        self.manager = manager
        columns = StandardError.columns ?? 80
        guard request.wait != .upTo(.zero) else { return }
        if case .none = manager {
            nextUpdate = StandardError.isTerminal ? Deadline(after: Self.interval) : nil
        } else {
            nextUpdate = Deadline(after: Self.managerDelay)
        }
    }

    /// - Parameter end: the deadline of the request.
    mutating func update(waited: Duration, by end: Deadline) {
        nextUpdate = Deadline(after: Self.interval)
        // A report without holders is better than a late one, because the caller wants the lock and not the report.
        let patience = min(Self.patience, (end.left ?? Self.interval) / 3)
        let holders = (try? LockReport(of: request.name, at: daemon, patience: patience))?.holders ?? []
        let text = Self.text(request.name, request.mode, holders: holders, waited: waited)
        switch manager {
        case .none: break
        case .itself(let manager): manager.reportWaiting(text)
        case .monitor(let channel): Handover.reportWaiting(text, to: channel)
        }
        guard StandardError.isForegroundTerminal, waited >= Self.interval else { return }
        StandardError.write("\r\u{1B}[K\(Style(columns: columns).fit("prwlock: " + text))")
        isShown = true
    }

    /// Removes the line from the terminal.
    mutating func erase() {
        guard isShown, StandardError.isForegroundTerminal else { return }
        StandardError.write("\r\u{1B}[K")
        isShown = false
    }

    static func text(
        _ name: LockName, _ mode: LockMode, holders: [LockReport.DescribedHolder], waited: Duration
    )
        -> String
    {
        var text = "waiting for \(name.shown) (\(mode)) for \(waited.inWords)"
        if let first = holders.first {
            text += "; held by \(first.row.processID.map(String.init) ?? "?")"
            if let user = first.process.user { text += " (\(user))" }
            text += " for \(first.row.age.inWords)"
            if holders.count > 1 { text += " and \(holders.count - 1) more" }
            if let command = first.process.command { text += ": \(command)" }
        }
        return Harmless.show(text)
    }
}
