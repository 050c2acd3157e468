import LockVocabulary

/// The keys of options, `key=value`.
struct OptionKeys: OptionSet {
    let rawValue: UInt16

    static let wait = OptionKeys(rawValue: 1 << 0)
    static let lease = OptionKeys(rawValue: 1 << 1)
    static let owner = OptionKeys(rawValue: 1 << 2)
    static let note = OptionKeys(rawValue: 1 << 3)
    static let token = OptionKeys(rawValue: 1 << 4)
    static let to = OptionKeys(rawValue: 1 << 5)
    static let after = OptionKeys(rawValue: 1 << 6)
    static let limit = OptionKeys(rawValue: 1 << 7)
    static let client = OptionKeys(rawValue: 1 << 8)
    static let recall = OptionKeys(rawValue: 1 << 9)
    static let at = OptionKeys(rawValue: 1 << 10)

    /// The key that a word spells; nil if there is none such. Keys are lower case only.
    init?(_ word: UnsafeRawBufferPointer) {
        switch word.count {
        case 2 where word.spells("to"): self = .to
        case 2 where word.spells("at"): self = .at
        case 4 where word.spells("wait"): self = .wait
        case 4 where word.spells("note"): self = .note
        case 5 where word.spells("lease"): self = .lease
        case 5 where word.spells("owner"): self = .owner
        case 5 where word.spells("token"): self = .token
        case 5 where word.spells("after"): self = .after
        case 5 where word.spells("limit"): self = .limit
        case 6 where word.spells("client"): self = .client
        case 6 where word.spells("recall"): self = .recall
        default: return nil
        }
    }

    init(rawValue: UInt16) { self.rawValue = rawValue }
}

/// The form of each request: its word, the options that it takes, and how to type it.
enum RequestForm: CaseIterable {
    case read, update, write, release, upgrade, downgrade, renew, cancel, validate, revoke
    case status, list, sessions, stats, watch, hello, ping, quit, help

    /// The form that begins with a word, in any case; nil if there is none such.
    init?(_ word: UnsafeRawBufferPointer) {
        switch word.count {
        case 4 where word.spellsVerb("READ"): self = .read
        case 4 where word.spellsVerb("PING"): self = .ping
        case 4 where word.spellsVerb("LIST"): self = .list
        case 4 where word.spellsVerb("QUIT"): self = .quit
        case 4 where word.spellsVerb("HELP"): self = .help
        case 5 where word.spellsVerb("WRITE"): self = .write
        case 5 where word.spellsVerb("RENEW"): self = .renew
        case 5 where word.spellsVerb("HELLO"): self = .hello
        case 5 where word.spellsVerb("STATS"): self = .stats
        case 5 where word.spellsVerb("WATCH"): self = .watch
        case 6 where word.spellsVerb("UPDATE"): self = .update
        case 6 where word.spellsVerb("CANCEL"): self = .cancel
        case 6 where word.spellsVerb("STATUS"): self = .status
        case 6 where word.spellsVerb("REVOKE"): self = .revoke
        case 7 where word.spellsVerb("RELEASE"): self = .release
        case 7 where word.spellsVerb("UPGRADE"): self = .upgrade
        case 8 where word.spellsVerb("VALIDATE"): self = .validate
        case 8 where word.spellsVerb("SESSIONS"): self = .sessions
        case 9 where word.spellsVerb("DOWNGRADE"): self = .downgrade
        default: return nil
        }
    }

    /// The options that may stand in such a request, each once.
    var options: OptionKeys {
        switch self {
        case .read, .update, .write: [.wait, .lease, .owner, .note]
        case .release: [.token, .owner, .at]
        case .upgrade: [.wait, .token, .owner]
        case .downgrade: [.to, .token, .owner]
        case .renew: [.lease, .token, .owner]
        case .cancel: [.owner]
        case .validate, .revoke: [.token]
        case .list: [.after, .limit]
        case .hello: [.client, .recall]
        case .status, .sessions, .stats, .watch, .ping, .quit, .help: []
        }
    }

    /// How to type such a request.
    var usage: String {
        switch self {
        case .read: "READ name [wait=5s] [lease=30s] [owner=word] [note=text]"
        case .update: "UPDATE name [wait=5s] [lease=30s] [owner=word] [note=text]"
        case .write: "WRITE name [wait=5s] [lease=30s] [owner=word] [note=text]"
        case .release: "RELEASE name [token=n] [owner=word] [at=end], or RELEASE * owner=word"
        case .upgrade: "UPGRADE name [wait=5s] [token=n] [owner=word]"
        case .downgrade: "DOWNGRADE name [to=read|update] [token=n] [owner=word]"
        case .renew: "RENEW name [lease=30s] [token=n] [owner=word]"
        case .cancel: "CANCEL name [owner=word], or CANCEL #tag"
        case .validate: "VALIDATE name token=n"
        case .revoke: "REVOKE name token=n"
        case .status: "STATUS name"
        case .list: "LIST [prefix] [after=name] [limit=n]"
        case .sessions: "SESSIONS"
        case .stats: "STATS"
        case .watch: "WATCH [prefix]"
        case .hello: "HELLO [client=name] [recall=0|1]"
        case .ping: "PING"
        case .quit: "QUIT"
        case .help: "HELP"
        }
    }
}

extension Request {
    /// How each request is typed, one to a line: what `HELP` answers.
    public static var forms: [String] { RequestForm.allCases.map(\.usage) }
}
