import LockServer
import LockVocabulary
import Seeded
import Testing

@Suite("WATCH can be followed") struct WatchTests {
    /// The holders and waiters, computed from the notices of `WATCH`.
    private struct Follower {
        var holders: [String: String] = [:]
        var waiters: [String: String] = [:]

        mutating func hear(_ line: String) {
            let words = line.split(separator: " ").map(String.init)
            guard words.starts(with: ["!", "CHANGED"]), words.count == 11 else {
                Issue.record("not a change: \(line)")
                return
            }
            func value(_ place: Int) -> String { String(words[place].drop { $0 != "=" }.dropFirst()) }
            let (lock, change, token, request) = (words[2], words[3], value(6), value(9))
            let who = "\(lock) \(words[4]) \(words[5]) \(words[7])"
            switch change {
            case "granted":
                if request != "-" { take(request, &waiters, line) }
                #expect(holders.updateValue(who, forKey: token) == nil, "\(line)")
            case "downgraded": #expect(holders.updateValue(who, forKey: token) != nil, "\(line)")
            case "released", "upgraded", "expired", "revoked", "died": take(token, &holders, line)
            case "waiting":
                #expect(waiters.updateValue("\(who) \(words[10])", forKey: request) == nil, "\(line)")
            case "timeout", "cancelled", "refused": take(request, &waiters, line)
            default: Issue.record("a change that no table has: \(line)")
            }
        }

        private func take(_ key: String, _ from: inout [String: String], _ line: String) {
            #expect(from.removeValue(forKey: key) != nil, "\(line)")
        }
    }

    private static let locks = ["one", "two"]

    private static func line(_ generator: inout SeededGenerator) -> String {
        let lock = generator.pick(locks)
        let owner = generator.pick(["-", "t1", "t2"])
        let wait = generator.pick(["", " wait=0", " wait=20ms"])
        let lease = generator.happens(20) ? " lease=30ms" : ""
        switch generator.number(0...9) {
        case 0...3:
            let mode = generator.pick(["READ", "READ", "UPDATE", "WRITE"])
            return "\(mode) \(lock) owner=\(owner)\(wait)\(lease)"
        case 4, 5: return "RELEASE \(lock) owner=\(owner)"
        case 6: return "UPGRADE \(lock) owner=\(owner)\(wait)"
        case 7: return "DOWNGRADE \(lock) owner=\(owner)"
        case 8: return "CANCEL \(lock) owner=\(owner)"
        default: return "RELEASE * owner=\(owner)"
        }
    }

    /// The holders and waiters that `STATUS` shows.
    private static func status(_ room: Room) -> (holders: [String: String], waiters: [String]) {
        var (holders, waiters): ([String: String], [String]) = ([:], [])
        for lock in locks {
            for row in room.send("s", "STATUS \(lock)\n") where row.hasPrefix("*") {
                let words = row.split(separator: " ").map(String.init)
                let who = "\(lock) \(words[2]) \(words[3]) \(words[4])"
                if words[1] == "holder" {
                    holders[String(words[5].dropFirst("token=".count))] = who
                } else {
                    waiters.append("\(who) \(words.last ?? "")")
                }
            }
        }
        return (holders, waiters.sorted())
    }

    @Test("to who holds and who waits, whatever happens", arguments: SeededGenerator.seeds)
    func follow(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let room = Room()
        #expect(room.send("w", "WATCH\n") == ["OK"])
        var follower = Follower()
        for step in 0..<600 {
            let letter = generator.pick(["a", "b", "c"]).first ?? "a"
            switch generator.number(0...19) {
            case 0:
                room.open(letter == "a" ? "a" : letter)
                room.die(letter)
                room.close(letter)
            case 1...3: room.pass(.milliseconds(generator.number(1...15)))
            default: room.send(letter, Self.line(&generator) + "\n")
            }
            for line in room.hear("w") { follower.hear(line) }
            let status = Self.status(room)
            let isSame =
                follower.holders == status.holders && follower.waiters.values.sorted() == status.waiters
            #expect(isSame, "PRWLOCK_TEST_SEED=\(seed), step \(step): \(follower), and it is \(status)")
            guard isSame else { return }
        }
    }

    @Test("a session that watches what it does itself reads the reply before the notice") func ownReplyFirst()
    {
        let room = Room()
        room.play(
            """
            a> WATCH
            a< OK
            b> WRITE jobs
            b< GRANTED jobs write token=1
            a< ! CHANGED jobs granted pid=2 mode=write token=1 owner=- tag=- request=- upgrades=-
            a> #1 READ jobs owner=t1
            a< ! CHANGED jobs waiting pid=1 mode=read token=- owner=t1 tag=#1 request=1 upgrades=-
            a> #2 READ jobs wait=20ms
            a< ! CHANGED jobs waiting pid=1 mode=read token=- owner=- tag=#2 request=2 upgrades=-
            + 20ms
            a< #2 TIMEOUT jobs read waited=20ms held-by=2/write
            a< ! CHANGED jobs timeout pid=1 mode=read token=- owner=- tag=#2 request=2 upgrades=-
            b> RELEASE jobs
            b< RELEASED jobs token=1
            a< ! CHANGED jobs released pid=2 mode=write token=1 owner=- tag=- request=- upgrades=-
            a< #1 GRANTED jobs read token=2
            a< ! CHANGED jobs granted pid=1 mode=read token=2 owner=t1 tag=#1 request=1 upgrades=-
            a> #3 UPGRADE jobs
            a< #3 GRANTED jobs write token=3
            a< ! CHANGED jobs upgraded pid=1 mode=read token=2 owner=t1 tag=- request=- upgrades=-
            a< ! CHANGED jobs granted pid=1 mode=write token=3 owner=t1 tag=#3 request=- upgrades=-
            a> RELEASE jobs
            a< RELEASED jobs token=3
            a< ! CHANGED jobs released pid=1 mode=write token=3 owner=t1 tag=- request=- upgrades=-
            """)
    }

    @Test("a waiting upgrade is told from a write, in STATUS too") func upgrades() {
        let room = Room()
        room.play(
            """
            a> READ jobs
            a< GRANTED jobs read token=1
            b> UPDATE jobs
            b< GRANTED jobs update token=2
            b> #u UPGRADE jobs
            b> #w WRITE jobs owner=t
            a> STATUS jobs
            a< * holder pid=1 mode=read owner=- token=1 age=0ms lease=- note=-
            a< * holder pid=2 mode=update owner=- token=2 age=0ms lease=- note=-
            a< * waiter pid=2 mode=write owner=- waited=0ms timeout=forever note=- upgrades=2
            a< * waiter pid=2 mode=write owner=t waited=0ms timeout=forever note=- upgrades=-
            a< END 4
            """)
    }

    @Test("HELLO again keeps what it leaves out, and RECALL comes at once where others wait already")
    func hello() {
        let room = Room { $0.limits.line = 2_000 }
        let limits = "max-line=2000 max-session-grants=10000 max-session-waiters=1000"
        room.play(
            """
            a> WRITE jobs
            a< GRANTED jobs write token=1
            b> #w READ jobs
            a> HELLO client=name
            a< HELLO version=1 server=prwlockd/test session=1 \(limits)
            a> #h HELLO recall=1
            a< #h HELLO version=1 server=prwlockd/test session=1 \(limits)
            a< ! RECALL jobs token=1
            a> HELLO
            a< HELLO version=1 server=prwlockd/test session=1 \(limits)
            a> WRITE mail
            a< GRANTED mail write token=2
            b> #m READ mail
            a< ! RECALL mail token=2
            b> SESSIONS
            b< * session id=1 pid=1 uid=1000 client=name grants=2 waiters=0 age=0ms
            b< * session id=2 pid=2 uid=1000 client=- grants=0 waiters=2 age=0ms
            b< END 2
            a> HELLO client=-
            a< HELLO version=1 server=prwlockd/test session=1 \(limits)
            b> SESSIONS
            b< * session id=1 pid=1 uid=1000 client=- grants=2 waiters=0 age=0ms
            b< * session id=2 pid=2 uid=1000 client=- grants=0 waiters=2 age=0ms
            b< END 2
            """)
    }
}
