public import LockVocabulary

/// The codes of `ERROR`, by their words in the protocol. `protocol.md` defines each.
public enum ErrorCode: String, CaseIterable, Sendable {
    // The line
    case unknownVerb = "unknown-verb"
    case badByte = "bad-byte"
    case badTag = "bad-tag"
    case tagInUse = "tag-in-use"
    case lineTooLong = "line-too-long"

    // Its arguments
    case missingArgument = "missing-argument"
    case unknownArgument = "unknown-argument"
    case repeatedArgument = "repeated-argument"
    case badName = "bad-name"
    case badDuration = "bad-duration"
    case badToken = "bad-token"
    case badOwner = "bad-owner"
    case badNote = "bad-note"
    case badNumber = "bad-number"
    case badMode = "bad-mode"
    case badValue = "bad-value"

    // What it requests
    case notHeld = "not-held"
    case notWaiting = "not-waiting"
    case ambiguous
    case wrongMode = "wrong-mode"

    // The daemon
    case noToken = "no-token"
    case draining
    case limitSessions = "limit-sessions"
    case limitGrants = "limit-grants"
    case limitWaiters = "limit-waiters"
    case limitLocks = "limit-locks"
    case limitWaits = "limit-waits"
    case limitBuffers = "limit-buffers"
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
        case .draining: "the daemon is leaving and grants nothing new"
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
    public var code: ErrorCode
    public var text: String
    /// The lock and the mode of the request; nil if the error answers no request for a lock.
    ///
    /// A request that has waited is answered out of order. Without a tag, only the subject identifies it.
    public var subject: Subject?

    public struct Subject: Hashable, Sendable {
        public var name: LockName
        public var mode: LockMode

        public init(_ name: LockName, _ mode: LockMode) {
            self.name = name
            self.mode = mode
        }
    }

    public init(_ code: ErrorCode, _ text: String, of subject: Subject? = nil) {
        self.code = code
        self.text = text
        self.subject = subject
    }

    /// The error with the explanation of its code as text.
    public init(_ code: ErrorCode) { self.init(code, code.explanation) }
}
