import LockVocabulary

/// What is known of whether the watch still shows what happens.
struct WatchCare {
    /// When to look next; nil while all keys are listed.
    var lookAt: Instant?
    /// A change of this host that the watch must show, and since when it has not.
    var awaited: (revision: Revision, since: Instant)?
}

/// A watch that hangs looks like a store in which nothing happens. No claim is unsafe by that, since each swap compares. But
/// this host would not learn that another one waits for it, or has let it have a claim.
///
/// So once between two keep-alives, a host with a silent watch reads the store's revision. If it is ahead of the watch, other
/// programs may have changed keys of their own: the host puts its key again, and the watch must show that. Otherwise all keys
/// are listed, and there is a new watch. All this takes no longer than a lease.
extension Claims {
    /// The time between two looks, and the one that a change may take to be shown.
    private var carePeriod: Duration { .milliseconds(leaseSeconds * 333) }

    private var isWatching: Bool { session != nil && listing == nil && listAt == nil }

    /// This host has changed something at this revision.
    mutating func noteOwnChange(_ revision: Revision) {
        guard revision > watchedTo, care.awaited == nil else { return }
        care.awaited = (revision, now)
    }

    /// The watch has shown something, or has begun.
    mutating func noteWatched() {
        care.lookAt = now.advanced(by: carePeriod)
        if let awaited = care.awaited, awaited.revision <= watchedTo { care.awaited = nil }
    }

    mutating func lookAtWatch() {
        guard isWatching else { return }
        if let awaited = care.awaited, now >= awaited.since.advanced(by: carePeriod) {
            lastTrouble = "the watch has not shown a change"
            care = WatchCare()
            return beginListing()
        }
        guard let at = care.lookAt, now >= at else { return }
        care.lookAt = now.advanced(by: carePeriod)
        if newestRevision <= watchedTo {
            outbox.append(.check)
        } else if care.awaited == nil {
            raiseGate()
        }
    }

    var nextWatchDeadline: Instant? {
        guard isWatching else { return nil }
        return Instant.earliest(care.lookAt, care.awaited?.since.advanced(by: carePeriod))
    }
}
