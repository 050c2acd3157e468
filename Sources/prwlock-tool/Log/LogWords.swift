import LockVocabulary
import Systemd

/// An entry as a person reads it.
extension LogEntry {
    /// One line: the time, the lock, and what happened.
    func line(_ style: Style, _ clock: DisplayClock) -> Shown {
        let time = time.map { clock.time(at: $0) + "  " } ?? ""
        let subject = lock?.shown ?? (isOfManager ? "systemd" : "daemon")
        let isUrgent = lock == nil && level <= .warning
        return "\(time)\(style.strong(subject)): \(isUrgent ? "\(level): " : "")\(words)\n"
    }

    /// What happened, without the name of the lock.
    var words: String {
        switch event {
        case .diedHolding: "\(client) ended while it held the lock\(others)"
        case .leaseExpired: "the lease of \(client) ended before a release"
        case .deadlockRefused: "a request of \(client) was refused, as it would wait in a circle: \(detail)"
        case .limitHit: "\(client) reached the limit \(limit ?? detail)"
        case .markForgotten: "that its last writer died is forgotten, as too many locks have such a mark"
        case .revoked: "the grant of \(client) was revoked\(revoker)"
        case .denied: "a request of \(client) was denied: \(detail)"
        case .orderBroken: "\(client) requested it out of order: \(detail)"
        case .outOfTokens where lock != nil: "a request of \(client) was refused: no token was left"
        case .hotLock: "it is one of those that cost most in the last day: \(detail)"
        case .outOfDescriptors, .outOfTokens, .entriesLost, .configurationRefused, .fatalLine, .startedEmpty,
            .clusterLost, .clusterUnreachable, .clusterRestored, .clusterRefused, nil:
            process == nil ? message : "\(message): \(client)"
        }
    }

    /// The client of the event: its process, user and unit.
    private var client: String {
        let facts = [user.map(ProcessDescription.userName), unit].compactMap(\.self)
        let shown = facts.isEmpty ? "" : " (\(facts.joined(separator: ", ")))"
        return process.map { "process \($0)\(shown)" } ?? "a process that the daemon cannot see\(shown)"
    }

    /// What the message says behind its first colon.
    private var detail: String {
        message.firstRange(of: ": ").map { String(message[$0.upperBound...]) } ?? message
    }

    /// The number of locks that ended with the one that the entry names.
    private var others: String {
        guard message.hasSuffix(" more"), let and = message.ranges(of: " and ").last else { return "" }
        let more = message[and.upperBound...]
        return ", and \(more) \(more == "1 more" ? "lock" : "locks")"
    }

    /// The user that revoked a grant.
    private var revoker: String {
        let words = message.split(separator: " ")
        guard words.dropLast().last == "user", let user = words.last.flatMap({ UInt32($0) }) else {
            return ""
        }
        return " by \(ProcessDescription.userName(user))"
    }

    /// For programs: all that the entry says.
    var json: JSON {
        .object([
            ("time", .optional(time.map(DisplayClock.timestamp(of:)))), ("level", .string("\(level)")),
            ("event", .optional(event?.word)), ("name", .optional(lock?.decoded)),
            ("encoded", .optional(lock?.text)), ("pid", .optional(process)),
            ("uid", user.map { .integer(Int($0)) } ?? .null),
            ("user", .optional(user.map(ProcessDescription.userName))), ("unit", .optional(unit)),
            ("token", .optional(token)), ("session", .optional(session)), ("limit", .optional(limit)),
            ("by_systemd", .bool(isOfManager)), ("text", .string(words)), ("message", .string(message)),
        ])
    }
}

extension JournalEntry.Event {
    /// The word for programs.
    var word: String {
        switch self {
        case .diedHolding: "died-holding"
        case .leaseExpired: "lease-expired"
        case .deadlockRefused: "deadlock-refused"
        case .limitHit: "limit-hit"
        case .markForgotten: "mark-forgotten"
        case .revoked: "revoked"
        case .outOfDescriptors: "out-of-descriptors"
        case .outOfTokens: "out-of-tokens"
        case .denied: "denied"
        case .orderBroken: "order-broken"
        case .entriesLost: "entries-lost"
        case .configurationRefused: "configuration-refused"
        case .fatalLine: "fatal-line"
        case .startedEmpty: "started-empty"
        case .clusterLost: "cluster-lost"
        case .clusterUnreachable: "cluster-unreachable"
        case .clusterRestored: "cluster-restored"
        case .clusterRefused: "cluster-refused"
        case .hotLock: "hot-lock"
        }
    }
}
