import LockVocabulary

// Grants, owners and sessions hold numbers only: what a client spelled stands beside them, so that to read a
// field never counts references.

/// The permission that an owner has: a lock in a mode, under a token.
struct Grant: Placeable {
    static var vacant: Grant {
        Grant(
            token: Token(rawValue: 0), since: .zero, lease: Lease(.forever), lock: .nowhere, owner: .nowhere)
    }

    var token: Token
    var since: Instant
    /// How long each renewal makes it last.
    var lease: Lease
    /// Where the end of the lease stands among the deadlines.
    @Compact var deadline: DeadlineHeap<Due>.Handle? = nil
    let lock: Slot<Lock>
    let owner: Slot<Owner>
    var lockLinks = Links<Grant>()
    var ownerLinks = Links<Grant>()
    @Compact var note: Slot<Note>? = nil
    var mode = LockMode.read
    /// Whether its session was told that somebody waits for it.
    var isRecalled = false
    /// Whether it is released if its session ends, rather than lost by a death (G11).
    var isReleasedAtEnd = false

    enum OnLock: Membership {
        static var links: WritableKeyPath<Grant, Links<Grant>> { \.lockLinks }
    }

    enum OfOwner: Membership {
        static var links: WritableKeyPath<Grant, Links<Grant>> { \.ownerLinks }
    }
}

/// A request that waits.
struct Waiter: Placeable {
    static var vacant: Waiter {
        Waiter(number: 0, since: .zero, lock: .nowhere, owner: .nowhere, lease: Lease(.forever), mode: .read)
    }

    /// Rises with every request that waits: the order of coming.
    let number: UInt64
    let since: Instant
    /// The time that it may wait, as it was asked; nil for ever.
    var timeout: Duration?
    @Compact var deadline: DeadlineHeap<Due>.Handle? = nil
    let lock: Slot<Lock>
    let owner: Slot<Owner>
    /// The grant that it wants changed, if it is an upgrade.
    @Compact var upgrades: Slot<Grant>? = nil
    var rowLinks = Links<Waiter>()
    var ownerLinks = Links<Waiter>()
    let lease: Lease
    var note = Note.none
    var tag: Tag?
    let mode: LockMode

    enum InRow: Membership {
        static var links: WritableKeyPath<Waiter, Links<Waiter>> { \.rowLinks }
    }

    enum OfOwner: Membership {
        static var links: WritableKeyPath<Waiter, Links<Waiter>> { \.ownerLinks }
    }
}

/// Who asks within a session: one with an id, while it holds or waits for anything, or the session itself.
struct Owner: Placeable {
    static var vacant: Owner { Owner(session: .nowhere) }

    let session: Slot<Session>
    /// Where its id stands; nil for the session itself.
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

/// One client: what lives and dies together.
struct Session: Placeable {
    static var vacant: Session { Session(serial: 0, account: 0, share: Share()) }

    /// Zero for a place that no session has.
    let serial: UInt32
    let account: Int
    /// How much the account may have when this session asks for more.
    var share: Share
    var usage = Usage()
    var owners = LinkedList<Owner.OfSession>()
    /// The session itself as an owner, from its first request on.
    @Compact var itself: Slot<Owner>? = nil
    /// Its owners and open tags by what the client calls them, once it has used an id or a tag.
    @Compact var labels: Slot<Labels>? = nil
    var wantsRecall = false

    var isVacant: Bool { serial == 0 }
}

/// What a session calls its owners and its waiting requests.
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

/// How long a grant lasts from each renewal on: a `TimeLimit` in eight bytes, as there is one in every grant.
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

/// What has a deadline.
enum Due {
    /// A waiting request: when it may wait no longer.
    case waiter(Slot<Waiter>)
    /// A grant: when its lease ends.
    case grant(Slot<Grant>)
}
