public import LockVocabulary

/// A line from the daemon that answers no request.
public enum Notice: Hashable, Sendable {
    /// The lease of a grant of this session ended.
    case expired(LockName, Token)
    /// A grant of this session was revoked.
    case revoked(LockName, Token)
    /// Another request waits for a lock that this session holds.
    case recall(LockName, Token)
    /// The daemon dropped this number of notices, because the session did not read in time.
    case missed(Int)
    /// All grants of this session on shared names count until then from now on.
    case until(Until)
    /// The daemon is leaving.
    case drain
    /// Another process serves from now on. What follows begins at this byte of all that the session was sent, without the lines
    /// of this notice: a client that has received more passes over as many bytes.
    case resumed(from: UInt64)
    /// Something happened to a grant or request on a lock that this session watches.
    case changed(Changed)

    /// A change on a lock, with the grant or request that it happened to.
    public struct Changed: Hashable, Sendable {
        /// The lock.
        public var name: LockName
        /// What happened.
        public var change: ChangeKind
        /// The process of the holder or the waiter; nil if the daemon cannot see it.
        public var processID: Int32?
        /// The mode of the grant or the request.
        public var mode: LockMode
        /// The token of the grant; nil for a request.
        public var token: Token?
        /// The owner of the grant or the request.
        public var owner: OwnerID
        /// The tag of the request; nil if it had none, and for the end of a grant.
        public var tag: Tag?
        /// The number of the request if it has waited: the same in every notice about it.
        public var request: UInt64?
        /// For an upgrade, the token of the grant that it is to replace.
        public var upgrades: Token?

        /// A change from its parts.
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
    /// How each notice is read. The most frequent one comes first, as the list is searched in its order.
    static let forms: [LineForm<Notice>] = [
        LineForm("CHANGED") { try .changed(Changed(&$0)) },
        LineForm("RECALL") { try .recall($0.next(), $0.value("token")) },
        LineForm("EXPIRED") { try .expired($0.next(), $0.value("token")) },
        LineForm("REVOKED") { try .revoked($0.next(), $0.value("token")) },
        LineForm("UNTIL") { try .until(Until(&$0)) },
        LineForm("MISSED") { try .missed($0.next()) },
        LineForm("DRAIN") { _ in .drain },
        LineForm("RESUMED") { try .resumed(from: $0.value("from")) },
    ]

    /// Appends the line that says this.
    public func encode(into output: inout [UInt8]) { output.appendLine { $0.put(self) } }

    /// Writes the line that says this, if it fits. Returns its length in any case.
    public func encode(in room: UnsafeMutableBufferPointer<UInt8>) -> Int { room.writeLine { $0.put(self) } }
}

extension Notice.Changed {
    fileprivate init(_ fields: inout Fields) throws {
        try self.init(
            name: fields.next(), change: fields.next(), processID: fields.processID(),
            mode: fields.value("mode"),
            token: fields.value("token"),
            // An older daemon may end its line before any of these.
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
        case .until(let until):
            put("! UNTIL")
            put(until)
        case .drain: put("! DRAIN")
        case .resumed(let position):
            put("! RESUMED")
            put(" from=", position)
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
