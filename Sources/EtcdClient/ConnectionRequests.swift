#if Etcd
    import LockClaims
    import LockVocabulary

    extension EtcdConnection {
        /// Sends a request; only when the connection is ready. `now` is a time before its bytes leave.
        func send(_ id: StoreRequestID, _ request: StoreRequest, at now: Instant) {
            precondition(phase == .ready || phase == .failed, "a request before the connection is ready")
            guard phase == .ready else { return }
            send(Sent(id: id, request: request, sentAt: now))
        }

        /// Begins to watch, or goes on. One watch at a time: the former one ends.
        func begin(_ watch: Watch) {
            if let watchStream {
                calls[watchStream] = nil
                http.cancel(watchStream)
            }
            watchStream = nil
            self.watch = watch
            guard phase == .ready else { return }
            guard !isAuthenticating else {
                watchWaitsForToken = true
                return
            }
            let body = RequestMessage.watch(prefix: watch.prefix, from: watch.next)
            // It stays open: its end would end the watch.
            trying { () throws(EtcdFault) in
                self.watchStream = try self.open(.watch, Call(.watch), body: body, staysOpen: true)
            }
        }

        func send(_ sent: Sent) {
            if isAuthenticating {
                waitingForToken.append(sent)
                return
            }
            trying { () throws(EtcdFault) in
                let call = Call(.request(sent))
                switch sent.request {
                case .grantLease(let seconds):
                    let body = RequestMessage.grantLease(seconds: seconds)
                    try self.open(.grantLease, call, body: body, staysOpen: false)
                case .revokeLease(let lease):
                    try self.open(.revokeLease, call, body: RequestMessage.lease(lease), staysOpen: false)
                case .transaction(let transaction):
                    let body = RequestMessage.transaction(transaction)
                    try self.open(.transaction, call, body: body, staysOpen: false)
                case .keepAlive(let lease):
                    try self.keepAlive(
                        KeepAlive(id: sent.id, lease: lease, sentAt: sent.sentAt, term: self.term))
                case .watch(let prefix, let revision):
                    self.watchHasNewToken = false
                    self.begin(Watch(prefix: prefix, next: revision))
                }
            }
        }

        func keepAlive(_ keepAlive: KeepAlive) throws(EtcdFault) {
            keepAlives.append(keepAlive)
            let message = RequestMessage.lease(keepAlive.lease)
            if let keepAliveStream {
                http.write(MessageStream.frame(message), to: keepAliveStream)
            } else {
                keepAliveStream = try open(.keepAlive, Call(.keepAlives), body: message, staysOpen: true)
            }
        }

        /// Reads a key after a keep-alive was answered. The read asks a majority who leads.
        func prove(_ keepAlive: KeepAlive) throws(EtcdFault) {
            let read = RequestMessage.transaction(Transaction(then: [.get(key: options.proofKey)]))
            try open(.transaction, Call(.proof(keepAlive)), body: read, staysOpen: false)
        }

        func authenticate() throws(EtcdFault) {
            isAuthenticating = true
            token = nil
            let body = RequestMessage.authenticate(user: options.user ?? "", password: options.password ?? "")
            try open(.authenticate, Call(.authenticate), body: body, staysOpen: false)
        }

        /// Sends what waited for a token.
        func resumeWithToken() {
            isAuthenticating = false
            let waiting = waitingForToken
            waitingForToken = []
            for sent in waiting { send(sent) }
            guard watchWaitsForToken, let watch else { return }
            watchWaitsForToken = false
            begin(watch)
        }

        @discardableResult
        func open(
            _ method: Method, _ call: Call, body: [UInt8], staysOpen: Bool
        ) throws(EtcdFault) -> HTTP2Session.StreamID {
            var headers = [
                (name: ":method", value: "POST"), (name: ":scheme", value: tls == nil ? "http" : "https"),
                (name: ":path", value: method.rawValue), (name: ":authority", value: options.authority),
                (name: "content-type", value: "application/grpc"), (name: "te", value: "trailers"),
            ]
            if let token { headers.append((name: "token", value: token)) }
            if method.needsLeader { headers.append((name: "hasleader", value: "true")) }
            let stream = try http.open(
                headers: headers, body: MessageStream.frame(body), staysOpen: staysOpen)
            calls[stream] = call
            return stream
        }

        private func trying(_ body: () throws(EtcdFault) -> Void) {
            do throws(EtcdFault) { try body() } catch { fail("\(options.authority): \(error)") }
        }
    }

    extension Method {
        /// Whether the member is to refuse it at once while it knows no leader. A keep-alive survives an election
        /// otherwise.
        fileprivate var needsLeader: Bool {
            switch self {
            case .transaction, .grantLease, .revokeLease, .watch: true
            case .authenticate, .status, .keepAlive: false
            }
        }
    }
#endif
