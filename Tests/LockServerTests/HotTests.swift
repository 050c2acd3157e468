import LockVocabulary
import Seeded
import Testing

@testable import LockServer

/// What locks have cost: `HOT`, the times in `STATS`, and the daily report.
@Suite("What locks have cost") struct HotTests {
    /// The fields of the rows of `HOT`, by the names of their locks.
    private func rows(
        _ room: Room, _ letter: Character = "z", _ words: String = ""
    ) -> [(String, [Substring: Substring])] {
        room.send(letter, "HOT\(words)\n").filter { $0.hasPrefix("* hot ") }.map { line in
            let words = line.split(separator: " ").dropFirst(2)
            let fields = words.dropFirst().map { $0.split(separator: "=") }
            return (
                String(words.first ?? ""), Dictionary(uniqueKeysWithValues: fields.map { ($0[0], $0[1]) })
            )
        }
    }

    private func names(_ room: Room, _ words: String = "") -> [String] { rows(room, "z", words).map(\.0) }

    @Test("a row has the waits and the grants that have ended, and the longest wait with its holder")
    func row() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.send("b", "READ jobs\n")
        #expect(rows(room).isEmpty)
        room.pass(.seconds(2))
        room.send("c", "WRITE jobs wait=1s\n")
        room.pass(.seconds(3))
        room.send("a", "RELEASE jobs\n")
        room.pass(.seconds(1))
        room.send("b", "RELEASE jobs\n")
        room.pass(.seconds(4))
        #expect(
            room.send("z", "HOT\n") == [
                "* hot jobs grants=2 waits=2 waited=6s held=6s longest=5s behind=1/write ago=5s over=0"
                    + " wait-buckets=0,0,0,0,0,0,0,0,1,0,1,0,0,0,0"
                    + " hold-buckets=0,0,0,0,0,0,0,0,1,0,1,0,0,0,0",
                "END 1",
            ])
        #expect(room.stat("total-waits") == 2 && room.stat("total-waited-us") == 6_000_000)
        #expect(room.stat("waits-le-262144us") == 0 && room.stat("waits-le-1048576us") == 1)
        #expect(room.stat("waits-le-4194304us") == 1 && room.stat("waits-le-16777216us") == 2)
        #expect(room.stat("total-holds") == 2 && room.stat("total-held-us") == 6_000_000)
        #expect(room.stat("holds-le-1073741824us") == 2)
        #expect(room.stat("uptime-s") == 10)
    }

    @Test("the holder of the longest wait is the one that took most of it, and not the last one")
    func behind() {
        let room = Room()
        room.send("a", "WRITE slow\n")
        for letter in "bc" { room.send(letter, "WRITE slow\n") }
        room.pass(.seconds(60))
        room.send("a", "RELEASE slow\n")
        room.pass(.seconds(1))
        room.send("b", "RELEASE slow\n")
        #expect(rows(room).first?.1["behind"] == "1/write")
        #expect(rows(room).first?.1["longest"] == "61s")
        // Here the present holder has taken most of the time.
        room.send("d", "WRITE late wait=90s\n")
        room.send("e", "WRITE late\n")
        room.pass(.seconds(1))
        room.send("d", "RELEASE late\n")
        room.send("f", "WRITE late wait=30s\n")
        room.pass(.seconds(40))
        #expect(rows(room, "z", " late").first?.1["longest"] == "30s")
        #expect(rows(room, "z", " late").first?.1["behind"] == "5/write")
    }

    @Test("an upgrade ends the grant before it, and waits for the other readers") func upgrade() {
        let room = Room()
        room.send("a", "UPDATE jobs\n")
        room.send("b", "READ jobs\n")
        room.pass(.seconds(1))
        room.send("a", "UPGRADE jobs\n")
        room.pass(.seconds(1))
        room.send("b", "RELEASE jobs\n")
        let row = rows(room).first?.1
        #expect(row?["behind"] == "2/read" && row?["waits"] == "1")
        #expect(row?["grants"] == "2" && row?["held"] == "4s")
    }

    @Test("the rows are in the order of `by`, begin with the prefix, and are as many as the limit allows")
    func order() {
        let room = Room()
        for (name, waits, seconds) in [("a/1", 1, 9), ("a/2", 3, 2), ("b", 2, 4)] {
            room.send("h", "WRITE \(name)\n")
            for number in 0..<waits { room.send("w", "READ \(name) owner=o\(number)\n") }
            room.pass(.seconds(seconds))
            room.send("h", "RELEASE \(name)\n")
        }
        #expect(names(room) == ["a/1", "b", "a/2"])
        #expect(names(room, " by=waits") == ["a/2", "b", "a/1"])
        #expect(names(room, " by=longest limit=2") == ["a/1", "b"])
        #expect(names(room, " a/ by=waits") == ["a/2", "a/1"])
        #expect(names(room, " by=held") == ["a/1", "b", "a/2"])
    }

    @Test("a client sees only the rows of locks that it may look at") func rights() throws {
        let users = PolicyNames(user: { $0 == "bob" ? 7 : nil }, group: { _ in nil })
        let policy = try Policy(parsing: "deny user=bob look secret/\n", users)
        let room = Room { $0.policy = policy }
        for name in ["secret/x", "open"] {
            room.send("a", "WRITE \(name)\n")
            room.send("b", "READ \(name)\n")
        }
        room.open("q", userID: 7)
        #expect(room.send("q", "LIST by=waiters\n").map { $0.prefix(11) } == ["* lock open", "END 1"])
        for name in ["secret/x", "open"] { room.send("a", "RELEASE \(name)\n") }
        #expect(rows(room, "q").map(\.0) == ["open"])
        #expect(rows(room, "q", " secret/ by=waits limit=1").isEmpty)
        #expect(names(room).count == 2)
    }

    @Test(
        "rules that come while rows are written hold for those that are left",
        // The search of `LIST by=` takes a turn of its own, before the first row.
        arguments: [
            ("HOT secret/", 4), ("LIST secret/ by=waiters", 100), ("LIST secret/", 4),
            ("STATUS secret/10", 4),
        ])
    func newRules(request: String, rowsOfTurn: Int) throws {
        let room = Room { $0.turns.rows = rowsOfTurn }
        // Of each lock one wait has ended, and another one goes on.
        for number in 10..<60 {
            room.send("a", "WRITE secret/\(number) owner=o\(number)\n")
            room.send("b", "READ secret/\(number) owner=o\(number)\n")
            room.send("a", "RELEASE secret/\(number) owner=o\(number)\n")
            room.send("a", "WRITE secret/\(number) owner=o\(number)\n")
            room.send("c", "READ secret/10 owner=o\(number)\n")
        }
        room.open("q", userID: 7)
        room.open("r", userID: 8)
        #expect(room.send("r", "\(request)\n").count > 40)
        room.say("q", "\(request)\n")
        let users = PolicyNames(user: { $0 == "bob" ? 7 : nil }, group: { _ in nil })
        room.server.setPolicy(try Policy(parsing: "deny user=bob look secret/\n", users))
        #expect(room.hear("q").count < 20)
    }

    @Test("short grants that nothing waits for are counted by samples, in all exactly") func samples() {
        let room = Room()
        for _ in 0..<4_000 { room.send("a", "WRITE jobs\nRELEASE jobs\n") }
        #expect(room.stat("total-holds") == 4_000)
        let grants = rows(room).first.flatMap { $0.1["grants"] }.flatMap { Int($0) } ?? 0
        #expect(grants % 32 == 0 && (3_000...5_000).contains(grants))
    }

    @Test("a flood of names of one user leaves the costly lock of another in its place") func flood() {
        let room = Room()
        room.send("a", "WRITE jobs\n")
        room.send("b", "WRITE jobs wait=5s\n")
        room.pass(.seconds(5))
        for number in 0..<20_000 { room.send("x", "WRITE x/\(number)\nRELEASE x/\(number)\n") }
        #expect(names(room, " limit=1") == ["jobs"])
        #expect(room.send("z", "HOT limit=1000\n").count <= 257)
    }

    @Test("LIST by a rank has the worst locks first, each once", arguments: SeededGenerator.seeds)
    func ranking(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let room = Room()
        var waiters: [String: Int] = [:]
        for number in 0..<800 {
            let name = "l/\(number)"
            room.send("a", "WRITE \(name)\n")
            waiters[name] = generator.number(0...3)
            for owner in 0..<(waiters[name] ?? 0) {
                room.send("bcdefgh".randomElement(using: &generator) ?? "b", "READ \(name) owner=o\(owner)\n")
            }
            if generator.happens(20) { room.pass(.milliseconds(1)) }
        }
        let most = generator.number(1...1_000)
        room.say("z", "LIST l/ by=waiters limit=\(most)\n")
        let takesTurns = room.server.hasUnfinishedWork
        #expect(takesTurns)
        let heard = room.hear("z")
        let counts = heard.dropLast().compactMap { Int($0.split(separator: " ")[5].dropFirst(8)) }
        let expected = waiters.values.filter { $0 > 0 }.sorted(by: >).prefix(most)
        #expect(counts == Array(expected), "seed \(seed)")
        #expect(Set(heard).count == heard.count)
        let waited = room.send("z", "LIST by=waited limit=1000\n").dropLast().compactMap { line in
            line.split(separator: "=").last.map { Int($0.filter(\.isNumber)) ?? 0 }
        }
        #expect(waited == waited.sorted(by: >), "seed \(seed)")
    }

    @Test("a lock for which nothing waits any more has no row, although it was chosen") func gone() {
        let room = Room { $0.turns.rows = 4 }
        for name in ["a", "b"] {
            room.send("h", "WRITE \(name)\n")
            room.send("w", "READ \(name)\n")
        }
        room.say("z", "LIST by=waiters\n")
        room.send("w", "CANCEL a\n")
        let names = room.hear("z").map { $0.split(separator: " ").dropFirst(2).first ?? "" }
        #expect(names == ["b", ""] || names == ["a", "b", ""])
    }

    @Test("STATUS with a limit has the first holders and the first requests") func statusLimit() {
        let room = Room { $0.turns.rows = 3 }
        for number in 0..<10 { room.send("a", "READ jobs owner=r\(number)\n") }
        for number in 0..<10 { room.send("b", "WRITE jobs owner=w\(number)\n") }
        for (limit, rows) in [(1, 2), (4, 8), (10, 20), (11, 20)] {
            let lines = room.send("z", "STATUS jobs limit=\(limit)\n")
            #expect(lines.last == "END \(rows)")
            #expect(lines.filter { $0.hasPrefix("* holder ") }.count == min(10, limit))
            #expect(lines.first { $0.hasPrefix("* waiter ") }?.contains("owner=w0") == true)
        }
    }

    // MARK: - The daily report

    private func reports(_ room: Room) -> [(LockName?, DayOfLock)] {
        room.server.takeEvents().compactMap { event in
            if case .hotLock(let day) = event.kind { (event.lock, day) } else { nil }
        }
    }

    @Test("without the option nothing wakes the server, and nothing is reported") func noReport() {
        let room = Room()
        room.send("a", "WRITE jobs\nREAD jobs wait=1s owner=o\n")
        room.send("b", "WRITE jobs wait=1s\n")
        room.pass(.seconds(1))
        #expect(room.server.nextDeadline == nil)
        room.pass(.seconds(200_000))
        #expect(reports(room).isEmpty)
    }

    @Test("with it, the locks for which requests waited in the last day are reported once a day, at most ten")
    func daily() {
        let room = Room()
        room.server.reportHotLocks(true, at: room.now)
        let day = Instant.zero.advanced(by: .seconds(86_400))
        #expect(room.server.nextDeadline == day)
        for number in 1...12 {
            room.send("a", "WRITE l/\(number)\n")
            room.send("b", "WRITE l/\(number) wait=\(number)s\n")
        }
        room.send("a", "WRITE idle\nRELEASE idle\n")
        room.pass(.seconds(20))
        #expect(room.server.nextDeadline == day)
        room.pass(.seconds(86_380))
        let first = reports(room)
        #expect(first.map { $0.0?.text } == (3...12).reversed().map { "l/\($0)" })
        #expect(
            first.first?.1
                == DayOfLock(
                    place: 1, grants: 0, held: .zero, waits: 1, waited: .seconds(12), longest: .seconds(12),
                    behind: 1))
        room.send("c", "WRITE l/1 wait=2s\n")
        room.pass(.seconds(86_400))
        let second = reports(room)
        #expect(second.map { $0.0?.text } == ["l/1"])
        #expect(second.first?.1.waits == 1 && second.first?.1.waited == .seconds(2))
        room.server.reportHotLocks(false, at: room.now)
        #expect(room.server.nextDeadline == nil)
    }
}
