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

    /// Appends the line that says this.
    public func encode(into output: inout [UInt8]) {
        output.appendLine(atMost: 256 + nameLength) { line in line.put(self) }
    }

    private var nameLength: Int {
        switch self {
        case .expired(let name, _), .revoked(let name, _), .recall(let name, _): name.text.utf8.count
        case .changed(let changed): changed.name.text.utf8.count
        case .missed, .drain: 0
        }
    }
}

extension LineWriter {
    fileprivate mutating func put(_ notice: Notice) {
        switch notice {
        case .expired(let name, let token): put("! EXPIRED", name, token)
        case .revoked(let name, let token): put("! REVOKED", name, token)
        case .recall(let name, let token): put("! RECALL", name, token)
        case .missed(let count):
            put("! MISSED ")
            put(count)
        case .drain: put("! DRAIN")
        case .changed(let changed):
            put("! CHANGED")
            field(changed.name)
            put(.space)
            put(changed.change.rawValue)
            put(" pid=")
            put(processID: changed.processID)
            put(" mode=")
            put(changed.mode)
            put(" token=")
            put(changed.token)
            put(" owner=")
            put(changed.owner)
            put(" tag=")
            if let tag = changed.tag { put(tag) } else { put(UInt8(ascii: "-")) }
            put(" request=")
            if let request = changed.request { put(request) } else { put(UInt8(ascii: "-")) }
            put(" upgrades=")
            put(changed.upgrades)
        }
    }

    private mutating func put(_ word: StaticString, _ name: LockName, _ token: Token) {
        put(word)
        field(name)
        put(" token=")
        put(token)
    }
}
