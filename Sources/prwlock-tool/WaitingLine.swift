import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The line on a terminal that says for whom one waits, kept up to date; nothing where nobody looks.
///
/// It is told by a second session that asks for the lock's status, so that the first is left to its one answer.
struct WaitingLine: ~Copyable {
    private let request: Acquire
    private let daemon: DaemonOptions
    private let columns: Int
    /// When it is to be told, or told anew; nil for never.
    private(set) var nextUpdate: Deadline?
    private var isShown = false

    private static let interval = Duration.seconds(1)
    /// How long it waits for a connection, and as long again for its answer; the request waits with it.
    private static let patience = Duration.milliseconds(200)

    init(_ request: Acquire, _ daemon: DaemonOptions) {
        self.request = request
        self.daemon = daemon
        columns = StandardError.columns ?? 80
        let isTold = request.wait != .upTo(.zero) && StandardError.isTerminal
        nextUpdate = isTold ? Deadline(after: Self.interval) : nil
    }

    /// - Parameter end: when the request is given up.
    mutating func update(waited: Duration, by end: Deadline) {
        nextUpdate = Deadline(after: Self.interval)
        // To say less is better than to fail or to be late: who waits wants the lock, not the line.
        let patience = min(Self.patience, (end.left ?? Self.interval) / 2)
        let holders = (try? LockStatus(of: request.name, at: daemon, patience: patience))?.holders ?? []
        let text = Self.text(request.name, request.mode, holders: holders, waited: waited)
        StandardError.write("\r\u{1B}[K" + Style(columns: columns).fit(text))
        isShown = true
    }

    /// Leaves the terminal as it was.
    mutating func erase() {
        guard isShown else { return }
        StandardError.write("\r\u{1B}[K")
        isShown = false
    }

    static func text(_ name: LockName, _ mode: LockMode, holders: [LockStatus.Holder], waited: Duration)
        -> String
    {
        var text = "prwlock: waiting for \(name) (\(mode)) for \(waited.inWords)"
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
