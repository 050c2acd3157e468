import LockVocabulary

/// The marks of writers that died (G11).
extension LockTable {
    /// Marks a lock, as the newest, or takes the mark off.
    mutating func setMark(_ marked: Bool, _ lock: Slot<Lock>) {
        if locks[lock].ownerDied { removeMark(lock) }
        guard marked else { return }
        locks[lock].ownerDied = true
        marks.append(lock, in: &locks)
        if marks.count > max(limits.marks, 0) { forgetOldestMark() }
    }

    private mutating func forgetOldestMark() {
        guard let oldest = marks.first else { return }
        effects.append(.markForgotten(name(of: oldest)))
        let isNewest = oldest == marks.last
        removeMark(oldest)
        // The newest is about to be settled by whoever marked it.
        if !isNewest, locks[oldest].isUnused { removeLock(oldest) }
    }

    private mutating func removeMark(_ lock: Slot<Lock>) {
        marks.remove(lock, in: &locks)
        locks[lock].ownerDied = false
    }
}
