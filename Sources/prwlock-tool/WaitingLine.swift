import LockVocabulary
import LockWire
import PRWLock
import Posix

/// What a process that waits for a lock says of that: a line on a terminal, kept up to date, and words for the service
/// manager; nothing where neither is there.
///
/// It asks for the lock's status in a second session, so that the first is left to its one answer. On the terminal it
/// writes only while this process is in the foreground: what a background job writes there goes into another program's
/// picture.
struct WaitingLine: ~Copyable {
    /// Where the words for the service manager go.
    enum Manager {
        case none
        case itself(ServiceManager)
        /// To the monitor, which is the unit's main process: of others the manager takes no messages.
        case monitor(channel: Int32)
    }

    private let request: Acquire
    private let daemon: DaemonOptions
    private let manager: Manager
    private let columns: Int
    /// When it is to be told, or told anew; nil for never.
    private(set) var nextUpdate: Deadline?
    private var isShown = false

    private static let interval = Duration.seconds(1)
    /// Units may have a short time to start.
    private static let managerDelay = Duration.milliseconds(100)
    /// How long it waits for a connection, and as long again for each of two answers; the request waits with it.
    private static let patience = Duration.milliseconds(200)

    init(_ request: Acquire, _ daemon: DaemonOptions, for manager: Manager = .none) {
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

    /// - Parameter end: when the request is given up.
    mutating func update(waited: Duration, by end: Deadline) {
        nextUpdate = Deadline(after: Self.interval)
        // To say less is better than to fail or to be late: who waits wants the lock, not the line.
        let patience = min(Self.patience, (end.left ?? Self.interval) / 3)
        let holders = (try? LockReport(of: request.name, at: daemon, patience: patience))?.holders ?? []
        let text = Self.text(request.name, request.mode, holders: holders, waited: waited)
        switch manager {
        case .none: break
        case .itself(let manager): manager.tellWaiting(text)
        case .monitor(let channel): Handover.tellWaiting(text, to: channel)
        }
        guard StandardError.isForegroundTerminal, waited >= Self.interval else { return }
        StandardError.write("\r\u{1B}[K" + Style(columns: columns).fit("prwlock: " + text))
        isShown = true
    }

    /// Leaves the terminal as it was.
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
