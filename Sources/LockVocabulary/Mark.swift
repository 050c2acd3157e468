/// The mark of a lock: its last writer died, or may have died, while it held the lock (G11).
public enum Mark: UInt8, Sendable, CaseIterable {
    /// The writer held the lock when it died.
    case yes = 1
    /// The host that could have a writer died, so no other host knows whether a session held the lock.
    case maybe
}
