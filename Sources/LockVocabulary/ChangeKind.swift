/// What can happen to a grant or a request on a lock; the raw value is the protocol's word.
public enum ChangeKind: String, CaseIterable, Sendable {
    // To a grant

    /// A request got the lock.
    case granted
    /// The holder released the lock.
    case released
    /// The grant changed to a weaker mode.
    case downgraded
    /// The grant became the writer's; a `granted` with its new token follows.
    case upgraded
    /// The lease of the grant ended.
    case expired
    /// An administrator revoked the grant.
    case revoked
    /// The session of the holder ended, and with it the grant.
    case died

    // To a request

    /// The request began to wait.
    case waiting
    /// The request was not granted in its time.
    case timeout
    /// The request was withdrawn, its session ended, or the grant that it was to upgrade ended.
    case cancelled
    /// The request could be granted, but the daemon had no token for it.
    case refused
}
