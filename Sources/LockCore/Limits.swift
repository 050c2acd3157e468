/// How much there may be of everything (G12). What goes over is refused and changes nothing.
public struct Limits: Sendable, Equatable {
    /// Sessions at once.
    public var sessions = 65_536
    /// Grants of one session, with the requests that wait to become one.
    public var sessionGrants = 10_000
    /// Waiting requests of one session.
    public var sessionWaiters = 1_000
    /// Locks that somebody holds, waits for, or that are marked (G11).
    public var locks = 4_000_000
    /// Grants of all sessions, with the requests that wait to become one.
    public var grants = 4_000_000
    /// Waiting requests of all sessions.
    public var waiters = 1_000_000
    /// Locks whose last writer died; of more, the oldest mark goes.
    public var marks = 10_000
    /// Steps of one search for a circle (G8): a grant or a waiting request looked at is a step.
    public var searchSteps = 65_536

    public init() {}
}

/// A limit that a request ran into.
public enum ExceededLimit: Sendable, Equatable {
    case grants
    case waiters
    case locks
    /// The search for a circle was given up.
    case waits
}
