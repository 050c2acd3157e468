/// How long one asks to wait for a lock, or may keep it: a duration, or without end.
public enum TimeLimit: Hashable, Sendable {
    /// Decided at once when zero.
    case upTo(Duration)
    case forever

    /// A limit from its length; nil is one without end.
    public init(_ duration: Duration?) {
        self = duration.map { .upTo($0) } ?? .forever
    }

    /// What is left from now on of a limit that ends at a deadline; nil is one without end.
    public init(until deadline: Instant?, from now: Instant) {
        self.init(deadline.map { max(.zero, now.duration(to: $0)) })
    }

    /// Its length; nil without end.
    public var duration: Duration? {
        switch self {
        case .upTo(let duration): duration
        case .forever: nil
        }
    }

    /// When it is over, counted from an instant; nil for never.
    public func deadline(from start: Instant) -> Instant? {
        switch self {
        case .upTo(let duration): start.advanced(by: duration)
        case .forever: nil
        }
    }
}
