import LockServer
import LockVocabulary
import Testing

/// The server with clients that have letters for names and numbers for process ids, in virtual time.
struct Room {
    var server: Server
    var now = Instant.zero
    private var sessions: [Character: SessionID] = [:]

    init(_ change: (inout ServerConfiguration) -> Void = { _ in }) {
        var configuration = ServerConfiguration()
        configuration.program = "prwlockd/test"
        configuration.lastToken = Token(rawValue: 1_000_000)
        change(&configuration)
        server = Server(configuration)
    }

    /// Opens the session of a letter: `a` has the process id 1, `b` 2 and so on.
    @discardableResult
    mutating func open(_ letter: Character, userID: UInt32 = 1000) -> SessionID? {
        let processID = Int32(letter.asciiValue ?? 0) - 96
        let session = server.open(Peer(processID: processID, userID: userID, groupID: userID), at: now)
        sessions[letter] = session
        return session
    }

    /// Sends bytes and returns what the sender is told, as lines.
    @discardableResult
    mutating func send(_ letter: Character, _ text: String) -> [String] {
        if sessions[letter] == nil { open(letter) }
        guard let session = sessions[letter] else { return [] }
        var text = text
        text.withUTF8 { server.receive(UnsafeRawBufferPointer($0), from: session, at: now) }
        return hear(letter)
    }

    /// What a session is told, read to the end.
    mutating func hear(_ letter: Character) -> [String] {
        guard let session = sessions[letter] else { return [] }
        var bytes: [UInt8] = []
        while true {
            let part = server.withOutput(of: session) { Array($0) }
            if part.isEmpty, !server.hasUnfinishedWork { break }
            bytes += part
            server.wrote(part.count, to: session, at: now)
            server.resumeWork(at: now)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    func interest(in letter: Character) -> Server.Interest? {
        sessions[letter].map { server.interest(in: $0) }
    }

    mutating func endOfInput(_ letter: Character) {
        if let session = sessions[letter] { server.endOfInput(session, at: now) }
    }

    mutating func die(_ letter: Character) {
        if let session = sessions[letter] { server.died(session, at: now) }
    }

    mutating func close(_ letter: Character) {
        if let session = sessions[letter] { server.close(session, at: now) }
        sessions[letter] = nil
    }

    mutating func pass(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let due = server.nextDeadline, due <= end {
            now = max(now, due)
            server.advance(to: now)
        }
        now = end
        server.advance(to: now)
    }
}

@Test("a lock is granted, refused, waited for and handed over (G1)") func handOver() {
    var room = Room()
    #expect(room.send("a", "WRITE jobs note=nightly\n") == ["GRANTED jobs write token=1"])
    #expect(room.send("b", "#q READ jobs wait=0\n") == ["#q BUSY jobs read held-by=1/write"])
    #expect(room.send("b", "#w READ jobs wait=5s owner=t1\n") == [])
    #expect(
        room.send("c", "STATUS jobs\n") == [
            "* holder pid=1 mode=write owner=- token=1 age=0ms lease=- note=nightly",
            "* waiter pid=2 mode=read owner=t1 waited=0ms timeout=5s note=-",
            "OK 2",
        ])
    #expect(room.send("a", "RELEASE jobs\n") == ["RELEASED jobs token=1"])
    #expect(room.hear("b") == ["#w GRANTED jobs read token=2"])
}

@Test("a death frees, marks and tells (G6, G11)") func death() {
    var room = Room()
    room.send("a", "WRITE jobs\n")
    room.send("b", "WRITE jobs\n")
    room.die("a")
    #expect(room.interest(in: "a") == .close)
    #expect(room.hear("b") == ["GRANTED jobs write token=2 ownerdied=1"])
    #expect(room.server.takeEvents().map(\.kind) == [.diedHolding(grants: 1)])
}

@Test("lines behind a long list wait for it, and a release among them is not lost at the end (G6)")
func parkedLines() {
    var room = Room()
    for number in 0..<5_000 { room.send("a", "READ lock-\(number)\n") }
    room.send("b", "WRITE mine\n")
    room.open("c")
    let session = room.open("d")
    room.send("d", "WRITE other\n")
    var text = "LIST\nRELEASE other\n#p PING\n"
    text.withUTF8 { bytes in
        if let session { room.server.receive(UnsafeRawBufferPointer(bytes), from: session, at: room.now) }
    }
    #expect(room.interest(in: "d") == .open(reads: false, writes: true))
    #expect(room.send("c", "WRITE other wait=0\n") == ["BUSY other write held-by=4/write"])
    room.endOfInput("d")
    #expect(room.send("c", "WRITE other wait=0\n") == ["GRANTED other write token=5003"])
    let lines = room.hear("d")
    #expect(lines.filter { $0.hasPrefix("* lock ") }.count == 5_002)
    #expect(lines.suffix(1) == ["OK 5002"])
    #expect(lines.contains("RELEASED other token=5002"))
    #expect(room.interest(in: "d") == .close)
}
