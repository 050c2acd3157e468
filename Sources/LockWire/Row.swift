public import LockVocabulary

/// A row of a listing. `END n` closes the listing.
public enum Row: Hashable, Sendable {
    /// A grant, from `STATUS`.
    case holder(Holder)
    /// A grant that its owner does not hold, but may take again without the daemon, from `STATUS`. It has no lease.
    case cached(Holder)
    /// A request that waits, from `STATUS`.
    case waiter(Waiter)
    /// A host that claims a shared name, from `STATUS`.
    case claim(Claim)
    /// A host that waits for a claim of a shared name, from `STATUS`.
    case claimWaiter(Claim)
    /// A lock, from `LIST`.
    case lock(Lock)
    /// What a lock has cost, from `HOT`.
    case hot(Hot)
    /// A session, from `SESSIONS`.
    case session(Session)
    /// A counter, from `STATS`.
    case stat(name: String, value: Int)
    /// A line of text, from `HELP`.
    case text(String)

    /// A row of `STATUS`: a grant.
    public struct Holder: Hashable, Sendable {
        /// The process that holds the lock; nil if the daemon cannot see it.
        public var processID: Int32?
        /// The mode of the grant.
        public var mode: LockMode
        /// The owner of the grant within its session.
        public var owner: OwnerID
        /// The token of the grant.
        public var token: Token
        /// How long the lock has been held.
        public var age: Duration
        /// The time until the lease ends; nil for a grant without a lease.
        public var leaseLeft: Duration?
        /// The note of the request; empty if it had none.
        public var note: Note

        /// A row from its fields.
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
        /// The process that waits; nil if the daemon cannot see it.
        public var processID: Int32?
        /// The mode that is requested.
        public var mode: LockMode
        /// The owner of the request within its session.
        public var owner: OwnerID
        /// How long the request has waited.
        public var waited: Duration
        /// The whole time that the request may wait.
        public var timeout: TimeLimit
        /// The note of the request; empty if it had none.
        public var note: Note
        /// For an upgrade, the token of the grant that it is to replace.
        public var upgrades: Token?

        /// A row from its fields.
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

    /// A row of `STATUS`: what a host claims of a shared name, or waits for.
    public struct Claim: Hashable, Sendable {
        /// The host.
        public var host: HostName
        /// The mode of the claim: read or write.
        public var mode: LockMode

        /// A row from its fields.
        public init(host: HostName, mode: LockMode) {
            self.host = host
            self.mode = mode
        }
    }

    /// A row of `LIST`.
    public struct Lock: Hashable, Sendable {
        /// The name of the lock.
        public var name: LockName
        /// The strongest mode of its grants; nil if it has none.
        public var mode: LockMode?
        /// The number of grants.
        public var holders: Int
        /// The number of requests that wait.
        public var waiters: Int
        /// Whether the last writer died or lost the lock before it released it; nil if not.
        public var ownerDied: Mark?
        /// The number of grants that are cached and not held.
        public var cached: Int
        /// For a shared name, what hosts claim of it; nil for any other.
        public var claim: SharedClaim?
        /// How long the oldest request has waited until now; only from `LIST` by a rank.
        public var waited: Duration?

        /// What hosts claim of a shared name.
        public struct SharedClaim: Hashable, Sendable {
            /// What this host claims, or another if this one claims nothing; nil if none does.
            public var mode: LockMode?
            /// The host that claims it.
            public var host: HostName?

            /// A claim from its parts.
            public init(mode: LockMode?, host: HostName?) {
                self.mode = mode
                self.host = host
            }
        }

        /// A row from its fields.
        public init(
            name: LockName, mode: LockMode?, holders: Int, waiters: Int, ownerDied: Mark?, cached: Int = 0,
            claim: SharedClaim? = nil, waited: Duration? = nil
        ) {
            self.name = name
            self.mode = mode
            self.holders = holders
            self.waiters = waiters
            self.ownerDied = ownerDied
            self.cached = cached
            self.claim = claim
            self.waited = waited
        }
    }

    /// A row of `SESSIONS`.
    public struct Session: Hashable, Sendable {
        /// The number of the session at this daemon.
        public var id: UInt64
        /// The process that connected; nil if the daemon cannot see it.
        public var processID: Int32?
        /// The user of the process that connected.
        public var userID: UInt32
        /// The name that the client gave with `HELLO`.
        public var client: Note
        /// The number of grants that the session holds.
        public var grants: Int
        /// The number of its requests that wait.
        public var waiters: Int
        /// How long ago the session began.
        public var age: Duration

        /// A row from its fields.
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
        LineForm("cached") {
            .cached(
                Holder(
                    processID: try $0.processID(), mode: try $0.value("mode"), owner: try $0.value("owner"),
                    token: try $0.value("token"), age: try $0.age("age"), leaseLeft: nil,
                    note: try $0.value("note")))
        },
        LineForm("waiter") {
            .waiter(
                Waiter(
                    processID: try $0.processID(), mode: try $0.value("mode"), owner: try $0.value("owner"),
                    waited: try $0.age("waited"), timeout: (try $0.value("timeout") as Milliseconds).limit,
                    note: try $0.value("note"), upgrades: $0.ifNext { try $0.value("upgrades") } ?? nil))
        },
        LineForm("claim") { .claim(try Claim(&$0)) },
        LineForm("claim-waiter") { .claimWaiter(try Claim(&$0)) },
        LineForm("lock") {
            .lock(
                Lock(
                    name: try $0.next(), mode: try $0.value("mode"), holders: try $0.value("holders"),
                    waiters: try $0.value("waiters"), ownerDied: try $0.mark("ownerdied"),
                    cached: $0.ifNext { try $0.value("cached") } ?? 0,
                    claim: $0.ifNext(Lock.SharedClaim.init), waited: $0.ifNext { try $0.age("waited") }))
        },
        LineForm("hot") { .hot(try Hot(&$0)) },
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
        case .cached(let grant):
            put("* cached pid=", ProcessNumber(grant.processID))
            put(" mode=", grant.mode)
            put(" owner=", grant.owner)
            put(" token=", grant.token)
            put(" age=", Age(grant.age))
            put(" note=", grant.note)
        case .waiter(let waiter):
            put("* waiter pid=", ProcessNumber(waiter.processID))
            put(" mode=", waiter.mode)
            put(" owner=", waiter.owner)
            put(" waited=", Age(waiter.waited))
            put(" timeout=", Milliseconds(roundingUp: waiter.timeout))
            put(" note=", waiter.note)
            put(" upgrades=", waiter.upgrades)
        case .claim(let claim):
            put("* claim host=", claim.host)
            put(" mode=", claim.mode)
        case .claimWaiter(let claim):
            put("* claim-waiter host=", claim.host)
            put(" mode=", claim.mode)
        case .lock(let lock):
            put("* lock ", lock.name)
            put(" mode=", lock.mode)
            put(" holders=", lock.holders)
            put(" waiters=", lock.waiters)
            put(" ownerdied=", MarkWord(lock.ownerDied))
            if lock.cached > 0 { put(" cached=", lock.cached) }
            if let claim = lock.claim {
                if let mode = claim.mode { put(" claim=", mode) } else { put(" claim=none") }
                put(" host=", claim.host)
            }
            if let waited = lock.waited { put(" waited=", Age(waited)) }
        case .hot(let hot): hot.spell(into: &self)
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

extension Row.Claim {
    fileprivate init(_ fields: inout Fields) throws {
        try self.init(host: fields.value("host"), mode: fields.value("mode"))
    }
}

extension Row.Lock.SharedClaim {
    fileprivate init(_ fields: inout Fields) throws {
        let word: String = try fields.value("claim")
        let mode = LockMode.allCases.first { "\($0)" == word }
        guard mode != nil || word == "none" else { throw Fields.Misfit() }
        try self.init(mode: mode, host: fields.value("host"))
    }
}
