import LockServer
import LockWire
import Testing

/// What each right of a rule file allows, as `protocol.md` states it in "Who may do what".
@Suite("A right allows what protocol.md says, and nothing else") struct RightTests {
    /// What bob can see and do with the locks of alice in `secret/`, by the request that shows or does it.
    private enum Ability: String, CaseIterable {
        case read = "READ"
        case write = "WRITE"
        case update = "UPDATE"
        case upgrade = "UPGRADE"
        case status = "STATUS"
        case validate = "VALIDATE"
        case list = "LIST"
        case hot = "HOT"
        case watch = "WATCH"
        case revoke = "REVOKE"
        /// The note in a row of `STATUS`.
        case note
    }

    /// The requests for which a client needs no right.
    private static let free: Set = [
        "RELEASE", "DOWNGRADE", "RENEW", "CANCEL", "SESSIONS", "STATS", "HELLO", "PING", "QUIT", "HELP",
    ]

    /// What a client loses with a right.
    private func abilities(with right: Policy.Right) -> Set<Ability> {
        switch right {
        case .read: [.read]
        case .write: [.write, .update, .upgrade]
        // A note is part of a row that `look` shows.
        case .look: [.status, .validate, .list, .hot, .watch, .note]
        case .notes: [.note]
        case .watch: [.watch]
        case .revoke: [.revoke]
        }
    }

    /// Finds out what bob, who is `e`, can see and do under these rules, and checks that the rest is refused.
    private func abilities(under rules: String) throws -> Set<Ability> {
        let room = Room()
        room.open("c", userID: 1_000)
        room.open("d", userID: 1_000)
        room.open("e", userID: 1_001)
        room.open("w", userID: 1_001)
        room.send("c", "WRITE secret/x note=of-alice\n")
        room.send("d", "READ secret/x\nCANCEL secret/x\n")
        room.send("e", "READ secret/own\n")
        room.send("e", "WRITE secret/own2 lease=1h\n")
        let names = PolicyNames(user: { ["alice": 1_000, "bob": 1_001][$0] }, group: { _ in nil })
        room.server.setPolicy(try Policy(parsing: rules, names))

        var found: Set<Ability> = []
        func probe(_ ability: Ability, _ line: String, _ what: String) {
            let reply = room.send("e", line + "\n").first ?? ""
            let name = line.split(separator: " ").dropFirst().first ?? ""
            if reply == "DENIED \(name) \(what) reason=not-permitted" { return }
            found.insert(ability)
            #expect(!reply.hasPrefix("DENIED"), "\(line): \(reply)")
        }
        probe(.upgrade, "UPGRADE secret/own wait=0", "write")
        probe(.read, "READ secret/x wait=0", "read")
        probe(.update, "UPDATE secret/x wait=0", "update")
        probe(.write, "WRITE secret/x wait=0", "write")
        probe(.status, "STATUS secret/x", "look")
        probe(.validate, "VALIDATE secret/x token=1", "look")
        if room.send("e", "STATUS secret/x\n").contains(where: { $0.hasSuffix("note=of-alice") }) {
            found.insert(.note)
        }
        if room.send("e", "LIST\n").contains(where: { $0.contains("secret/x") }) { found.insert(.list) }
        if room.send("e", "HOT\n").contains(where: { $0.contains("secret/x") }) { found.insert(.hot) }
        #expect(room.send("w", "WATCH\n") == ["OK"])
        room.send("d", "READ secret/x\n")
        room.send("d", "READ open\n")
        let notices = room.hear("w")
        #expect(notices.contains { $0.contains(" open granted ") })
        if notices.contains(where: { $0.contains("secret/") }) { found.insert(.watch) }
        probe(.revoke, "REVOKE secret/x token=1", "revoke")

        // What a session has is its own, whatever the rules are now.
        for line in [
            "DOWNGRADE secret/own2 to=read", "RENEW secret/own2 lease=1h", "RELEASE secret/own2", "SESSIONS",
            "STATS", "HELP", "HELLO client=bob", "PING", "CANCEL secret/own",
        ] {
            let reply = room.send("e", line + "\n").first ?? ""
            #expect(!reply.hasPrefix("DENIED"), "\(line): \(reply)")
        }
        return found
    }

    @Test("a client without one right has all the others", arguments: Policy.Right.allCases)
    func without(right: Policy.Right) throws {
        let found = try abilities(
            under: """
                deny  user=bob \(right.rawValue) secret/
                allow user=bob all *
                """)
        #expect(found == Set(Ability.allCases).subtracting(abilities(with: right)))
    }

    @Test("a client with one right has no other", arguments: Policy.Right.allCases)
    func alone(right: Policy.Right) throws {
        let found = try abilities(
            under: """
                allow user=bob \(right.rawValue) secret/
                deny  user=bob all secret/
                """)
        let expected: Set<Ability> =
            switch right {
            case .look: [.status, .validate, .list, .hot]
            // Both show nothing of a lock that the client may not look at.
            case .notes, .watch: []
            case .read, .write, .revoke: abilities(with: right)
            }
        #expect(found == expected)
    }

    @Test("notes and notices are shown of a lock that the client may look at") func together() throws {
        func found(_ rights: String) throws -> Set<Ability> {
            try abilities(under: "allow user=bob \(rights) secret/\ndeny user=bob all secret/")
        }
        #expect(try found("look,watch") == [.status, .validate, .list, .hot, .watch])
        #expect(try found("look,notes") == [.status, .validate, .list, .hot, .note])
        #expect(try found("all") == Set(Ability.allCases))
        #expect(try found("notes,watch,revoke") == [.revoke])
    }

    @Test("every request needs a right that is tested here, or none") func everyRequest() {
        let verbs = Request.forms.map { String($0.prefix { $0 != " " }) }
        let needing = Set(Ability.allCases.map(\.rawValue)).intersection(verbs)
        #expect(Set(verbs) == needing.union(Self.free))
        #expect(needing.isDisjoint(with: Self.free))
    }
}
