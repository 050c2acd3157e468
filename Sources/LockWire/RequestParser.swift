public import LockVocabulary

extension Request {
    /// Reads a line, without its line end.
    public static func parse(_ line: UnsafeRawBufferPointer) -> Parsed {
        var words = Words(line)
        guard var word = words.next() else { return fault(nil, .noVerb, in: line) }
        var tag: Tag?
        if word[0] == UInt8(ascii: "#") {
            tag = Tag(bytes: word.part(1, word.count))
            guard tag != nil else { return fault(nil, WireError(.badTag), in: line) }
            guard let next = words.next() else { return fault(tag, .noVerb, in: line) }
            word = next
        }
        guard let form = RequestForm(word) else { return fault(tag, WireError(.unknownVerb), in: line) }
        do throws(WireError) {
            var arguments = Arguments(words, of: form)
            return .request(Request(tag: tag, verb: try arguments.verb()))
        } catch {
            return fault(tag, error, in: line)
        }
    }

    /// The tag of a line that is too long, by its beginning; nil if it has none that is well formed, or none that ends
    /// within the beginning.
    public static func tag(ofBeginning line: UnsafeRawBufferPointer) -> Tag? {
        var words = Words(line)
        guard let word = words.next(), word[0] == UInt8(ascii: "#"), !words.isAtEnd else { return nil }
        return Tag(bytes: word.part(1, word.count))
    }

    /// A fault, which is the strange byte wherever there is one: nothing that is understood has room for it, so
    /// that lines without a fault need not be looked through.
    private static func fault(_ tag: Tag?, _ error: WireError, in line: UnsafeRawBufferPointer) -> Parsed {
        .fault(tag, line.isPrintable ? error : WireError(.badByte))
    }
}

extension WireError {
    fileprivate static var noVerb: WireError {
        WireError(.unknownVerb, "a request stands after the tag; HELP lists them")
    }
}

/// The words after the verb: positional ones first, then options in any order, each at most once.
private struct Arguments {
    private var words: Words
    private let form: RequestForm
    /// The first word that no one has taken yet.
    private var word: UnsafeRawBufferPointer?

    init(_ words: Words, of form: RequestForm) {
        self.words = words
        self.form = form
        word = self.words.next()
    }

    mutating func verb() throws(WireError) -> Verb {
        switch form {
        case .read: try acquire(.read)
        case .update: try acquire(.update)
        case .write: try acquire(.write)
        case .release: try release()
        case .upgrade: try upgrade()
        case .downgrade: try downgrade()
        case .renew: try renew()
        case .cancel: try cancel()
        case .validate: try validate()
        case .revoke: try revoke()
        case .status: try status()
        case .list: try list()
        case .sessions: try bare(.sessions)
        case .stats: try bare(.stats)
        case .watch: try watch()
        case .hello: try hello()
        case .ping: try bare(.ping)
        case .quit: try bare(.quit)
        case .help: try bare(.help)
        }
    }

    // MARK: Requests

    private mutating func acquire(_ mode: LockMode) throws(WireError) -> Verb {
        let name = try name()
        var wait = Milliseconds.forever
        var length = Milliseconds.forever
        var asker = OwnerID.session
        var said = Note.none
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            switch key {
            case .wait: wait = try limit(value)
            case .lease: length = try lease(value)
            case .owner: asker = try owner(value)
            default: said = try note(value)
            }
        }
        return .acquire(
            Acquire(
                name: name, mode: mode, roundedWait: wait, roundedLease: length, owner: asker, note: said))
    }

    private mutating func release() throws(WireError) -> Verb {
        if let word, word.spells("*") { return try releaseAll() }
        let name = try name()
        var token: Token?
        var owner: OwnerID?
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key != .at {
                try choose(&token, &owner, key, value)
            } else if !value.spells("end") {
                throw misfit(.badValue)
            }
        }
        let choice = GrantChoice(token: token, owner: owner)
        return seen.contains(.at) ? .releaseAtEnd(name, choice) : .release(name, choice)
    }

    /// `RELEASE *` must name the owner of the grants.
    private mutating func releaseAll() throws(WireError) -> Verb {
        word = words.next()
        var seen: OptionKeys = []
        guard let (key, value) = try option(&seen) else { throw misfit(.missingArgument) }
        guard key == .owner else { throw misfit(.unknownArgument) }
        let owner = try owner(value)
        guard try option(&seen) == nil else { throw misfit(.unknownArgument) }
        return .releaseAll(owner)
    }

    private mutating func upgrade() throws(WireError) -> Verb {
        let name = try name()
        var token: Token?
        var owner: OwnerID?
        var wait = TimeLimit.forever
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key == .wait { wait = try limit(value).limit } else { try choose(&token, &owner, key, value) }
        }
        return .upgrade(name, GrantChoice(token: token, owner: owner), wait: wait)
    }

    private mutating func downgrade() throws(WireError) -> Verb {
        let name = try name()
        var token: Token?
        var owner: OwnerID?
        var mode = LockMode.read
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key == .to { mode = try weakerMode(value) } else { try choose(&token, &owner, key, value) }
        }
        return .downgrade(name, GrantChoice(token: token, owner: owner), to: mode)
    }

    private mutating func renew() throws(WireError) -> Verb {
        let name = try name()
        var token: Token?
        var owner: OwnerID?
        var renewed: TimeLimit?
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key == .lease {
                renewed = try lease(value).limit
            } else {
                try choose(&token, &owner, key, value)
            }
        }
        return .renew(name, GrantChoice(token: token, owner: owner), lease: renewed)
    }

    private mutating func cancel() throws(WireError) -> Verb {
        if let first = word, first[0] == UInt8(ascii: "#") {
            guard let tag = Tag(bytes: first.part(1, first.count)) else { throw WireError(.badTag) }
            word = words.next()
            guard word == nil else { throw misfit(.unknownArgument) }
            return .cancelTagged(tag)
        }
        let name = try name()
        var chosen: OwnerID?
        var seen: OptionKeys = []
        while let (_, value) = try option(&seen) { chosen = try owner(value) }
        return .cancel(name, owner: chosen)
    }

    private mutating func validate() throws(WireError) -> Verb {
        let name = try name()
        return .validate(name, try onlyToken())
    }

    private mutating func revoke() throws(WireError) -> Verb {
        let name = try name()
        return .revoke(name, try onlyToken())
    }

    private mutating func status() throws(WireError) -> Verb {
        try bare(.status(try name()))
    }

    private mutating func list() throws(WireError) -> Verb {
        let prefix = try prefix()
        var after: LockName?
        var limit: Int?
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key == .after {
                guard let name = LockName(bytes: value) else { throw WireError(.badName) }
                after = name
            } else {
                guard let number = value.decimal(), number > 0, let count = Int(exactly: number) else {
                    throw WireError(.badNumber, "limit= is a decimal number from 1 to 9223372036854775807")
                }
                limit = count
            }
        }
        return .list(prefix: prefix, after: after, limit: limit)
    }

    private mutating func watch() throws(WireError) -> Verb {
        try bare(.watch(prefix: try prefix()))
    }

    private mutating func hello() throws(WireError) -> Verb {
        var client: Note?
        var recall: Bool?
        var seen: OptionKeys = []
        while let (key, value) = try option(&seen) {
            if key == .client {
                client = try note(value)
            } else {
                guard value.spells("0") || value.spells("1") else {
                    throw WireError(.badNumber, "recall= is 0 or 1")
                }
                recall = value.spells("1")
            }
        }
        return .hello(client: client, recall: recall)
    }

    /// A request that takes nothing more.
    private mutating func bare(_ verb: Verb) throws(WireError) -> Verb {
        guard word == nil else { throw misfit(.unknownArgument) }
        return verb
    }

    // MARK: Their parts

    private mutating func name() throws(WireError) -> LockName {
        guard let bytes = word else { throw misfit(.missingArgument) }
        guard let name = LockName(bytes: bytes) else {
            throw bytes.isOption ? misfit(.missingArgument) : WireError(.badName)
        }
        word = words.next()
        return name
    }

    /// The beginning of names; empty if none is given. It may end within a spelled byte.
    private mutating func prefix() throws(WireError) -> String {
        guard let bytes = word, !bytes.isOption else { return "" }
        let isPrefix = bytes.allSatisfy { NameAlphabet.contains($0) || $0 == UInt8(ascii: "%") }
        guard isPrefix, bytes.count <= LockName.maximumLength else { throw WireError(.badName) }
        word = words.next()
        return bytes.text
    }

    /// The next option; nil at the end of the line.
    private mutating func option(
        _ seen: inout OptionKeys
    ) throws(WireError) -> (OptionKeys, UnsafeRawBufferPointer)? {
        guard let current = word else { return nil }
        guard let equals = current.offset(of: UInt8(ascii: "=")),
            let key = OptionKeys(current.part(0, equals)), form.options.contains(key)
        else { throw misfit(.unknownArgument) }
        guard seen.insert(key).inserted else { throw misfit(.repeatedArgument) }
        word = words.next()
        return (key, current.part(equals + 1, current.count))
    }

    private mutating func onlyToken() throws(WireError) -> Token {
        var seen: OptionKeys = []
        guard let (_, value) = try option(&seen) else { throw misfit(.missingArgument) }
        let token = try token(value)
        guard try option(&seen) == nil else { throw misfit(.unknownArgument) }
        return token
    }

    private func choose(
        _ token: inout Token?, _ owner: inout OwnerID?, _ key: OptionKeys, _ value: UnsafeRawBufferPointer
    ) throws(WireError) {
        if key == .token { token = try self.token(value) } else { owner = try self.owner(value) }
    }

    private func limit(_ value: UnsafeRawBufferPointer) throws(WireError) -> Milliseconds {
        guard let limit = Milliseconds(spelled: value) else { throw WireError(.badDuration) }
        return limit
    }

    private func lease(_ value: UnsafeRawBufferPointer) throws(WireError) -> Milliseconds {
        let lease = try limit(value)
        guard lease != .zero else { throw WireError(.badDuration, "a lease is longer than 0") }
        return lease
    }

    private func owner(_ value: UnsafeRawBufferPointer) throws(WireError) -> OwnerID {
        guard let owner = OwnerID(bytes: value) else { throw WireError(.badOwner) }
        return owner
    }

    private func note(_ value: UnsafeRawBufferPointer) throws(WireError) -> Note {
        guard let note = Note(bytes: value) else { throw WireError(.badNote) }
        return note
    }

    private func token(_ value: UnsafeRawBufferPointer) throws(WireError) -> Token {
        guard let token = Token(decimal: value) else { throw WireError(.badToken) }
        return token
    }

    private func weakerMode(_ value: UnsafeRawBufferPointer) throws(WireError) -> LockMode {
        if value.spells("read") { return .read }
        if value.spells("update") { return .update }
        throw WireError(.badMode)
    }

    /// What is wrong with the arguments as a whole, and how such a request is typed.
    private func misfit(_ code: ErrorCode) -> WireError {
        WireError(code, "expected " + form.usage)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether this word is an option, which no name can be.
    fileprivate var isOption: Bool { offset(of: UInt8(ascii: "=")) != nil }
}
