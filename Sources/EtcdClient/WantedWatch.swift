#if Etcd
    import LockVocabulary

    /// The watch that is wanted, over all connections.
    struct WantedWatch {
        private static let longestPause = Duration.seconds(2)

        /// Not yet on the connection; nil if it is, or if none is wanted.
        private var waiting: EtcdConnection.Watch?
        private var current: EtcdConnection.Watch?
        var isFlushed = false
        /// When it may begin, after it was lost: one that is lost each time would otherwise be asked for without a pause.
        private(set) var pausedUntil: Instant?
        private var losses = 0

        mutating func want(_ watch: EtcdConnection.Watch) {
            (waiting, current) = (watch, watch)
            isFlushed = false
        }

        /// The watch that the connection is to begin now.
        mutating func takeForConnection(at now: Instant) -> EtcdConnection.Watch? {
            guard isFlushed, let watch = waiting, pausedUntil.map({ now >= $0 }) ?? true else { return nil }
            (waiting, pausedUntil) = (nil, nil)
            return watch
        }

        /// A new connection goes on with it.
        mutating func noteConnection() { waiting = current }

        /// A connection has ended: its watch goes on after what it has seen. One that had not begun there stays as it is.
        mutating func noteEnd(_ watch: EtcdConnection.Watch?) {
            if waiting == nil, current != nil, let watch { current = watch }
        }

        mutating func noteLoss(at now: Instant) {
            current = nil
            losses += 1
            // The first loss costs no pause: a compaction is no fault.
            guard losses > 1 else { return }
            let pause = Duration.milliseconds(50) * (1 << min(losses - 2, 8))
            pausedUntil = now.advanced(by: min(pause, Self.longestPause))
        }

        mutating func noteChanges() { losses = 0 }
    }
#endif
