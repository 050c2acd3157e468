import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

/// What README.md says of two hosts, step by step.
@Suite("Interleavings of two hosts")
struct InterleavingTests {
    /// A fleet of which all hosts have a session.
    private func fleet(_ count: Int = 2, _ change: (inout ClaimsConfiguration) -> Void = { _ in })
        -> TestFleet
    {
        let fleet = TestFleet(count, change)
        fleet.run()
        return fleet
    }

    private func session(_ host: TestHost) -> String { host.claims.state.session?.description ?? "none" }

    @Test("the first acquire costs one transaction, and the next none")
    func claim() {
        let fleet = fleet()
        fleet[0].holdsRequests = true
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].sent.count == 1)
        fleet.carryOut(fleet[0])
        fleet.run()
        #expect(fleet[0].holders(job) == [.write])
        fleet[0].release(job)
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [.write] && fleet[0].sent.isEmpty)
    }

    @Test("two hosts ask at once: the second swap fails, and its host waits behind the first")
    func bothAsk() {
        let fleet = fleet()
        for host in fleet.hosts {
            host.holdsRequests = true
            host.acquire(job, .write)
        }
        fleet.run()
        fleet.carryOut(fleet[0])
        fleet.carryOut(fleet[1])
        for host in fleet.hosts { host.holdsRequests = false }
        fleet.run()
        #expect(fleet[0].holders(job) == [.write] && fleet[1].holders(job) == [])
        #expect(
            fleet.register(job)
                == "prwlock-claim 1\nholds write \(session(fleet[0]))\nwaits write \(session(fleet[1]))\n")
        fleet.pass(.milliseconds(5))
        #expect(fleet[1].holders(job) == [], "the holder has the lock")
        fleet[0].release(job)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write])
    }

    @Test("a yield and an ask for one state of the register: one fails, and is decided anew")
    func yieldAgainstAsk() {
        let fleet = fleet(3)
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.pass(.milliseconds(10))
        fleet[0].holdsRequests = true
        fleet[2].holdsRequests = true
        fleet[0].release(job)
        fleet[2].acquire(job, .read)
        fleet.run()
        // The ask is first: the yield fails, and is made anew with the third host in the queue.
        fleet.carryOut(fleet[2])
        fleet[2].holdsRequests = false
        fleet.run()
        #expect(fleet[0].holders(job) == [] && fleet[1].holders(job) == [])
        fleet[0].holdsRequests = false
        fleet.run()
        #expect(fleet[1].holders(job) == [.write] && fleet[2].holders(job) == [])
        fleet[1].release(job)
        fleet.run()
        #expect(fleet[2].holders(job) == [.read])
    }

    @Test("an answer after the end of the lease grants nothing")
    func lateAnswer() {
        let fleet = fleet()
        fleet[0].holdsAnswers = true
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].answers.count == 1)
        let late = fleet[0].answers
        fleet[0].answers = []
        fleet[0].holdsRequests = true
        fleet[0].holdsEvents = true
        fleet.pass(.seconds(9))
        #expect(fleet[0].claims.validUntil == nil)
        for (id, answer) in late { fleet[0].answer(id, answer) }
        #expect(fleet[0].holders(job) == [])
    }

    @Test("a host that was stopped for longer than its lease loses everything before it does anything else")
    func stopped() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].isStopped = true
        fleet[1].acquire(job, .write)
        fleet.pass(.seconds(9))
        #expect(fleet[1].holders(job) == [])
        fleet.pass(.seconds(3))
        #expect(fleet[1].holders(job) == [.write])
        #expect(fleet[1].rules(job).shown == .maybe)
        fleet[0].isStopped = false
        fleet[0].now = fleet.now
        fleet[0].acquire(job, .read)
        #expect(fleet[0].holders(job) == [] && fleet[0].rules(job).lost == 1)
        fleet.run()
        #expect(fleet[0].holders(job) == [])
        fleet[1].release(job)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.read])
    }

    @Test("a host that was stopped does not take its own silence for that of the store")
    func stoppedNotUnreachable() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].isStopped = true
        fleet.pass(.seconds(60))
        fleet[0].isStopped = false
        fleet[0].now = fleet.now
        fleet[0].acquire(job, .read)
        #expect(fleet[0].rules(job).lost == 1 && fleet[0].rules(job).refusals == [])
        #expect(fleet[0].claims.state.isReachable && fleet[0].claims.state.unavailable == nil)
        fleet.run()
        #expect(fleet[0].holders(job) == [.read])
    }

    @Test("a host that has come back is not swept for its former session")
    func sweepAgainstReturn() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet.store.endLease(fleet[0].claims.state.lease)
        fleet[1].holdsRequests = true
        // The second host sweeps the first one's session. Meanwhile the first one has a new session, and asks.
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [], "the second host is before it in the queue")
        fleet[1].holdsRequests = false
        fleet.pass(.milliseconds(20))
        #expect(fleet[1].holders(job) == [.write] && fleet[0].holders(job) == [])
        fleet[1].release(job)
        fleet.pass(.milliseconds(20))
        #expect(fleet[0].holders(job) == [.write])
    }

    @Test("an ask without an answer is looked up, and holds if it was carried out")
    func unknownAsk() {
        let fleet = fleet()
        fleet[0].holdsRequests = true
        fleet[0].acquire(job, .write)
        fleet.run()
        let late = fleet.giveUp(fleet[0])
        _ = fleet.store.carryOut(late, at: fleet.now)
        fleet[0].holdsRequests = false
        fleet.pass(.milliseconds(200))
        #expect(fleet[0].holders(job) == [.write])
    }

    @Test("a yield without an answer is carried out late: the claim is not used until that is impossible")
    func unknownYield() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].holdsRequests = true
        fleet[0].holdsEvents = true
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[0].holdsEvents = false
        fleet.run()
        #expect(fleet[0].sent.count == 1, "the yield")
        let late = fleet.giveUp(fleet[0])
        // The register still lists the host when it looks, and a session of it wants the lock.
        fleet[0].acquire(job, .write)
        fleet.pass(.milliseconds(60))
        fleet.carryOut(fleet[0])
        fleet.run()
        #expect(fleet[0].holders(job) == [])
        _ = fleet.store.carryOut(late, at: fleet.now)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write])
        #expect(fleet[0].holders(job) == [])
        fleet[0].holdsRequests = false
        fleet.pass(.milliseconds(100))
        #expect(fleet[0].holders(job) == [])
    }

    @Test("a swap that only writes the register again makes a late yield impossible, and the claim is used")
    func doubtEnds() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].holdsRequests = true
        fleet[1].acquire(job, .write)
        fleet.run()
        let late = fleet.giveUp(fleet[0])
        // The other host has given its wish up, so the claim is to stay.
        fleet[1].rules[job]?.waiting = []
        fleet[1].state(job)
        fleet[0].acquire(job, .write)
        fleet[0].holdsRequests = false
        fleet.pass(.milliseconds(200))
        #expect(fleet[0].holders(job) == [.write])
        _ = fleet.store.carryOut(late, at: fleet.now)
        fleet.run()
        #expect(fleet[0].holders(job) == [.write] && fleet[1].holders(job) == [])
    }

    @Test("a claim that was given up and came back, both unseen, has later tokens and the mark of others")
    func returnUnseen() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet[1].acquire(job, .write)
        fleet.pass(.milliseconds(10))
        fleet[0].holdsRequests = true
        fleet[0].release(job)
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].holdsEvents = true
        _ = fleet.store.carryOut(fleet.giveUp(fleet[0]), at: fleet.now)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write] && fleet[0].holders(job) == [])
        let floor = fleet[1].claims.tokens.floor
        fleet[1].release(job, died: true)
        fleet.run()
        fleet[0].holdsRequests = false
        fleet.pass(.milliseconds(100))
        #expect(fleet[0].holders(job) == [.write])
        #expect(fleet[0].claims.tokens.floor > floor && fleet[0].rules(job).shown == .yes)
    }

    @Test("a watch event before the answer, and one long after it, change nothing that is newer")
    func eventAgainstAnswer() {
        let fleet = fleet()
        fleet[0].holdsAnswers = true
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [.write], "the event is as good as the answer")
        fleet[0].holdsAnswers = false
        fleet.run()
        #expect(fleet[0].holders(job) == [.write])
        fleet[0].holdsEvents = true
        fleet[0].release(job)
        // The claim is given up and the key deleted, while the event of its gain is still on its way.
        fleet[0].claims.leave(at: fleet.now)
        fleet[0].settle()
        fleet.run()
        #expect(fleet.register(job) == "")
        fleet[0].holdsEvents = false
        fleet.run()
        #expect(fleet[0].claims.directive(for: job).allowed == nil)
    }

    @Test("a killed process goes on with the claims in use, without asking first")
    func killed() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].holdsRequests = true
        fleet[0].restart()
        #expect(fleet[0].holders(job) == [.write] && fleet[0].rules(job).lost == 0)
        fleet[0].holdsRequests = false
        fleet[1].acquire(job, .read)
        fleet.pass(.seconds(30))
        #expect(fleet[0].holders(job) == [.write] && fleet[1].holders(job) == [])
        fleet[0].release(job)
        fleet.pass(.milliseconds(20))
        #expect(fleet[1].holders(job) == [.read])
    }

    @Test("a process that is killed between its yield and the answer does not use what it has given up")
    func killedWhileYielding() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].holdsRequests = true
        fleet[1].acquire(job, .write)
        fleet.run()
        guard let late = fleet[0].sent.popLast() else { return #expect(Bool(false), "no yield") }
        fleet[0].restart()
        fleet[0].acquire(job, .write)
        // It lists all registers, and finds that it has the claim.
        fleet.run()
        for _ in fleet[0].sent { fleet.carryOut(fleet[0]) }
        fleet.run()
        #expect(fleet[0].sent.count == 2, "the watch, and a swap that would take the doubt away")
        #expect(fleet[0].holders(job) == [])
        _ = fleet.store.carryOut(late.request, at: fleet.now)
        fleet[0].holdsRequests = false
        fleet.run()
        #expect(fleet[1].holders(job) == [.write] && fleet[0].holders(job) == [])
    }

    @Test(
        "a writer under an idle claim, of which the rules have said nothing, leaves a mark (G11)",
        arguments: [0, 1])
    func reuse(next: Int) {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet.run()
        fleet[0].rules[job]?.holders = [.write]
        fleet[0].isStopped = true
        fleet.pass(.seconds(12))
        fleet[0].isStopped = false
        fleet.pass(.seconds(1))
        #expect(fleet[0].rules(job).lost == 1)
        fleet[next].acquire(job, .write)
        fleet.pass(.milliseconds(20))
        #expect(fleet[next].holders(job) == [.write] && fleet[next].rules(job).shown == .maybe)
    }

    @Test("a restored backup ends all claims, and the tokens go on above all earlier ones")
    func backup() {
        let fleet = fleet()
        let backup = fleet.store
        for _ in 0..<20 {
            fleet[0].acquire(job, .write)
            fleet.run()
            fleet[0].release(job)
            fleet[1].acquire(job, .write)
            fleet.pass(.milliseconds(10))
            fleet[1].release(job)
            fleet.run()
        }
        let gate = fleet[1].claims.tokens.gate
        fleet.store = backup
        for host in fleet.hosts {
            host.claims.note(.connected, at: fleet.now)
            host.watch = nil
        }
        fleet.pass(.seconds(12))
        #expect(fleet[0].events.contains { if case .backupRestored = $0 { true } else { false } })
        fleet[0].acquire(job, .write)
        fleet.pass(.milliseconds(50))
        #expect(fleet[0].holders(job) == [.write])
        #expect(fleet[0].claims.tokens.floor >= gate)
    }
}
