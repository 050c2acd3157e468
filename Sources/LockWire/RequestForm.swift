/// The requests by their verbs: how each is typed.
///
/// The parser, `HELP` and the errors that state what was expected come from the usages. A usage gives the verb, and the
/// options that the request takes; `Arguments.verb` reads what the arguments mean.
enum RequestForm: Int, CaseIterable {
    case read, update, write, release, upgrade, downgrade, renew, cancel, validate, revoke, status
    case list, hot, sessions, stats, watch, hello, ping, quit, help

    var usage: StaticString {
        switch self {
        case .read: "READ name [wait=5s] [lease=30s] [owner=word] [note=text] [cache=0|1]"
        case .update: "UPDATE name [wait=5s] [lease=30s] [owner=word] [note=text]"
        case .write: "WRITE name [wait=5s] [lease=30s] [owner=word] [note=text] [cache=0|1]"
        case .release: "RELEASE name [token=n] [owner=word] [at=end], or RELEASE * owner=word"
        case .upgrade: "UPGRADE name [wait=5s] [token=n] [owner=word]"
        case .downgrade: "DOWNGRADE name [to=read|update] [token=n] [owner=word]"
        case .renew: "RENEW name [lease=30s] [token=n] [owner=word]"
        case .cancel: "CANCEL name [owner=word], or CANCEL #tag"
        case .validate: "VALIDATE name token=n"
        case .revoke: "REVOKE name token=n"
        case .status: "STATUS name [limit=n]"
        case .list: "LIST [prefix] [after=name] [limit=n], or LIST [prefix] by=waiters|waited [limit=n]"
        case .hot: "HOT [prefix] [by=waited|waits|grants|held|longest] [limit=n]"
        case .sessions: "SESSIONS"
        case .stats: "STATS"
        case .watch: "WATCH [prefix]"
        case .hello: "HELLO [client=name] [recall=0|1] [cache=0|1]"
        case .ping: "PING"
        case .quit: "QUIT"
        case .help: "HELP"
        }
    }

    /// What the usage says of the arguments.
    struct Shape {
        /// The options that may stand in such a request.
        var options = OptionKeys()
        /// Whether the first word after the verb is the operand, whatever it is.
        var needsOperand = false
    }

    var shape: Shape { Self.shapes[rawValue] }

    private static let shapes: [Shape] = allCases.map { form in
        var shape = Shape()
        var words = LineWords(form.usage.bytes)
        var position = 0
        while let word = words.next() {
            let isOptional = word.first == UInt8(ascii: "[")
            let argument = isOptional ? word.part(1, word.count) : word
            if position == 1 { shape.needsOperand = !isOptional }
            if let equals = argument.offset(of: UInt8(ascii: "=")),
                let key = OptionKey(argument.part(0, equals))
            {
                shape.options.insert(key)
            }
            position += 1
        }
        return shape
    }

    /// The form of the requests with a verb, which matches in any case; nil if there is none.
    ///
    /// A `switch`, as a search costs every request as much as reading its name does.
    @inline(__always)
    init?(verb: UnsafeRawBufferPointer) {
        switch verb.count {
        case 5 where verb.spellsVerb("WRITE"): self = .write
        case 7 where verb.spellsVerb("RELEASE"): self = .release
        case 4 where verb.spellsVerb("READ"): self = .read
        default: self.init(rarerVerb: verb)
        }
    }

    private init?(rarerVerb verb: UnsafeRawBufferPointer) {
        switch verb.count {
        case 3 where verb.spellsVerb("HOT"): self = .hot
        case 4 where verb.spellsVerb("PING"): self = .ping
        case 4 where verb.spellsVerb("LIST"): self = .list
        case 4 where verb.spellsVerb("QUIT"): self = .quit
        case 4 where verb.spellsVerb("HELP"): self = .help
        case 5 where verb.spellsVerb("RENEW"): self = .renew
        case 5 where verb.spellsVerb("HELLO"): self = .hello
        case 5 where verb.spellsVerb("STATS"): self = .stats
        case 5 where verb.spellsVerb("WATCH"): self = .watch
        case 6 where verb.spellsVerb("UPDATE"): self = .update
        case 6 where verb.spellsVerb("CANCEL"): self = .cancel
        case 6 where verb.spellsVerb("STATUS"): self = .status
        case 6 where verb.spellsVerb("REVOKE"): self = .revoke
        case 7 where verb.spellsVerb("UPGRADE"): self = .upgrade
        case 8 where verb.spellsVerb("VALIDATE"): self = .validate
        case 8 where verb.spellsVerb("SESSIONS"): self = .sessions
        case 9 where verb.spellsVerb("DOWNGRADE"): self = .downgrade
        default: return nil
        }
    }
}

extension Request {
    /// How each request is typed, one to a line: what `HELP` answers.
    public static var forms: [String] { RequestForm.allCases.map { "\($0.usage)" } }
}

extension StaticString {
    fileprivate var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: utf8Start, count: utf8CodeUnitCount)
    }
}
