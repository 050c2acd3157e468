public import LockVocabulary

/// A row of a listing. `END n` closes the listing.
public enum Row: Hashable, Sendable {
    case holder(Holder)
    case waiter(Waiter)
    case lock(Lock)
    case session(Session)
    case stat(name: String, value: Int)
    case text(String)

    /// A row of `STATUS`: a grant.
    public struct Holder: Hashable, Sendable {
        /// Nil if the daemon cannot see the process.
        public var processID: Int32?
        public var mode: LockMode
        public var owner: OwnerID
        public var token: Token
        public var age: Duration
        /// The time until the lease ends; nil for a grant without a lease.
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

    /// A row of `STATUS`: a waiting request.
    public struct Waiter: Hashable, Sendable {
        /// Nil if the daemon cannot see the process.
        public var processID: Int32?
        public var mode: LockMode
        public var owner: OwnerID
        public var waited: Duration
        /// The whole time that the request may wait.
        public var timeout: TimeLimit
        public var note: Note
        /// For an upgrade, the token of the grant that it is to replace.
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
        /// The strongest mode of its grants; nil if it has none.
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
        /// Nil if the daemon cannot see the process.
        public var processID: Int32?
        public var userID: UInt32
        /// The name that the client gave with `HELLO`.
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
    /// How the rows with fields are read. Any other row is a counter of `STATS`, or text.
    static let forms: [LineForm<Row>] = [
        LineForm("holder") {
            .holder(
                Holder(
                    processID: try $0.processID(), mode: try $0.value("mode"), owner: try $0.value("owner"),
                    token: try $0.value("token"), age: try $0.age("age"),
                    leaseLeft: (try $0.value("lease") as Age?)?.duration, note: try $0.value("note")))
        },
        LineForm("waiter") {
            .waiter(
                Waiter(
                    processID: try $0.processID(), mode: try $0.value("mode"), owner: try $0.value("owner"),
                    waited: try $0.age("waited"), timeout: (try $0.value("timeout") as Milliseconds).limit,
                    note: try $0.value("note"), upgrades: $0.ifNext { try $0.value("upgrades") } ?? nil))
        },
        LineForm("lock") {
            .lock(
                Lock(
                    name: try $0.next(), mode: try $0.value("mode"), holders: try $0.value("holders"),
                    waiters: try $0.value("waiters"), ownerDied: try $0.value("ownerdied")))
        },
        LineForm("session") {
            .session(
                Session(
                    id: try $0.value("id"), processID: try $0.processID(), userID: try $0.value("uid"),
                    client: try $0.value("client"), grants: try $0.value("grants"),
                    waiters: try $0.value("waiters"), age: try $0.age("age")))
        },
    ]

    /// Reads the line behind the `*`; nil if it is empty.
    init?(_ fields: inout Fields) {
        let start = fields
        if let row = Self.forms.read(&fields) {
            self = row
            return
        }
        fields = start
        if let name = fields.nextWord(), let value = try? fields.next() as Int, fields.nextWord() == nil {
            self = .stat(name: name.text, value: value)
            return
        }
        fields = start
        let text = fields.rest()
        guard !text.isEmpty else { return nil }
        self = .text(text)
    }

    /// Appends the line that says this.
    public func encode(into output: inout [UInt8]) { output.appendLine { $0.put(self) } }
}

extension LineWriter {
    fileprivate mutating func put(_ row: Row) {
        switch row {
        case .holder(let holder):
            put("* holder pid=", ProcessNumber(holder.processID))
            put(" mode=", holder.mode)
            put(" owner=", holder.owner)
            put(" token=", holder.token)
            put(" age=", Age(holder.age))
            put(" lease=", holder.leaseLeft.map(Age.init))
            put(" note=", holder.note)
        case .waiter(let waiter):
            put("* waiter pid=", ProcessNumber(waiter.processID))
            put(" mode=", waiter.mode)
            put(" owner=", waiter.owner)
            put(" waited=", Age(waiter.waited))
            put(" timeout=", Milliseconds(roundingUp: waiter.timeout))
            put(" note=", waiter.note)
            put(" upgrades=", waiter.upgrades)
        case .lock(let lock):
            put("* lock ", lock.name)
            put(" mode=", lock.mode)
            put(" holders=", lock.holders)
            put(" waiters=", lock.waiters)
            put(" ownerdied=", lock.ownerDied)
        case .session(let session):
            put("* session id=", session.id)
            put(" pid=", ProcessNumber(session.processID))
            put(" uid=", session.userID)
            put(" client=", session.client)
            put(" grants=", session.grants)
            put(" waiters=", session.waiters)
            put(" age=", Age(session.age))
        case .stat(let name, let value):
            put("* ", name)
            put(" ", value)
        case .text(let text): put("* ", text)
        }
    }
}
