import LockModel
import LockVocabulary

/// A line that a client is to be told, by what the guarantees say.
struct Expectation {
    enum Kind {
        /// One of these, to a request or a command.
        case answer(Set<Model.Answer>)
        /// The first word of the reply.
        case word(String)
        /// An error with this code, or any.
        case error(code: String?)
        /// So many grants of an owner were released, and so many of its requests cancelled.
        case releasedAll(grants: Int, waiters: Int)
        /// Rows, and `END` with their number.
        case listing
    }

    let tag: String?
    let kind: Kind
    /// The request, and how things stood when it was made, where a circle is to be named.
    var asked: (request: Model.Request, before: Model)?
    /// The request's number, for whoever is granted by it.
    var id: Int?

    init(tag: String?, _ kind: Kind, id: Int? = nil) {
        self.tag = tag
        self.kind = kind
        self.id = id
    }

    var isListing: Bool { if case .listing = kind { true } else { false } }

    /// Whether a reply, without its tag, is such a line.
    func accepts(_ words: [Substring], rows: Int) -> Bool {
        let first = words.first ?? ""
        switch kind {
        case .answer(let answers): return Self.answer(words).map(answers.contains) ?? false
        case .word(let word): return first == word
        case .error(let code):
            return first == "ERROR" && (code == nil || words.dropFirst().first ?? "" == code ?? "")
        case .releasedAll(let grants, let waiters):
            return words == ["RELEASED", "*", "grants=\(grants)", "waiters=\(waiters)"]
        case .listing: return first == "END" && words.dropFirst().first ?? "" == "\(rows)"
        }
    }

    /// What a reply says, in the model's words.
    private static func answer(_ words: [Substring]) -> Model.Answer? {
        switch words.first ?? "" {
        case "GRANTED":
            guard words.count >= 4, let mode = LockMode.allCases.first(where: { "\($0)" == words[2] }) else {
                return nil
            }
            return .granted(mode, ownerDied: words.last == "ownerdied=1")
        case "BUSY": return .busy
        case "TIMEOUT": return .timeout
        case "DEADLOCK": return .deadlock
        case "CANCELLED": return .cancelled
        case "RELEASED", "RENEWED", "REVOKED", "OK": return .done
        case "ERROR":
            return switch words.dropFirst().first ?? "" {
            case "not-held": .notHeld
            case "not-waiting": .notWaiting
            case "ambiguous": .ambiguous
            case "wrong-mode": .wrongMode
            case "missing-argument": .noLease
            case "draining": .draining
            case "limit-grants": .limitGrants
            case "limit-waiters": .limitWaiters
            case "limit-locks": .limitLocks
            default: nil
            }
        default: return nil
        }
    }
}

/// Something that should not have happened.
public struct Violation: Error, CustomStringConvertible, Sendable {
    public let description: String

    init(_ description: String) { self.description = description }
}
