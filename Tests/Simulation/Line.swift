import LockModel
import LockVocabulary

/// A line that a simulated client sends, and what it means.
struct Line {
    enum Meaning {
        case command(Command)
        /// A request with a reply of many rows.
        case list
        case status(String)
        case watch
        case hello, ping, quit
        /// Nothing that the daemon understands: the reply is an error with this code, or with any.
        case junk(code: String?)
    }

    /// The number of the request, from 1 on.
    let id: Int
    /// Nil if the daemon cannot read the line's tag.
    let tag: String?
    let meaning: Meaning
    let bytes: [UInt8]

    init(id: Int, tag: String?, _ meaning: Meaning, _ text: String) {
        self.id = id
        self.tag = tag
        self.meaning = meaning
        bytes = Array(((tag.map { "#\($0) " } ?? "") + text + "\n").utf8)
    }

    /// A line that is no text, or too long; `tag` is the tag that the daemon still reads.
    init(id: Int, tag: String? = nil, junk: [UInt8], code: String) {
        self.id = id
        self.tag = tag
        meaning = .junk(code: code)
        bytes = junk + [10]
    }
}

/// Commands on the wire, by the plainest reading of `protocol.md`.
extension Command {
    /// The request without its tag. It names the user where a row may later show that to another user.
    func text(by userID: UInt32) -> String {
        switch self {
        case .acquire(let lock, let mode, let owner, let wait, let lease):
            let ownerText = owner == "-" ? "" : " owner=\(owner)"
            let leaseText = lease.map { Self.text("lease", .upTo($0)) } ?? ""
            return "\(mode) \(lock)\(ownerText)\(leaseText)\(Self.text("wait", wait)) note=of-\(userID)"
        case .upgrade(let lock, let choice, let wait):
            return "upgrade \(lock)\(Self.text("wait", wait))\(choice.text)"
        case .downgrade(let lock, let choice, let mode): return "DOWNGRADE \(lock)\(choice.text) to=\(mode)"
        case .release(let lock, let choice): return "RELEASE \(lock)\(choice.text)"
        case .releaseAtEnd(let lock, let choice): return "RELEASE \(lock)\(choice.text) at=end"
        case .releaseAll(let owner): return "RELEASE * owner=\(owner)"
        case .renew(let lock, let choice, let lease):
            return "RENEW \(lock)\(lease.map { Self.text("lease", $0) } ?? "")\(choice.text)"
        case .cancel(let lock, let owner): return "CANCEL \(lock)" + (owner.map { " owner=\($0)" } ?? "")
        case .cancelTagged(let tag): return "CANCEL #\(tag)"
        case .validate(let lock, let token): return "VALIDATE \(lock) token=\(token)"
        case .revoke(let lock, let token): return "REVOKE \(lock) token=\(token)"
        case .setRecall(let wanted): return "HELLO recall=\(wanted ? 1 : 0) client=of-\(userID)"
        }
    }

    /// The first word of the reply to a command that was carried out; nil if the reply says more than that.
    var reply: String? {
        switch self {
        case .release, .releaseAll: "RELEASED"
        case .releaseAtEnd: "OK"
        case .renew: "RENEWED"
        case .revoke: "REVOKED"
        case .setRecall: "HELLO"
        case .acquire, .upgrade, .downgrade, .cancel, .cancelTagged, .validate: nil
        }
    }

    private static func text(_ key: String, _ limit: TimeLimit) -> String {
        switch limit {
        case .forever: key == "wait" ? "" : " \(key)=forever"
        case .upTo(.zero): " \(key)=0"
        case .upTo(let duration): "  \(key)=\(duration.wholeMilliseconds)ms"
        }
    }
}

extension GrantChoice {
    fileprivate var text: String {
        (token.map { " token=\($0)" } ?? "") + (owner.map { " owner=\($0)" } ?? "")
    }
}
