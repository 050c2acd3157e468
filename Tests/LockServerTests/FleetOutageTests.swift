import LockServer
import LockVocabulary
import SimulatedStore
import Testing

/// What becomes of the way to the store.
enum Outage {
    /// The connection stands, and nothing passes: packets are dropped, or the member is stopped.
    case silent
    /// The connection ends, and no other one can be made.
    case refused
    /// The cluster has no leader.
    case leaderless
    /// What was sent is carried out after its deadline.
    case late
}

@Suite("A fleet without its cluster") struct FleetOutageTests {
    private func begin(_ outage: Outage, _ room: FleetRoom) {
        switch outage {
        case .silent: room.network.silence(0, until: Instant(nanoseconds: .max))
        case .refused: room.network.disconnect(0, for: .seconds(3_600), at: room.now)
        case .leaderless: room.network.changeLeader(for: .seconds(300), at: room.now)
        case .late: room.network.silence(0, until: room.now.advanced(by: .seconds(6)))
        }
    }

    /// The replies to a client of the first host in this time.
    private func heard(_ letter: Character, in room: FleetRoom, for duration: Duration) -> [String] {
        room.pass(duration)
        return (room.hosts[0].heard.removeValue(forKey: letter) ?? []).filter { !$0.hasPrefix("! UNTIL") }
    }

    @Test(
        "deadlines are met, what cannot be decided says what is wrong, and nothing is granted later",
        arguments: [
            (Outage.silent, Duration.zero), (.silent, .seconds(60)), (.refused, .zero),
            (.refused, .seconds(60)),
            (.leaderless, .zero), (.leaderless, .seconds(60)), (.late, .zero), (.late, .seconds(3)),
        ])
    func deadlines(outage: Outage, age: Duration) {
        let room = FleetRoom()
        begin(outage, room)
        room.pass(age)
        room.say(1, "a", "WRITE jobs wait=500ms\n")
        room.say(1, "b", "WRITE mail wait=0\n")
        room.say(1, "c", "READ news wait=2s\n")
        // Within a millisecond, as the daemon's timer has it.
        #expect(heard("a", in: room, for: .milliseconds(499)) == [])
        let timeout = heard("a", in: room, for: .milliseconds(2))
        #expect(
            timeout.count == 1 && timeout.first?.hasPrefix("TIMEOUT jobs write waited=50") ?? false,
            "\(timeout)")
        let undecided = heard("b", in: room, for: .zero)
        #expect(
            undecided.count == 1
                && undecided.first?.hasPrefix("ERROR cluster-unavailable lock=mail mode=write ") ?? false,
            "\(undecided)")
        let late = heard("c", in: room, for: .milliseconds(1_500))
        #expect(late.count == 1 && late.first?.hasPrefix("TIMEOUT news read waited=200") ?? false, "\(late)")
        room.network.calm(at: room.now)
        if outage == .refused { room.network.restart(0, at: room.now) }
        room.pass(.seconds(400))
        for letter in "abc" { #expect(heard(letter, in: room, for: .zero) == []) }
        // What the requests have claimed is free for another host, after a probe of this one.
        #expect(room.ask(2, "a", "WRITE jobs").first?.hasPrefix("GRANTED jobs write ") ?? false)
        #expect(room.ask(2, "a", "WRITE mail").first?.hasPrefix("GRANTED mail write ") ?? false)
    }

    @Test(
        "a request without a deadline is refused after the time of a lease, with what is wrong",
        arguments: [Outage.silent, .refused, .leaderless])
    func endless(outage: Outage) {
        let room = FleetRoom()
        begin(outage, room)
        room.say(1, "a", "WRITE jobs\n")
        let refused = heard("a", in: room, for: .seconds(25))
        #expect(
            refused.count == 1
                && refused.first?.hasPrefix("ERROR cluster-unavailable lock=jobs mode=write ") ?? false,
            "\(refused)")
    }

    @Test(
        "VALIDATE, STATUS, LIST and SESSIONS without the cluster say what is known, and VALIDATE what is not")
    func looking() {
        let room = FleetRoom()
        let mine = token(room.ask(1, "a", "WRITE jobs"))
        let theirs = token(room.ask(2, "a", "WRITE mail"))
        room.play("1 is cut off")
        #expect(room.ask(1, "b", "VALIDATE jobs token=\(mine)") == ["VALID jobs token=\(mine)"])
        #expect(room.ask(1, "b", "VALIDATE mail token=\(theirs)").first?.contains(" host web2 has ") ?? false)
        // What the other host does from now on is not seen here.
        let newer = token(room.ask(2, "a", "WRITE news"))
        #expect(room.ask(1, "b", "VALIDATE news token=\(newer)").first?.hasSuffix("; ask again") ?? false)
        room.pass(.seconds(9))
        for (name, token) in [("jobs", mine), ("mail", theirs), ("news", newer)] {
            let reply = room.ask(1, "b", "VALIDATE \(name) token=\(token)").first ?? ""
            #expect(reply.hasPrefix("ERROR cluster-unavailable "), "\(reply)")
        }
        #expect(room.ask(1, "b", "STATUS jobs") == ["END 0"])
        #expect(room.ask(1, "b", "LIST") == ["END 0"])
        #expect(!room.ask(1, "b", "SESSIONS").joined().contains("jobs"))
        #expect(room.stat(1, "cluster-lease-left") == 0 && room.stat(1, "cluster-claims") == 0)
        room.pass(.seconds(20))
        #expect(room.stat(1, "cluster-reachable") == 0)
        _ = heard("a", in: room, for: .zero)
        room.play("1 is back\n+ 20s")
        #expect(room.ask(1, "b", "VALIDATE jobs token=\(mine)") == ["STALE jobs token=\(mine)"])
    }

    @Test("readers that get a name together may have the same token, and VALIDATE tells of both (G7)")
    func readers() {
        let room = FleetRoom(hosts: 3)
        _ = room.ask(3, "a", "WRITE jobs")
        room.say(1, "a", "READ jobs\n")
        room.say(2, "a", "READ jobs\n")
        room.pass(.milliseconds(50))
        _ = room.ask(3, "a", "RELEASE jobs")
        let tokens = [1, 2].map { token(room.hosts[$0 - 1].heard.removeValue(forKey: "a") ?? []) }
        #expect(tokens[0] == tokens[1])
        for host in 1...2 {
            #expect(
                room.ask(host, "b", "VALIDATE jobs token=\(tokens[0])") == ["VALID jobs token=\(tokens[0])"])
        }
        _ = room.ask(1, "a", "RELEASE jobs")
        let reply = room.ask(1, "b", "VALIDATE jobs token=\(tokens[0])").first ?? ""
        #expect(reply.hasPrefix("ERROR cluster-unavailable host web"), "\(reply)")
        _ = room.ask(2, "a", "RELEASE jobs")
        let writer = token(room.ask(3, "a", "WRITE jobs"))
        #expect(writer > tokens[0])
        #expect(room.ask(3, "b", "VALIDATE jobs token=\(tokens[0])") == ["STALE jobs token=\(tokens[0])"])
    }

    @Test("a host with much to do gives a name up after its longest turn, before its own waiters (G2)")
    func turn() {
        let room = FleetRoom()
        let letters = "abcdefghijklmnopqrstuvwxy"
        for letter in letters { room.say(1, letter, "WRITE jobs\n") }
        room.pass(.milliseconds(20))
        room.say(2, "a", "WRITE jobs\n")
        let since = room.now
        var holds = 0
        // Each of them holds the lock for 100 ms, and requests it again.
        while (room.hosts[1].heard["a"] ?? []).isEmpty, holds < 100 {
            room.pass(.milliseconds(100))
            for letter in letters {
                guard
                    (room.hosts[0].heard.removeValue(forKey: letter) ?? []).contains(where: {
                        $0.hasPrefix("GRANTED")
                    })
                else { continue }
                holds += 1
                room.say(1, letter, "RELEASE jobs\nWRITE jobs\n")
                break
            }
            room.pass(.milliseconds(5))
        }
        #expect(since.duration(to: room.now) < .milliseconds(1_300) && holds >= 5, "\(holds)")
    }

    @Test(
        "a writer that its host's clock has ended leaves a mark to the next host, and to its own (G11)",
        arguments: [1, 2])
    func mark(next: Int) {
        let room = FleetRoom()
        _ = room.ask(1, "a", "WRITE jobs")
        room.play("1 is cut off")
        room.pass(.seconds(9))
        #expect(heard("a", in: room, for: .zero).first?.hasPrefix("! REVOKED jobs ") ?? false)
        #expect(room.ask(1, "a", "RELEASE jobs").first?.hasPrefix("ERROR not-held") ?? false)
        room.play("1 is back\n+ 20s")
        for mode in ["READ", "WRITE"] {
            let reply = room.ask(next, "b", "\(mode) jobs").first ?? ""
            #expect(reply.contains(" ownerdied=maybe"), "\(reply)")
            _ = room.ask(next, "b", "RELEASE jobs")
        }
        let clean = room.ask(3 - next, "c", "WRITE jobs").first ?? ""
        #expect(clean.hasPrefix("GRANTED") && !clean.contains("ownerdied"), "\(clean)")
    }

    private func token(_ lines: [String]) -> UInt64 {
        let words = lines.first { $0.hasPrefix("GRANTED") }?.split(separator: " ") ?? []
        return words.first { $0.hasPrefix("token=") }.flatMap { UInt64($0.dropFirst(6)) } ?? 0
    }
}
