import LockCore
import LockServer
import LockVocabulary
import LockWire
import Testing

/// What a malicious user cannot do with the socket alone, by `.github/SECURITY.md`. `AccountTests` has the user's share of
/// all limits, and `PolicyTests` what the user cannot see.
@Suite("A hostile user") struct HostileTests {
    /// The requests about a grant or a request, with the token, the owner and the tag of another session.
    private static let reaches: [String: [String]] = [
        "RELEASE": [
            "RELEASE jobs token=<t>", "RELEASE jobs token=<t> owner=w1", "RELEASE jobs at=end token=<t>",
            "RELEASE jobs owner=w1", "RELEASE jobs owner=w1 at=end", "RELEASE * owner=w1",
            "RELEASE * owner=-",
            "RELEASE mail token=<t>", "RELEASE jobs",
        ],
        "RENEW": [
            "RENEW jobs token=<t> lease=1ms", "RENEW jobs token=<t>", "RENEW jobs lease=1ms owner=w1",
            "RENEW mail token=<t> lease=1ms",
        ],
        "DOWNGRADE": [
            "DOWNGRADE jobs to=read token=<t>", "DOWNGRADE jobs owner=w1", "DOWNGRADE mail token=<t>",
        ],
        "UPGRADE": [
            "UPGRADE jobs token=<t> wait=0", "UPGRADE jobs owner=w1 wait=0", "UPGRADE mail token=<t> wait=0",
        ],
        "CANCEL": [
            "CANCEL jobs", "CANCEL jobs owner=w1", "CANCEL jobs owner=w2", "CANCEL #own",
            "CANCEL mail owner=w2",
        ],
        "REVOKE": ["REVOKE jobs token=<t>", "REVOKE mail token=<t>"],
        "VALIDATE": ["VALIDATE jobs token=<t>", "VALIDATE mail token=<t>"],
    ]

    @Test(
        "changes nothing of another session by its token, owner or tag, and sends it no notice",
        arguments: reaches.keys.sorted(), [1_000, 1_001] as [UInt32])
    func reach(verb: String, user: UInt32) {
        // The victim has a grant with a lease, and a request that waits; the attacker may hold locks of its own.
        for own in [[], ["READ mail owner=w1 lease=1h"], ["READ mail", "READ other owner=w1"]] {
            let room = Room()
            room.open("a", userID: 1_000)
            room.open("b", userID: user)
            room.send("a", "UPDATE jobs owner=w1 lease=1h\n")
            room.send("a", "#own WRITE jobs owner=w2\n")
            for line in own { room.send("b", line + "\n") }
            let before = room.send("a", "STATUS jobs\n")
            #expect(before.count == 3)
            for request in Self.reaches[verb] ?? [] {
                // Its own token on another name, and one that no grant has, are tried too.
                for token in ["1", "2", "3", "18446744073709551615"] {
                    let line = request.replacing("<t>", with: token)
                    for reply in room.send("b", line + "\n") {
                        let isAbout = line.contains(" jobs ") || line.hasSuffix(" jobs")
                        let words = reply.split(separator: " ")
                        let isRefused =
                            reply.hasPrefix("ERROR not-")
                            || reply == "DENIED jobs revoke reason=not-permitted"
                            || ["VALID", "STALE"].contains(words[0])
                        #expect(!isAbout || isRefused, "\(line): \(reply)")
                    }
                    #expect(room.hear("a").isEmpty, "\(line)")
                    #expect(room.send("a", "STATUS jobs\n") == before, "\(line)")
                }
            }
        }
    }

    @Test("is refused by every request that names a grant or a request") func everyRequest() {
        let about = Request.forms.filter { $0.contains("token=") || $0.contains("#tag") }
        #expect(Set(about.map { String($0.prefix { $0 != " " }) }) == Set(Self.reaches.keys))
    }

    @Test(
        "puts nothing into names, notes, owners, tags or clients that could harm a terminal or look like another",
        arguments: [
            "\u{1B}[2J", "\u{202E}sboj", "j\u{43E}bs", "jobs\u{200B}", "jo\u{0}bs", "jobs\u{7F}", "jobs%41",
            "jobs%1b",
            "jobs%", "jobs%2", "\u{FEFF}jobs",
        ])
    func spelling(text: String) {
        let room = Room()
        for line in [
            "READ \(text)", "READ jobs note=\(text)", "READ jobs owner=\(text)", "#\(text) PING",
            "HELLO client=\(text)",
            "WATCH \(text)\u{1}",
        ] {
            let reply = room.send("a", line + "\n").first ?? ""
            #expect(reply.hasPrefix("ERROR bad-"), "\(reply)")
            // Nor does a reply repeat what the client sent.
            #expect(reply.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        }
        #expect(room.send("a", "LIST\n") == ["END 0"])
    }

    @Test("cannot spell one name in two ways") func oneSpelling() {
        let room = Room()
        #expect(room.send("a", "WRITE a%20b\n").first?.hasPrefix("GRANTED") == true)
        #expect(room.send("b", "WRITE %61%20b wait=0\n").first?.hasPrefix("ERROR bad-name") == true)
        #expect(room.send("b", "WRITE a%2b wait=0\n").first?.hasPrefix("ERROR bad-name") == true)
    }

    @Test("does not see what another wrote, in a lock that he waits for, or in a circle") func notes() {
        let room = Room()
        room.open("a", userID: 1_000)
        room.open("b", userID: 1_001)
        room.send("a", "HELLO client=payroll\n")
        room.send("a", "WRITE jobs note=secret-command\n")
        room.send("b", "WRITE mail\n")
        room.send("a", "WRITE mail note=another-secret\n")
        let told =
            [
                "WRITE jobs wait=0", "WRITE jobs wait=1ms", "STATUS jobs", "STATUS mail", "LIST", "SESSIONS",
                "WATCH",
            ]
            .flatMap { room.send("b", $0 + "\n") }
        room.pass(.seconds(1))
        let all = (told + room.hear("b")).joined(separator: "\n")
        #expect(all.contains("held-by=1/write") && all.contains("cycle="))
        for secret in ["secret-command", "another-secret", "payroll"] { #expect(!all.contains(secret)) }
    }

    @Test("keeps no other user out by opening sessions, holding locks or waiting") func everything() {
        let room = Room {
            $0.policy = Policy()
            $0.limits.rules.sessions = 40
            $0.limits.rules.grants = 400
            $0.limits.rules.waiters = 80
        }
        var sessions: [SessionID] = []
        while let session = room.server.open(Peer(processID: 7, userID: 1_000, groupID: 1), at: room.now) {
            sessions.append(session)
        }
        #expect(sessions.count == 10)
        for (number, session) in sessions.enumerated() {
            let lines = (0..<60).map { "WRITE x\(number)/\($0)\nWRITE x0/\($0)\n" }.joined()
            Array(lines.utf8).withUnsafeBytes { room.server.receive($0, from: session, at: room.now) }
        }
        while room.server.hasUnfinishedWork { room.server.resumeWork(at: room.now) }
        room.open("b", userID: 1_001)
        #expect(room.send("b", "WRITE mine\n").first?.hasPrefix("GRANTED") == true)
        #expect(room.send("b", "READ x0/0 wait=1ms\n") == [])
    }
}
