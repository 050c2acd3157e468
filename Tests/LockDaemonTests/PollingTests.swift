import LockVocabulary
import Testing

@testable import LockDaemon

/// That looking on pays for itself.
@Suite struct PollingTests {
    @Test("while nothing comes, no more than a twentieth of the time is spent looking on")
    func share() {
        var polling = Polling(processors: 2)
        var now = Instant(nanoseconds: 5_000_000_000)
        let start = now
        var spent = Duration.zero
        // Work every 100 µs, and never anything within the 50 µs after it.
        while start.duration(to: now) < .seconds(1) {
            if let end = polling.end(from: now) {
                polling.wasInVain(from: now, to: end)
                spent += now.duration(to: end)
                now = end
            }
            now = now.advanced(by: .microseconds(100))
        }
        #expect(spent <= .milliseconds(52))
        #expect(spent >= .milliseconds(45))
    }

    @Test("while something comes each time, it always looks on")
    func traffic() {
        var polling = Polling(processors: 2)
        var now = Instant(nanoseconds: 5_000_000_000)
        for _ in 0..<10_000 {
            #expect(polling.end(from: now) != nil)
            now = now.advanced(by: .microseconds(20))
        }
    }

    @Test("with one processor it never looks on")
    func oneProcessor() {
        var polling = Polling(processors: 1)
        #expect(polling.end(from: Instant(nanoseconds: 5_000_000_000)) == nil)
    }
}
