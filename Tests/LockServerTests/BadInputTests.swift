import LockServer
import Seeded
import Testing

@Suite("What bad input gets") struct BadInputTests {
    @Test(
        "each fault gets its code, and the next line is in step",
        arguments: [
            ("NOSUCH x", "unknown-verb"), ("#t", "unknown-verb"), ("READ a\u{1}b", "bad-byte"),
            ("READ a\0", "bad-byte"), ("READ \u{e9}", "bad-byte"), ("READ a\tb", "bad-byte"),
            ("#!x PING", "bad-tag"), ("# PING", "bad-tag"), ("READ", "missing-argument"),
            ("RELEASE", "missing-argument"), ("VALIDATE jobs", "missing-argument"),
            ("READ jobs extra", "unknown-argument"), ("READ jobs color=red", "unknown-argument"),
            ("PING now", "unknown-argument"), ("READ jobs wait=1s wait=2s", "repeated-argument"),
            ("READ a%2", "bad-name"), ("READ a%41", "bad-name"), ("READ a*b", "bad-name"),
            ("READ jobs wait=5", "bad-duration"),
            ("READ jobs wait=99999999999999999999s", "bad-duration"), ("READ jobs lease=0", "bad-duration"),
            ("RELEASE jobs token=0", "bad-token"), ("RELEASE jobs token=18446744073709551616", "bad-token"),
            ("READ jobs owner=a/b", "bad-owner"), ("READ jobs note=a%zz", "bad-note"),
            ("LIST limit=x", "bad-number"), ("DOWNGRADE jobs to=write", "bad-mode"),
            ("RELEASE jobs", "not-held"), ("UPGRADE jobs", "not-held"), ("RENEW jobs", "not-held"),
            ("DOWNGRADE jobs", "not-held"), ("CANCEL jobs", "not-waiting"), ("CANCEL #x", "not-waiting"),
        ])
    func faults(line: String, code: String) {
        let room = Room()
        let told = room.send("a", "\(line)\nPING\n")
        #expect(told.count == 2 && told.last == "PONG")
        let words = told.first?.split(separator: " ").filter { !$0.hasPrefix("#") } ?? []
        #expect(words.prefix(2) == ["ERROR", Substring(code)])
        #expect(room.stat("locks") == 0)
    }

    @Test("a line that is too long is told of once, and skipped up to its end") func tooLong() {
        let room = Room { $0.limits.line = 100 }
        let long = String(repeating: "x", count: 1_000)
        room.say("a", "READ ")
        for _ in 0..<10 { room.say("a", long) }
        #expect(room.stat("buffered-bytes").map { $0 < 200 } == true)
        #expect(room.hear("a").map { $0.prefix(20) } == ["ERROR line-too-long "])
        #expect(room.send("a", "still the same line\nPING\n") == ["PONG"])
        #expect(room.send("a", "\(long)\nPING\n").count == 2)
    }

    @Test(
        "a line that is too long is told of under its tag, if that stands within the limit, however it is cut"
    )
    func tooLongUnderTag() {
        let long = String(repeating: "x", count: 100)
        for step in [1, 7, 40, 200] {
            let room = Room { $0.limits.line = 40 }
            func told(_ line: String) -> [Substring] {
                var rest = Array((line + "\n").utf8)[...]
                while !rest.isEmpty {
                    room.say("a", rest.prefix(step))
                    rest = rest.dropFirst(step)
                }
                return room.hear("a").map { $0.prefix(24) }
            }
            #expect(told("#t-1 READ \(long)") == ["#t-1 ERROR line-too-long"])
            #expect(told("   #t-1    \(long)") == ["#t-1 ERROR line-too-long"])
            #expect(told("READ \(long) #t-1") == ["ERROR line-too-long the "])
            #expect(told("#t/1 READ \(long)") == ["ERROR line-too-long the "])
            #expect(told("#\(long)") == ["ERROR line-too-long the "])
            #expect(told(String(repeating: " ", count: 38) + "#t READ jobs") == ["ERROR line-too-long the "])
            #expect(told("PING") == ["PONG"])
        }
    }

    @Test("a million empty lines are passed over in silence") func emptyLines() {
        let room = Room()
        let lines = [UInt8](repeating: UInt8(ascii: "\n"), count: 1_000_000)
        room.say("a", lines)
        #expect(room.owed("a") == 0)
        #expect(room.send("a", "\r\n   \r\nPING\n") == ["PONG"])
    }

    @Test("a thousand requests in one read are answered one by one") func pipelined() {
        let room = Room()
        let told = room.send("a", String(repeating: "WRITE jobs\nRELEASE jobs\n", count: 1_000))
        #expect(told.count == 2_000)
        #expect(told.last == "RELEASED jobs token=1000")
    }

    @Test("a flood of short faults in one read is answered to the last, in parts (G12)") func flood() {
        let room = Room()
        room.say("a", String(repeating: "x\n", count: 100_000))
        #expect(room.interest(in: "a") == .open(reads: false, writes: true))
        #expect(room.owed("a") < 300_000)
        #expect(room.hear("a").count == 100_000)
        #expect(room.interest(in: "a") == .open(reads: true, writes: false))
        #expect(room.send("a", "PING\n") == ["PONG"])
    }

    @Test("any cut of a stream is answered as the whole is", arguments: SeededGenerator.seeds)
    func anyCut(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let stream = randomStream(&generator)
        let whole = Room { $0.limits.line = 300 }
        whole.say("a", stream)
        let expected = whole.hear("a")

        let cut = Room { $0.limits.line = 300 }
        cut.open("a")
        var rest = stream[...]
        var told: [String] = []
        var bytes: [UInt8] = []
        while !rest.isEmpty {
            let size = Int.random(in: 1...(Bool.random(using: &generator) ? 3 : 400), using: &generator)
            cut.say("a", rest.prefix(size))
            rest = rest.dropFirst(size)
            if Int.random(in: 0..<4, using: &generator) == 0 { bytes += cut.take("a", 200) }
            // The shell does not read from a socket while a list is written to it.
            while cut.interest(in: "a") == .open(reads: false, writes: true) { bytes += cut.take("a", 1_000) }
        }
        while cut.owed("a") > 0 { bytes += cut.take("a", .max) }
        told = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(told == expected, "PRWLOCK_TEST_SEED=\(seed)")
        #expect(throws: Never.self) { try cut.server.checkInvariants() }
    }

    @Test("random bytes get errors, and the server stays whole", arguments: SeededGenerator.seeds)
    func randomBytes(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let room = Room()
        for _ in 0..<50 {
            let letter = "abc".randomElement(using: &generator) ?? "a"
            room.say(letter, (0..<2_000).map { _ in UInt8.random(in: 0...255, using: &generator) })
            for line in room.hear(letter) where !line.hasPrefix("ERROR ") && !line.hasPrefix("#") {
                Issue.record("PRWLOCK_TEST_SEED=\(seed): \(line)")
            }
        }
        #expect(room.send("d", "PING\n") == ["PONG"])
    }

    /// Requests with and without faults, and random bytes between them.
    private func randomStream(_ generator: inout SeededGenerator) -> [UInt8] {
        let verbs = [
            "READ", "write", "UPDATE", "RELEASE", "UPGRADE", "STATUS", "CANCEL", "LIST", "PING", "HELP",
            "BAD",
        ]
        let names = ["jobs", "mail", "a/b", "%41", ""]
        let options = ["", " wait=0", " owner=t1", " wait=5", " token=1", " lease=1h"]
        var stream: [UInt8] = []
        for number in 0..<400 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0: stream += (0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) }
            case 1:
                stream += Array(
                    repeating: UInt8(ascii: "y"), count: Int.random(in: 1...700, using: &generator))
            case 2: stream += Array("\r\n \n".utf8)
            default:
                let tag = Bool.random(using: &generator) ? "#r\(number) " : ""
                let verb = verbs.randomElement(using: &generator) ?? ""
                let name = names.randomElement(using: &generator) ?? ""
                let option = options.randomElement(using: &generator) ?? ""
                stream += Array("\(tag)\(verb) \(name)\(option)\n".utf8)
            }
        }
        return stream + [UInt8(ascii: "\n")]
    }
}
