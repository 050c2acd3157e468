public import LockVocabulary

/// The codes of `ERROR`, by their words in the protocol. `protocol.md` defines each.
public enum ErrorCode: String, CaseIterable, Sendable {
    // The line
    /// The line begins with no known request.
    case unknownVerb = "unknown-verb"
    /// The line has a byte that is not printable ASCII.
    case badByte = "bad-byte"
    /// The tag is not well formed.
    case badTag = "bad-tag"
    /// An open request of the session has the same tag.
    case tagInUse = "tag-in-use"
    /// The line is longer than the limit.
    case lineTooLong = "line-too-long"

    // Its arguments
    /// An argument is missing.
    case missingArgument = "missing-argument"
    /// The request has no such argument.
    case unknownArgument = "unknown-argument"
    /// An argument is given twice.
    case repeatedArgument = "repeated-argument"
    /// The name, or the beginning of names, is not well formed.
    case badName = "bad-name"
    /// The duration is not well formed, is too long, or is a lease of zero.
    case badDuration = "bad-duration"
    /// The token is not a number from 1 on.
    case badToken = "bad-token"
    /// The owner is not well formed.
    case badOwner = "bad-owner"
    /// The note is not well formed.
    case badNote = "bad-note"
    /// The number is not decimal, or out of its range.
    case badNumber = "bad-number"
    /// The mode is none that the request accepts.
    case badMode = "bad-mode"
    /// The option has no such value.
    case badValue = "bad-value"

    // What it requests
    /// The session has no such grant.
    case notHeld = "not-held"
    /// The session has no such request that waits.
    case notWaiting = "not-waiting"
    /// Several grants or requests match.
    case ambiguous
    /// The mode of the grant does not allow the change.
    case wrongMode = "wrong-mode"

    // The daemon
    /// The daemon cannot give out a token, because its state directory cannot be written to.
    case noToken = "no-token"
    /// The daemon has no memory for another grant or waiting request, if it keeps them for the next process that serves.
    case noMemory = "no-memory"
    /// The daemon is leaving, and grants nothing new.
    case draining
    /// The name is shared with other hosts, and etcd cannot be reached, or another host has the name.
    case clusterUnavailable = "cluster-unavailable"
    /// There are too many sessions, or the daemon has no descriptor for another.
    case limitSessions = "limit-sessions"
    /// The session, the user, or all sessions together have as many grants as they may.
    case limitGrants = "limit-grants"
    /// As many requests of the session, the user, or all sessions together wait as may.
    case limitWaiters = "limit-waiters"
    /// The user, or all users together, have as many locks as they may.
    case limitLocks = "limit-locks"
    /// Too many owners wait for one another to search for a deadlock.
    case limitWaits = "limit-waits"
    /// The session did not read its replies for too long.
    case limitBuffers = "limit-buffers"
    /// As many sessions of the user watch as may.
    case limitWatchers = "limit-watchers"

    /// A code that only a newer daemon knows. Only clients use this case; the error's text then begins with the code.
    case unlisted

    /// The text of an error that has no more exact one.
    public var explanation: String {
        switch self {
        case .unknownVerb: "no such request; HELP lists them"
        case .badByte: "a line is printable ASCII and spaces only"
        case .badTag: "a tag is # and 1 to 32 letters, digits, dashes, underscores or points"
        case .tagInUse: "a request with this tag is still open"
        case .lineTooLong: "the line is longer than the limit; it was passed over"
        case .missingArgument: "an argument is missing; HELP shows them"
        case .unknownArgument: "this request has no such argument; HELP shows them"
        case .repeatedArgument: "an argument is given twice"
        case .badName:
            "a name is 1 to 255 bytes of A-Z a-z 0-9 - . _ ~ / : @ + and %XX for any other byte"
        case .badDuration: "a duration is a whole number and ms, s, m or h, or 0, or forever; at most 876000h"
        case .badToken: "a token is a decimal number from 1 to 18446744073709551615"
        case .badOwner: "an owner is 1 to 32 letters, digits, dashes, underscores or points"
        case .badNote: "a note is 1 to 255 bytes of A-Z a-z 0-9 - . _ ~ / : @ + and %XX for any other byte"
        case .badNumber: "a number is decimal and not too large"
        case .badMode: "to= is read or update"
        case .badValue: "this option has no such value; HELP shows them"
        case .notHeld: "there is no such grant"
        case .notWaiting: "there is no such request waiting"
        case .ambiguous: "several match; choose with token=, owner= or the tag"
        case .wrongMode: "the grant's mode does not allow that"
        case .noToken: "no fencing token can be given out: the state directory cannot be written to"
        case .noMemory: "the daemon has no memory for another grant or waiting request"
        case .draining: "the daemon is leaving and grants nothing new"
        case .clusterUnavailable: "the name is shared with other hosts, and the cluster cannot be asked now"
        case .limitSessions: "there are as many sessions as the daemon takes"
        case .limitGrants: "too many grants are held"
        case .limitWaiters: "too many requests wait"
        case .limitLocks: "there are as many locks as the daemon takes"
        case .limitWaits: "too many owners wait for one another to search for a deadlock"
        case .limitBuffers: "replies were not read for too long"
        case .limitWatchers: "too many sessions of this user watch"
        case .unlisted: "the daemon gave a reason that this client does not know"
        }
    }
}

/// A fault of a request: a code for programs, and a text for people.
///
/// The text never repeats what the client sent. Otherwise one client's bytes could reach another user's terminal.
public struct WireError: Error, Hashable, Sendable {
    /// What the fault is, for programs.
    public var code: ErrorCode
    /// What the fault is, for people.
    public var text: String
    /// The lock and the mode of the request; nil if the error answers no request for a lock.
    ///
    /// A request that has waited is answered out of order. Without a tag, only the subject identifies it.
    public var subject: Subject?

    /// The lock and the mode of a request for a lock.
    public struct Subject: Hashable, Sendable {
        /// The lock.
        public var name: LockName
        /// The mode.
        public var mode: LockMode

        /// A subject from its parts.
        public init(_ name: LockName, _ mode: LockMode) {
            self.name = name
            self.mode = mode
        }
    }

    /// An error from its parts.
    public init(_ code: ErrorCode, _ text: String, of subject: Subject? = nil) {
        self.code = code
        self.text = text
        self.subject = subject
    }

    /// The error with the explanation of its code as text.
    public init(_ code: ErrorCode) { self.init(code, code.explanation) }
}
