import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

/// What the fleet agrees on, above all the offset of tokens, which rises when the store was restored from a backup.
@Suite("The settings of a fleet")
struct SettingsTests {
    private func fleet(_ count: Int = 2) -> TestFleet {
        let fleet = TestFleet(count)
        fleet.run()
        return fleet
    }

    private func raiseOffset(_ fleet: TestFleet) {
        fleet.put("prwlock/fleet", "prwlock-fleet 1\nprefix \noffset 1000000\n")
    }

    private func offset(_ host: TestHost) -> UInt64 {
        host.claims.tokens.floor.rawValue >> 16 & (1 << 46 - 1)
    }

    @Test("a host that does not know yet that the offset was raised gains no claim (G7)")
    func gain() {
        let fleet = fleet()
        fleet[0].holdsEvents = true
        raiseOffset(fleet)
        fleet[0].holdsRequests = true
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet.carryOut(fleet[0])
        #expect(fleet.register(job) == "")
        fleet.run()
        #expect(fleet[0].holders(job) == [] && fleet[0].claims.state.totalLostLeases == 1)
        fleet[0].holdsRequests = false
        fleet[0].holdsEvents = false
        fleet.run()
        #expect(fleet[0].holders(job) == [.write] && offset(fleet[0]) > 1_000_000)
    }

    @Test("a claim that another host has let it have does not count with the former offset (G7)")
    func promoted() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[1].holdsEvents = true
        fleet[0].holdsEvents = true
        raiseOffset(fleet)
        fleet.pass(.milliseconds(10))
        fleet[0].release(job)
        fleet.run()
        #expect(fleet.register(job).contains("holds write web2"))
        // The second host asks for less, by the state of the register that it knows, and reads the new one.
        fleet[1].rules[job]?.waiting = []
        fleet[1].acquire(job, .read)
        fleet.run()
        #expect(fleet[1].claims.state.totalLostLeases == 1)
        for host in fleet.hosts { host.holdsEvents = false }
        fleet.pass(.milliseconds(100))
        #expect(fleet[1].holders(job) == [.read] && offset(fleet[1]) > 1_000_000)
    }

    @Test("a killed process finds that the offset was raised, before it uses more than it had")
    func killed() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].holdsEvents = true
        raiseOffset(fleet)
        fleet[0].restart()
        fleet[0].acquire(other, .write)
        fleet.run()
        fleet[0].holdsEvents = false
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        #expect(fleet[0].holders(other) == [.write] && offset(fleet[0]) > 1_000_000)
    }

    @Test(
        "two hosts come back after a restored backup, in either order: tokens are above all earlier ones",
        arguments: [0, 1])
    func comeBack(first: Int) {
        let fleet = fleet()
        let backup = fleet.store
        var last: UInt64 = 0
        var tokens: [HostName: UInt64] = [:]
        func write(_ host: TestHost) {
            host.acquire(job, .write)
            fleet.pass(.milliseconds(20))
            let (floor, gate) = host.claims.tokens
            let token = max(floor.rawValue, tokens[host.configuration.host, default: 0] + 1)
            #expect(host.holders(job) == [.write] && token > last && token < gate.rawValue)
            (last, tokens[host.configuration.host]) = (token, token)
            host.release(job)
            fleet.run()
        }
        for _ in 0..<10 { for host in fleet.hosts { write(host) } }
        // The first host is away while the second one goes on alone.
        fleet[0].isStopped = true
        fleet.pass(.seconds(15))
        for _ in 0..<10 {
            fleet.put("prwlock/n/x", "prwlock-claim 1\nmark yes\n")
            write(fleet[1])
        }
        fleet[1].isStopped = true
        fleet.pass(.seconds(15))
        fleet.store = backup
        for host in fleet.hosts { host.watch = nil }
        for index in [first, 1 - first] {
            fleet[index].isStopped = false
            fleet.pass(.seconds(15))
            write(fleet[index])
        }
        for host in fleet.hosts { write(host) }
        #expect(
            fleet.hosts.filter { $0.events.contains { if case .backupRestored = $0 { true } else { false } } }
                .count == 1)
    }

    @Test(
        "a host that had seen more raises the offset, and the sessions of others end: their tokens may be lower (G7)"
    )
    func seenMore() {
        let fleet = TestFleet(2)
        fleet[1].isStopped = true
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        var configuration = fleet[1].configuration
        configuration.highestEpoch = 5_000
        fleet[1].claims = Claims(configuration)
        fleet[1].isStopped = false
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [.write] && offset(fleet[0]) > 5_000)
    }

    @Test("settings that were deleted are written again, and claims begin anew")
    func deleted() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        _ = fleet.store.carryOut(
            .transaction(Transaction(then: [.delete(key: Array("prwlock/fleet".utf8))])), at: fleet.now)
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        fleet[0].acquire(job, .write)
        fleet.pass(.milliseconds(100))
        #expect(fleet[0].holders(job) == [.write] && fleet[0].rules(job).shown == .maybe)
        #expect(fleet.store[Array("prwlock/fleet".utf8)] != nil)
    }

    @Test("a fleet that shares other names from now on has no host that shares the former ones")
    func otherPrefixes() {
        let fleet = fleet(1)
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet.put("prwlock/fleet", "prwlock-fleet 1\nprefix fleet/\noffset 0\n")
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        #expect(fleet[0].claims.state.phase == .failed(.otherPrefixes(["fleet/"])))
    }
}
