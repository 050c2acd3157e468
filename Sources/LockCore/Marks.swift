import LockVocabulary

/// The locks whose last writer died, the oldest mark first (G11).
struct MarkList {
    var first = Slot<Lock>.none
    var last = Slot<Lock>.none
    var count = 0
}

extension LockTable {
    /// Marks a lock, as the newest, or takes the mark off.
    mutating func setMark(_ marked: Bool, _ lock: Slot<Lock>) {
        if locks[lock].ownerDied { unlinkMark(lock) }
        guard marked else { return }
        locks[lock].ownerDied = true
        locks[lock].previousMarked = marks.last
        if marks.last.isNone { marks.first = lock } else { locks[marks.last].nextMarked = lock }
        marks.last = lock
        marks.count += 1
        if marks.count > max(limits.marks, 0) { forgetOldestMark() }
    }

    private mutating func forgetOldestMark() {
        let oldest = marks.first
        effects.append(.markForgotten(name(of: oldest)))
        let isLast = oldest == marks.last
        unlinkMark(oldest)
        // The newest is about to be settled by whoever marked it.
        if !isLast, locks[oldest].isUnused { removeLock(oldest) }
    }

    private mutating func unlinkMark(_ lock: Slot<Lock>) {
        let next = locks[lock].nextMarked
        let previous = locks[lock].previousMarked
        if previous.isNone { marks.first = next } else { locks[previous].nextMarked = next }
        if next.isNone { marks.last = previous } else { locks[next].previousMarked = previous }
        locks[lock].nextMarked = .none
        locks[lock].previousMarked = .none
        locks[lock].ownerDied = false
        marks.count -= 1
    }
}
