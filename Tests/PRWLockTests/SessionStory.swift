import LockVocabulary
import LockWire
import Rendezvous
import Testing

@testable import PRWLock

/// A session, with the test as its daemon and clock.
struct SessionStory {
    var session = Session()
    var now = Instant.zero
    let jobs: LockName
    let owner: OwnerID

    init() throws {
        jobs = try #require(LockName("jobs"))
        owner = try #require(OwnerID("t1"))
    }

    var write: Session.Call { .acquire(Acquire(name: jobs, mode: .write, owner: owner)) }
    var read: Session.Call { .acquire(Acquire(name: jobs, mode: .read, owner: owner)) }

    /// Begins a request, with the time that a client would give it.
    mutating func submit(_ call: Session.Call, timeout: Duration? = nil) -> Session.RequestID {
        let time: CallTime =
            switch (call, timeout) {
            case (.acquire, _), (.upgrade, _), (_, nil):
                CallTime(waiting: TimeLimit(timeout), from: now)
            case (_, let timeout?): CallTime(asking: timeout, from: now)
            }
        return session.submit(call, time, at: now)
    }

    /// Begins a request on an open connection.
    mutating func open(_ call: Session.Call, timeout: Duration? = nil) -> Session.RequestID {
        session.opened(at: now)
        return submit(call, timeout: timeout)
    }

    /// Begins a request on an open connection, and drops the line that is sent for it.
    mutating func ask(_ call: Session.Call, timeout: Duration? = nil) -> Session.RequestID {
        let id = open(call, timeout: timeout)
        _ = happened()
        return id
    }

    /// A grant on `jobs`.
    mutating func hold(_ mode: LockMode, _ token: UInt64) -> Session.GrantID {
        let id = ask(.acquire(Acquire(name: jobs, mode: mode, owner: owner)))
        _ = told("#\(id) GRANTED jobs \(mode) token=\(token)")
        return Session.GrantID(request: id)
    }

    mutating func cancel(_ id: Session.RequestID) -> [String] {
        session.cancel(id, at: now)
        return happened()
    }

    /// What follows from a line of the daemon.
    mutating func told(_ line: String) -> [String] {
        guard let line = ServerLine.parse(line) else { return ["not a line: \(line)"] }
        session.received(line, at: now)
        return happened()
    }

    /// What follows from the passing of time.
    mutating func pass(_ duration: Duration) -> [String] {
        now = now.advanced(by: duration)
        session.timePassed(at: now, silence: .noAnswer(SilentDaemon(at: "the story")))
        return happened()
    }

    /// What follows when a request without a wait is given up.
    mutating func giveUp() -> [String] { pass(CallTime.answerTime) }

    /// What follows from the end of the connection.
    mutating func end() -> [String] {
        session.ended()
        return happened()
    }

    /// The events since the last call, and then the lines to send.
    mutating func happened() -> [String] {
        defer { session.output = [] }
        let lines = String(decoding: session.output, as: UTF8.self).split(separator: "\n").map { "> \($0)" }
        return session.takeEvents().map(\.words) + lines
    }
}

extension ServerLine {
    static func parse(_ text: String) -> ServerLine? {
        Array(text.utf8).withUnsafeBytes { ServerLine.parse($0) }
    }
}

extension Session.RequestID: CustomStringConvertible {
    public var description: String { "\(number)" }
}

extension Session.Event {
    fileprivate var words: String {
        switch self {
        case .completed(let id, let outcome): "\(id) \(outcome.words)"
        case .lost(_, let loss): "lost \(loss.token) \(loss.cause)"
        case .noticed(.changed(let change)): "noticed \(change.name) \(change.change)"
        case .noticed(let notice): "noticed \(notice)"
        }
    }
}

extension Session.Outcome {
    fileprivate var words: String {
        switch self {
        case .granted: "granted"
        case .done: "done"
        case .answered(_, let rows): rows.isEmpty ? "answered" : "answered with \(rows.count) rows"
        case .refused(let error): "refused: \(error.word)"
        case .lost(let loss): "lost: \(loss.cause)"
        case .cancelled: "cancelled"
        case .unanswered: "unanswered"
        }
    }
}

extension LockError {
    fileprivate var word: String {
        switch self {
        case .timedOut: "timed out"
        case .deadlock: "deadlock"
        case .denied: "denied"
        case .wrongMode: "wrong mode"
        case .refused(let code, _): code.rawValue
        case .clusterUnavailable: "cluster-unavailable"
        case .unreachable: "no answer"
        case .disconnected: "disconnected"
        case .invalidArgument: "invalid argument"
        case .closed: "closed"
        }
    }
}
