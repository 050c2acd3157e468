/// The length of a timeout or of a lease: a duration, or without end.
public enum TimeLimit: Hashable, Sendable {
    /// A timeout of zero is decided at once.
    case upTo(Duration)
    /// Without end.
    case forever

    /// A limit from its length; nil is without end.
    public init(_ duration: Duration?) {
        self = duration.map { .upTo($0) } ?? .forever
    }

    /// What is left now of a limit with this deadline; nil is without end.
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

    /// The deadline of a limit that starts at an instant; nil for never.
    public func deadline(from start: Instant) -> Instant? {
        switch self {
        case .upTo(let duration): start.advanced(by: duration)
        case .forever: nil
        }
    }
}
