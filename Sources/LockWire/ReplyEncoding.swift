public import LockVocabulary

extension Reply {
    /// Appends the line that says this, under the request's tag.
    public func encode(tag: Tag?, into output: inout [UInt8]) {
        // Words, numbers and tag are less than the first summand; the rest is counted.
        output.appendLine(atMost: 256 + textLength) { line in
            line.put(tag: tag)
            line.put(self)
        }
    }

    /// The bytes of names and texts in it.
    private var textLength: Int {
        switch self {
        case .granted(let name, _, _, _), .busy(let name, _, _), .timeout(let name, _, _, _),
            .cancelled(let name, _), .released(let name, _), .renewed(let name, _, _), .valid(let name, _),
            .stale(let name, _), .revoked(let name, _):
            name.text.utf8.count
        case .deadlock(let name, _, let cycle):
            // A process id, an owner and three signs are at most 46 bytes.
            cycle.named.reduce(name.text.utf8.count) { $0 + $1.lock.text.utf8.count + 46 }
        case .denied(let name, let what, let reason):
            name.text.utf8.count + what.utf8.count + reason.utf8.count
        case .hello(_, let server, _, _): server.utf8.count
        case .error(let error): error.text.utf8.count + (error.subject?.name.text.utf8.count ?? 0)
        case .pong, .bye, .ok, .end, .releasedAll: 0
        }
    }
}

extension LineWriter {
    fileprivate mutating func put(_ reply: Reply) {
        switch reply {
        case .granted(let name, let mode, let token, let ownerDied):
            put("GRANTED")
            field(name)
            field(mode)
            field(token)
            if ownerDied { put(" ownerdied=1") }
        case .busy(let name, let mode, let holders):
            put("BUSY")
            field(name)
            field(mode)
            field(holders)
        case .timeout(let name, let mode, let waited, let holders):
            put("TIMEOUT")
            field(name)
            field(mode)
            put(" waited=")
            put(milliseconds: waited)
            field(holders)
        case .deadlock(let name, let mode, let cycle):
            put("DEADLOCK")
            field(name)
            field(mode)
            field(cycle)
        case .denied(let name, let what, let reason):
            put("DENIED")
            field(name)
            put(.space)
            put(what)
            put(" reason=")
            put(reason)
        case .cancelled(let name, let mode):
            put("CANCELLED")
            field(name)
            field(mode)
        case .released(let name, let token): put("RELEASED", name, token)
        case .releasedAll(let grants, let waiters):
            put("RELEASED * grants=")
            put(grants)
            put(" waiters=")
            put(waiters)
        case .renewed(let name, let token, let lease):
            put("RENEWED", name, token)
            put(" lease=")
            switch lease {
            case .upTo(let duration): put(milliseconds: duration)
            case .forever: put("forever")
            }
        case .valid(let name, let token): put("VALID", name, token)
        case .stale(let name, let token): put("STALE", name, token)
        case .revoked(let name, let token): put("REVOKED", name, token)
        case .hello(let version, let server, let session, let limits):
            put("HELLO version=")
            put(version)
            put(" server=")
            put(server)
            put(" session=")
            put(session)
            if let limits { field(limits) }
        case .pong: put("PONG")
        case .bye: put("BYE")
        case .ok: put("OK")
        case .end(let rows):
            put("END ")
            put(rows)
        case .error(let error):
            put("ERROR ")
            if error.code != .unlisted { putCode(of: error) }
            put(error.text)
        }
    }

    private mutating func putCode(of error: WireError) {
        put(error.code.rawValue)
        put(.space)
        guard let subject = error.subject else { return }
        put("lock=")
        put(subject.name.text)
        put(" mode=")
        put(subject.mode)
        put(.space)
    }

    private mutating func field(_ limits: SessionLimits) {
        put(" max-line=")
        put(limits.line)
        put(" max-session-grants=")
        put(limits.grants)
        put(" max-session-waiters=")
        put(limits.waiters)
    }

    private mutating func put(_ word: StaticString, _ name: LockName, _ token: Token) {
        put(word)
        field(name)
        field(token)
    }

    private mutating func field(_ mode: LockMode) {
        put(.space)
        put(mode)
    }

    private mutating func field(_ token: Token) {
        put(" token=")
        put(token)
    }

    private mutating func field(_ holders: HeldBy) {
        put(" held-by=")
        var separate = false
        holders.forEach { holder in
            if separate { put(UInt8(ascii: ",")) }
            separate = true
            put(processID: holder.processID)
            put(UInt8(ascii: "/"))
            put(holder.mode)
        }
        if holders.more > 0 {
            put(",+")
            put(holders.more)
        }
        if !separate { put(UInt8(ascii: "?")) }
    }

    private mutating func field(_ cycle: Cycle) {
        put(" cycle=")
        for (index, hop) in cycle.named.enumerated() {
            if index > 0 { put(UInt8(ascii: ">")) }
            put(processID: hop.processID)
            if !hop.owner.isSession {
                put(UInt8(ascii: "/"))
                put(hop.owner.text)
            }
            put(UInt8(ascii: ":"))
            put(hop.lock.text)
        }
        if cycle.more > 0 {
            put(">+")
            put(cycle.more)
        }
    }
}
