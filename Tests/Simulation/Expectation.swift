import LockModel
import LockVocabulary

/// A line that the guarantees owe to a client.
struct Expectation {
    enum Kind {
        /// One of these, to a request or a command; `reply` begins the reply of a command that was carried out.
        case answer(Set<Model.Answer>, reply: String?)
        /// The first word of the reply.
        case word(String)
        /// An error with this code, or any.
        case error(code: String?)
        /// Rows, and `END` with their number.
        case listing
    }

    let tag: String?
    let kind: Kind
    /// The request, and the state when it was made, if the reply may name a circle.
    var asked: (request: Model.Request, before: Model)?
    /// The number of the request that is granted by the reply.
    var id: Int?

    init(tag: String?, _ kind: Kind, id: Int? = nil) {
        self.tag = tag
        self.kind = kind
        self.id = id
    }

    var isListing: Bool { if case .listing = kind { true } else { false } }

    /// Whether a reply, without its tag, is such a line.
    func accepts(_ words: [Substring], rows: Int) -> Bool {
        switch kind {
        case .answer(let answers, let reply): answers.contains { $0.isSaid(by: words, reply) }
        case .word(let word): words.first ?? "" == word
        case .error(nil): words.first == "ERROR"
        case .error(let code?): words.starts(with: ["ERROR", Substring(code)])
        case .listing: words.starts(with: ["END", "\(rows)"])
        }
    }
}

extension Model.Answer {
    /// Whether a reply gives this answer; `reply` is the first word of the reply of a command that was carried out.
    fileprivate func isSaid(by words: [Substring], _ reply: String?) -> Bool {
        switch self {
        case .granted(let mode, let died):
            words.count >= 4 && words[0] == "GRANTED" && words[2] == "\(mode)"
                && (words.last == "ownerdied=1") == died
        case .waiting: false
        case .busy: words.first == "BUSY"
        case .timeout: words.first == "TIMEOUT"
        case .deadlock: words.first == "DEADLOCK"
        case .cancelled: words.first == "CANCELLED"
        case .done: words.first.map(String.init) == reply
        case .valid: words.first == "VALID"
        case .stale: words.first == "STALE"
        case .releasedAll(let grants, let waiters):
            words == ["RELEASED", "*", "grants=\(grants)", "waiters=\(waiters)"]
        case .notHeld: words.starts(with: ["ERROR", "not-held"])
        case .notWaiting: words.starts(with: ["ERROR", "not-waiting"])
        case .ambiguous: words.starts(with: ["ERROR", "ambiguous"])
        case .wrongMode: words.starts(with: ["ERROR", "wrong-mode"])
        case .noLease: words.starts(with: ["ERROR", "missing-argument"])
        case .draining: words.starts(with: ["ERROR", "draining"])
        case .limitGrants: words.starts(with: ["ERROR", "limit-grants"])
        case .limitWaiters: words.starts(with: ["ERROR", "limit-waiters"])
        case .limitLocks: words.starts(with: ["ERROR", "limit-locks"])
        }
    }
}

/// Something that should not have happened.
public struct Violation: Error, CustomStringConvertible, Sendable {
    public let description: String

    init(_ description: String) { self.description = description }
}
