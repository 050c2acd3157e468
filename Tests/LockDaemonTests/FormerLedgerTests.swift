import Glibc
import Keeping
import Ledger
import LockServer
import LockVocabulary
import Posix
import Testing

@testable import LockDaemon

/// The ledgers that released versions have left, which this version has to go on from (G14).
///
/// `Ledgers/write` wrote each of them, from a daemon with every kind of fact.
@Suite struct FormerLedgerTests {
    /// A server that goes on from the ledger of a release.
    private struct Heir: ~Copyable {
        var server: Server
        var now: Instant
        let kinds: Set<UInt8>
        /// The sessions with a connection, by their numbers.
        let sessions: [UInt32: SessionID]

        static func text(of release: String) throws -> String {
            let folder = #filePath[..<(#filePath.lastIndex(of: "/") ?? #filePath.endIndex)]
            return String(decoding: try FileContents.read("\(folder)/Ledgers/\(release).txt"), as: UTF8.self)
        }

        init(of release: String, rules: String = "") throws {
            let lines = try Self.text(of: release).split(separator: "\n").map { $0.split(separator: " ") }
            let now = Instant(nanoseconds: try #require(Int64(lines[0][1])))
            let memory = try LedgerMemory()
            #expect(ftruncate(memory.file.rawValue, try #require(off_t(lines[1][0]))) == 0)
            for line in lines.dropFirst(2) {
                let offset = try #require(off_t(line[0], radix: 16))
                let digits = Array(line[1])
                let bytes = stride(from: 0, to: digits.count, by: 2).map {
                    UInt8(String(digits[$0..<$0 + 2]), radix: 16) ?? 0
                }
                #expect(pwrite(memory.file.rawValue, bytes, bytes.count, offset) == bytes.count)
            }
            let ledger: Ledger
            switch Ledger.recover(memory.memory) {
            case .believed(let believed): ledger = believed
            case .doubted(let doubt): throw doubt
            }
            let continuity = Continuity(ledger: ledger, memory: memory, parcel: try SocketParcel())
            let facts = continuity.facts
            var kinds: Set<UInt8> = facts.sockets.isEmpty ? [] : [16]
            for kind in UInt8(1)..<16 {
                continuity.forEachFact(ofKind: kind) { _, _ in kinds.insert(kind) }
            }
            var configuration = ServerConfiguration()
            configuration.lastToken = Token(rawValue: 1_000)
            configuration.policy = try Policy(
                parsing: rules, PolicyNames(user: { _ in nil }, group: { _ in nil }))
            var server = Server(configuration)
            server.keepsFacts = true
            try server.restore(continuity, at: now)
            for (slot, count) in facts.sent { server.restoreSent(count, at: slot, inDoubt: 0) }
            sessions = Dictionary(
                uniqueKeysWithValues: server.openConnections.map { ($0.session.serial, $0.session) })
            self.server = server
            self.now = now
            self.kinds = kinds
        }

        mutating func open() throws -> SessionID {
            let session = server.open(Peer(processID: 1, userID: 0, groupID: 0), at: now)
            return try #require(session)
        }

        mutating func resume(after time: Duration = .zero) {
            now = now.advanced(by: time)
            server.advance(to: now)
            while server.hasUnfinishedWork { server.resumeWork(at: now) }
        }

        /// The lines that the session is sent, after it has sent these bytes. Process ids are left out.
        mutating func lines(of session: SessionID, sending text: String = "") -> [String] {
            Array(text.utf8).withUnsafeBytes { server.receive($0, from: session, at: now) }
            var output: [UInt8] = []
            while case let next = server.withOutput(of: session, { Array($0) }), !next.isEmpty {
                output += next
                server.wrote(next.count, to: session, at: now)
            }
            return String(decoding: output, as: UTF8.self).split(separator: "\n").map {
                String($0).replacing(/pid=[0-9]+/, with: "pid=P")
            }
        }
    }

    /// The sessions of `Ledgers/write`, by the numbers that they got.
    private enum Role: UInt32 {
        case holder = 1
        case waiter, reader, watcher
        case leaver = 6
        case slow, parked
    }

    @Test("the ledger of 1.0.0 has the sessions, grants, waiting requests and marks that it had (G14)")
    func state() throws {
        var heir = try Heir(of: "1.0.0")
        #expect(heir.kinds == Set(1...9).union([16]))
        let look = try heir.open()
        let requests = ["SESSIONS", "LIST", "STATUS jobs", "STATUS up", "STATUS late", "STATUS parked"]
        let lines = heir.lines(of: look, sending: requests.map { "\($0)\n" }.joined())
        #expect(
            lines == [
                "* session id=1 pid=P uid=0 client=holder grants=2 waiters=1 age=1.033s",
                "* session id=2 pid=P uid=0 client=- grants=0 waiters=2 age=1.032s",
                "* session id=3 pid=P uid=0 client=- grants=1 waiters=0 age=1.032s",
                "* session id=4 pid=P uid=0 client=- grants=0 waiters=0 age=1.031s",
                "* session id=10 pid=P uid=0 client=- grants=0 waiters=0 age=0ms",
                "* session id=6 pid=P uid=0 client=- grants=1 waiters=0 age=1.031s",
                "* session id=7 pid=P uid=0 client=- grants=0 waiters=0 age=1.031s",
                "* session id=8 pid=P uid=0 client=- grants=0 waiters=0 age=1.031s",
                "END 8",
                "* lock dead mode=- holders=0 waiters=0 ownerdied=1",
                "* lock jobs mode=write holders=1 waiters=2 ownerdied=0",
                "* lock late mode=write holders=1 waiters=0 ownerdied=0",
                "* lock up mode=update holders=2 waiters=1 ownerdied=0",
                "END 4",
                "* holder pid=P mode=write owner=o token=1 age=1.030s lease=3598.969s note=of%20mine",
                "* waiter pid=P mode=write owner=x waited=1.030s timeout=forever note=- upgrades=-",
                "* waiter pid=P mode=read owner=- waited=1.030s timeout=7200s note=patient upgrades=-",
                "END 3",
                "* holder pid=P mode=update owner=- token=2 age=1.029s lease=- note=-",
                "* holder pid=P mode=read owner=- token=3 age=1.029s lease=- note=-",
                "* waiter pid=P mode=write owner=- waited=1.029s timeout=10800s note=- upgrades=2",
                "END 3",
                "* holder pid=P mode=write owner=- token=5 age=1.029s lease=- note=-",
                "END 1",
                "END 0",
            ])
        try heir.server.checkInvariants()
    }

    @Test(
        "what the sessions of 1.0.0 sent and did not get an answer to is carried out, and what they watch is reported"
    )
    func goingOn() throws {
        var heir = try Heir(of: "1.0.0")
        let sessions = heir.sessions
        heir.resume()
        func session(_ role: Role) throws -> SessionID { try #require(sessions[role.rawValue]) }
        // The first of these lines, and the half of the last one, were in the ledger.
        #expect(
            heir.lines(of: try session(.parked), sending: "rked\n") == [
                "GRANTED parked write token=6", "#p1 RELEASED parked token=6",
                "#p2 GRANTED parked read token=7",
                "* holder pid=P mode=read owner=- token=7 age=0ms lease=- note=-", "#p3 END 1",
            ])
        #expect(heir.lines(of: try session(.holder), sending: "bs owner=o\n") == ["RELEASED jobs token=1"])
        #expect(heir.lines(of: try session(.waiter)) == ["#w2 GRANTED jobs write token=8"])
        #expect(heir.lines(of: try session(.reader), sending: "RELEASE up\n") == ["RELEASED up token=3"])
        #expect(heir.lines(of: try session(.holder)) == ["#u GRANTED up write token=9"])
        let changes = heir.lines(of: try session(.watcher)).map {
            $0.split(separator: " ")[1...3].joined(separator: " ")
        }
        #expect(changes == ["CHANGED jobs released", "CHANGED jobs granted"])
        #expect(
            heir.lines(of: try session(.leaver), sending: "READ dead\n")
                == ["GRANTED dead read token=10 ownerdied=1"])
        // A lease that began now, and a deadline that is as old as the request.
        heir.resume(after: .seconds(5))
        #expect(heir.lines(of: try session(.waiter)).contains("! EXPIRED jobs token=8"))
        // A session that asked for `at=end` leaves its lock without a mark.
        heir.server.died(try session(.leaver), at: heir.now)
        #expect(
            heir.lines(of: try session(.reader), sending: "WRITE late\n") == ["GRANTED late write token=12"])
    }

    @Test("output that 1.0.0 had not sent is sent, from the first byte that was not")
    func output() throws {
        var heir = try Heir(of: "1.0.0")
        let lines = heir.lines(of: try #require(heir.sessions[Role.slow.rawValue]))
        let words = lines.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        let cycle = ["* holder", "* waiter", "* waiter", "END 3"]
        let start = try #require(cycle.firstIndex(of: words.first ?? ""))
        #expect(words == words.indices.map { cycle[(start + $0) % 4] } && words.last == "END 3")
        #expect(lines.count == 72)
    }

    @Test("what a user owed in 1.0.0 is owed: the next line waits for as long as it would have")
    func debts() throws {
        var heir = try Heir(of: "1.0.0", rules: "limit everyone requests=1")
        let parked = try #require(heir.sessions[Role.parked.rawValue])
        heir.resume(after: .milliseconds(994))
        #expect(heir.lines(of: parked) == [])
        heir.resume(after: .milliseconds(1))
        #expect(heir.lines(of: parked) == ["GRANTED parked write token=6"])
    }

    @Test("there is a ledger of this release")
    func newest() throws {
        #expect(throws: Never.self) { try Heir.text(of: Release.version) }
    }
}
