import LockVocabulary

// Grants, owners and sessions hold numbers only. The strings of clients are in slabs of their own, so reading a record counts
// no references.

/// The permission of an owner: a lock in a mode, under a token.
struct Grant: Placeable {
    static var vacant: Grant {
        Grant(
            token: Token(rawValue: 0), since: .zero, lease: Lease(.forever), lock: .nowhere, owner: .nowhere)
    }

    var token: Token
    var since: Instant
    /// How long the grant lasts from each renewal.
    var lease: Lease
    /// The handle of the end of its lease.
    @Compact var deadline: DeadlineHeap<Due>.Handle? = nil
    let lock: Slot<Lock>
    let owner: Slot<Owner>
    var lockLinks = Links<Grant>()
    var ownerLinks = Links<Grant>()
    @Compact var note: Slot<Note>? = nil
    /// Its slot in the memory that its session shares; nil if it never had one.
    @Compact var cache: Slot<CachedGrant>? = nil
    var mode = LockMode.read
    /// Whether its session was told that a request waits for it.
    var isRecalled = false
    /// Whether the end of its session releases it, and leaves no mark (G11).
    var isReleasedAtEnd = false

    var isVacant: Bool { lock == .nowhere }

    enum OnLock: Membership {
        static var links: WritableKeyPath<Grant, Links<Grant>> { \.lockLinks }
    }

    enum OfOwner: Membership {
        static var links: WritableKeyPath<Grant, Links<Grant>> { \.ownerLinks }
    }
}

/// A waiting request.
struct Waiter: Placeable {
    static var vacant: Waiter {
        Waiter(
            number: 0, place: 0, since: .zero, mode: .read, lock: .nowhere, owner: .nowhere,
            lease: Lease(.forever))
    }

    /// Rises with every waiting request: the order of arrival.
    let number: UInt64
    /// Its place in its row: its number. An impatient read has the place of the first impatient read of its owner (Patience).
    var place: UInt64
    let since: Instant
    /// How long it may wait in all; nil without end.
    var timeout: Duration?
    let mode: LockMode
    /// Whether it is a reader with a place among the writers. (Here it fills a gap: the record is no longer for it.)
    var isImpatient = false
    /// Whether it is among the readers that lose patience later.
    var isPatient = false
    @Compact var deadline: DeadlineHeap<Due>.Handle? = nil
    let lock: Slot<Lock>
    let owner: Slot<Owner>
    /// The grant that it wants to upgrade.
    @Compact var upgrades: Slot<Grant>? = nil
    var rowLinks = Links<Waiter>()
    var ownerLinks = Links<Waiter>()
    /// The neighbours among the patient readers of all locks.
    var patientLinks = Links<Waiter>()
    let lease: Lease
    var note = Note.none
    var tag: Tag?

    var isVacant: Bool { lock == .nowhere }

    /// Whether it was not to wait, and waits only until the fleet has decided (`wait=0`).
    var isProbe: Bool { timeout == .zero }

    enum InRow: Membership {
        static var links: WritableKeyPath<Waiter, Links<Waiter>> { \.rowLinks }
    }

    enum OfOwner: Membership {
        static var links: WritableKeyPath<Waiter, Links<Waiter>> { \.ownerLinks }
    }

    enum Patient: Membership {
        static var links: WritableKeyPath<Waiter, Links<Waiter>> { \.patientLinks }
    }
}

/// A party within a session that makes requests: a named owner, or the session itself.
///
/// The record of a named owner exists while it has a grant or a request.
struct Owner: Placeable {
    static var vacant: Owner { Owner(session: .nowhere) }

    let session: Slot<Session>
    /// Its id; nil for the session itself.
    @Compact var id: Slot<OwnerID>? = nil
    var grants = LinkedList<Grant.OfOwner>()
    var waiters = LinkedList<Waiter.OfOwner>()
    var sessionLinks = Links<Owner>()

    enum OfSession: Membership {
        static var links: WritableKeyPath<Owner, Links<Owner>> { \.sessionLinks }
    }

    var isSession: Bool { id == nil }

    var isIdle: Bool { grants.isEmpty && waiters.isEmpty }
}

/// One connection of a client: what lives and dies together.
struct Session: Placeable {
    static var vacant: Session { Session(serial: 0, account: AccountID(rawValue: 0), share: Share()) }

    /// Zero in a vacant record.
    let serial: UInt32
    let account: AccountID
    /// The limits of the account for requests of this session.
    var share: Share
    /// The process that the caller named; nil if it sees none.
    var processID: Int32?
    var usage = Usage()
    var owners = LinkedList<Owner.OfSession>()
    /// The session itself as an owner; nil before its first request.
    @Compact var itself: Slot<Owner>? = nil
    /// Its named owners and open tags; nil before it has used one.
    @Compact var labels: Slot<Labels>? = nil
    var wantsRecall = false
    /// Whether it shares memory for cached grants.
    var hasSlots = false
    var phase = Phase.open
    /// Whether it has declared the release of a grant for its end.
    var hasReleaseAtEnd = false
    /// The number of its requests that were not to wait, and that other hosts are asked about.
    var probes: UInt32 = 0

    enum Phase {
        case open
        /// It has ended, and its last lines are still to be carried out. Its requests are not granted any more.
        case ending
        /// Its grants and requests have ended, but not all are removed yet.
        case ended
    }

    var isVacant: Bool { serial == 0 }
}

/// The owners and waiting requests of a session by their names.
struct Labels: Placeable {
    static var vacant: Labels { Labels() }

    var owners: [OwnerID: Slot<Owner>] = [:]
    var tags: [Tag: Slot<Waiter>] = [:]
}

extension Note: Placeable {
    static var vacant: Note { .none }
}

extension OwnerID: Placeable {
    static var vacant: OwnerID { .session }
}

/// The length of a lease: a `TimeLimit` in eight bytes, since every grant has one.
struct Lease {
    private var nanoseconds: Int64

    init(_ limit: TimeLimit) {
        switch limit {
        case .upTo(let duration): nanoseconds = duration.wholeNanoseconds
        case .forever: nanoseconds = 0
        }
    }

    var duration: Duration? { nanoseconds == 0 ? nil : .nanoseconds(nanoseconds) }

    func end(from start: Instant) -> Instant? {
        nanoseconds == 0 ? nil : start.advanced(byNanoseconds: nanoseconds)
    }
}

/// A record with a deadline.
enum Due {
    /// A waiting request, at the end of its timeout.
    case waiter(Slot<Waiter>)
    /// A grant, at the end of its lease.
    case grant(Slot<Grant>)
}
