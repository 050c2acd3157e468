public import LockVocabulary

extension Request {
    /// Reads a line, without its line end.
    public static func parse(_ line: UnsafeRawBufferPointer) -> Parsed {
        if let verb = plain(line) { return .request(Request(verb: verb)) }
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

    /// The request for a lock, or the release of one, without a tag and options; nil for all other lines.
    ///
    /// Most lines are a verb and a name, and this reads them eight bytes at a time.
    @inline(__always)
    private static func plain(_ line: UnsafeRawBufferPointer) -> Verb? {
        guard let beginning = line.firstEight else { return nil }
        let mode: LockMode
        let length: Int
        // The masks turn letters into capitals, and no other byte into a letter.
        if beginning & 0x0000_FFDF_DFDF_DFDF == Self.write {
            (mode, length) = (.write, 6)
        } else if beginning & 0xFFDF_DFDF_DFDF_DFDF == Self.release {
            guard line.count > 8, let name = LockName(bytes: line.part(8, line.count)) else { return nil }
            return .release(name, .only)
        } else if beginning & 0x0000_00FF_DFDF_DFDF == Self.read {
            (mode, length) = (.read, 5)
        } else {
            return nil
        }
        guard let name = LockName(bytes: line.part(length, line.count)) else { return nil }
        return .acquire(
            Acquire(
                name: name, mode: mode, roundedWait: .forever, roundedLease: .forever, owner: .session,
                note: .none, mayCache: true))
    }

    /// `WRITE `, `READ ` and `RELEASE `, the first byte lowest.
    private static var write: UInt64 { 0x2045_5449_5257 }
    private static var read: UInt64 { 0x20_4441_4552 }
    private static var release: UInt64 { 0x2045_5341_454C_4552 }

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

extension UnsafeRawBufferPointer {
    /// The first eight bytes as a number, the first byte lowest; zeros stand for those that a line of six or seven lacks. Nil for
    /// a shorter one, which is no verb and name.
    @inline(__always)
    fileprivate var firstEight: UInt64? {
        if count >= 8 { return UInt64(littleEndian: loadUnaligned(as: UInt64.self)) }
        guard count >= 6 else { return nil }
        let first = UInt64(UInt32(littleEndian: loadUnaligned(as: UInt32.self)))
        let last = UInt64(UInt32(littleEndian: loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)))
        return first | last << UInt64(8 * (count - 4))
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
        case .status(let name): put("STATUS ", name)
        case .list(let prefix, let after, let limit):
            put("LIST")
            option(prefix: prefix)
            option(.after, after)
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
