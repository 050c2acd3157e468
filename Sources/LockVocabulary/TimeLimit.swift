/// How long one asks to wait for a lock, or may keep it: a duration, or without end.
public enum TimeLimit: Hashable, Sendable {
    /// Decided at once when zero.
    case upTo(Duration)
    case forever

    /// When it is over, counted from an instant; nil for never.
    public func deadline(from start: Instant) -> Instant? {
        switch self {
        case .upTo(let duration): start.advanced(by: duration)
        case .forever: nil
        }
    }
}
