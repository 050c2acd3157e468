import LockCore
import LockVocabulary
import Testing

@testable import LockServer

@Suite("The policy's decisions, and the watchers") struct DecisionTests {
    private let names = PolicyNames(user: { _ in nil }, group: { _ in nil })

    private func verdict(_ rules: String, user: UInt32) throws -> Verdict {
        var verdicts = Verdicts(by: try Policy(parsing: rules, names), ownUserID: 500)
        return verdicts.verdict(on: Peer(processID: nil, userID: user, groupID: user))
    }

    @Test("without rules all lock and look, and a user has a share; root and the daemon's user have all")
    func defaults() throws {
        let jobs = try #require(LockName("jobs"))
        for user: UInt32 in [0, 500, 1_000] {
            let verdict = try verdict("", user: user)
            let isTrusted = user != 1_000
            #expect(verdict.rights.allow(.write, jobs))
            #expect(verdict.rights.allow(.revoke, jobs) == isTrusted)
            #expect(verdict.rights.showNote(ofUser: 7, jobs) == isTrusted)
            #expect(verdict.rights.showClient(ofUser: 7) == isTrusted)
            #expect(verdict.rights.showNote(ofUser: user, jobs))
            #expect(verdict.allowance.watchers == (isTrusted ? nil : 64))
            #expect(verdict.sessions == (isTrusted ? .upTo(.max) : .quarterOfRest))
            #expect(
                verdict.share
                    == (isTrusted ? Share() : Share(grants: .quarterOfRest, waiters: .quarterOfRest)))
        }
    }

    @Test("a rule replaces what it speaks of, and only that") func rules() throws {
        let verdict = try verdict("deny user=1000 write jobs\nlimit user=1000 sessions=3", user: 1_000)
        #expect(verdict.rights.allow(.write, try #require(LockName("jobs/1"))) == false)
        #expect(verdict.rights.allow(.write, try #require(LockName("job"))))
        #expect(verdict.sessions == .upTo(3) && verdict.allowance.watchers == 64)
        #expect(verdict.share == Share(grants: .quarterOfRest, waiters: .quarterOfRest))
    }

    @Test("a rule about the notes of some names shows no client") func clients() throws {
        #expect(try verdict("allow everyone notes a/", user: 1).rights.showClient(ofUser: 2) == false)
        #expect(try verdict("allow everyone notes *", user: 1).rights.showClient(ofUser: 2))
    }

    @Test("an account has as many watchers as allowed, and a watcher one prefix") func watchers() throws {
        let (jobs, mail) = (try #require(LockName("jobs")), try #require(LockName("mail")))
        let sessions = (0..<3).map { SessionID(slot: $0, serial: $0 + 1) }
        let (mine, other) = (AccountID(rawValue: 0), AccountID(rawValue: 1))
        var watchers = Watchers()
        #expect(watchers.watch("jo", by: sessions[0], of: mine, atMost: 1) == true)
        #expect(watchers.watch("", by: sessions[1], of: mine, atMost: 1) == false)
        #expect(watchers.watch("", by: sessions[2], of: other, atMost: 1) == true)
        #expect(watchers.sessions(watching: jobs) == [sessions[0], sessions[2]])
        #expect(watchers.watch("ma", by: sessions[0], of: mine, atMost: 1) == true)
        #expect(watchers.sessions(watching: jobs) == [sessions[2]])
        watchers.remove(sessions[2])
        #expect(watchers.sessions(watching: mail) == [sessions[0]])
        #expect(watchers.count == 1)
    }

    @Test("a search keeps the strictest breach, ends with the lock itself, and examines so many grants")
    func order() throws {
        let policy = try Policy(parsing: "order a/ < b/ warn\norder a/ < c/ refuse", names)
        func name(_ text: String) throws -> LockName { try #require(LockName(text)) }
        func search(_ held: String...) throws -> LockOrder.Search {
            var search = try #require(LockOrder.Search(policy.order, asking: try name("a/1")))
            for held in held where search.needsMore { search.examine(try name(held), .none) }
            return search
        }
        #expect(try search("x", "b/1", "c/1", "b/2").breach?.held == name("c/1"))
        #expect(try search("b/1", "b/2").breach?.held == name("b/1"))
        let own = try search("c/1", "a/1", "b/1")
        #expect(own.breach == nil && own.examined == 2)
        #expect(LockOrder.Search(policy.order, asking: try name("x")) == nil)
    }
}
