import LockVocabulary
import LockWire
import Testing

/// Lines from the daemon, each written from a value and read back as the same.
@Suite("Replies, rows and notices")
struct ServerLineTests {
    private func expect(_ line: String, _ reply: Reply) throws {
        for tag in [nil, try tag("t.1")] {
            let tagged = (tag.map { "\($0) " } ?? "") + line
            #expect(try text { reply.encode(tag: tag, into: &$0) } == tagged)
            #expect(fromServer(tagged) == .reply(tag, reply))
        }
    }

    private func expect(_ line: String, _ row: Row) throws {
        #expect(try text(row.encode) == line)
        #expect(fromServer(line) == .row(row))
    }

    private func expect(_ line: String, _ notice: Notice) throws {
        #expect(try text(notice.encode) == line)
        #expect(fromServer(line) == .notice(notice))
    }

    @Test("A grant says its token, and whether the owner before died (G11)")
    func granted() throws {
        let jobs = try name("jobs")
        try expect("GRANTED jobs read token=42", .granted(jobs, .read, token(42), ownerDied: false))
        try expect(
            "GRANTED jobs write token=1 ownerdied=1", .granted(jobs, .write, token(1), ownerDied: true))
        try expect(
            "GRANTED jobs update token=18446744073709551615",
            .granted(jobs, .update, token(.max), ownerDied: false))
    }

    @Test("A refusal names at most three holders, and counts the rest")
    func heldBy() throws {
        let jobs = try name("jobs")
        func holders(_ count: Int) -> HeldBy {
            HeldBy((0..<count).map { HeldBy.Holder(processID: Int32($0 + 1), mode: .read) })
        }
        try expect(
            "BUSY jobs read held-by=811/write",
            .busy(jobs, .read, HeldBy([.init(processID: 811, mode: .write)])))
        try expect(
            "BUSY jobs write held-by=?/update",
            .busy(jobs, .write, HeldBy([.init(processID: nil, mode: .update)])))
        try expect("BUSY jobs write held-by=1/read,2/read,3/read", .busy(jobs, .write, holders(3)))
        try expect("BUSY jobs write held-by=1/read,2/read,3/read,+97", .busy(jobs, .write, holders(100)))
        #expect(fromServer("BUSY jobs write held-by=+1") == nil)
        try expect("BUSY jobs write held-by=?", .busy(jobs, .write, HeldBy()))
        try expect(
            "TIMEOUT jobs write waited=5000ms held-by=1/read",
            .timeout(jobs, .write, waited: .seconds(5), holders(1)))
    }

    @Test("A deadlock names the circle (G8)")
    func cycle() throws {
        let jobs = try name("jobs")
        let hops = [
            Cycle.Hop(processID: 811, owner: try owner("t1"), lock: jobs),
            Cycle.Hop(processID: nil, owner: .session, lock: try name("a/b:c")),
        ]
        try expect("DEADLOCK jobs write cycle=811/t1:jobs>?:a/b:c", .deadlock(jobs, .write, Cycle(hops)))
        let long = Cycle((0..<20).map { Cycle.Hop(processID: $0, owner: .session, lock: jobs) })
        #expect(long.named.count == 8)
        try expect(
            "DEADLOCK jobs read cycle=0:jobs>1:jobs>2:jobs>3:jobs>4:jobs>5:jobs>6:jobs>7:jobs>+12",
            .deadlock(jobs, .read, long))
    }

    @Test("Every other reply has its form")
    func others() throws {
        let jobs = try name("jobs")
        try expect(
            "DENIED jobs revoke reason=not-permitted", .denied(jobs, what: "revoke", reason: "not-permitted"))
        try expect("CANCELLED jobs read", .cancelled(jobs, .read))
        try expect("RELEASED jobs token=42", .released(jobs, token(42)))
        try expect("RENEWED jobs token=42 lease=30000ms", .renewed(jobs, token(42), .upTo(.seconds(30))))
        try expect("RENEWED jobs token=42 lease=forever", .renewed(jobs, token(42), .forever))
        try expect("VALID jobs token=42", .valid(jobs, token(42)))
        try expect("STALE jobs token=42", .stale(jobs, token(42)))
        try expect("REVOKED jobs token=42", Reply.revoked(jobs, token(42)))
        try expect(
            "HELLO version=1 server=prwlockd/0.1.0 session=7",
            .hello(version: Reply.protocolVersion, server: "prwlockd/0.1.0", session: 7, limits: nil))
        try expect(
            "HELLO version=1 server=prwlockd/0.1.0 session=7 max-line=65536 max-session-grants=10000 max-session-waiters=9",
            .hello(
                version: 1, server: "prwlockd/0.1.0", session: 7,
                limits: SessionLimits(line: 65_536, grants: 10_000, waiters: 9)))
        try expect("RELEASED * grants=3 waiters=0", .releasedAll(grants: 3, waiters: 0))
        try expect("PONG", .pong)
        try expect("BYE", .bye)
        try expect("OK", .ok)
        try expect("END 0", .end(rows: 0))
        try expect("END 1000000", .end(rows: 1_000_000))
    }

    @Test("An error says its code and a text", arguments: ErrorCode.allCases.filter { $0 != .unlisted })
    func errors(code: ErrorCode) throws {
        try expect("ERROR \(code.rawValue) \(code.explanation)", .error(WireError(code)))
        try expect(
            "ERROR \(code.rawValue) lock=jobs mode=write \(code.explanation)",
            .error(WireError(code, code.explanation, of: .init(try name("jobs"), .write))))
    }

    @Test("A code of a newer daemon is an error all the same")
    func unlistedError() throws {
        #expect(
            fromServer("#1 ERROR new-code some words")
                == .reply(try tag("1"), .error(WireError(.unlisted, "new-code some words"))))
        #expect(fromServer("ERROR not-held") == .reply(nil, .error(WireError(.notHeld, ""))))
    }

    @Test("A row of STATUS says who, since when, and what is left")
    func statusRows() throws {
        try expect(
            "* holder pid=811 mode=write owner=- token=42 age=3s lease=- note=nightly",
            .holder(
                .init(
                    processID: 811, mode: .write, owner: .session, token: token(42), age: .seconds(3),
                    leaseLeft: nil,
                    note: try note("nightly"))))
        try expect(
            "* holder pid=? mode=read owner=t1 token=1 age=250ms lease=29.007s note=-",
            .holder(
                .init(
                    processID: nil, mode: .read, owner: try owner("t1"), token: token(1),
                    age: .milliseconds(250),
                    leaseLeft: .milliseconds(29_007), note: .none)))
        for (timeout, spelling) in [
            (TimeLimit.upTo(.seconds(5)), "5s"), (.upTo(.milliseconds(1500)), "1500ms"),
            (.forever, "forever"),
        ] {
            try expect(
                "* waiter pid=902 mode=read owner=t1 waited=2s timeout=\(spelling) note=- upgrades=-",
                .waiter(
                    .init(
                        processID: 902, mode: .read, owner: try owner("t1"), waited: .seconds(2),
                        timeout: timeout,
                        note: .none)))
        }
        try expect(
            "* waiter pid=902 mode=write owner=- waited=2s timeout=5s note=- upgrades=42",
            .waiter(
                .init(
                    processID: 902, mode: .write, owner: .session, waited: .seconds(2),
                    timeout: .upTo(.seconds(5)), note: .none, upgrades: token(42))))
    }

    @Test("An age is cut off to milliseconds, and told in seconds from the first on")
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

    @Test("Every other row has its form")
    func otherRows() throws {
        try expect(
            "* lock jobs mode=write holders=1 waiters=2 ownerdied=0",
            .lock(.init(name: try name("jobs"), mode: .write, holders: 1, waiters: 2, ownerDied: false)))
        try expect(
            "* lock jobs mode=- holders=0 waiters=0 ownerdied=1",
            .lock(.init(name: try name("jobs"), mode: nil, holders: 0, waiters: 0, ownerDied: true)))
        try expect(
            "* session id=7 pid=811 uid=4294967294 client=- grants=1 waiters=0 age=3s",
            .session(
                .init(
                    id: 7, processID: 811, userID: 4_294_967_294, client: .none, grants: 1, waiters: 0,
                    age: .seconds(3))))
        try expect("* grants 17", .stat(name: "grants", value: 17))
        for form in Request.forms { try expect("* \(form)", .text(form)) }
    }

    @Test("Every notice has its form")
    func notices() throws {
        let jobs = try name("jobs")
        try expect("! EXPIRED jobs token=42", .expired(jobs, token(42)))
        try expect("! REVOKED jobs token=42", Notice.revoked(jobs, token(42)))
        try expect("! RECALL jobs token=42", .recall(jobs, token(42)))
        try expect("! MISSED 3", .missed(3))
        try expect("! DRAIN", .drain)
        for change in ChangeKind.allCases {
            try expect(
                "! CHANGED jobs \(change.rawValue) pid=811 mode=write token=42 owner=- tag=- request=- upgrades=-",
                .changed(.init(name: jobs, change: change, processID: 811, mode: .write, token: token(42))))
        }
        try expect(
            "! CHANGED jobs waiting pid=? mode=write token=- owner=t1 tag=#- request=0 upgrades=7",
            .changed(
                .init(
                    name: jobs, change: .waiting, processID: nil, mode: .write, token: nil,
                    owner: try owner("t1"), tag: try tag("-"), request: 0, upgrades: token(7))))
        #expect(
            fromServer("! CHANGED jobs waiting pid=? mode=read token=-")
                == .notice(
                    .changed(.init(name: jobs, change: .waiting, processID: nil, mode: .read, token: nil))))
    }

    @Test("The longest of everything fits, and with it the room that is made beforehand is enough")
    func longest() throws {
        let long = try name(String(repeating: "n", count: 255))
        let word = String(repeating: "w", count: 32)
        let largest = token(.max)
        let century = Duration.seconds(876_000 * 3600)
        let cycle = Cycle(
            repeatElement(Cycle.Hop(processID: .max, owner: try owner(word), lock: long), count: 1 << 20))
        var holders = HeldBy(repeatElement(.init(processID: .max, mode: .update), count: 4))
        holders.addUnnamed(.max - 1)
        let replies: [Reply] = [
            .granted(long, .update, largest, ownerDied: true),
            .timeout(long, .update, waited: century, holders), .deadlock(long, .update, cycle),
            .renewed(long, largest, .upTo(century)),
            .denied(long, what: word, reason: word), .ok, .end(rows: .max),
            .hello(
                version: .max, server: word, session: .max,
                limits: SessionLimits(line: .max, grants: .max, waiters: .max)),
            .releasedAll(grants: .max, waiters: .max),
            .error(
                WireError(
                    .repeatedArgument, String(repeating: "t", count: 60_000), of: .init(long, .update))),
        ]
        for reply in replies {
            let line = try text { reply.encode(tag: try? tag(word), into: &$0) }
            #expect(fromServer(line) != nil)
        }
        let rows: [Row] = [
            .holder(
                .init(
                    processID: .max, mode: .update, owner: try owner(word), token: largest,
                    age: century,
                    leaseLeft: century, note: try note(long.text))),
            .waiter(
                .init(
                    processID: .max, mode: .update, owner: try owner(word), waited: century,
                    timeout: .upTo(century), note: try note(long.text), upgrades: largest)),
            .lock(.init(name: long, mode: .update, holders: .max, waiters: .max, ownerDied: true)),
            .session(
                .init(
                    id: .max, processID: .max, userID: .max, client: try note(long.text), grants: .max,
                    waiters: .max,
                    age: century)),
        ]
        for row in rows { #expect(try text(row.encode).utf8.count > 255) }
        let changed = Notice.Changed(
            name: long, change: .downgraded, processID: .max, mode: .update, token: largest,
            owner: try owner(word), tag: try tag(word), request: .max, upgrades: largest)
        try expect(text(Notice.changed(changed).encode), .changed(changed))
    }

    @Test("Fields that a newer daemon adds at a line's end are passed over")
    func newerFields() throws {
        #expect(fromServer("RELEASED a token=1 extra=2") == .reply(nil, .released(try name("a"), token(1))))
        #expect(fromServer("PONG extra=2") == .reply(nil, .pong))
        #expect(
            fromServer("GRANTED a read token=1 ownerdied=1 extra=2")
                == .reply(nil, .granted(try name("a"), .read, token(1), ownerDied: true)))
        #expect(fromServer("! DRAIN extra=2") == .notice(.drain))
    }

    @Test(
        "What is no line of the protocol is none",
        arguments: [
            "", "*", "!", "#", "# PONG", "#a/b PONG", "PONGS", "pong", "GRANTED", "GRANTED a",
            "GRANTED a read",
            "GRANTED a read token=0", "GRANTED a read token=x", "GRANTED a maybe token=1",
            "GRANTED a! read token=1",
            "BUSY a read", "BUSY a read held-by=", "BUSY a read held-by=1", "BUSY a read held-by=1/no",
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

    @Test("more holders than a number can say are as many as it can") func tooManyHolders() throws {
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
