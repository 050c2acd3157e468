/// By what `LIST` chooses and orders locks for which requests wait; the raw value is the protocol's word.
public enum WaitRank: String, CaseIterable, Sendable {
    /// The number of requests that wait.
    case waiters
    /// The longest time that a request has waited until now.
    case waited
}

/// By what `HOT` orders locks; the raw value is the protocol's word.
public enum HotRank: String, CaseIterable, Sendable {
    /// The time that requests waited, in all.
    case waited
    /// The number of requests that waited.
    case waits
    /// The number of grants.
    case grants
    /// The time that the lock was held, in all.
    case held
    /// The longest wait.
    case longest
}
