#if Etcd
    import LockClaims
    import LockVocabulary

    /// One connection to one member, without I/O: bytes and instants in, bytes and events out.
    ///
    /// Calling order: `receive` with all that has come, `takeEvents`, `takeOutput`, and `advance` at `nextDeadline`. After
    /// the event `failed` the connection is dropped, and nothing else of it is used but `watch`.
    ///
    /// Invariants:
    /// 1. Each request that `send` takes has one event, `answer` or `unsent`, or the connection fails.
    /// 2. `unsent` only if the member has certainly not begun to carry out the request.
    /// 3. No request is sent before the member has accepted user and password and is known to be new enough.
    ///
    /// `README.md` in this folder has the states.
    final class EtcdConnection {
        enum Event {
            /// Requests may be sent.
            case ready(version: String)
            case answer(StoreRequestID, StoreAnswer, sentAt: Instant)
            /// To be sent again, to another member.
            case unsent(StoreRequestID, StoreRequest)
            case store(StoreEvent)
            case failed(Failure)
        }

        struct Failure: Equatable {
            let reason: String
            /// User or password are wrong: no other member will say anything else.
            var isCredentials = false
        }

        enum Phase { case handshake, authenticating, checking, ready, failed }

        /// What the watch is to go on from, on this or on the next connection.
        struct Watch: Equatable {
            let prefix: [UInt8]
            /// The first revision that has not been seen whole.
            var next: Revision
        }

        struct Options {
            /// The member's name in each request.
            let authority: String
            var user: String?
            var password: String?
            /// The key that is read to prove a keep-alive. User and password must permit that.
            let proofKey: [UInt8]
        }

        /// How long the member has from the first byte to being ready.
        static let setUp = Duration.seconds(5)
        /// How long it may be silent before a PING, and then before the connection is given up. etcd ends a connection with
        /// more than one PING in 5 seconds.
        static let silence = Duration.seconds(10)
        /// The oldest etcd that is used: 3.3 and older lack fixes to leases and watches.
        static let oldest = (3, 4)

        let options: Options
        let http: HTTP2Session
        let tls: TLSSession?
        private(set) var phase = Phase.handshake
        var calls: [HTTP2Session.StreamID: Call] = [:]
        var keepAliveStream: HTTP2Session.StreamID?
        /// In the order in which they were sent, which is that of the answers.
        var keepAlives: [KeepAlive] = []
        var watchStream: HTTP2Session.StreamID?
        var watch: Watch?
        /// The watch was begun again because the token had ended.
        var watchHasNewToken = false
        var version = ""
        var token: String?
        var isAuthenticating = false
        /// What waits for a new token.
        var waitingForToken: [Sent] = []
        var watchWaitsForToken = false
        /// The newest term that the member was known to be in.
        var term: UInt64 = 0

        private var events: [Event] = []
        private let began: Instant
        private var lastReceived: Instant
        private var pinged: Instant?

        init(_ options: Options, tls: TLSContext?, host: String, at now: Instant) throws(EtcdFault) {
            self.options = options
            http = try HTTP2Session()
            self.tls = if let tls { try TLSSession(tls, host: host) } else { nil }
            (began, lastReceived) = (now, now)
            try goOn(at: now)
        }

        /// The next instant at which `advance` has something to do.
        var nextDeadline: Instant? {
            switch phase {
            case .failed: nil
            case .ready: (pinged ?? lastReceived).advanced(by: Self.silence)
            case .handshake, .authenticating, .checking: began.advanced(by: Self.setUp)
            }
        }

        func advance(to now: Instant) {
            guard let deadline = nextDeadline, now >= deadline else { return }
            if phase != .ready {
                fail("\(options.authority) accepted the connection and did not answer within \(Self.setUp)")
            } else if pinged != nil {
                fail("\(options.authority) has been silent for \(Self.silence * 2)")
            } else if calls.isEmpty {
                // A PING without a call counts as abuse. Whether the connection lives is seen with the next call.
                lastReceived = now
            } else {
                pinged = now
                http.ping()
            }
        }

        func receive(_ bytes: [UInt8], at now: Instant) {
            guard phase != .failed else { return }
            (lastReceived, pinged) = (now, nil)
            do throws(EtcdFault) {
                let plain = if let tls { try tls.receive(bytes) } else { bytes }
                if !plain.isEmpty { try receivePlain(plain, at: now) }
                try goOn(at: now)
            } catch {
                fail("\(options.authority): \(error)")
            }
        }

        /// Takes note that the server has closed the connection, or that the system has, with the reason.
        func receivedEnd(_ reason: String) {
            // Each kind of server closes the connection of a client that speaks the other way.
            let hint =
                switch tls {
                case let tls? where !tls.isEstablished:
                    ", so it does not speak TLS (is it etcd:// and not etcds://?)"
                case nil where phase != .ready: " before it answered (does it want TLS, etcds://?)"
                default: ""
                }
            fail("\(options.authority) \(reason)\(hint)")
        }

        func takeEvents() -> [Event] {
            defer { events = [] }
            return events
        }

        /// All bytes that are to be sent now.
        func takeOutput() -> [UInt8] {
            guard phase != .failed else { return tls?.takeOutput() ?? [] }
            do throws(EtcdFault) {
                let plain = try http.takeOutput()
                // libnghttp2 answers what is no HTTP/2 with a GOAWAY, and then wants no more.
                if http.isOver { fail("\(options.authority): \(endOfHTTP)") }
                guard let tls else { return plain }
                try tls.send(plain)
                return tls.takeOutput()
            } catch {
                fail("\(options.authority): \(error)")
                return []
            }
        }

        func emit(_ event: Event) { events.append(event) }

        /// Ends the connection. What is under way is left without an answer: its sender decides what that means.
        func fail(_ reason: String, isCredentials: Bool = false) {
            guard phase != .failed else { return }
            phase = .failed
            events.append(.failed(Failure(reason: reason, isCredentials: isCredentials)))
        }

        /// Takes the steps from the connection to the first request.
        private func goOn(at now: Instant) throws(EtcdFault) {
            guard phase == .handshake, tls?.isEstablished ?? true else { return }
            phase = .authenticating
            if options.user != nil { try authenticate() } else { try check() }
        }

        /// Asks for the member's version, and whether it knows a leader.
        func check() throws(EtcdFault) {
            phase = .checking
            try open(.status, Call(.status), body: [], staysOpen: false)
        }

        func becomeReady() {
            phase = .ready
            emit(.ready(version: version))
        }

        private var endOfHTTP: String {
            phase == .ready
                ? "what it sends is no HTTP/2"
                : "it does not speak HTTP/2, so it is no etcd, or wants etcds://"
        }

        private func receivePlain(_ bytes: [UInt8], at now: Instant) throws(EtcdFault) {
            do throws(EtcdFault) {
                try http.receive(bytes)
            } catch {
                throw EtcdFault("\(endOfHTTP) (\(error))")
            }
            var farewell: String?
            for event in http.takeEvents() {
                guard phase != .failed else { return }
                switch event {
                case .header(let stream, let name, let value): noteHeader(name, value, of: stream)
                case .data(let stream, let bytes): try noteData(bytes, of: stream, at: now)
                case .closed(let stream, let code): try noteEnd(of: stream, code: code, at: now)
                case .goAway(let code, let words):
                    let reason = words.isEmpty ? "" : ": \(Harmless.show(String(words.prefix(100))))"
                    farewell = "the member ends the connection (\(code))\(reason)"
                }
            }
            // Last, because the streams that the member has not begun are closed in the same round.
            if let farewell { throw EtcdFault(farewell) }
            if http.isOver { throw EtcdFault(endOfHTTP) }
        }
    }
#endif
