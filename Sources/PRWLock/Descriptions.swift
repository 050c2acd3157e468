import LockVocabulary
public import LockWire
import Rendezvous

// What the library's values say about themselves to people.

/// A process, for people.
func process(_ id: Int32?) -> String {
    id.map { "process \($0)" } ?? "a process that cannot be seen from here"
}

/// A note behind a sentence. Names and notes stay encoded: another user may have put a terminal's control bytes into them.
private func suffix(_ note: Note) -> String { note.isEmpty ? "" : ": \(note)" }

extension HeldBy: CustomStringConvertible {
    /// For people: `process 811 (write), 2 more`.
    public var description: String {
        if isEmpty { return "none: the lock daemon has just started after an unclean end" }
        let holders = named.map { "\($0.host.map { "host \($0)" } ?? process($0.processID)) (\($0.mode))" }
        return (holders + (more > 0 ? ["\(more) more"] : [])).joined(separator: ", ")
    }
}

extension Cycle: CustomStringConvertible {
    /// For people: `process 811 waits for jobs, process 902/t1 waits for mail`.
    public var description: String {
        let hops = named.map { hop in
            let owner = hop.owner.isSession ? "" : "/\(hop.owner)"
            let who = hop.host.map { "an owner on host \($0)" } ?? process(hop.processID)
            return "\(who)\(owner) waits for \(hop.lock)"
        }
        return (hops + (more > 0 ? ["\(more) more"] : [])).joined(separator: ", ")
    }
}

extension Row.Holder: CustomStringConvertible {
    /// For people: `process 811 (write, token 42) for 3.0 seconds: nightly`.
    public var description: String {
        let lease = leaseLeft.map { ", its lease ends in \($0)" } ?? ""
        return "\(process(processID)) (\(mode), token \(token)) for \(age)\(lease)\(suffix(note))"
    }
}

extension Row.Waiter: CustomStringConvertible {
    /// For people: `process 902 (read) waits for 0.5 seconds of 5.0 seconds: backup`.
    public var description: String {
        let upgrade = upgrades.map { ", upgrade of token \($0)" } ?? ""
        let limit = timeout.duration.map { " of \($0)" } ?? ""
        return "\(process(processID)) (\(mode)\(upgrade)) waits for \(waited)\(limit)\(suffix(note))"
    }
}

extension Row.Lock: CustomStringConvertible {
    /// For people: `jobs: write, 1 holder(s), 2 waiter(s)`.
    public var description: String {
        let died = ownerDied.map { $0 == .yes ? ", its last writer died" : ", its last writer may have died" }
        let claimed = claim.map { ", \($0)" } ?? ""
        return "\(name): \(mode.map { "\($0)" } ?? "free"), holders: \(holders), waiters: \(waiters)"
            + (died ?? "") + claimed
    }
}

extension Row.Lock.SharedClaim: CustomStringConvertible {
    /// For people: `claimed by host web1 (write)`.
    public var description: String {
        guard let host, let mode else { return "claimed by no host" }
        return "claimed by host \(host) (\(mode))"
    }
}

extension Row.Claim: CustomStringConvertible {
    /// For people: `host web1 (write)`.
    public var description: String { "host \(host) (\(mode))" }
}

extension Notice.Changed: CustomStringConvertible {
    /// For people: `jobs: granted to process 811 (write, token 42)`.
    public var description: String {
        let token = token.map { ", token \($0)" } ?? ""
        let upgrade = upgrades.map { ", upgrade of token \($0)" } ?? ""
        return "\(name): \(change.rawValue), \(process(processID)) (\(mode)\(token)\(upgrade))"
    }
}

extension LockEvent: CustomStringConvertible {
    /// The change, or how many are missed, for people.
    public var description: String {
        switch self {
        case .changed(let change): change.description
        case .missed(let count): "missed \(count) changes"
        }
    }
}

extension LockStatus: CustomStringConvertible {
    /// The holders and waiters for people, one a line.
    public var description: String {
        let lines =
            holders.map { "held by \($0)" } + waiters.map(\.description)
            + claims.map { "claimed by \($0)" } + claimWaiters.map { "\($0) waits for a claim" }
        return lines.isEmpty ? "free" : lines.joined(separator: "\n")
    }
}

extension LossWatch: CustomStringConvertible {
    /// The grant, and how it ended if it has, for people.
    public var description: String { "a watch of \(hold.description)" }
}

extension Hold: CustomStringConvertible {
    /// The lock, the mode and the token, or how the grant ended, for people.
    var description: String {
        if let lost { return lost.description }
        return termsIfKnown?.inWords ?? "a lock that was released"
    }
}

extension Session.Terms {
    /// For people: `the lock jobs, held for write (token 42)`.
    var inWords: String { "the lock \(name), held for \(mode) (token \(token))" }
}

extension Grant {
    /// The lock, the mode and the token, or how the lock was lost, for people.
    public var description: String { hold.description }
}

extension BlockingGrant {
    /// The lock, the mode and the token, or how the lock was lost, for people.
    public var description: String { lost?.description ?? terms.inWords }
}

// A type that cannot be copied cannot be `CustomStringConvertible`, and has no interpolation of its own.
extension DefaultStringInterpolation {
    /// Inserts ``Grant/description``.
    public mutating func appendInterpolation(_ grant: borrowing Grant) { appendLiteral(grant.description) }

    /// Inserts ``BlockingGrant/description``.
    public mutating func appendInterpolation(_ grant: borrowing BlockingGrant) {
        appendLiteral(grant.description)
    }
}

extension LockOwner: CustomStringConvertible {
    /// The word by which the daemon knows the owner.
    public var description: String { id.description }
}

extension Client: CustomStringConvertible {
    /// Where the client finds the daemon, for people.
    public var description: String { "a client of \(daemonInWords(location))" }
}

extension BlockingClient: CustomStringConvertible {
    /// Where the client finds the daemon, for people.
    public var description: String { "a blocking client of \(daemonInWords(location))" }
}

extension BlockingRWLock: CustomStringConvertible {
    /// The plain text of the lock's name, with harmful characters escaped.
    public var description: String { Harmless.show(name.decoded) }
}

/// The daemon at a location, or the one that every client finds.
private func daemonInWords(_ location: SocketLocation?) -> String {
    location.map { Harmless.show("the lock daemon at \($0.path)") } ?? "this user's lock daemon"
}
