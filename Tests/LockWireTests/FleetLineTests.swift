import LockVocabulary
import LockWire
import Testing

@Suite("Lines about names that hosts share")
struct FleetLineTests {
    @Test("The earlier clock decides until when a grant counts (G1)")
    func until() {
        let line = Until(.seconds(8), from: Instant(nanoseconds: 50_000_000_000))
        #expect(line.end(readAt: Instant(nanoseconds: 51_000_000_000)).nanoseconds == 58_000_000_000)
        #expect(line.end(readAt: Instant(nanoseconds: 3_000_000_000)).nanoseconds == 11_000_000_000)
    }

    @Test("Both parts of it are rounded down, and no time is negative")
    func rounding() throws {
        let late = Until(.nanoseconds(7_999_999_999), from: Instant(nanoseconds: 1_999_999))
        #expect(try text { Notice.until(late).encode(into: &$0) } == "! UNTIL until=7999ms clock=1ms")
        let past = Until(.seconds(-1), from: .zero)
        #expect(try text { Notice.until(past).encode(into: &$0) } == "! UNTIL until=0ms clock=0ms")
    }

    @Test("A grant of an older daemon has no until, and one with a slot has none either")
    func without() throws {
        guard
            case .reply(nil, .granted(_, _, _, _, let slot, let until)) = fromServer(
                "GRANTED a read token=1 slot=2 gen=3")
        else {
            Issue.record("not granted")
            return
        }
        #expect(slot != nil && until == nil)
    }

    @Test(
        "A malformed host or time is refused",
        arguments: [
            "BUSY a read held-by=host:/read", "BUSY a read held-by=host:a/b/read",
            "DEADLOCK a read cycle=host:b", "DEADLOCK a read cycle=host::b",
            "! UNTIL until=8000ms", "! UNTIL clock=1ms until=8000ms", "! UNTIL until=x clock=1ms",
        ])
    func malformed(line: String) { #expect(fromServer(line) == nil) }
}
