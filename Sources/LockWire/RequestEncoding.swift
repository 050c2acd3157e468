import LockVocabulary

extension Request {
    /// Appends the line that asks for this.
    public func encode(into output: inout [UInt8]) {
        output.appendLine(atMost: 256 + (tag?.text.utf8.count ?? 0) + verb.textLength) { line in
            line.put(tag: tag)
            line.put(verb)
        }
    }
}

extension Verb {
    /// The bytes of names, notes and words in it.
    fileprivate var textLength: Int {
        switch self {
        case .acquire(let acquire):
            acquire.name.text.utf8.count + acquire.owner.text.utf8.count + acquire.note.text.utf8.count
        case .release(let name, let choice), .releaseAtEnd(let name, let choice),
            .upgrade(let name, let choice, _),
            .downgrade(let name, let choice, _), .renew(let name, let choice, _):
            name.text.utf8.count + (choice.owner?.text.utf8.count ?? 0)
        case .releaseAll(let owner): owner.text.utf8.count
        case .cancel(let name, let owner): name.text.utf8.count + (owner?.text.utf8.count ?? 0)
        case .cancelTagged(let tag): tag.text.utf8.count
        case .validate(let name, _), .revoke(let name, _), .status(let name): name.text.utf8.count
        case .list(let prefix, let after, _): prefix.utf8.count + (after?.text.utf8.count ?? 0)
        case .watch(let prefix): prefix.utf8.count
        case .hello(let client, _): client?.text.utf8.count ?? 0
        case .sessions, .stats, .help, .ping, .quit: 0
        }
    }
}

extension LineWriter {
    fileprivate mutating func put(_ verb: Verb) {
        switch verb {
        case .acquire(let acquire): put(acquire)
        case .release(let name, let choice):
            put("RELEASE")
            field(name)
            option(choice)
        case .releaseAtEnd(let name, let choice):
            put("RELEASE")
            field(name)
            option(choice)
            put(" at=end")
        case .releaseAll(let owner):
            put("RELEASE *")
            option(GrantChoice(owner: owner))
        case .upgrade(let name, let choice, let wait):
            put("UPGRADE")
            field(name)
            option(choice)
            option(wait: Milliseconds(roundingUp: wait))
        case .downgrade(let name, let choice, let mode):
            put("DOWNGRADE")
            field(name)
            option(choice)
            put(" to=")
            put(mode)
        case .renew(let name, let choice, let lease):
            put("RENEW")
            field(name)
            option(choice)
            if let lease {
                put(" lease=")
                put(Milliseconds(roundingUp: lease))
            }
        case .cancel(let name, let owner):
            put("CANCEL")
            field(name)
            option(GrantChoice(owner: owner))
        case .cancelTagged(let tag):
            put("CANCEL ")
            put(tag)
        case .validate(let name, let token):
            put("VALIDATE")
            field(name)
            option(GrantChoice(token: token))
        case .revoke(let name, let token):
            put("REVOKE")
            field(name)
            option(GrantChoice(token: token))
        case .status(let name):
            put("STATUS")
            field(name)
        case .list(let prefix, let after, let limit): list(prefix, after, limit)
        case .sessions: put("SESSIONS")
        case .stats: put("STATS")
        case .help: put("HELP")
        case .watch(let prefix):
            put("WATCH")
            option(prefix: prefix)
        case .hello(let client, let recall):
            put("HELLO")
            if let client {
                put(" client=")
                put(client)
            }
            if let recall { put(recall ? " recall=1" : " recall=0") }
        case .ping: put("PING")
        case .quit: put("QUIT")
        }
    }

    private mutating func put(_ acquire: Acquire) {
        switch acquire.mode {
        case .read: put("READ")
        case .update: put("UPDATE")
        case .write: put("WRITE")
        }
        field(acquire.name)
        option(wait: acquire.roundedWait)
        if acquire.roundedLease != .forever {
            put(" lease=")
            put(acquire.roundedLease)
        }
        if !acquire.owner.isSession { option(GrantChoice(owner: acquire.owner)) }
        if !acquire.note.isEmpty {
            put(" note=")
            put(acquire.note)
        }
    }

    private mutating func list(_ prefix: String, _ after: LockName?, _ limit: Int?) {
        put("LIST")
        option(prefix: prefix)
        if let after {
            put(" after=")
            put(after.text)
        }
        if let limit {
            put(" limit=")
            put(limit)
        }
    }

    private mutating func option(_ choice: GrantChoice) {
        if let token = choice.token {
            put(" token=")
            put(token)
        }
        if let owner = choice.owner {
            put(" owner=")
            put(owner)
        }
    }

    private mutating func option(wait: Milliseconds) {
        guard wait != .forever else { return }
        put(" wait=")
        put(wait)
    }

    private mutating func option(prefix: String) {
        guard !prefix.isEmpty else { return }
        put(.space)
        put(prefix)
    }
}
