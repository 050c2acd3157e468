import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

@Suite("Where a grant is that this host does not have")
struct WhereaboutsTests {
    private func fleet(_ count: Int = 2, _ change: (inout ClaimsConfiguration) -> Void = { _ in })
        -> TestFleet
    {
        let fleet = TestFleet(count, change)
        fleet.run()
        return fleet
    }

    /// Has a host write a name; the token of its grant.
    private func write(_ host: TestHost, _ fleet: TestFleet) -> Token {
        host.acquire(job, .write)
        fleet.run()
        #expect(host.holders(job) == [.write])
        return host.claims.tokens.floor
    }

    private func isUnknown(_ token: Token, _ host: TestHost) -> Bool {
        if case .unknown = host.claims.whereabouts(of: token, on: job) { true } else { false }
    }

    @Test("another host's claim says so, and its end says that the grant has ended")
    func claim() throws {
        let fleet = fleet()
        let token = write(fleet[0], fleet)
        let web1 = try #require(HostName("web1"))
        #expect(fleet[1].claims.whereabouts(of: token, on: job) == .on(web1))
        fleet[0].release(job)
        fleet[0].claims.leave(at: fleet.now)
        fleet[0].settle()
        fleet.run()
        #expect(fleet[1].claims.whereabouts(of: token, on: job) == .nowhere)
    }

    @Test(
        "while the watch has not shown the claim of a newer token, nothing is known, whatever answers have come"
    )
    func lateWatch() {
        let fleet = fleet()
        fleet[1].holdsEvents = true
        let token = write(fleet[0], fleet)
        #expect(isUnknown(token, fleet[1]))
        // An answer with a newer revision does not show other registers.
        fleet[1].acquire(other, .write)
        fleet.run()
        #expect(fleet[1].holders(other) == [.write])
        #expect(isUnknown(token, fleet[1]))
        fleet[1].holdsEvents = false
        fleet.run()
        #expect(!isUnknown(token, fleet[1]))
    }

    @Test("a write claim of this host says that no other host has a grant, also if the watch is late")
    func ownClaim() {
        let fleet = fleet()
        let token = write(fleet[0], fleet)
        fleet[0].release(job)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[1].holdsEvents = true
        #expect(fleet[1].claims.whereabouts(of: token, on: job) == .nowhere)
        let newer = Token(rawValue: token.rawValue + 100 << 16)
        #expect(fleet[1].claims.whereabouts(of: newer, on: job) == .nowhere)
    }

    @Test("a claim that may have been given up says nothing")
    func doubt() {
        let fleet = fleet()
        _ = write(fleet[0], fleet)
        fleet[0].release(job)
        fleet[0].holdsRequests = true
        fleet[1].acquire(job, .write)
        fleet.run()
        let late = fleet.giveUp(fleet[0])
        fleet[0].holdsEvents = true
        _ = fleet.store.carryOut(late, at: fleet.now)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write])
        #expect(isUnknown(fleet[1].claims.tokens.floor, fleet[0]))
    }

    @Test("without a session nothing is known; a host that has ended has no grants")
    func sessions() {
        let fleet = fleet()
        let token = write(fleet[0], fleet)
        fleet.store.endLease(fleet[0].claims.state.lease)
        fleet[0].isStopped = true
        fleet[1].holdsRequests = true
        fleet.run()
        #expect(fleet.register(job).contains("holds write web1"))
        #expect(fleet[1].claims.whereabouts(of: token, on: job) == .nowhere)
        fleet.pass(.seconds(10))
        #expect(isUnknown(token, fleet[1]))
        #expect(fleet[1].claims.whereabouts(of: Token(rawValue: 1_000_000), on: job) == .nowhere)
    }

    @Test("a damaged register, and one of too many, say nothing")
    func unreadable() {
        let fleet = fleet(2) { $0.rememberedRegisters = 1 }
        fleet.put("prwlock/n/a", "prwlock-claim 1\nmark yes\n")
        let token = write(fleet[0], fleet)
        #expect(isUnknown(token, fleet[1]))
        let damaged = self.fleet()
        let former = write(damaged[0], damaged)
        damaged.put("prwlock/n/job", "hello")
        damaged.run()
        #expect(isUnknown(former, damaged[1]))
    }
}
