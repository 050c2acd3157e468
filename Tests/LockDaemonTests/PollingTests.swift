import LockVocabulary
import Testing

@testable import LockDaemon

/// The choice between polling and sleep.
@Suite struct PollingTests {
    /// A client that sends the next request a while after each reply.
    private struct Client {
        var polling = Polling(processors: 2)
        var now = Instant(nanoseconds: 5_000_000_000)
        var inVain = Duration.zero
        var looks = 0

        /// Sends so many requests, each so long after the last; the pause may depend on the daemon's choice.
        mutating func ask(_ count: Int, pause: (Polling.Way) -> Duration) {
            for _ in 0..<count {
                let way = polling.choose(at: now)
                let pause = pause(way)
                if way == .poll { looks += 1 }
                if way == .poll, pause > Polling.span {
                    polling.wasInVain(Polling.span)
                    inVain += Polling.span
                } else {
                    polling.answered(way, after: pause)
                }
                now = now.advanced(by: pause)
            }
        }
    }

    @Test("while each request follows at once, the daemon polls")
    func traffic() {
        var client = Client()
        client.ask(10_000) { way in way == .poll ? .microseconds(10) : .microseconds(30) }
        // The rest are trials of the other way.
        #expect(client.looks > 8_000)
    }

    @Test("where answers come sooner when it sleeps, it sleeps")
    func crowded() {
        var client = Client()
        client.ask(10_000) { way in way == .poll ? .microseconds(20) : .microseconds(10) }
        #expect(client.looks < 2_000)
    }

    @Test("for a client that asks now and then, it never polls")
    func sporadic() {
        var client = Client()
        client.ask(1_000) { _ in .milliseconds(100) }
        #expect(client.looks == 0)
    }

    @Test("it polls in vain for no more than a twentieth of the time")
    func share() {
        var client = Client()
        let start = client.now
        for _ in 0..<20_000 {
            // After enough quick requests the daemon polls, and then no request comes.
            client.ask(4) { _ in .microseconds(10) }
            client.ask(1) { _ in .microseconds(100) }
        }
        let passed = start.duration(to: client.now)
        #expect(client.inVain > .zero)
        #expect(client.inVain <= passed / 20 + .milliseconds(1))
    }

    @Test("with one processor it never polls")
    func oneProcessor() {
        var polling = Polling(processors: 1)
        for _ in 0..<100 {
            #expect(polling.choose(at: .zero) == .sleep)
            polling.answered(.sleep, after: .microseconds(1))
        }
    }
}
