/// What can happen to a grant or a request on a lock; the raw value is the protocol's word.
public enum ChangeKind: String, CaseIterable, Sendable {
    // To a grant
    case granted, released, downgraded, upgraded, expired, revoked, died
    // To a request
    case waiting, timeout, cancelled, refused
}
