/// The mark that a lock keeps after a writer died or lost it (G11). A lock without a mark has none of these.
public enum Mark: UInt8, Sendable, Hashable {
    /// A writer died, or lost the lock.
    case yes = 1
    /// A host died that had the name for itself, and only that host knew whether one of its sessions held the lock.
    case maybe = 2
}
