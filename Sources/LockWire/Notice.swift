public import LockVocabulary

/// What the daemon says unasked.
public enum Notice: Hashable, Sendable {
    /// The lease of this session's grant ended.
    case expired(LockName, Token)
    /// This session's grant was taken away.
    case revoked(LockName, Token)
    /// Somebody waits for what this session holds.
    case recall(LockName, Token)
    /// As many notices were dropped, because the session did not read them.
    case missed(Int)
    /// The daemon is going away.
    case drain
    /// Something happened on a lock that this session watches.
    case changed(Changed)

    /// What happened on a lock, and to whose grant or request.
    public struct Changed: Hashable, Sendable {
        public var name: LockName
        public var change: ChangeKind
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var mode: LockMode
        /// Nil for a request.
        public var token: Token?
        public var owner: OwnerID
        /// Of the request that this is about; nil if it had none, and for the end of a grant.
        public var tag: Tag?
        /// Of the request that this is about, if it waited: the same number in all that is told of it.
        public var request: UInt64?
        /// The token of the grant that the request wants to change, if it is an upgrade.
        public var upgrades: Token?

        public init(
            name: LockName, change: ChangeKind, processID: Int32?, mode: LockMode, token: Token?,
            owner: OwnerID = .session, tag: Tag? = nil, request: UInt64? = nil, upgrades: Token? = nil
        ) {
            self.name = name
            self.change = change
            self.processID = processID
            self.mode = mode
            self.token = token
            self.owner = owner
            self.tag = tag
            self.request = request
            self.upgrades = upgrades
        }
    }
}

extension Notice {
    /// How each notice is read.
    static let forms: [LineForm<Notice>] = [
        LineForm("CHANGED") { try .changed(Changed(&$0)) },
        LineForm("RECALL") { try .recall($0.next(), $0.value("token")) },
        LineForm("EXPIRED") { try .expired($0.next(), $0.value("token")) },
        LineForm("REVOKED") { try .revoked($0.next(), $0.value("token")) },
        LineForm("MISSED") { try .missed($0.next()) },
        LineForm("DRAIN") { _ in .drain },
    ]

    /// Appends the line that says this.
    public func encode(into output: inout [UInt8]) { output.appendLine { $0.put(self) } }
}

extension Notice.Changed {
    fileprivate init(_ fields: inout Fields) throws {
        try self.init(
            name: fields.next(), change: fields.next(), processID: fields.processID(),
            mode: fields.value("mode"),
            token: fields.value("token"),
            // An older daemon ends its line before one of these.
            owner: fields.ifNext { try $0.value("owner") } ?? .session,
            tag: fields.ifNext { try $0.value("tag") } ?? nil,
            request: fields.ifNext { try $0.value("request") } ?? nil,
            upgrades: fields.ifNext { try $0.value("upgrades") } ?? nil)
    }
}

extension LineWriter {
    fileprivate mutating func put(_ notice: Notice) {
        switch notice {
        case .expired(let name, let token): put("! EXPIRED", name, token)
        case .revoked(let name, let token): put("! REVOKED", name, token)
        case .recall(let name, let token): put("! RECALL", name, token)
        case .missed(let count): put("! MISSED ", count)
        case .drain: put("! DRAIN")
        case .changed(let changed):
            put("! CHANGED ", changed.name)
            put(" ", changed.change)
            put(" pid=", ProcessNumber(changed.processID))
            put(" mode=", changed.mode)
            put(" token=", changed.token)
            put(" owner=", changed.owner)
            put(" tag=", changed.tag)
            put(" request=", changed.request)
            put(" upgrades=", changed.upgrades)
        }
    }
}
