#if Etcd
    /// Which member is tried next, and after which pause.
    ///
    /// The first one is any of them. So the hosts of a fleet do not all use one member, and of several processes that go on from each
    /// other some begin with a member that answers, even if each of them lives too short to try a second one.
    struct MemberOrder {
        private static let shortest = Duration.milliseconds(50)
        private static let longest = Duration.seconds(2)

        private let count: Int
        /// The place of the member in the URL.
        private(set) var current = 0
        /// Further addresses of that member.
        var others: ArraySlice<NetworkAddress> = []
        /// The pause after the next failure.
        private var pause = shortest

        init(count: Int, first: Int? = nil) {
            self.count = count
            current = first ?? Int.random(in: 0..<count)
        }

        /// Goes to the next member. Returns a pause, which is random so that not all hosts of a fleet come at once.
        mutating func noteFailure() -> Duration {
            current = (current + 1) % count
            others = []
            defer { pause = min(pause * 2, Self.longest) }
            return pause * Double.random(in: 0.5...1)
        }

        /// Takes note of an answer. A connection alone proves nothing: a member without a leader accepts it.
        mutating func noteSuccess() { pause = Self.shortest }
    }
#endif
