#if Etcd
    import Dispatch
    import EtcdClient
    import LockClaims
    import LockVocabulary
    import Posix
    import Testing

    /// A link with all that came by it.
    @MainActor final class LinkUser {
        let inbox = Inbox()
        let link: EtcdLink
        private let source: any DispatchSourceRead
        private var lastID: UInt64 = 0

        @MainActor final class Inbox {
            fileprivate(set) var answers: [StoreRequestID: (answer: StoreAnswer, sentAt: Instant)] = [:]
            var events: [StoreEvent] = []
            private var waiting: [CheckedContinuation<Void, Never>] = []

            fileprivate func changed() {
                let waiting = waiting
                self.waiting = []
                for continuation in waiting { continuation.resume() }
            }

            /// Waits until what is searched for is there.
            func wait<Found>(for find: () -> Found?) async -> Found {
                while true {
                    if let found = find() { return found }
                    await withCheckedContinuation { waiting.append($0) }
                }
            }
        }

        init(_ url: String, _ credentials: EtcdCredentials = EtcdCredentials()) throws {
            let inbox = inbox
            link = try EtcdLink(
                try EtcdURL(url), credentials: credentials, first: 0,
                answer: { id, answer, sentAt in
                    inbox.answers[id] = (answer, sentAt)
                    inbox.changed()
                },
                event: { event in
                    inbox.events.append(event)
                    inbox.changed()
                })
            source = DispatchSource.makeReadSource(fileDescriptor: link.handle, queue: .main)
            source.setEventHandler { [link] in link.serve() }
            source.activate()
        }

        isolated deinit {
            link.close()
            // The handle must stay open until the source has ended.
            source.setCancelHandler { [link] in _ = link }
            source.cancel()
        }

        static var now: Instant { Instant(nanoseconds: BootClock.now()) }

        @discardableResult
        func send(_ request: StoreRequest, within limit: Duration = .seconds(20)) -> StoreRequestID {
            lastID += 1
            let id = StoreRequestID(rawValue: lastID)
            link.send(id, request, deadline: Self.now.advanced(by: limit))
            return id
        }

        func answer(to id: StoreRequestID) async -> StoreAnswer {
            await inbox.wait { inbox.answers[id]?.answer }
        }

        func sendTime(of id: StoreRequestID) -> Instant? { inbox.answers[id]?.sentAt }

        func ask(_ request: StoreRequest, within limit: Duration = .seconds(20)) async -> StoreAnswer {
            let id = send(request, within: limit)
            link.flush()
            return await answer(to: id)
        }

        /// Asks until the answer is certain: the outcome of the others is unknown.
        func askAgain(_ request: StoreRequest, within limit: Duration = .seconds(3)) async -> StoreAnswer {
            while true {
                let answer = await ask(request, within: limit)
                guard case .unknown = answer else { return answer }
            }
        }

        @discardableResult
        func put(_ key: String, _ value: String, lease: LeaseID = 0) async -> StoreAnswer {
            await askAgain(
                .transaction(
                    Transaction(then: [.put(key: Array(key.utf8), value: Array(value.utf8), lease: lease)])))
        }

        func get(_ key: String) async -> StoreAnswer {
            await askAgain(.transaction(Transaction(then: [.get(key: Array(key.utf8))])))
        }

        func watch(_ prefix: String, from revision: Revision) {
            send(.watch(prefix: Array(prefix.utf8), from: revision))
            link.flush()
        }

        /// Waits for an event, and forgets it and all before it.
        func event(_ isWanted: (StoreEvent) -> Bool) async -> StoreEvent {
            await inbox.wait {
                guard let place = inbox.events.firstIndex(where: isWanted) else { return nil }
                defer { inbox.events.removeFirst(place + 1) }
                return inbox.events[place]
            }
        }

        func connected() async { _ = await event { $0 == .connected } }

        func disconnected() async -> String {
            let event = await event { if case .disconnected = $0 { true } else { false } }
            return if case .disconnected(let reason) = event { reason } else { "" }
        }
    }

    extension StoreAnswer {
        var revision: Revision? { if case .transaction(_, _, let revision) = self { revision } else { nil } }
        var isUnknown: Bool { if case .unknown = self { true } else { false } }

        /// The values that were read.
        var values: [String] {
            guard case .transaction(_, let reads, _) = self else { return [] }
            return reads.flatMap { $0 }.map { String(decoding: $0.value, as: UTF8.self) }
        }

        var refusal: StoreRefusal? { if case .refused(let refusal) = self { refusal } else { nil } }
    }
#endif
