import LockVocabulary
import Testing

@Suite("Modes and times") struct ModeAndTimeTests {
    @Test("modes conflict as in the table, in both orders (G1)") func conflicts() {
        let together: [(LockMode, LockMode)] = [(.read, .read), (.read, .update), (.update, .read)]
        for one in LockMode.allCases {
            for other in LockMode.allCases {
                let stand = together.contains { $0 == (one, other) }
                #expect(one.conflicts(with: other) == !stand)
                #expect(one.conflicts(with: other) == other.conflicts(with: one))
            }
        }
        #expect(LockMode.allCases.sorted() == [.read, .update, .write])
        #expect(LockMode.allCases.map(\.description) == ["read", "update", "write"])
    }

    @Test("an instant beyond the last one becomes the last one (G5)") func lastInstant() {
        let now = Instant(nanoseconds: 1_000)
        #expect(now.advanced(by: .seconds(1)).nanoseconds == 1_000_001_000)
        #expect(now.advanced(by: .nanoseconds(Int64.max)) == Instant(nanoseconds: .max))
        #expect(now.advanced(by: .seconds(Int64.max)) == Instant(nanoseconds: .max))
        #expect(now.duration(to: now.advanced(by: .milliseconds(5))) == .milliseconds(5))
    }

    @Test("a duration is truncated to whole nanoseconds and milliseconds") func cutOff() {
        #expect(Duration.microseconds(1_999).wholeMilliseconds == 1)
        #expect(Duration.seconds(3).wholeNanoseconds == 3_000_000_000)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
    }

    @Test("each limit except forever has a deadline") func limits() {
        #expect(TimeLimit.upTo(.seconds(1)).deadline(from: .zero) == Instant(nanoseconds: 1_000_000_000))
        #expect(TimeLimit.forever.deadline(from: .zero) == nil)
    }

    @Test("a token's successor is greater; two sessions that reuse one place differ")
    func identities() {
        #expect(Token(rawValue: 1).next > Token(rawValue: 1))
        #expect(SessionID(slot: 1, serial: 1) != SessionID(slot: 1, serial: 2))
    }
}
