import LockVocabulary

extension Reply {
    /// Reads a reply without its tag; nil if there is none such.
    init?(_ line: UnsafeRawBufferPointer) {
        var fields = Fields(line)
        guard let word = fields.next() else { return nil }
        let reply: Reply? =
            switch word.count {
            case 2 where word.spells("OK"): .ok
            case 3 where word.spells("END"): .end(from: &fields)
            case 3 where word.spells("BYE"): .bye
            case 4 where word.spells("PONG"): .pong
            case 4 where word.spells("BUSY"): .busy(from: &fields)
            case 5 where word.spells("ERROR"): .error(from: &fields)
            case 5 where word.spells("HELLO"): .hello(from: &fields)
            case 5 where word.spells("VALID"): .named(&fields, Reply.valid)
            case 5 where word.spells("STALE"): .named(&fields, Reply.stale)
            case 6 where word.spells("DENIED"): .denied(from: &fields)
            case 7 where word.spells("GRANTED"): .granted(from: &fields)
            case 7 where word.spells("TIMEOUT"): .timeout(from: &fields)
            case 7 where word.spells("RENEWED"): .renewed(from: &fields)
            case 7 where word.spells("REVOKED"): .named(&fields, Reply.revoked)
            case 8 where word.spells("RELEASED"): .released(from: &fields)
            case 8 where word.spells("DEADLOCK"): .deadlock(from: &fields)
            case 9 where word.spells("CANCELLED"): .cancelled(from: &fields)
            default: nil
            }
        guard let reply else { return nil }
        self = reply
    }

    private static func end(from fields: inout Fields) -> Reply? {
        fields.next()?.decimal().flatMap(Int.init(exactly:)).map(Reply.end)
    }

    private static func named(_ fields: inout Fields, _ reply: (LockName, Token) -> Reply) -> Reply? {
        guard let name = fields.name(), let token = fields.token() else { return nil }
        return reply(name, token)
    }

    private static func granted(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let mode = fields.mode(), let token = fields.token() else {
            return nil
        }
        let ownerDied = fields.next()?.spells("ownerdied=1") ?? false
        return .granted(name, mode, token, ownerDied: ownerDied)
    }

    private static func busy(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let mode = fields.mode(),
            let holders = fields.value("held-by").flatMap(HeldBy.init(spelled:))
        else { return nil }
        return .busy(name, mode, holders)
    }

    private static func timeout(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let mode = fields.mode(), let waited = fields.duration("waited"),
            let holders = fields.value("held-by").flatMap(HeldBy.init(spelled:))
        else { return nil }
        return .timeout(name, mode, waited: waited, holders)
    }

    private static func deadlock(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let mode = fields.mode(),
            let cycle = fields.value("cycle").flatMap(Cycle.init(spelled:))
        else { return nil }
        return .deadlock(name, mode, cycle)
    }

    private static func denied(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let what = fields.next(), let reason = fields.value("reason") else {
            return nil
        }
        return .denied(name, what: what.text, reason: reason.text)
    }

    private static func cancelled(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let mode = fields.mode() else { return nil }
        return .cancelled(name, mode)
    }

    private static func released(from fields: inout Fields) -> Reply? {
        var rest = fields
        guard rest.next()?.spells("*") == true else { return .named(&fields, Reply.released) }
        guard let grants = rest.count("grants"), let waiters = rest.count("waiters") else { return nil }
        return .releasedAll(grants: grants, waiters: waiters)
    }

    private static func renewed(from fields: inout Fields) -> Reply? {
        guard let name = fields.name(), let token = fields.token(),
            let lease = fields.value("lease").flatMap(Milliseconds.init(spelled:))?.limit
        else { return nil }
        return .renewed(name, token, lease)
    }

    private static func hello(from fields: inout Fields) -> Reply? {
        guard let version = fields.count("version"), let server = fields.value("server"),
            let session = fields.value("session")?.decimal()
        else { return nil }
        let limits = SessionLimits(&fields)
        return .hello(version: version, server: server.text, session: session, limits: limits)
    }

    private static func error(from fields: inout Fields) -> Reply? {
        guard let word = fields.next()?.text else { return nil }
        let subject = WireError.Subject(&fields)
        let text = fields.rest().text
        if let code = ErrorCode(rawValue: word) { return .error(WireError(code, text, of: subject)) }
        return .error(WireError(.unlisted, text.isEmpty ? word : word + " " + text, of: subject))
    }
}

extension WireError.Subject {
    /// The lock and the mode that stand next; nil, and nothing is taken, if they do not.
    fileprivate init?(_ fields: inout Fields) {
        var rest = fields
        guard let name = rest.value("lock").flatMap(LockName.init(bytes:)),
            let mode = rest.value("mode").flatMap(LockMode.init(word:))
        else { return nil }
        fields = rest
        self.init(name, mode)
    }
}

extension SessionLimits {
    /// The limits that stand next; nil if they do not.
    fileprivate init?(_ fields: inout Fields) {
        guard let line = fields.count("max-line"), let grants = fields.count("max-session-grants"),
            let waiters = fields.count("max-session-waiters")
        else { return nil }
        self.init(line: line, grants: grants, waiters: waiters)
    }
}

extension UnsafeRawBufferPointer {
    /// Calls the body with each part between separators until it returns false; whether it never did.
    fileprivate func allParts(between separator: UInt8, _ body: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var rest = self
        while let end = rest.offset(of: separator) {
            guard body(rest.part(0, end)) else { return false }
            rest = rest.part(end + 1, rest.count)
        }
        return body(rest)
    }

    /// The number after a `+`; nil if there is none.
    fileprivate var moreCount: Int? {
        guard first == UInt8(ascii: "+") else { return nil }
        return part(1, count).decimal().flatMap(Int.init(exactly:))
    }
}

extension HeldBy {
    /// Reads the value of `held-by=`.
    init?(spelled bytes: UnsafeRawBufferPointer) {
        self.init()
        if bytes.spells("?") { return }
        let understood = bytes.allParts(between: UInt8(ascii: ",")) { part in
            if let count = part.moreCount {
                // More than those who are named.
                guard !isEmpty else { return false }
                addUnnamed(count)
                return true
            }
            guard let slash = part.offset(of: UInt8(ascii: "/")),
                let processID = Int32.processID(part.part(0, slash)),
                let mode = LockMode(word: part.part(slash + 1, part.count))
            else { return false }
            add(Holder(processID: processID, mode: mode))
            return true
        }
        guard understood else { return nil }
    }
}

extension Cycle {
    /// Reads the value of `cycle=`.
    init?(spelled bytes: UnsafeRawBufferPointer) {
        self.init([])
        let understood = bytes.allParts(between: UInt8(ascii: ">")) { part in
            if let count = part.moreCount {
                addUnnamed(count)
                return true
            }
            guard let hop = Hop(spelled: part) else { return false }
            add(hop)
            return true
        }
        guard understood, !named.isEmpty else { return nil }
    }
}

extension Cycle.Hop {
    /// Reads `pid/owner:lock` or `pid:lock`. Neither a process id nor an owner has a colon in it.
    fileprivate init?(spelled bytes: UnsafeRawBufferPointer) {
        guard let colon = bytes.offset(of: UInt8(ascii: ":")),
            let lock = LockName(bytes: bytes.part(colon + 1, bytes.count))
        else { return nil }
        let who = bytes.part(0, colon)
        let slash = who.offset(of: UInt8(ascii: "/"))
        guard let processID = Int32.processID(who.part(0, slash ?? who.count)) else { return nil }
        var owner = OwnerID.session
        if let slash {
            guard let named = OwnerID(bytes: who.part(slash + 1, who.count)) else { return nil }
            owner = named
        }
        self.init(processID: processID, owner: owner, lock: lock)
    }
}
