import LockServer

/// What makes the reactor return to the daemon.
extension Reactor {
    /// The numbers of sessions and locks.
    struct Counts: Equatable {
        var sessions: Int
        var locks: Int
    }

    /// The changes that make `serve` return. The reactor checks for them itself, because that costs each batch less.
    struct News {
        /// Fewer tokens left than this.
        var tokens: UInt64 = 0
        /// Other counts than these; nil for none.
        var counts: Counts?
        /// Whether the end of every batch is news.
        var isEveryBatch = false
    }

    var counts: Counts { Counts(sessions: server.sessionCount, locks: server.lockCount) }
}
