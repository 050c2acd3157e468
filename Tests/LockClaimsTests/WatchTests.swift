import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

@Suite("A watch that shows nothing")
struct WatchTests {
    private func fleet() -> TestFleet {
        let fleet = TestFleet(2)
        fleet.run()
        return fleet
    }

    @Test("a holder with a watch that hangs gives its claim up within the time of a lease")
    func holder() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].hangs = true
        fleet[1].acquire(job, .write)
        fleet.pass(.seconds(1))
        #expect(fleet[1].holders(job) == [])
        fleet.pass(.seconds(10))
        #expect(fleet[1].holders(job) == [.write] && fleet[0].claims.state.totalLostLeases == 0)
    }

    @Test("a waiting host with a watch that hangs finds within the time of a lease that it has the claim")
    func waiter() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[1].hangs = true
        fleet[0].release(job)
        fleet.pass(.milliseconds(100))
        #expect(fleet.register(job).contains("holds write web2") && fleet[1].holders(job) == [])
        fleet.pass(.seconds(10))
        #expect(fleet[1].holders(job) == [.write])
    }

    @Test("a stale picture of the claims lets no host have what another one has (G1)")
    func safe() {
        let fleet = fleet()
        fleet[0].holdsEvents = true
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.pass(.seconds(60))
        #expect(fleet[0].holders(job) == [] && fleet[1].holders(job) == [.write])
        // Nor does it take a host that has come back for dead.
        fleet.store.endLease(fleet[1].claims.state.lease)
        fleet.pass(.seconds(1))
        fleet[1].acquire(job, .write)
        fleet.pass(.seconds(60))
        #expect(fleet.hosts.filter { $0.holders(job) == [.write] }.count == 1)
    }

    @Test("changes of other programs cost a put between two keep-alives at most, and none if nothing changes")
    func cost() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        let before = fleet.store.revision
        fleet.pass(.seconds(60))
        #expect(fleet.store.revision == before)
        for _ in 0..<60 {
            fleet.put("other/x", "x")
            fleet.pass(.seconds(1))
        }
        #expect(fleet.store.revision - before - 60 < 60)
    }
}
