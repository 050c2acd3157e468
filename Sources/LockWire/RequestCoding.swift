public import LockVocabulary

extension Request {
    /// Reads a line, without its line end.
    public static func parse(_ line: UnsafeRawBufferPointer) -> Parsed {
        if let brief = Brief(line) { return .request(brief.whole) }
        return parseInFull(line)
    }

    /// The same word by word, for a caller that has tried `Brief`.
    public static func parseInFull(_ line: UnsafeRawBufferPointer) -> Parsed {
        var words = LineWords(line)
        guard var word = words.next() else { return fault(nil, .noVerb, in: line) }
        var tag: Tag?
        if word[0] == UInt8(ascii: "#") {
            tag = Tag(spelled: word)
            guard tag != nil else { return fault(nil, WireError(.badTag), in: line) }
            guard let next = words.next() else { return fault(tag, .noVerb, in: line) }
            word = next
        }
        guard let form = RequestForm(verb: word) else {
            return fault(tag, WireError(.unknownVerb), in: line)
        }
        do throws(WireError) {
            return .request(Request(tag: tag, verb: try Arguments(words, of: form).verb()))
        } catch {
            return fault(tag, error, in: line)
        }
    }

    /// The tag of a line that is too long, by its beginning; nil if it has none that is well formed, or none that ends
    /// within the beginning.
    public static func tag(ofBeginning line: UnsafeRawBufferPointer) -> Tag? {
        var words = LineWords(line)
        guard let word = words.next(), !words.isAtEnd else { return nil }
        return Tag(spelled: word)
    }

    /// A fault of a line. If the line also contains a byte that is not printable ASCII, the fault is `bad-byte`.
    ///
    /// Only rejected lines need this scan, as no valid request can contain such a byte.
    private static func fault(_ tag: Tag?, _ error: WireError, in line: UnsafeRawBufferPointer) -> Parsed {
        .fault(tag, line.isPrintable ? error : WireError(.badByte))
    }

    /// Appends the line that asks for this.
    public func encode(into output: inout [UInt8]) {
        output.appendLine { line in
            line.put(tag: tag)
            line.put(verb)
        }
    }
}

extension WireError {
    fileprivate static var noVerb: WireError {
        WireError(.unknownVerb, "a request stands after the tag; HELP lists them")
    }
}

extension LineWriter {
    fileprivate mutating func put(_ verb: Verb) {
        switch verb {
        case .acquire(let acquire):
            switch acquire.mode {
            case .read: put("READ ", acquire.name)
            case .update: put("UPDATE ", acquire.name)
            case .write: put("WRITE ", acquire.name)
            }
            option(.wait, acquire.roundedWait, unless: .forever)
            option(.lease, acquire.roundedLease, unless: .forever)
            option(.owner, acquire.owner, unless: .session)
            option(.note, acquire.note, unless: Note.none)
            option(.cache, acquire.mayCache, unless: true)
        case .release(let name, let choice): put("RELEASE ", name, choice)
        case .releaseAtEnd(let name, let choice):
            put("RELEASE ", name, choice)
            put(" at=end")
        case .releaseAll(let owner):
            put("RELEASE *")
            option(.owner, owner)
        case .upgrade(let name, let choice, let wait):
            put("UPGRADE ", name, choice)
            option(.wait, Milliseconds(roundingUp: wait), unless: .forever)
        case .downgrade(let name, let choice, let mode):
            put("DOWNGRADE ", name, choice)
            option(.to, mode)
        case .renew(let name, let choice, let lease):
            put("RENEW ", name, choice)
            option(.lease, lease.map(Milliseconds.init(roundingUp:)))
        case .cancel(let name, let owner):
            put("CANCEL ", name)
            option(.owner, owner)
        case .cancelTagged(let tag): put("CANCEL ", tag)
        case .validate(let name, let token):
            put("VALIDATE ", name)
            option(.token, token)
        case .revoke(let name, let token):
            put("REVOKE ", name)
            option(.token, token)
        case .status(let name, let limit):
            put("STATUS ", name)
            option(.limit, limit)
        case .list(let prefix, let after, let limit, let rank):
            put("LIST")
            option(prefix: prefix)
            option(.by, rank)
            option(.after, after)
            option(.limit, limit)
        case .hot(let prefix, let rank, let limit):
            put("HOT")
            option(prefix: prefix)
            option(.by, rank)
            option(.limit, limit)
        case .sessions: put("SESSIONS")
        case .stats: put("STATS")
        case .help: put("HELP")
        case .watch(let prefix):
            put("WATCH")
            option(prefix: prefix)
        case .hello(let client, let recall, let cache):
            put("HELLO")
            option(.client, client)
            option(.recall, recall)
            option(.cache, cache)
        case .ping: put("PING")
        case .quit: put("QUIT")
        }
    }

    private mutating func put(_ word: StaticString, _ name: LockName, _ choice: GrantChoice) {
        put(word, name)
        option(.token, choice.token)
        option(.owner, choice.owner)
    }

    private mutating func option(prefix: String) {
        if !prefix.isEmpty { put(" ", prefix) }
    }

    /// Writes an option, unless it is not given or has its default.
    private mutating func option<Value: Spelled & Equatable>(
        _ key: OptionKey, _ value: Value?, unless usual: Value? = nil
    ) {
        guard let value, value != usual else { return }
        put(" ")
        put(key.word)
        put("=", value)
    }
}
