#if Etcd
    import Glibc
    import LockClaims
    import LockVocabulary
    import Posix

    /// Attempts, failures, and what comes in.
    extension EtcdLink {
        /// How long an address may take to accept a connection: the kernel's second attempt, after a second, has half a second for
        /// the way. A longer time would cost a host its lease for one member that is cut off.
        private static let acceptance = Duration.milliseconds(1_500)
        /// How many reads are made before others on the main queue have their turn.
        private static let readsInARow = 16

        /// Does what is due.
        func advance(to now: Instant) {
            expire(at: now)
            switch state {
            case .resting(let until) where now >= until: connect()
            case .connecting(_, let by) where now >= by:
                fail("\(member) does not accept a connection within \(Self.acceptance)")
            case .connected(let socket, let connection):
                connection.advance(to: now)
                send(of: connection, on: socket)
                sendPending()
            default: break
            }
        }

        private var member: EtcdURL.Member { url.members[order.current] }

        private func connect() {
            state = .searching
            attempt += 1
            let number = attempt
            NetworkAddress.search(member) { [weak self] found in
                guard let self, self.attempt == number, case .searching = self.state else { return }
                switch found {
                case .success(let addresses): self.connect(to: addresses[...])
                case .failure(let fault): self.fail(fault.description)
                }
                self.deliver()
            }
        }

        /// Connects to the first of the addresses, or to the next one if that fails at once or later.
        private func connect(to addresses: ArraySlice<NetworkAddress>) {
            guard let address = addresses.first else { return fail("\(member): the host has no address") }
            order.others = addresses.dropFirst()
            do throws(SystemError) {
                let socket = try LinkSocket(connectingTo: address, events: events)
                state = .connecting(socket, by: Self.now.advanced(by: Self.acceptance))
            } catch {
                failAddress(error)
            }
        }

        private func failAddress(_ error: SystemError) {
            closeSocket()
            let reason = error.code == ECONNREFUSED ? "nothing listens there (does etcd run?)" : "\(error)"
            guard order.others.isEmpty else { return connect(to: order.others) }
            fail("\(member): \(reason)")
        }

        func socketChanged() {
            if case .connecting(let socket, _) = state {
                do throws(SystemError) {
                    guard try socket.checkConnected() else { return }
                } catch {
                    return failAddress(error)
                }
                begin(on: socket)
            }
            guard case .connected(let socket, let connection) = state else { return }
            for _ in 0..<Self.readsInARow {
                switch socket.receive() {
                case .bytes(let bytes):
                    connection.receive(bytes, at: Self.now)
                    // It had no more.
                    if bytes.count < LinkSocket.chunk { return send(of: connection, on: socket) }
                case .end(let reason): connection.receivedEnd(reason)
                case .nothing:
                    send(of: connection, on: socket)
                    return
                }
                guard connection.phase != .failed else { break }
            }
            send(of: connection, on: socket)
        }

        /// Speaks to a member that has accepted.
        private func begin(on socket: LinkSocket) {
            let options = EtcdConnection.Options(
                authority: member.description, user: credentials.user, password: credentials.password,
                proofKey: [UInt8](url.prefix.utf8))
            do throws(EtcdFault) {
                let context = url.usesTLS ? try TLSContext(credentials) : nil
                let connection = try EtcdConnection(options, tls: context, host: member.host, at: Self.now)
                state = .connected(socket, connection)
            } catch {
                fail("\(member): \(error)")
            }
        }

        /// Sends what the connection has to say, and takes what it has found.
        private func send(of connection: EtcdConnection, on socket: LinkSocket) {
            // Also when there is nothing: the socket sends what it could not send before.
            socket.send(connection.takeOutput())
            takeEvents(of: connection, on: socket)
        }

        func takeEvents(of connection: EtcdConnection, on socket: LinkSocket) {
            for event in connection.takeEvents() {
                switch event {
                case .ready(let version): becomeReady(version)
                case .answer(let id, let answer, let sentAt):
                    // It may have had its answer at its deadline.
                    guard inFlight.removeValue(forKey: id) != nil else { continue }
                    order.noteSuccess()
                    deliverLater(.answer(id, answer, sentAt: sentAt))
                case .unsent(let id, let request):
                    guard let sent = inFlight.removeValue(forKey: id) else { continue }
                    pending.insert(
                        Pending(id: id, request: request, deadline: sent.deadline, isFlushed: true), at: 0)
                case .store(let event):
                    if case .watchLost = event { watch.noteLoss(at: Self.now) } else { watch.noteChanges() }
                    deliverLater(.event(event))
                case .failed(let failure):
                    fail(failure.reason)
                    if failure.isCredentials { refusePending(failure.reason) }
                    return
                }
            }
        }

        private func becomeReady(_ version: String) {
            let known = version.isEmpty ? nil : version
            status = Status(member: member, version: known, since: Self.now, lastError: status.lastError)
            deliverLater(.event(.connected))
            watch.noteConnection()
            sendPending()
        }

        /// Gives up the connection or the attempt, and goes to the next member after a pause.
        private func fail(_ reason: String) {
            if case .connected(_, let connection) = state, connection.phase == .ready || status.member != nil
            {
                watch.noteEnd(connection.watch)
            }
            closeSocket()
            attempt += 1
            let isNews = status.member != nil || status.lastError != reason
            status.lastError = reason
            if status.member != nil { (status.member, status.version, status.since) = (nil, nil, Self.now) }
            for (id, sent) in inFlight.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                deliverLater(.answer(id, .unknown(reason), sentAt: sent.sentAt))
            }
            inFlight = [:]
            if isNews { deliverLater(.event(.disconnected(reason))) }
            state = .resting(until: Self.now.advanced(by: order.noteFailure()))
        }

        /// Answers what no member will do with these credentials.
        private func refusePending(_ reason: String) {
            let now = Self.now
            for request in pending {
                deliverLater(.answer(request.id, .refused(.notPermitted(reason)), sentAt: now))
            }
            pending = []
        }

        func closeSocket() {
            switch state {
            case .connecting(let socket, _), .connected(let socket, _): socket.close()
            case .resting, .searching, .closed: break
            }
        }

        /// Answers what has come to its deadline. A member that does not answer in time is given up.
        private func expire(at now: Instant) {
            for request in pending where now >= request.deadline {
                let reason = status.lastError ?? "no member has answered yet"
                deliverLater(.answer(request.id, .unknown("not sent: \(reason)"), sentAt: now))
            }
            pending.removeAll { now >= $0.deadline }
            let late = inFlight.filter { now >= $0.value.deadline }.sorted {
                $0.key.rawValue < $1.key.rawValue
            }
            guard !late.isEmpty else { return }
            let reason = "\(member) did not answer a request in time"
            for (id, sent) in late {
                inFlight[id] = nil
                deliverLater(.answer(id, .unknown(reason), sentAt: sent.sentAt))
            }
            fail(reason)
        }
    }
#endif
