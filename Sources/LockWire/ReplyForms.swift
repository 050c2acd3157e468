public import LockVocabulary

extension Reply {
    /// How each reply is read. The most frequent ones come first, as the list is searched in its order.
    static let forms: [LineForm<Reply>] = [
        LineForm("GRANTED") {
            try .granted(
                $0.next(), $0.next(), $0.value("token"),
                ownerDied: $0.ifNext { try $0.mark("ownerdied") } ?? nil,
                slot: $0.ifNext(GrantedSlot.init), until: $0.ifNext(Until.init))
        },
        LineForm("RELEASED") {
            try $0.take("*")
                ? .releasedAll(grants: $0.value("grants"), waiters: $0.value("waiters"))
                : .released($0.next(), $0.value("token"))
        },
        LineForm("BUSY") { try .busy($0.next(), $0.next(), $0.value("held-by")) },
        LineForm("TIMEOUT") {
            try .timeout(
                $0.next(), $0.next(), waited: ($0.value("waited") as Age).duration, $0.value("held-by"))
        },
        LineForm("DEADLOCK") { try .deadlock($0.next(), $0.next(), $0.value("cycle")) },
        LineForm("DENIED") { try .denied($0.next(), what: $0.next(), reason: $0.value("reason")) },
        LineForm("CANCELLED") { try .cancelled($0.next(), $0.next()) },
        LineForm("RENEWED") {
            try .renewed($0.next(), $0.value("token"), ($0.value("lease") as Milliseconds).limit)
        },
        LineForm("VALID") { try .valid($0.next(), $0.value("token")) },
        LineForm("STALE") { try .stale($0.next(), $0.value("token")) },
        LineForm("REVOKED") { try .revoked($0.next(), $0.value("token")) },
        LineForm("HELLO") {
            try .hello(
                version: $0.value("version"), server: $0.value("server"), session: $0.value("session"),
                limits: $0.ifNext(SessionLimits.init), slots: $0.ifNext { try $0.value("slots") })
        },
        LineForm("PONG") { _ in .pong },
        LineForm("BYE") { _ in .bye },
        LineForm("OK") { _ in .ok },
        LineForm("END") { try .end(rows: $0.next()) },
        LineForm("ERROR") { try .error(WireError(&$0)) },
    ]

    /// Appends the line that says this, under the request's tag.
    public func encode(tag: Tag?, into output: inout [UInt8]) {
        output.appendLine { put(tag, into: &$0) }
    }

    /// Writes the line that says this, if it fits. Returns its length in any case.
    public func encode(tag: Tag?, in room: UnsafeMutableBufferPointer<UInt8>) -> Int {
        room.writeLine { put(tag, into: &$0) }
    }

    private func put(_ tag: Tag?, into line: inout LineWriter) {
        line.put(tag: tag)
        line.put(self)
    }
}

/// The most frequent replies, each without a `Reply`: a request makes one of them, and to pack and unpack it takes as long as to
/// write it.
extension Reply {
    /// Writes the line that `granted` stands for, if it fits. Returns its length in any case.
    public static func encodeGranted(
        _ name: LockName, _ mode: LockMode, _ token: Token, ownerDied: Mark?, _ slot: GrantedSlot?,
        _ until: Until? = nil,
        tag: Tag?,
        in room: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        room.writeLine { line in
            line.put(tag: tag)
            line.putGranted(name, mode, token, ownerDied, slot, until)
        }
    }

    /// Writes the line that `released` stands for, if it fits. Returns its length in any case.
    public static func encodeReleased(
        _ name: LockName, _ token: Token, tag: Tag?, in room: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        room.writeLine { line in
            line.put(tag: tag)
            line.put(word: "RELEASED ")
            line.put(text: name.text)
            line.put(word: " token=")
            line.put(number: token.rawValue)
        }
    }
}

extension LineWriter {
    fileprivate mutating func put(_ reply: Reply) {
        switch reply {
        case .granted(let name, let mode, let token, let ownerDied, let slot, let until):
            putGranted(name, mode, token, ownerDied, slot, until)
        case .busy(let name, let mode, let holders):
            put("BUSY", name, mode)
            put(" held-by=", holders)
        case .timeout(let name, let mode, let waited, let holders):
            put("TIMEOUT", name, mode)
            put(" waited=")
            put(milliseconds: waited)
            put(" held-by=", holders)
        case .deadlock(let name, let mode, let cycle):
            put("DEADLOCK", name, mode)
            put(" cycle=", cycle)
        case .denied(let name, let what, let reason):
            put("DENIED ", name)
            put(" ", what)
            put(" reason=", reason)
        case .cancelled(let name, let mode): put("CANCELLED", name, mode)
        case .released(let name, let token): put("RELEASED", name, token)
        case .releasedAll(let grants, let waiters):
            put("RELEASED * grants=", grants)
            put(" waiters=", waiters)
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
        case .hello(let version, let server, let session, let limits, let slots):
            put("HELLO version=", version)
            put(" server=", server)
            put(" session=", session)
            if let limits {
                put(" max-line=", limits.line)
                put(" max-session-grants=", limits.grants)
                put(" max-session-waiters=", limits.waiters)
            }
            if let slots { put(" slots=", slots) }
        case .pong: put("PONG")
        case .bye: put("BYE")
        case .ok: put("OK")
        case .end(let rows): put("END ", rows)
        case .error(let error): put(error)
        }
    }

    @inline(__always)
    fileprivate mutating func putGranted(
        _ name: LockName, _ mode: LockMode, _ token: Token, _ ownerDied: Mark?, _ slot: GrantedSlot?,
        _ until: Until?
    ) {
        put(word: "GRANTED ")
        put(text: name.text)
        switch mode {
        case .read: put(word: " read token=")
        case .update: put(word: " update token=")
        case .write: put(word: " write token=")
        }
        put(number: token.rawValue)
        if let ownerDied { put(" ownerdied=", MarkWord(ownerDied)) }
        if let slot {
            put(" slot=", slot.index)
            put(" gen=", slot.generation)
        }
        if let until { put(until) }
    }

    private mutating func put(_ word: StaticString, _ name: LockName, _ mode: LockMode) {
        put(word)
        put(" ", name)
        put(" ", mode)
    }

    /// Writes a line, or its beginning, of a word, a name and a token.
    mutating func put(_ word: StaticString, _ name: LockName, _ token: Token) {
        put(word)
        put(" ", name)
        put(" token=", token)
    }

    private mutating func put(_ error: WireError) {
        put("ERROR ")
        // The text of an unlisted code begins with the code.
        if error.code != .unlisted {
            put(text: error.code.rawValue)
            put(" ")
            if let subject = error.subject {
                put("lock=", subject.name)
                put(" mode=", subject.mode)
                put(" ")
            }
        }
        put(text: error.text)
    }
}

extension WireError {
    fileprivate init(_ fields: inout Fields) throws {
        let word: String = try fields.next()
        let subject = fields.ifNext { fields in
            try Subject(fields.value("lock"), fields.value("mode"))
        }
        let text = fields.rest()
        if let code = ErrorCode(rawValue: word) {
            self.init(code, text, of: subject)
        } else {
            self.init(.unlisted, text.isEmpty ? word : word + " " + text, of: subject)
        }
    }
}

extension GrantedSlot {
    fileprivate init(_ fields: inout Fields) throws {
        try self.init(index: fields.value("slot"), generation: fields.value("gen"))
    }
}

extension SessionLimits {
    fileprivate init(_ fields: inout Fields) throws {
        try self.init(
            line: fields.value("max-line"), grants: fields.value("max-session-grants"),
            waiters: fields.value("max-session-waiters"))
    }
}
