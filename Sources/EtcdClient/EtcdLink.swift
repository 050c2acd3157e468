#if Etcd
    public import LockClaims
    public import LockVocabulary
    import Posix

    /// The way to a cluster: one connection to one of its members at a time, and the next member when that one fails.
    ///
    /// All of it happens on the main thread, when the owner calls: `serve` whenever `handle` is readable. `send` only
    /// collects; bytes of requests leave with `flush`, so that its owner can make sure first that it would know them again.
    ///
    /// Invariants:
    /// 1. Each request but `watch` has exactly one answer, at its deadline at the latest, unless the link is closed.
    /// 2. A request is on at most one connection, and on a second one only if the first member has certainly not begun with
    /// it.
    /// 3. `sentAt` of an answer is an instant before the first byte of the request left.
    @MainActor public final class EtcdLink {
        /// How the link is.
        public struct Status: Sendable, Equatable {
            /// The member that serves, with its version; nil for none.
            public var member: EtcdURL.Member?
            public var version: String?
            /// Since when that is so.
            public var since: Instant
            /// What went wrong last, with its cause.
            public var lastError: String?
        }

        enum State {
            /// A pause before the next attempt.
            case resting(until: Instant)
            /// The member's name is being looked up.
            case searching
            case connecting(LinkSocket, by: Instant)
            case connected(LinkSocket, EtcdConnection)
            case closed
        }

        struct Pending {
            let id: StoreRequestID
            let request: StoreRequest
            let deadline: Instant
            var isFlushed = false
        }

        struct InFlight {
            let sentAt: Instant
            let deadline: Instant
        }

        enum Delivery {
            case answer(StoreRequestID, StoreAnswer, sentAt: Instant)
            case event(StoreEvent)
        }

        public internal(set) var status: Status

        let url: EtcdURL
        let credentials: EtcdCredentials
        private let answer: @MainActor (StoreRequestID, StoreAnswer, _ sentAt: Instant) -> Void
        private let event: @MainActor (StoreEvent) -> Void

        var state: State
        /// In the order in which they were asked.
        var pending: [Pending] = []
        var inFlight: [StoreRequestID: InFlight] = [:]
        var watch = WantedWatch()
        var order: MemberOrder
        /// Counts attempts, so that an answer for a former one is known.
        var attempt = 0
        private var deliveries: [Delivery] = []
        private var isDelivering = false
        let events: LinkEvents
        private let timer: LinkTimer

        /// Begins to connect. Throws if a file of the credentials cannot be used.
        ///
        /// - Parameter first: the place in the URL of the member that is tried first; any of them if nil.
        public init(
            _ url: EtcdURL, credentials: EtcdCredentials, first: Int? = nil,
            answer: @escaping @MainActor (StoreRequestID, StoreAnswer, _ sentAt: Instant) -> Void,
            event: @escaping @MainActor (StoreEvent) -> Void
        ) throws(EtcdFault) {
            self.url = url
            self.credentials = credentials
            self.answer = answer
            self.event = event
            let now = Self.now
            state = .resting(until: now)
            status = Status(since: now)
            order = MemberOrder(count: url.members.count, first: first)
            try Self.check(url, credentials)
            do throws(SystemError) {
                events = try LinkEvents()
                timer = try LinkTimer(events)
            } catch {
                throw EtcdFault("\(error)")
            }
            timer.cover(now)
        }

        /// Throws if the credentials cannot be used for this cluster, as far as it can be known without it.
        public static func check(_ url: EtcdURL, _ credentials: EtcdCredentials) throws(EtcdFault) {
            guard (credentials.user == nil) == (credentials.password == nil) else {
                throw EtcdFault("a user and a password need each other")
            }
            if url.usesTLS {
                _ = try TLSContext(credentials)
                return
            }
            let files = [credentials.authorities, credentials.certificate, credentials.key]
            guard files.allSatisfy({ $0 == nil }) else {
                throw EtcdFault("certificates are only used with TLS, etcds://")
            }
        }

        /// A descriptor that is readable while there is something for `serve` to do.
        public var handle: Int32 { events.handle }

        /// Does what there is to do.
        public func serve() {
            let found = events.take()
            if found.contains(.timer) { timer.acknowledge() }
            if case .closed = state { return }
            if found.contains(.timer) { advance(to: Self.now) }
            if found.contains(.socket) { socketChanged() }
            deliver()
        }

        /// The clock of all instants here.
        static var now: Instant { Instant(nanoseconds: BootClock.now()) }

        /// Takes a request, which leaves with the next `flush`. A `watch` has no deadline and no answer.
        public func send(_ id: StoreRequestID, _ request: StoreRequest, deadline: Instant) {
            if case .watch(let prefix, let revision) = request {
                watch.want(EtcdConnection.Watch(prefix: prefix, next: revision))
            } else {
                pending.append(Pending(id: id, request: request, deadline: deadline))
                timer.cover(deadline)
            }
        }

        /// Lets all that was asked leave, now or as soon as a member serves.
        public func flush() {
            for index in pending.indices.reversed() {
                if pending[index].isFlushed { break }
                pending[index].isFlushed = true
            }
            watch.isFlushed = true
            sendPending()
            deliver()
        }

        /// Ends the connection. Requests under way get no answer.
        public func close() {
            closeSocket()
            state = .closed
            pending = []
            inFlight = [:]
            deliveries = []
        }

        func deliverLater(_ delivery: Delivery) { deliveries.append(delivery) }

        /// Calls the owner. Only here, when the state of the link is whole: the owner may ask for more at once.
        func deliver() {
            guard !isDelivering else { return }
            isDelivering = true
            while !deliveries.isEmpty {
                let batch = deliveries
                deliveries = []
                for delivery in batch {
                    if case .closed = state { break }
                    switch delivery {
                    case .answer(let id, let answer, let sentAt): self.answer(id, answer, sentAt)
                    case .event(let event): self.event(event)
                    }
                }
            }
            isDelivering = false
            setTimer()
        }

        /// Sends what may leave, if a member serves.
        func sendPending() {
            guard case .connected(let socket, let connection) = state, connection.phase == .ready else {
                return
            }
            let now = Self.now
            if let watch = watch.takeForConnection(at: now) { connection.begin(watch) }
            let count = pending.firstIndex { !$0.isFlushed } ?? pending.count
            for request in pending[..<count] {
                inFlight[request.id] = InFlight(sentAt: now, deadline: request.deadline)
                connection.send(request.id, request.request, at: now)
            }
            pending.removeFirst(count)
            let output = connection.takeOutput()
            if !output.isEmpty { socket.send(output) }
            takeEvents(of: connection, on: socket)
        }

        private func setTimer() {
            switch state {
            case .resting(let until), .connecting(_, let until): timer.cover(until)
            case .connected(_, let connection): timer.cover(connection.nextDeadline)
            case .searching, .closed: break
            }
            timer.cover(watch.pausedUntil)
            // The timer may have fired early, and forgotten these.
            let deadlines = pending.map(\.deadline) + inFlight.values.map(\.deadline)
            timer.cover(deadlines.min())
        }
    }
#endif
