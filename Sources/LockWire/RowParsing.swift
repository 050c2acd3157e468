import LockVocabulary

extension Row {
    /// Reads what stands after the `*`; nil if that is nothing.
    init?(_ words: Words) {
        var fields = Fields(words)
        guard let kind = fields.next() else { return nil }
        let row: Row? =
            if kind.spells("holder") {
                Holder(&fields).map(Row.holder)
            } else if kind.spells("waiter") {
                Waiter(&fields).map(Row.waiter)
            } else if kind.spells("lock") {
                Lock(&fields).map(Row.lock)
            } else if kind.spells("session") {
                Session(&fields).map(Row.session)
            } else {
                Row.stat(kind, &fields)
            }
        if let row {
            self = row
        } else {
            var words = words
            self = .text(words.rest().text)
        }
    }

    private static func stat(_ name: UnsafeRawBufferPointer, _ fields: inout Fields) -> Row? {
        guard let value = fields.next()?.decimal().flatMap(Int.init(exactly:)), fields.next() == nil else {
            return nil
        }
        return .stat(name: name.text, value: value)
    }
}

extension Row.Holder {
    fileprivate init?(_ fields: inout Fields) {
        guard let processID = fields.processID(),
            let mode = fields.value("mode").flatMap(LockMode.init(word:)),
            let owner = fields.value("owner").flatMap(OwnerID.init(bytes:)),
            let token = fields.token(),
            let age = fields.duration("age"),
            let lease = fields.value("lease"),
            let note = fields.value("note").flatMap(Note.init(bytes:))
        else { return nil }
        let leaseLeft = Milliseconds(age: lease)?.duration
        guard leaseLeft != nil || lease.spells("-") else { return nil }
        self.init(
            processID: processID, mode: mode, owner: owner, token: token, age: age, leaseLeft: leaseLeft,
            note: note)
    }
}

extension Row.Waiter {
    fileprivate init?(_ fields: inout Fields) {
        guard let processID = fields.processID(),
            let mode = fields.value("mode").flatMap(LockMode.init(word:)),
            let owner = fields.value("owner").flatMap(OwnerID.init(bytes:)),
            let waited = fields.duration("waited"),
            let timeout = fields.value("timeout").flatMap(Milliseconds.init(spelled:))?.limit,
            let note = fields.value("note").flatMap(Note.init(bytes:))
        else { return nil }
        let upgrades = fields.value("upgrades").flatMap(Token.init(decimal:))
        self.init(
            processID: processID, mode: mode, owner: owner, waited: waited, timeout: timeout, note: note,
            upgrades: upgrades)
    }
}

extension Row.Lock {
    fileprivate init?(_ fields: inout Fields) {
        guard let name = fields.name(), let modeWord = fields.value("mode"),
            let holders = fields.count("holders"), let waiters = fields.count("waiters"),
            let ownerDied = fields.count("ownerdied")
        else { return nil }
        let mode = LockMode(word: modeWord)
        guard mode != nil || modeWord.spells("-") else { return nil }
        self.init(name: name, mode: mode, holders: holders, waiters: waiters, ownerDied: ownerDied != 0)
    }
}

extension Row.Session {
    fileprivate init?(_ fields: inout Fields) {
        guard let id = fields.value("id")?.decimal(),
            let processID = fields.processID(),
            let userID = fields.value("uid")?.decimal().flatMap(UInt32.init(exactly:)),
            let client = fields.value("client").flatMap(Note.init(bytes:)),
            let grants = fields.count("grants"), let waiters = fields.count("waiters"),
            let age = fields.duration("age")
        else { return nil }
        self.init(
            id: id, processID: processID, userID: userID, client: client, grants: grants, waiters: waiters,
            age: age)
    }
}

extension Notice {
    /// Reads what stands after the `!`; nil if there is no such notice.
    init?(_ fields: inout Fields) {
        guard let word = fields.next() else { return nil }
        let notice: Notice? =
            if word.spells("EXPIRED") {
                .named(&fields, Notice.expired)
            } else if word.spells("REVOKED") {
                .named(&fields, Notice.revoked)
            } else if word.spells("RECALL") {
                .named(&fields, Notice.recall)
            } else if word.spells("MISSED") {
                fields.next()?.decimal().flatMap(Int.init(exactly:)).map(Notice.missed)
            } else if word.spells("DRAIN") {
                .drain
            } else if word.spells("CHANGED") {
                Changed(&fields).map(Notice.changed)
            } else {
                nil
            }
        guard let notice else { return nil }
        self = notice
    }

    private static func named(_ fields: inout Fields, _ notice: (LockName, Token) -> Notice) -> Notice? {
        guard let name = fields.name(), let token = fields.token() else { return nil }
        return notice(name, token)
    }
}

extension Notice.Changed {
    fileprivate init?(_ fields: inout Fields) {
        guard let name = fields.name(),
            let change = fields.next().flatMap({ ChangeKind(rawValue: $0.text) }),
            let processID = fields.processID(),
            let mode = fields.value("mode").flatMap(LockMode.init(word:)),
            let tokenWord = fields.value("token")
        else { return nil }
        let token = Token(decimal: tokenWord)
        guard token != nil || tokenWord.spells("-") else { return nil }
        // An older daemon ends its line here.
        let owner = fields.value("owner").flatMap(OwnerID.init(bytes:)) ?? .session
        let tag = fields.value("tag").flatMap {
            $0.first == UInt8(ascii: "#") ? Tag(bytes: $0.part(1, $0.count)) : nil
        }
        let request = fields.value("request")?.decimal()
        let upgrades = fields.value("upgrades").flatMap(Token.init(decimal:))
        self.init(
            name: name, change: change, processID: processID, mode: mode, token: token, owner: owner,
            tag: tag,
            request: request, upgrades: upgrades)
    }
}
