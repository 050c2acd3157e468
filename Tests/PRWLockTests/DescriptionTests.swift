import LockVocabulary
import LockWire
import Posix
import Rendezvous
import TestSupport
import Testing

@testable import PRWLock

/// What the library's values say about themselves.
@Suite(.timeLimit(.minutes(10))) struct DescriptionTests {
    @Test("a grant says what it holds, and how it was lost") func grants() async throws {
        let daemon = try DaemonProcess()
        let client = Client(socketPath: daemon.socketPath)
        let grant = try await client.lock("a b").acquireUpdate()
        let watch = grant.lossWatch
        let words = "\(grant)"
        #expect(words == "the lock a%20b, held for update (token 1)")
        #expect("\(watch)" == "a watch of the lock a%20b, held for update (token 1)")
        #expect("\(client)" == "a client of the lock daemon at \(daemon.socketPath)")
        #expect("\(client.lock("a b"))" == "a b")
        try await grant.release()
        #expect("\(watch)" == "a watch of a lock that was released")

        let lost = try await client.lock("jobs").acquireWrite()
        client.close()
        #expect(lost.description == "the lock jobs (token 2) was lost: its client was closed")
    }

    @Test("a blocking grant says what it holds, and how it was lost") func blockingGrants() throws {
        let daemon = try DaemonProcess()
        let client = BlockingClient(socketPath: daemon.socketPath)
        let grant = try client.lock("jobs").acquireRead()
        let words = "\(grant)"
        #expect(words == "the lock jobs, held for read (token 1)")
        #expect("\(client)" == "a blocking client of the lock daemon at \(daemon.socketPath)")
        #expect("\(client.lock("a b"))" == "a b")
        client.close()
        #expect(grant.description == "the lock jobs (token 1) was lost: its client was closed")
    }

    @Test("the state of a lock and its changes are sentences, in which names and notes stay encoded")
    func looking() throws {
        let name = try #require(LockName(encoding: "a\u{1b}b"))
        let note = try #require(Note(encoding: "nightly"))
        let holder = Row.Holder(
            processID: 811, mode: .write, owner: .session, token: Token(rawValue: 42), age: .seconds(3),
            leaseLeft: .seconds(5), note: note)
        let waiter = Row.Waiter(
            processID: nil, mode: .read, owner: .session, waited: .milliseconds(500),
            timeout: .upTo(.seconds(5)),
            note: .none)
        #expect(
            "\(LockStatus(rows: [.holder(holder), .waiter(waiter)]))" == """
                held by process 811 (write, token 42) for 3.0 seconds, its lease ends in 5.0 seconds: nightly
                a process that cannot be seen from here (read) waits for 0.5 seconds of 5.0 seconds
                """)
        #expect("\(LockStatus(rows: []))" == "free")
        #expect(
            "\(Row.Lock(name: name, mode: .read, holders: 2, waiters: 1, ownerDied: .yes))"
                == "a%1Bb: read, holders: 2, waiters: 1, its last writer died")
        let change = LockChange(
            name: name, change: .granted, processID: 811, mode: .write, token: Token(rawValue: 42))
        #expect("\(LockEvent.changed(change))" == "a%1Bb: granted, process 811 (write, token 42)")
        #expect("\(LockEvent.missed(7))" == "missed 7 changes")
        #expect("\(LockOwner())".hasPrefix("t"))
    }
}

@Suite("A description of an error") struct ErrorDescriptionTests {
    private static let evil = "x\u{1B}[2J\u{7}\n\u{61C}\u{202E}\u{E0041}"
    private static let location = SocketLocation(path: "/\(evil)")

    @Test(
        "has no character that a terminal obeys",
        arguments: [
            LockError.refused(.limitGrants, evil), .invalidArgument(evil),
            .unreachable(.turnedAway(location, evil)), .unreachable(.stranger(location)),
            .unreachable(.unsafeDirectory(evil, reason: evil)), .unreachable(.noProgram(searched: [evil])),
            .unreachable(.system(SystemError(code: 2, call: "open", subject: evil))),
        ])
    func errors(error: LockError) {
        #expect("\(error)".contains(#"x\x1B[2J\x07\x0A\u{061C}\u{202E}\u{E0041}"#))
        #expect("\(error)".unicodeScalars.allSatisfy { !Harmless.isHarmful($0) })
    }
}
