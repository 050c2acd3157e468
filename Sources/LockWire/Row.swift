public import LockVocabulary

/// One row of a reply that has many; `END n` closes them.
public enum Row: Hashable, Sendable {
    case holder(Holder)
    case waiter(Waiter)
    case lock(Lock)
    case session(Session)
    case stat(name: String, value: Int)
    case text(String)

    /// A row of `STATUS`: a grant.
    public struct Holder: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var mode: LockMode
        public var owner: OwnerID
        public var token: Token
        public var age: Duration
        /// How much of the lease is left; nil if there is none.
        public var leaseLeft: Duration?
        public var note: Note

        public init(
            processID: Int32?, mode: LockMode, owner: OwnerID, token: Token, age: Duration,
            leaseLeft: Duration?, note: Note
        ) {
            self.processID = processID
            self.mode = mode
            self.owner = owner
            self.token = token
            self.age = age
            self.leaseLeft = leaseLeft
            self.note = note
        }
    }

    /// A row of `STATUS`: a request in the queue.
    public struct Waiter: Hashable, Sendable {
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var mode: LockMode
        public var owner: OwnerID
        public var waited: Duration
        /// How long it asked to wait in all.
        public var timeout: TimeLimit
        public var note: Note
        /// The token of the grant that it wants to change, if it is an upgrade.
        public var upgrades: Token?

        public init(
            processID: Int32?, mode: LockMode, owner: OwnerID, waited: Duration, timeout: TimeLimit,
            note: Note, upgrades: Token? = nil
        ) {
            self.processID = processID
            self.mode = mode
            self.owner = owner
            self.waited = waited
            self.timeout = timeout
            self.note = note
            self.upgrades = upgrades
        }
    }

    /// A row of `LIST`.
    public struct Lock: Hashable, Sendable {
        public var name: LockName
        /// The strongest mode that is held; nil if nobody holds it.
        public var mode: LockMode?
        public var holders: Int
        public var waiters: Int
        public var ownerDied: Bool

        public init(name: LockName, mode: LockMode?, holders: Int, waiters: Int, ownerDied: Bool) {
            self.name = name
            self.mode = mode
            self.holders = holders
            self.waiters = waiters
            self.ownerDied = ownerDied
        }
    }

    /// A row of `SESSIONS`.
    public struct Session: Hashable, Sendable {
        public var id: UInt64
        /// Nil for a process that cannot be seen from where the daemon is.
        public var processID: Int32?
        public var userID: UInt32
        /// What it called itself with `HELLO`.
        public var client: Note
        public var grants: Int
        public var waiters: Int
        public var age: Duration

        public init(
            id: UInt64, processID: Int32?, userID: UInt32, client: Note, grants: Int, waiters: Int,
            age: Duration
        ) {
            self.id = id
            self.processID = processID
            self.userID = userID
            self.client = client
            self.grants = grants
            self.waiters = waiters
            self.age = age
        }
    }
}

extension Row {
    /// Appends the line that says this.
    public func encode(into output: inout [UInt8]) {
        output.appendLine(atMost: 256 + textLength) { line in
            line.put("* ")
            switch self {
            case .holder(let holder): line.put(holder)
            case .waiter(let waiter): line.put(waiter)
            case .lock(let lock): line.put(lock)
            case .session(let session): line.put(session)
            case .stat(let name, let value):
                line.put(name)
                line.put(.space)
                line.put(value)
            case .text(let text): line.put(text)
            }
        }
    }

    /// The bytes of names, notes and texts in it.
    private var textLength: Int {
        switch self {
        case .holder(let holder): holder.note.text.utf8.count
        case .waiter(let waiter): waiter.note.text.utf8.count
        case .lock(let lock): lock.name.text.utf8.count
        case .session(let session): session.client.text.utf8.count
        case .stat(let name, _): name.utf8.count
        case .text(let text): text.utf8.count
        }
    }
}

extension LineWriter {
    fileprivate mutating func put(_ holder: Row.Holder) {
        put("holder pid=")
        put(processID: holder.processID)
        put(" mode=")
        put(holder.mode)
        put(" owner=")
        put(holder.owner)
        put(" token=")
        put(holder.token)
        put(" age=")
        put(age: holder.age)
        put(" lease=")
        if let left = holder.leaseLeft { put(age: left) } else { put(UInt8(ascii: "-")) }
        put(" note=")
        put(holder.note)
    }

    fileprivate mutating func put(_ waiter: Row.Waiter) {
        put("waiter pid=")
        put(processID: waiter.processID)
        put(" mode=")
        put(waiter.mode)
        put(" owner=")
        put(waiter.owner)
        put(" waited=")
        put(age: waiter.waited)
        put(" timeout=")
        put(Milliseconds(roundingUp: waiter.timeout))
        put(" note=")
        put(waiter.note)
        put(" upgrades=")
        put(waiter.upgrades)
    }

    fileprivate mutating func put(_ lock: Row.Lock) {
        put("lock")
        field(lock.name)
        put(" mode=")
        if let mode = lock.mode { put(mode) } else { put(UInt8(ascii: "-")) }
        put(" holders=")
        put(lock.holders)
        put(" waiters=")
        put(lock.waiters)
        put(lock.ownerDied ? " ownerdied=1" : " ownerdied=0")
    }

    fileprivate mutating func put(_ session: Row.Session) {
        put("session id=")
        put(session.id)
        put(" pid=")
        put(processID: session.processID)
        put(" uid=")
        put(UInt64(session.userID))
        put(" client=")
        put(session.client)
        put(" grants=")
        put(session.grants)
        put(" waiters=")
        put(session.waiters)
        put(" age=")
        put(age: session.age)
    }
}
