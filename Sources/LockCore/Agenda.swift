import LockVocabulary

/// The work that is due and not done yet, by the account that is charged for it.
///
/// One event can cause work on any number of records: a million leases end in one millisecond, a process dies with a million
/// grants, one release lets in a million readers. The table does this work in turns, one account after another, so no
/// account waits for the work of another one.
///
///                something is due, or more is to be done
///  [ AT REST ] ──────────────────────────────────────────▶ [ BUSY ]
///      ▲                nothing is left                       │ ▲
///      └──────────────────────────────────────────────────────┘ └─ a turn is over
///
/// Invariants:
/// 1. An account is in `busy`, once, if and only if it `isBusy`.
/// 2. An account at rest has no work but deadlines, and is in `order` with the first of them.
struct Agenda: ~Copyable {
    /// What one account has to do.
    private struct Share: ~Copyable {
        var deadlines = DeadlineHeap<Due>()
        /// Sessions that have ended, and still have grants or requests.
        var ended = Queue<Slot<Session>>()
        /// Locks with waiting requests that can be granted.
        var unsettled = Queue<Slot<Lock>>()
        /// Locks with holders that are still to be told that a request waits.
        var recalls = Queue<Slot<Lock>>()
        var isBusy = false
        /// The account's place among the accounts at rest.
        var place: DeadlineHeap<AccountID>.Handle?

        var hasTasks: Bool { !ended.isEmpty || !unsettled.isEmpty || !recalls.isEmpty }
    }

    private var shares = OwnedArray<Share>()
    private var busy = Queue<AccountID>()
    /// The accounts at rest with deadlines, by the first of them.
    private var order = DeadlineHeap<AccountID>()

    // Without this `deinit` other files destroy the fields themselves, for which Swift 6.3 emits invalid code in debug builds.
    deinit {}

    mutating func addAccount(_ account: AccountID) {
        while shares.count <= account.rawValue { shares.append(Share()) }
    }

    /// Whether an account has something to do.
    @inline(__always)
    var isBusy: Bool { !busy.isEmpty }

    /// The first deadline of the accounts at rest.
    @inline(__always)
    var firstDeadline: Instant? { order.first }

    /// Whether something is due by now, or to be done.
    @inline(__always)
    func isBehind(at now: Instant) -> Bool {
        if !busy.isEmpty { return true }
        return order.first.map { $0 <= now } ?? false
    }

    /// Whether an account has something that is due by now, or to be done.
    func isBehind(_ account: AccountID, at now: Instant) -> Bool {
        shares[account.rawValue].hasTasks
            || shares[account.rawValue].deadlines.first.map { $0 <= now } ?? false
    }

    // MARK: - Deadlines

    @inline(__always)
    mutating func insert(_ item: Due, due: Instant, of account: AccountID) -> DeadlineHeap<Due>.Handle {
        let former = shares[account.rawValue].deadlines.first
        let handle = shares[account.rawValue].deadlines.insert(item, due: due)
        if former.map({ due < $0 }) ?? true { setPlace(of: account) }
        return handle
    }

    @inline(__always)
    mutating func remove(_ handle: DeadlineHeap<Due>.Handle, of account: AccountID) {
        let former = shares[account.rawValue].deadlines.first
        shares[account.rawValue].deadlines.remove(handle)
        if shares[account.rawValue].deadlines.first != former { setPlace(of: account) }
    }

    func due(_ handle: DeadlineHeap<Due>.Handle, of account: AccountID) -> Instant {
        shares[account.rawValue].deadlines.due(handle)
    }

    /// Removes and returns the account's first item if it is due by `now`.
    mutating func popDue(of account: AccountID, by now: Instant) -> Due? {
        guard let due = shares[account.rawValue].deadlines.popFirst(by: now) else { return nil }
        setPlace(of: account)
        return due
    }

    private mutating func setPlace(of account: AccountID) {
        let first = shares[account.rawValue].isBusy ? nil : shares[account.rawValue].deadlines.first
        switch (shares[account.rawValue].place, first) {
        case (let place?, let first?): order.setDue(first, of: place)
        case (let place?, nil):
            order.remove(place)
            shares[account.rawValue].place = nil
        case (nil, let first?): shares[account.rawValue].place = order.insert(account, due: first)
        case (nil, nil): break
        }
    }

    // MARK: - Tasks

    /// Adds a session that has ended, to be taken apart.
    mutating func takeApart(_ session: Slot<Session>, of account: AccountID) {
        shares[account.rawValue].ended.append(session)
        makeBusy(account)
    }

    /// Adds a lock with waiting requests that can be granted, at the cost of the account of the next one.
    mutating func settle(_ lock: Slot<Lock>, of account: AccountID) {
        shares[account.rawValue].unsettled.append(lock)
        makeBusy(account)
    }

    /// Adds a lock with holders that are to be told that a request waits.
    mutating func recall(_ lock: Slot<Lock>, of account: AccountID) {
        shares[account.rawValue].recalls.append(lock)
        makeBusy(account)
    }

    func firstEnded(of account: AccountID) -> Slot<Session>? { shares[account.rawValue].ended.first }

    mutating func removeFirstEnded(of account: AccountID) { _ = shares[account.rawValue].ended.popFirst() }

    mutating func nextUnsettled(of account: AccountID) -> Slot<Lock>? {
        shares[account.rawValue].unsettled.popFirst()
    }

    mutating func nextRecall(of account: AccountID) -> Slot<Lock>? {
        shares[account.rawValue].recalls.popFirst()
    }

    // MARK: - Turns

    private mutating func makeBusy(_ account: AccountID) {
        guard !shares[account.rawValue].isBusy else { return }
        shares[account.rawValue].isBusy = true
        setPlace(of: account)
        busy.append(account)
    }

    /// The account that has the next turn; nil if nothing is due or to be done. Call `endTurn` afterwards.
    mutating func beginTurn(at now: Instant) -> AccountID? {
        while let account = order.first(by: now) { makeBusy(account) }
        return busy.popFirst()
    }

    mutating func endTurn(of account: AccountID, at now: Instant) {
        if isBehind(account, at: now) {
            busy.append(account)
        } else {
            shares[account.rawValue].isBusy = false
            setPlace(of: account)
        }
    }

    // MARK: - Checks

    var deadlineCount: Int {
        var count = 0
        for account in 0..<shares.count { count += shares[account].deadlines.count }
        return count
    }

    /// Whether the invariants hold.
    var isSound: Bool {
        guard order.isSound else { return false }
        var busyCount = 0
        for account in 0..<shares.count {
            guard shares[account].deadlines.isSound else { return false }
            let first = shares[account].deadlines.first
            if shares[account].isBusy {
                busyCount += 1
                guard shares[account].place == nil else { return false }
            } else if let place = shares[account].place {
                guard !shares[account].hasTasks, order.due(place) == first else { return false }
            } else {
                guard !shares[account].hasTasks, first == nil else { return false }
            }
        }
        return busyCount == busy.count
    }
}

/// A queue in an array, which it compacts from time to time.
struct Queue<Element> {
    private var elements: [Element] = []
    private var head = 0

    var isEmpty: Bool { head == elements.count }

    var count: Int { elements.count - head }

    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        defer {
            head += 1
            if head == elements.count {
                elements.removeAll(keepingCapacity: elements.capacity <= 64)
                head = 0
            } else if head >= 64, 2 * head >= elements.count {
                elements.removeFirst(head)
                head = 0
            }
        }
        return elements[head]
    }
}
