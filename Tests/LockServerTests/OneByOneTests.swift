import LockServer
import LockVocabulary
import Testing

/// What a careful worker of the daemon uses (G14): held lines, and one step at a time.
@Suite("G14 one line at a time") struct OneByOneTests {
    private func hold(_ text: String, of letter: Character, in room: Room) {
        Array(text.utf8).withUnsafeBytes { room.server.hold($0, from: room.session(letter)) }
    }

    private func step(_ letter: Character, in room: Room) -> Server.Step? {
        let step = room.server.nextStep(of: room.session(letter))
        let isTaken = room.server.takeStep(of: room.session(letter), at: room.now)
        #expect(isTaken == (step != nil))
        return step
    }

    private func isIdle(_ room: Room) -> Bool { room.server.isIdle }

    /// The output, without any turn for what is left.
    private func output(_ letter: Character, of room: Room) -> String {
        String(decoding: room.take(letter, .max), as: UTF8.self)
    }

    @Test("held lines are carried out one at a time, also behind empty ones, and a half line stays")
    func lines() {
        let room = Room()
        room.open("a")
        hold("#1 PING\n\n\n#2 WRITE jobs\n#3 PING\nREL", of: "a", in: room)
        #expect(output("a", of: room) == "")
        #expect(room.server.unfinishedSessions == [room.session("a")])
        #expect(step("a", in: room) == .line)
        #expect(output("a", of: room) == "#1 PONG\n")
        #expect(step("a", in: room) == .line)
        #expect(output("a", of: room) == "#2 GRANTED jobs write token=1\n")
        #expect(step("a", in: room) == .line)
        #expect(output("a", of: room) == "#3 PONG\n")
        _ = step("a", in: room)
        #expect(step("a", in: room) == nil)
        #expect(room.server.unfinishedSessions == [])
        #expect(room.send("a", "EASE jobs\n") == ["RELEASED jobs token=1"])
    }

    @Test("a session whose input has ended ends in a step of its own, after its lines")
    func end() {
        let room = Room()
        room.open("a")
        hold("WRITE jobs\n", of: "a", in: room)
        room.endOfInput("a")
        #expect(step("a", in: room) == .line)
        #expect(isIdle(room) == false)
        #expect(step("a", in: room) == .end)
        #expect(step("a", in: room) == nil)
        room.server.advance(to: room.now)
        #expect(isIdle(room))
    }

    @Test("a session that is cut off for a line gets what is ready, and frees what it holds")
    func cutOff() {
        let room = Room()
        #expect(room.send("a", "WRITE jobs\n") == ["GRANTED jobs write token=1"])
        room.say("b", "WRITE jobs\n")
        hold("PING\n", of: "a", in: room)
        room.server.cutOff(forFatalLine: room.session("a"), of: "/bin/client", at: room.now)
        #expect(room.server.nextStep(of: room.session("a")) == nil)
        #expect(room.interest(in: "a") == .close)
        room.close("a")
        #expect(room.hear("b") == ["GRANTED jobs write token=2 ownerdied=1"])
        let event = room.server.takeEvents().first { $0.kind == .fatalLine }
        #expect(event?.peer?.processID == 1)
        #expect(event?.peer?.identity.executable == "/bin/client")
    }
}
