import LockVocabulary

/// The marks of locks with a dead writer (G11).
extension LockTable {
    /// Marks a lock as the newest, or removes its mark.
    mutating func setMark(_ mark: Mark?, _ lock: Slot<Lock>) {
        if locks[lock].ownerDied { removeMark(lock) }
        guard let mark else { return }
        locks[lock].mark = mark
        if locks[lock].isShared { noteShared(lock) }
        markNumbers[lock] = nextMark
        nextMark += 1
        noteFact(.mark, lock.raw)
        marks.append(lock, in: &locks)
        if marks.count > max(limits.marks, 0) { forgetOldestMark() }
    }

    private mutating func forgetOldestMark() {
        guard let oldest = marks.first else { return }
        effects.append(.markForgotten(name(of: oldest)))
        let isNewest = oldest == marks.last
        removeMark(oldest)
        // The caller has just marked the newest lock, and reconciles it afterwards.
        if !isNewest, locks[oldest].isUnused { removeLock(oldest) }
    }

    private mutating func removeMark(_ lock: Slot<Lock>) {
        marks.remove(lock, in: &locks)
        locks[lock].mark = nil
        if locks[lock].isShared { noteShared(lock) }
        markNumbers[lock] = nil
        noteFact(.mark, lock.raw)
    }
}
