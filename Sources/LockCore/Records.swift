import LockVocabulary

// Grants, owners and sessions hold numbers only: what a client spelled stands beside them, so that to read a
// field never counts references.

/// The permission that an owner has: a lock in a mode, under a token.
struct Grant: Placeable {
    static var vacant: Grant { Grant() }

    var token = Token(rawValue: 0)
    var since = Instant.zero
    /// How long a renewal makes it last, in nanoseconds; zero without a lease.
    var lease: Int64 = 0
    /// Where the end of the lease stands among the deadlines.
    var deadline = DeadlineHeap<Due>.none
    var lock = Slot<Lock>.none
    var owner = Slot<Owner>.none
    /// The other grants on the lock, in the order of their tokens.
    var nextHolder = Slot<Grant>.none
    var previousHolder = Slot<Grant>.none
    /// The other grants of the owner.
    var nextOwned = Slot<Grant>.none
    var previousOwned = Slot<Grant>.none
    var note = Slot<Note>.none
    var mode = LockMode.read
    /// Whether its session was told that somebody waits for it.
    var isRecalled = false
    /// Whether it is released if its session ends, rather than lost by a death (G11).
    var isReleasedAtEnd = false
}

/// A request that waits.
struct Waiter: Placeable {
    static var vacant: Waiter { Waiter() }

    /// Rises with every request that waits: the order of coming.
    var number: UInt64 = 0
    var since = Instant.zero
    /// The time that it may wait, as it was asked; nil for ever.
    var timeout: Duration?
    var deadline = DeadlineHeap<Due>.none
    var lock = Slot<Lock>.none
    var owner = Slot<Owner>.none
    /// The grant that it wants changed, if it is an upgrade.
    var upgrades = Slot<Grant>.none
    var next = Slot<Waiter>.none
    var previous = Slot<Waiter>.none
    var nextOwned = Slot<Waiter>.none
    var previousOwned = Slot<Waiter>.none
    var lease: Int64 = 0
    var note = Note.none
    var tag: Tag?
    var mode = LockMode.read
}

/// Who asks within a session: one with a word, while it holds or waits for anything, or the session itself.
struct Owner: Placeable {
    static var vacant: Owner { Owner() }

    var session = Slot<Session>.none
    /// Its word; none for the session itself.
    var word = Slot<OwnerID>.none
    var firstGrant = Slot<Grant>.none
    var firstWaiter = Slot<Waiter>.none
    var next = Slot<Owner>.none
    var previous = Slot<Owner>.none

    var isSession: Bool { word.isNone }

    var isIdle: Bool { firstGrant.isNone && firstWaiter.isNone }

    /// Puts a grant before its others; returns its session.
    mutating func addGrant(_ grant: Slot<Grant>) -> Slot<Session> {
        firstGrant = grant
        return session
    }
}

/// One client: what lives and dies together.
struct Session: Placeable {
    static var vacant: Session { Session() }

    /// Zero for a place that no session has.
    var serial: UInt32 = 0
    var grants = 0
    var waiters = 0
    var firstOwner = Slot<Owner>.none
    /// The session itself as an owner, from its first request on.
    var itself = Slot<Owner>.none
    /// Its owners' words and its open tags, once it has used one.
    var words = Slot<SessionWords>.none
    var wantsRecall = false
    /// With whose sessions it is counted, and how much they may have when it asks for more.
    var account = 0
    var share = Share()

    /// Counts a grant; returns whether the session is to be told when somebody waits for it.
    mutating func addGrant() -> Bool {
        grants += 1
        return wantsRecall
    }

    /// Counts a grant no more; returns whether the session was to be told when somebody waits for it.
    mutating func removeGrant() -> Bool {
        grants -= 1
        return wantsRecall
    }
}

/// What a session calls its owners and its waiting requests.
struct SessionWords: Placeable {
    static var vacant: SessionWords { SessionWords() }

    var owners: [OwnerID: Slot<Owner>] = [:]
    var tags: [Tag: Slot<Waiter>] = [:]
}

extension Note: Placeable {
    static var vacant: Note { .none }
}

extension OwnerID: Placeable {
    static var vacant: OwnerID { .session }
}

/// What has a deadline.
enum Due {
    /// A waiting request: when it may wait no longer.
    case waiter(Slot<Waiter>)
    /// A grant: when its lease ends.
    case grant(Slot<Grant>)
}

/// How many of something there are, and which it is when there is but one.
///
/// The exclusive or of all places is the place itself when there is one: so adding and taking away need no list.
struct Stake {
    var count: UInt32 = 0
    private var combined: UInt32 = 0

    mutating func add(_ place: UInt32) {
        count += 1
        combined ^= place
    }

    mutating func remove(_ place: UInt32) {
        count -= 1
        combined ^= place
    }

    /// The place of the only one.
    var only: UInt32? { count == 1 ? combined : nil }

    /// Both together.
    static func + (left: Stake, right: Stake) -> Stake {
        var sum = left
        sum.count += right.count
        sum.combined ^= right.combined
        return sum
    }
}
