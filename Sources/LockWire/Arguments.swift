import LockVocabulary

/// The words behind a verb: the operand, then options in any order, each at most once.
struct Arguments: ~Copyable {
    private let form: RequestForm
    private let line: LineWords
    private var operand: UnsafeRawBufferPointer?
    private var given = OptionKeys()
    /// The positions in the line where the values of the given options begin, by their keys' raw values. Most requests have no
    /// option, so this is small.
    private var values = InlineArray<13, UInt32>(repeating: 0)

    init(_ words: consuming LineWords, of form: RequestForm) throws(WireError) {
        self.form = form
        line = words
        var next = words.next()
        // A word without "=" is the operand, whatever the shape is.
        if let word = next, word.offset(of: UInt8(ascii: "=")) == nil || form.shape.needsOperand {
            operand = word
            next = words.next()
        }
        while let word = next {
            guard let equals = word.offset(of: UInt8(ascii: "=")), let key = OptionKey(word.part(0, equals)),
                form.shape.options.contains(key)
            else { throw misfit(.unknownArgument) }
            guard !given.contains(key) else { throw misfit(.repeatedArgument) }
            given.insert(key)
            values[key.rawValue] = UInt32(words.end - word.count + equals + 1)
            next = words.next()
        }
    }

    /// The value of an option that is given.
    private func spelledValue(_ key: OptionKey) -> UnsafeRawBufferPointer {
        line.word(from: Int(values[key.rawValue]))
    }

    func verb() throws(WireError) -> Verb {
        switch form {
        case .read, .update, .write: try acquire(form == .write ? .write : form == .read ? .read : .update)
        case .release: try release()
        case .upgrade: try .upgrade(name(), choice(), wait: wait().limit)
        case .downgrade: try .downgrade(name(), choice(), to: weakerMode())
        case .renew: try .renew(name(), choice(), lease: lease()?.limit)
        case .cancel: try cancel()
        case .validate: try .validate(name(), required(token()))
        case .revoke: try .revoke(name(), required(token()))
        case .status: try .status(name(), limit: limit())
        case .list: try list()
        case .hot: try .hot(prefix: prefix(), by: rank(), limit: limit())
        case .sessions: try bare(.sessions)
        case .stats: try bare(.stats)
        case .watch: try .watch(prefix: prefix())
        case .hello:
            try bare(
                .hello(
                    client: value(.client, or: .badNote), recall: flag(.recall), cache: flag(.cache)))
        case .ping: try bare(.ping)
        case .quit: try bare(.quit)
        case .help: try bare(.help)
        }
    }

    // MARK: Requests

    @inline(__always)
    private func acquire(_ mode: LockMode) throws(WireError) -> Verb {
        .acquire(
            Acquire(
                name: try name(), mode: mode, roundedWait: try wait(), roundedLease: try lease() ?? .forever,
                owner: try owner() ?? .session, note: try value(.note, or: .badNote) ?? Note.none,
                mayCache: given.contains(.cache) ? try flag(.cache) ?? true : true))
    }

    @inline(__always)
    private func release() throws(WireError) -> Verb {
        if let operand, operand.spells("*") {
            if given.contains(.token) || given.contains(.at) { throw misfit(.unknownArgument) }
            return .releaseAll(try required(owner()))
        }
        guard given.contains(.at) else { return .release(try name(), try choice()) }
        guard spelledValue(.at).spells("end") else { throw misfit(.badValue) }
        return .releaseAtEnd(try name(), try choice())
    }

    private func cancel() throws(WireError) -> Verb {
        guard let operand, operand.first == UInt8(ascii: "#") else {
            return .cancel(try name(), owner: try owner())
        }
        guard let tag = Tag(spelled: operand) else { throw WireError(.badTag) }
        guard given.isEmpty else { throw misfit(.unknownArgument) }
        return .cancelTagged(tag)
    }

    private func list() throws(WireError) -> Verb {
        let rank: WaitRank? = try rank()
        if rank != nil, given.contains(.after) { throw misfit(.unknownArgument) }
        return .list(
            prefix: try prefix(), after: try value(.after, or: .badName),
            limit: try limit(atMost: rank == nil ? .max : Request.mostRanked), by: rank)
    }

    /// A request that takes no operand.
    private func bare(_ verb: Verb) throws(WireError) -> Verb {
        guard operand == nil else { throw misfit(.unknownArgument) }
        return verb
    }

    // MARK: Operands and options

    @inline(__always)
    private func name() throws(WireError) -> LockName {
        guard let operand else { throw misfit(.missingArgument) }
        guard let name = LockName(bytes: operand) else {
            // An option is no name.
            throw operand.offset(of: UInt8(ascii: "=")) == nil
                ? WireError(.badName) : misfit(.missingArgument)
        }
        return name
    }

    /// The beginning of names, which is spelled as a name is; empty if none is given.
    private func prefix() throws(WireError) -> String { operand == nil ? "" : try name().text }

    /// An option's value; nil if the option is not given.
    @inline(__always)
    private func value<Value: Spelled>(
        _ key: OptionKey, or code: ErrorCode, _ explanation: String? = nil
    ) throws(WireError) -> Value? {
        guard given.contains(key) else { return nil }
        // The type is stated, as an optional is spelled too: `-` would be an option that is not given.
        let value: Value = try givenValue(key, code, explanation)
        return value
    }

    private func givenValue<Value: Spelled>(
        _ key: OptionKey, _ code: ErrorCode, _ explanation: String?
    ) throws(WireError) -> Value {
        guard let value = Value(spelled: spelledValue(key)) else {
            throw WireError(code, explanation ?? code.explanation)
        }
        return value
    }

    private func required<Value>(_ value: Value?) throws(WireError) -> Value {
        guard let value else { throw misfit(.missingArgument) }
        return value
    }

    private func owner() throws(WireError) -> OwnerID? { try value(.owner, or: .badOwner) }

    private func token() throws(WireError) -> Token? { try value(.token, or: .badToken) }

    private func choice() throws(WireError) -> GrantChoice {
        GrantChoice(token: try token(), owner: try owner())
    }

    private func wait() throws(WireError) -> Milliseconds { try value(.wait, or: .badDuration) ?? .forever }

    private func lease() throws(WireError) -> Milliseconds? {
        let lease: Milliseconds? = try value(.lease, or: .badDuration)
        guard lease != .zero else { throw WireError(.badDuration, "a lease is longer than 0") }
        return lease
    }

    private func weakerMode() throws(WireError) -> LockMode {
        let mode: LockMode = try value(.to, or: .badMode) ?? .read
        guard mode != .write else { throw WireError(.badMode) }
        return mode
    }

    private func limit(atMost most: Int = .max) throws(WireError) -> Int? {
        let explanation = "limit= is a decimal number from 1 to \(most)"
        let limit: Int? = try value(.limit, or: .badNumber, explanation)
        guard limit != 0, limit ?? 0 <= most else { throw WireError(.badNumber, explanation) }
        return limit
    }

    private func rank<Rank: Spelled>() throws(WireError) -> Rank? {
        guard given.contains(.by) else { return nil }
        guard let rank = Rank(spelled: spelledValue(.by)) else { throw misfit(.badValue) }
        return rank
    }

    private func flag(_ key: OptionKey) throws(WireError) -> Bool? {
        try value(key, or: .badNumber, "\(key.word)= is 0 or 1")
    }

    /// What is wrong with the arguments as a whole, and how such a request is typed.
    private func misfit(_ code: ErrorCode) -> WireError { WireError(code, "expected \(form.usage)") }
}
