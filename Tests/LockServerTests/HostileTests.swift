import LockCore
import LockServer
import LockVocabulary
import Testing

/// What a malicious user cannot do with the socket alone, by `.github/SECURITY.md`. `AccountTests` has the user's share of
/// all limits, and `PolicyTests` what the user cannot see.
@Suite("A hostile user") struct HostileTests {
    @Test("gains nothing by guessing tokens") func tokens() {
        let room = Room()
        room.open("a", userID: 1_000)
        room.open("b", userID: 1_001)
        room.send("a", "WRITE jobs lease=1h\n")
        for request in [
            "RELEASE jobs token=1", "RELEASE jobs token=1 owner=-", "RENEW jobs token=1 lease=1ms",
            "DOWNGRADE jobs to=read token=1", "UPGRADE jobs token=1", "CANCEL jobs",
            "RELEASE jobs at=end token=1",
        ] {
            let reply = room.send("b", request + "\n").first ?? ""
            #expect(reply.hasPrefix("ERROR not-"), "\(request): \(reply)")
        }
        #expect(room.send("b", "REVOKE jobs token=1\n") == ["DENIED jobs revoke reason=not-permitted"])
        #expect(room.send("a", "VALIDATE jobs token=1\n") == ["VALID jobs token=1"])
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
