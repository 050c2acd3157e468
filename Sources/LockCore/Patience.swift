import LockVocabulary

// The patience of readers. Writers go first (G2), so a stream of writers could keep a reader out for ever. With patience, a
// reader that has waited for so long *is impatient*: it has a place among the writers, and goes before those that came after
// it. README.md states the rule and what follows from it for circles and wake-ups.

extension Waiter {
    /// Whether this waiting reader goes before a writer.
    func goesBefore(_ writer: Waiter) -> Bool { isImpatient && place < writer.place }

    /// The order of the requests in one row. Reads that share a place are in the order of arrival.
    struct Order: Comparable, Sendable {
        let place: UInt64
        let number: UInt64

        static func < (left: Order, right: Order) -> Bool {
            (left.place, left.number) < (right.place, right.number)
        }
    }

    var order: Order { Order(place: place, number: number) }
}

/// When a reader loses patience.
extension LockTable {
    /// Whether a reader is impatient, or would be if the work that is due were done.
    func isImpatient(_ reader: Waiter) -> Bool {
        guard reader.isPatient, let patience else { return reader.isImpatient }
        return reader.since.advanced(by: patience) <= clock
    }

    /// Whether the loss of patience of a reader is due, and not carried out yet.
    func isPatientTooLong(_ reader: Slot<Waiter>) -> Bool {
        waiters[reader].isPatient && isImpatient(waiters[reader]) && !isOver(reader)
    }

    /// The first waiting reader of a lock, if its loss of patience is due.
    func overdueReader(of lock: Slot<Lock>) -> Slot<Waiter>? {
        guard patience != nil, let reader = locks[lock].readers.first, isPatientTooLong(reader)
        else { return nil }
        return reader
    }

    /// The waiting readers of a lock for which the loss of patience is due, in the order of arrival: one more than lose it in a
    /// turn, if there are so many.
    func readersPatientTooLong(of lock: Slot<Lock>) -> [Slot<Waiter>] {
        var some: [Slot<Waiter>] = []
        var readers = locks[lock].readers.walk()
        while some.count <= stepsInTurn, let reader = readers.next(in: waiters) {
            if isPatientTooLong(reader) { some.append(reader) }
        }
        return some
    }

    /// When the first patient reader of all loses patience.
    @inline(__always)
    var firstImpatience: Instant? {
        guard let patience, let reader = patientReaders.first else { return nil }
        return waiters[reader].since.advanced(by: patience)
    }

    /// Whether the loss of patience of a reader is due.
    @inline(__always)
    public var hasLateReaders: Bool { firstImpatience.map { $0 <= clock } ?? false }

    // MARK: - Turns

    /// Lets readers that have waited for so long lose patience, in the order of arrival, and serves their locks. Returns the
    /// steps taken.
    mutating func takeTurnOfReaders(atMost steps: Int) -> Int {
        guard hasLateReaders, let first = patientReaders.first else { return 0 }
        let account = account(of: waiters[first].owner)
        stepsLeft = steps
        stepsCharged = 0
        var touched: [Slot<Lock>] = []
        while stepsLeft > 0, hasLateReaders, let reader = patientReaders.first {
            touched.append(waiters[reader].lock)
            losePatience(reader)
        }
        reconcile(touched)
        let taken = max(1, steps - stepsLeft)
        if !completesAtOnce { charges[account, default: 0] += taken - stepsCharged }
        return taken
    }

    /// Lets a reader lose patience on a lock that the caller serves. Those that came before it go first, as far as steps are
    /// left.
    mutating func losePatience(through reader: Slot<Waiter>) {
        let lock = waiters[reader].lock
        while stepsLeft > 0, waiters[reader].isPatient, let first = patientReaders.first, first != reader {
            let other = waiters[first].lock
            let account = account(of: waiters[first].owner)
            losePatience(first)
            guard other != lock, !locks[other].isUnsettled else { continue }
            locks[other].isUnsettled = true
            agenda.settle(other, of: account)
        }
        if waiters[reader].isPatient { losePatience(reader) }
    }

    // MARK: - One reader

    /// Begins the patience of a reader that begins to wait.
    mutating func beginPatience(_ reader: Slot<Waiter>) {
        let record = waiters[reader]
        if let elder = impatientRead(of: record.owner, on: record.lock, besides: reader) {
            sharePlace(of: elder, with: reader)
        } else if patience == .zero {
            waiters[reader].isImpatient = true
        } else {
            waiters[reader].isPatient = true
            patientReaders.append(reader, in: &waiters)
        }
    }

    @inline(__always)
    mutating func endPatience(_ reader: Slot<Waiter>) {
        guard waiters[reader].isPatient else { return }
        waiters[reader].isPatient = false
        noteFact(.waiter, reader.raw)
        patientReaders.remove(reader, in: &waiters)
    }

    /// Gives a waiting reader its place among the writers, or refuses it if that would close a circle of owners (G8). The
    /// caller reconciles the lock.
    ///
    /// The other waiting reads of its owner for this lock share the place. Otherwise one of them could wait for a writer that
    /// waits for the first one.
    private mutating func losePatience(_ reader: Slot<Waiter>) {
        endPatience(reader)
        stepsLeft -= 1
        // Later it would be ahead of readers that are impatient.
        guard !isOver(reader) else {
            drop(reader)
            return
        }
        let account = account(of: waiters[reader].owner)
        let before = stepsLeft
        waiters[reader].isImpatient = true
        let (finding, steps) = searchCircle(around: reader)
        // Measured: four to eight steps of a search cost about as much as a step of work.
        stepsLeft -= steps / 4
        switch finding {
        case .none: shareWithSiblings(of: reader)
        case .circle(let circle): refuse(reader, .deadlock(circle), as: .refused)
        case .tooFar: refuse(reader, .limit(.waits), as: .refused)
        }
        // The turn, or the command, may be of another account.
        let cost = before - stepsLeft
        guard !completesAtOnce, cost > 0 else { return }
        charges[account, default: 0] += cost
        stepsCharged += cost
    }

    /// Whether a new request of an owner would share the place of an impatient read.
    mutating func joinsImpatient(_ mode: LockMode, _ owner: Slot<Owner>, _ lock: Slot<Lock>) -> Bool {
        guard patience != nil, mode == .read else { return false }
        return impatientRead(of: owner, on: lock) != nil
    }

    /// The newest impatient read of an owner that waits for a lock.
    mutating func impatientRead(
        of owner: Slot<Owner>, on lock: Slot<Lock>, besides other: Slot<Waiter>? = nil
    ) -> Slot<Waiter>? {
        guard let stake = waits[Self.key(owner, lock)], stake.count > (other == nil ? 0 : 1)
        else { return nil }
        noteSearched(Int(owners[owner].waiters.count))
        return owners[owner].waiters.first(in: waiters) { waiter in
            waiter != other && waiters[waiter].lock == lock && waiters[waiter].isImpatient
        }
    }

    private mutating func shareWithSiblings(of reader: Slot<Waiter>) {
        let record = waiters[reader]
        guard waits[Self.key(record.owner, record.lock)]?.only == nil else { return }
        // From the newest to the oldest, each directly behind the reader: so the oldest comes to be the first.
        var walk = owners[record.owner].waiters.walk()
        while let other = walk.next(in: waiters) {
            let isShared = waiters[other].lock == record.lock && waiters[other].mode == .read
            if isShared, !waiters[other].isImpatient {
                sharePlace(of: reader, with: other)
                stepsLeft -= 1
            }
        }
        stepsLeft -= Int(owners[record.owner].waiters.count) / 8
    }

    private mutating func sharePlace(of elder: Slot<Waiter>, with reader: Slot<Waiter>) {
        endPatience(reader)
        waiters[reader].isImpatient = true
        waiters[reader].place = waiters[elder].place
        noteFact(.waiter, reader.raw)
        locks[waiters[reader].lock].moveReader(reader, behind: elder, in: &waiters)
    }

    // MARK: - Service

    /// Whether the first waiting reader of a lock is granted before the writers that wait for the lock.
    mutating func readerGoesFirst(on lock: Slot<Lock>) -> Bool {
        guard let reader = locks[lock].readers.first, waiters[reader].isImpatient else { return false }
        return firstWriter(on: lock).map { waiters[reader].goesBefore(waiters[$0]) } ?? true
    }

    /// The first writer among the contenders.
    ///
    /// Updaters may be ahead of it. `firstWriters` has the position of the walk along them, so that each is passed once.
    private mutating func firstWriter(on lock: Slot<Lock>) -> Slot<Waiter>? {
        guard locks[lock].waitingWriters > 0 else { return nil }
        var contender = firstWriters[lock] ?? locks[lock].contenders.first
        var passed = 0
        while let updater = contender, waiters[updater].mode != .write {
            contender = waiters[updater].rowLinks.next
            passed += 1
        }
        stepsLeft -= passed / 8
        if contender != locks[lock].contenders.first { firstWriters[lock] = contender }
        return contender
    }

    /// Takes note that a contender leaves its row.
    @inline(__always)
    mutating func forgetFirstWriter(_ contender: Slot<Waiter>) {
        guard !firstWriters.isEmpty, firstWriters[waiters[contender].lock] == contender else { return }
        firstWriters[waiters[contender].lock] = waiters[contender].rowLinks.next
    }
}
