import LockVocabulary
import LockWire
import Posix
import TestSupport
import Testing

@testable import PRWLock

/// Watches, with a real daemon and with a scripted one.
@Suite(.timeLimit(.minutes(10))) struct WatchTests {
    @Test("a watch stands when the call returns: it reports the next change") func standsAtOnce() async throws
    {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        for round in 0..<200 {
            var events = try await client.watch(prefix: "jo").makeAsyncIterator()
            let token = try await client.lock("jobs").withWriteLock { $0.token }
            for kind in [ChangeKind.granted, .released] {
                let change = try #require(try await events.next()?.change, "\(round)")
                #expect(change.change == kind && change.token == token)
            }
        }
    }

    @Test("only names with the prefix are reported") func prefix() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        var events = try await client.watch(prefix: "a b").makeAsyncIterator()
        try await client.lock("a c").withReadLock {}
        try await client.lock("a b/1").withReadLock {}
        let change = try #require(try await events.next()?.change)
        #expect(change.name.decoded == "a b/1")
    }

    @Test("a refused watch throws from the call") func refused() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WATCH jo", reply: "#2 ERROR limit-watchers there are too many")
            try session.expectEnd()
        }
        do {
            _ = try await Client(socketPath: daemon.path).watch(prefix: "jo")
            Issue.record("it was refused")
        } catch LockError.refused(let code, _) {
            #expect(code == .limitWatchers)
        }
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a watch that a leaving daemon did not confirm is begun with the next one") func anew() async throws
    {
        let daemon = try StagedDaemon(
            { try $0.expect("#2 WATCH") }, { try $0.expect("#2 WATCH") },
            { session in
                try session.expect("#2 WATCH", reply: "#2 OK")
                session.say("! MISSED 3")
            })
        // Between two attempts the test waits for a thread, among all tests that run.
        let watch = try await Client(socketPath: daemon.path).watch(timeout: .seconds(500))
        var events = watch.makeAsyncIterator()
        #expect(try await events.next() == .missed(3))
    }

    @Test("changes that the daemon left out are an event in their place, and its end is an error, once")
    func missed() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WATCH", reply: "#2 OK")
            session.say("! CHANGED jobs granted pid=811 mode=write token=1")
            session.say("! MISSED 7")
            session.say("! CHANGED jobs released pid=811 mode=write token=1")
        }
        var events = try await Client(socketPath: daemon.path).watch().makeAsyncIterator()
        let first = try #require(try await events.next()?.change)
        #expect(first.change == .granted)
        #expect(try await events.next() == .missed(7))
        let last = try #require(try await events.next()?.change)
        #expect(last.change == .released)
        await #expect(throws: LockError.disconnected) { _ = try await events.next() }
        #expect(try await events.next() == nil)
    }

    @Test("a change that the daemon sends again after a fault is reported once (G14)")
    func resumed() async throws {
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WATCH", reply: "#2 OK")
            session.say("! CHANGED jobs granted pid=811 mode=write token=1")
            session.say("! MISSED 7")
            // It is in doubt whether the client has what follows the answer to `WATCH`.
            session.say("! RESUMED from=\(session.said(upTo: "#2 OK"))")
            session.say("! CHANGED jobs granted pid=811 mode=write token=1")
            session.say("! MISSED 7")
            session.say("! CHANGED jobs released pid=811 mode=write token=1")
        }
        var events = try await Client(socketPath: daemon.path).watch().makeAsyncIterator()
        #expect(try await events.next()?.change?.change == .granted)
        #expect(try await events.next() == .missed(7))
        #expect(try await events.next()?.change?.change == .released)
        #expect(await daemon.hasPlayed() == nil)
    }

    @Test("a reader that is too slow learns how many changes it missed") func slowReader() async throws {
        let count = 25_000
        let daemon = try StagedDaemon { session in
            try session.expect("#2 WATCH", reply: "#2 OK")
            for token in 1...count {
                session.say("! CHANGED jobs granted pid=811 mode=write token=\(token)")
            }
        }
        let events = try await Client(socketPath: daemon.path).watch()
        #expect(await daemon.hasPlayed() == nil)
        var next = 1
        await #expect(throws: LockError.disconnected) {
            for try await event in events {
                switch event {
                case .missed(let count): next += count
                case .changed(let change):
                    #expect(change.token == Token(rawValue: UInt64(next)))
                    next += 1
                }
            }
        }
        #expect(next == count + 1)
    }

    @Test("a daemon that is killed ends the watch with an error") func killed() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        let events = try await client.watch()
        daemon.kill()
        await #expect(throws: LockError.disconnected) { for try await _ in events {} }
        try daemon.restart()
        _ = try await client.watch()
    }

    @Test("a task that is cancelled ends its watch and the session") func cancelled() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        let events = try await client.watch()
        let reader = Task { for try await _ in events {} }
        reader.cancel()
        try await reader.value
        try await daemon.hasSessions(0)
        withExtendedLifetime(events) {}
        var ended = events.makeAsyncIterator()
        #expect(try await ended.next() == nil)
    }

    @Test("cancellation at any moment leaves no session behind") func cancellationStorm() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        for round in 0..<200 {
            let task = Task { for try await _ in try await client.watch() {} }
            for _ in 0..<(round % 40) { await Task.yield() }
            if round % 5 == 0 { _ = try? daemon.connect().ask("PING") }
            task.cancel()
            switch await task.result {
            case .success, .failure(is CancellationError): break
            case .failure(let error): Issue.record("\(error)")
            }
        }
        try await daemon.hasSessions(0)
    }

    @Test("a watch ends with the last copy of its events") func dropped() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        do {
            let events = try await client.watch()
            for try await _ in events.prefix(0) {}
            try await daemon.hasSessions(1)
            withExtendedLifetime(events) {}
        }
        try await daemon.hasSessions(0)
    }

    @Test("a watch outlives its client") func clientGoesFirst() async throws {
        let daemon = try DaemonProcess()
        var events = try await Client(socketPath: daemon.socketPath).watch().makeAsyncIterator()
        #expect(try daemon.connect().ask("WRITE jobs") == "GRANTED jobs write token=1")
        let change = try #require(try await events.next()?.change)
        #expect(change.change == .granted)
    }

    @Test("several readers share the events, and the end wakes all") func readers() async throws {
        let daemon = try DaemonProcess()
        let events = try await Client(socketPath: daemon.socketPath).watch()
        let errors = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<5 {
                group.addTask {
                    do { for try await _ in events {} } catch { return 1 }
                    return 0
                }
            }
            daemon.kill()
            return await group.reduce(0, +)
        }
        #expect(errors == 1)
    }
}

@Suite struct EventQueueTests {
    private let queue = EventQueue(limit: 3)

    @Test("the oldest events are displaced, and counted before those that are left") func displaced()
        async throws
    {
        for count in [1, 20, 1, 1, 1] { queue.add(.missed(count)) }
        queue.end(because: .disconnected)
        queue.add(.missed(1))
        var readings: [LockEvent?] = []
        for _ in 0..<4 { readings.append(try await queue.next().get()) }
        #expect(readings == [.missed(21), .missed(1), .missed(1), .missed(1)])
        #expect(await queue.next() == .failure(.disconnected))
        #expect(await queue.next() == .success(nil))
    }

    @Test("the count of missed changes stops at the largest number") func countless() async throws {
        for _ in 0..<5 { queue.add(.missed(.max)) }
        #expect(await queue.next() == .success(.missed(.max)))
    }

    @Test("a reader that was cancelled gets nothing that is left") func cancelled() async {
        queue.add(.missed(1))
        queue.cancel()
        queue.end(because: .disconnected)
        #expect(await queue.next() == .success(nil))
    }
}

extension LockEvent {
    /// The change; nil if this is another event.
    fileprivate var change: LockChange? { if case .changed(let change) = self { change } else { nil } }
}

extension DaemonProcess {
    /// Returns once it has so many sessions.
    func hasSessions(_ count: Int) async throws {
        let session = try connect()
        while true {
            try session.send("SESSIONS")
            // This session is listed too.
            let sessions = try session.lines(through: "END").filter { $0.hasPrefix("* session") }
            if sessions.count == count + 1 { return }
            await Task.yield()
        }
    }
}
