import LockVocabulary
import LockWire
import Testing
import WireExamples

/// Lines from the daemon, each encoded from a value and parsed back to an equal value.
@Suite("Replies, rows and notices")
struct ServerLineTests {
    @Test("Each example is encoded from its value, and parsed back to an equal value")
    func roundTrips() throws {
        for example in Examples.replies {
            for tag in [nil, try tag("t.1")] {
                let line = (tag.map { "\($0) " } ?? "") + example.line
                #expect(try text { example.value.encode(tag: tag, into: &$0) } == line)
                #expect(fromServer(line) == .reply(tag, example.value))
            }
        }
        for example in Examples.rows {
            #expect(try text(example.value.encode) == example.line)
            #expect(fromServer(example.line) == .row(example.value))
        }
        for example in Examples.notices {
            #expect(try text(example.value.encode) == example.line)
            #expect(fromServer(example.line) == .notice(example.value))
        }
    }

    @Test("A number of each length is written in decimal")
    func numbers() throws {
        var numbers: [UInt64] = [.max]
        var power: UInt64 = 1
        for digit: UInt64 in 0..<20 {
            numbers += [power, power - 1, power + 1, power / 9 * (digit % 9 + 1)]
            power = power < .max / 10 ? power * 10 : power
        }
        let jobs = try name("jobs")
        for number in numbers where number > 0 {
            let line = try text { Reply.valid(jobs, token(number)).encode(tag: nil, into: &$0) }
            #expect(line == "VALID jobs token=\(number)")
        }
        #expect(try text { Reply.end(rows: 0).encode(tag: nil, into: &$0) } == "END 0")
    }

    @Test("A line that does not fit into its room is not written beyond it, and its length is known")
    func narrowRoom() throws {
        let reply = Reply.valid(try name("jobs"), token(1_234_567_890_123))
        let whole = "VALID jobs token=1234567890123\n"
        for size in 0...whole.utf8.count + 9 {
            var bytes = [UInt8](repeating: 0xFF, count: size + 8)
            let length = bytes.withUnsafeMutableBufferPointer {
                reply.encode(tag: nil, in: UnsafeMutableBufferPointer(rebasing: $0[..<size]))
            }
            #expect(length == whole.utf8.count)
            #expect(bytes[size...].allSatisfy { $0 == 0xFF }, "\(size)")
            if size >= length { #expect(bytes.prefix(length) == Array(whole.utf8)[...]) }
        }
    }

    @Test("A greeting without limits is accepted")
    func helloWithoutLimits() {
        #expect(
            fromServer("HELLO version=1 server=prwlockd/0.1.0 session=7")
                == .reply(nil, .hello(version: 1, server: "prwlockd/0.1.0", session: 7, limits: nil)))
    }

    @Test("A line of an older daemon, without the last fields, is accepted")
    func olderFields() throws {
        let jobs = try name("jobs")
        #expect(
            fromServer("! CHANGED jobs waiting pid=? mode=read token=-")
                == .notice(
                    .changed(.init(name: jobs, change: .waiting, processID: nil, mode: .read, token: nil))))
        #expect(
            fromServer("* waiter pid=1 mode=read owner=- waited=1ms timeout=0 note=-")
                == .row(
                    .waiter(
                        .init(
                            processID: 1, mode: .read, owner: .session, waited: .milliseconds(1),
                            timeout: .upTo(.zero), note: .none))))
    }

    @Test("An unknown code of a newer daemon is an error")
    func unlistedError() throws {
        #expect(
            fromServer("#1 ERROR new-code some words")
                == .reply(try tag("1"), .error(WireError(.unlisted, "new-code some words"))))
        #expect(fromServer("ERROR not-held") == .reply(nil, .error(WireError(.notHeld, ""))))
    }

    @Test("An age is truncated to milliseconds, and written in seconds from one second on")
    func ages() throws {
        func age(_ duration: Duration) throws -> String {
            let session = Row.Session(
                id: 1, processID: 1, userID: 0, client: .none, grants: 0, waiters: 0, age: duration)
            return try #require(text(Row.session(session).encode).split(separator: "=").last).description
        }
        #expect(try age(.zero) == "0ms")
        #expect(try age(.microseconds(999_999)) == "999ms")
        #expect(try age(.microseconds(1_999_999)) == "1.999s")
        #expect(try age(.milliseconds(3_007)) == "3.007s")
        #expect(try age(.seconds(90_000)) == "90000s")
        #expect(try age(.seconds(-1)) == "0ms")
    }

    @Test(
        "A line of any length is encoded, even if it needs an unusual amount of memory",
        arguments: [0, 1, 200, 60_000])
    func longest(length: Int) throws {
        let error = Reply.error(WireError(.badName, String(repeating: "t", count: length)))
        #expect(fromServer(try text { error.encode(tag: nil, into: &$0) }) == .reply(nil, error))
        let long = try name(String(repeating: "n", count: 255))
        let hop = Cycle.Hop(processID: .max, owner: try owner(String(repeating: "w", count: 32)), lock: long)
        let deadlock = Reply.deadlock(long, .update, Cycle(repeatElement(hop, count: length + 1)))
        #expect(fromServer(try text { deadlock.encode(tag: nil, into: &$0) }) == .reply(nil, deadlock))
    }

    @Test("Fields that a newer daemon adds at a line's end are ignored")
    func newerFields() throws {
        #expect(fromServer("RELEASED a token=1 extra=2") == .reply(nil, .released(try name("a"), token(1))))
        #expect(fromServer("PONG extra=2") == .reply(nil, .pong))
        #expect(
            fromServer("GRANTED a read token=1 ownerdied=1 extra=2")
                == .reply(nil, .granted(try name("a"), .read, token(1), ownerDied: .yes)))
        #expect(fromServer("! DRAIN extra=2") == .notice(.drain))
    }

    @Test(
        "A line that the protocol does not have is refused",
        arguments: [
            "", "*", "!", "#", "# PONG", "#a/b PONG", "PONGS", "pong", "GRANTED", "GRANTED a",
            "GRANTED a read",
            "GRANTED a read token=0", "GRANTED a read token=x", "GRANTED a maybe token=1",
            "GRANTED a! read token=1",
            "BUSY a read", "BUSY a read held-by=", "BUSY a read held-by=+1", "BUSY a read held-by=1",
            "BUSY a read held-by=1/no",
            "BUSY a read held-by=1/read,", "BUSY a read held-by=4294967296/read", "BUSY a read held-by=+",
            "DEADLOCK a read cycle=", "DEADLOCK a read cycle=1", "DEADLOCK a read cycle=1:",
            "DEADLOCK a read cycle=1/:a", "DEADLOCK a read cycle=+1",
            "TIMEOUT a read waited=x held-by=?", "RENEWED a token=1 lease=", "END", "END x", "END -1",
            "HELLO version=1",
            "ERROR", "! NEWS", "! MISSED", "! EXPIRED a", "! CHANGED a danced pid=1 mode=read token=-",
            "*PONG", "!DRAIN",
        ])
    func noLine(line: String) {
        #expect(fromServer(line) == nil)
    }

    @Test("a number of holders that overflows becomes the largest number") func tooManyHolders() throws {
        for rest in ["+1", "2/read,3/read,4/read"] {
            let line = "BUSY a read held-by=1/read,+9223372036854775807,\(rest)"
            guard case .reply(_, .busy(_, _, let holders)) = fromServer(line) else {
                Issue.record("not read: \(line)")
                continue
            }
            #expect(holders.more == .max)
        }
    }
}
