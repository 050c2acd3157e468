import LockServer
import LockVocabulary
import Testing

@Suite("A policy: who may do what") struct PolicyTests {
    private static var names: PolicyNames {
        PolicyNames(
            user: { ["alice": 1_000, "bob": 1_001][$0] }, group: { $0 == "backup" ? 34 : nil })
    }

    /// A room where root has the session a, the daemon's own user b, alice c and d, and bob e.
    private func room(_ rules: String) throws -> Room {
        let policy = try Policy(parsing: rules, Self.names)
        let room = Room { $0.policy = policy }
        room.open("a", userID: 0)
        room.open("b", userID: 500)
        room.open("c", userID: 1_000)
        room.open("d", userID: 1_000)
        room.open("e", userID: 1_001)
        return room
    }

    @Test("without rules all may lock and look, and the daemon's own user and root revoke") func defaults()
        throws
    {
        let room = try room("")
        room.play(
            """
            c> WRITE jobs note=secret
            c< GRANTED jobs write token=1
            e> REVOKE jobs token=1
            e< DENIED jobs revoke reason=not-permitted
            e> VALIDATE jobs token=1
            e< VALID jobs token=1
            b> REVOKE jobs token=1
            b< REVOKED jobs token=1
            c< ! REVOKED jobs token=1
            """)
    }

    @Test(
        "another user's notes and clients are not shown, one's own are, and root and the daemon's user see all"
    )
    func notes() throws {
        let room = try room("")
        room.send("c", "HELLO client=backup\n")
        room.send("c", "WRITE jobs note=command\n")
        room.say("d", "READ jobs note=other\n")
        for (reader, sees) in [("a", true), ("b", true), ("c", true), ("d", true), ("e", false)] {
            let letter = Character(reader)
            let rows = room.send(letter, "STATUS jobs\n")
            #expect(rows.count == 3)
            #expect(rows.contains { $0.hasSuffix("note=command") } == sees, "\(reader)")
            #expect(rows.contains { $0.contains(" note=other ") } == sees, "\(reader)")
            let sessions = room.send(letter, "SESSIONS\n")
            #expect(sessions.contains { $0.contains("client=backup") } == sees, "\(reader)")
        }
    }

    @Test("the first line that is about a right and a name counts") func firstLine() throws {
        let room = try room(
            """
            # web's own names
            allow user=alice read,write web/public/
            deny  everyone   read,write web/    # but no other locks
            allow user=bob   notes,revoke mail
            """)
        room.play(
            """
            c> WRITE web/public/x
            c< GRANTED web/public/x write token=1
            c> READ web/x
            c< DENIED web/x read reason=not-permitted
            b> WRITE web/x
            b< DENIED web/x write reason=not-permitted
            e> READ web/public/x
            e< DENIED web/public/x read reason=not-permitted
            c> WRITE mail note=for-bob
            c< GRANTED mail write token=2
            e> STATUS mail
            e< * holder pid=3 mode=write owner=- token=2 age=0ms lease=- note=for-bob
            e< END 1
            e> REVOKE mail token=2
            e< REVOKED mail token=2
            c< ! REVOKED mail token=2
            """)
    }

    @Test("to read is not to write: an updater or an upgrade needs the right to write") func writing() throws
    {
        let room = try room("deny user=alice write *")
        room.play(
            """
            c> READ jobs
            c< GRANTED jobs read token=1
            c> UPGRADE jobs
            c< DENIED jobs write reason=not-permitted
            c> UPDATE jobs
            c< DENIED jobs update reason=not-permitted
            c> RELEASE jobs
            c< RELEASED jobs token=1
            """)
    }

    @Test("who may not look is told of no lock, whatever he asks") func looking() throws {
        let room = try room("deny user=bob look,watch secret/")
        room.send("e", "WATCH\n")
        room.play(
            """
            c> WRITE secret/x
            c< GRANTED secret/x write token=1
            c> WRITE open/x
            c< GRANTED open/x write token=2
            e< ! CHANGED open/x granted pid=3 mode=write token=2 owner=- tag=- request=- upgrades=-
            e> LIST
            e< * lock open/x mode=write holders=1 waiters=0 ownerdied=0
            e< END 1
            e> STATUS secret/x
            e< DENIED secret/x look reason=not-permitted
            e> VALIDATE secret/x token=1
            e< DENIED secret/x look reason=not-permitted
            d> LIST secret/
            d< * lock secret/x mode=write holders=1 waiters=0 ownerdied=0
            d< END 1
            """)
    }

    @Test("LIST passes over what may not be seen in turns, and loses no place") func longList() throws {
        let room = try room("deny user=bob look secret/")
        for number in 0..<9_000 { room.send("c", "READ secret/\(number) \n") }
        room.send("c", "READ z\n")
        #expect(room.send("e", "LIST\n").last == "END 1")
        #expect(room.send("d", "LIST secret/ limit=3\n").last == "END 3")
    }

    @Test("groups, units and programs are what the kernel says they are") func subjects() throws {
        let policy = try Policy(
            parsing: """
                allow group=backup read *
                allow unit=nginx.service,web.service read *
                allow exe=/usr/bin/backup read *
                deny everyone read *
                """, Self.names)
        let room = Room { $0.policy = policy }
        func read(_ change: (inout Peer) -> Void) -> String? {
            var peer = Peer(processID: 9, userID: 1_000, groupID: 1_000)
            change(&peer)
            guard let session = room.server.open(peer, at: room.now) else { return nil }
            Array("READ jobs\n".utf8).withUnsafeBytes { room.server.receive($0, from: session, at: room.now) }
            let said = room.server.withOutput(of: session) { String(decoding: $0, as: UTF8.self) }
            room.server.close(session, at: room.now)
            return said.split(separator: " ").first.map(String.init)
        }
        #expect(read { _ in } == "DENIED")
        #expect(read { $0.groupID = 34 } == "GRANTED")
        #expect(read { $0.identity.groups = [4, 34] } == "GRANTED")
        #expect(read { $0.identity.unit = "web.service" } == "GRANTED")
        #expect(read { $0.identity.unit = "other.service" } == "DENIED")
        #expect(read { $0.identity.executable = "/usr/bin/backup" } == "GRANTED")
        #expect(policy.facts == [.groups, .unit, .executable])
    }

    @Test("another policy holds at once, for the sessions that are there too") func reload() throws {
        let room = try room("")
        room.send("e", "READ jobs\n")
        room.server.setPolicy(
            try Policy(parsing: "deny user=bob read *\nlimit user=bob grants=2", Self.names))
        #expect(room.send("e", "READ mail\n") == ["DENIED mail read reason=not-permitted"])
        #expect(room.send("e", "WRITE one\n").first?.hasPrefix("GRANTED") == true)
        #expect(room.send("e", "WRITE two\n").first?.hasPrefix("ERROR limit-grants") == true)
        #expect(room.send("e", "RELEASE jobs\n") == ["RELEASED jobs token=1"])
    }

    @Test("what is denied is counted, and told the operator") func told() throws {
        let room = try room("deny everyone write *")
        room.send("c", "#1 WRITE jobs\n")
        #expect(room.server.takeEvents().map(\.kind) == [.denied("write")])
        #expect(room.send("c", "STATS\n").contains("* total-denied 1"))
    }
}
