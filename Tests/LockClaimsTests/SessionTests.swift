import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

@Suite("The session of a host")
struct SessionTests {
    private func isFailed(_ host: TestHost, _ fault: FleetFault) -> Bool {
        host.claims.state.phase == .failed(fault) && host.claims.state.unavailable == fault.description
            && host.events.contains(.failed(fault))
    }

    @Test("the first daemon writes the fleet's settings, and its own key")
    func begin() {
        let fleet = TestFleet(1)
        fleet.run()
        let texts = fleet.store.pairs(prefix: Array("prwlock/".utf8)).map {
            String(decoding: $0.value, as: UTF8.self)
        }
        #expect(
            texts == [
                "prwlock-fleet 1\nprefix \noffset 0\n", "prwlock-host 1\ninstance instance1\nlease 10\n",
            ])
        #expect(fleet[0].claims.state.phase == .live)
    }

    @Test("a claim counts from the sending of the last answered keep-alive, less a margin")
    func validity() {
        let fleet = TestFleet(1)
        fleet.run()
        #expect(fleet[0].claims.validUntil == fleet.now.advanced(by: .seconds(9)))
        fleet.pass(.milliseconds(3_330))
        let sentAt = fleet.now
        #expect(fleet[0].claims.validUntil == sentAt.advanced(by: .seconds(9)))
        fleet[0].holdsAnswers = true
        fleet.pass(.milliseconds(3_330))
        let second = fleet.now
        fleet.pass(.seconds(1))
        fleet[0].holdsAnswers = false
        fleet.run()
        #expect(fleet[0].claims.validUntil == second.advanced(by: .seconds(9)), "not from the answer")
    }

    @Test("a process that goes on keeps the lease before it lists all keys")
    func goesOn() {
        let fleet = TestFleet(1)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet.pass(.seconds(1))
        fleet[0].restart()
        fleet[0].holdsRequests = true
        fleet.run()
        #expect(
            fleet[0].sent.allSatisfy {
                if case .transaction(let transaction) = $0.request {
                    transaction.then.allSatisfy { if case .list = $0 { false } else { true } }
                } else {
                    true
                }
            })
        #expect(fleet[0].sent.contains { if case .keepAlive = $0.request { true } else { false } })
        fleet[0].holdsRequests = false
        fleet.run()
        #expect(fleet[0].claims.validUntil == fleet.now.advanced(by: .seconds(9)))
        #expect(fleet[0].holders(job) == [.write] && fleet[0].claims.state.claims == 1)
        fleet.pass(.seconds(20))
        #expect(fleet[0].claims.state.totalLostLeases == 0)
    }

    @Test("without answers all claims end at once, and there is a new session when the store answers again")
    func lost() {
        let fleet = TestFleet(1)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet[0].acquire(other, .read)
        fleet.run()
        let former = fleet[0].claims.state.session
        fleet[0].holdsRequests = true
        fleet.pass(.milliseconds(8_999))
        #expect(fleet[0].holders(job) == [.write])
        fleet.pass(.milliseconds(1))
        #expect(fleet[0].holders(job) == [] && fleet[0].holders(other) == [])
        #expect(fleet[0].claims.state.totalLostLeases == 1)
        #expect(fleet[0].claims.state.totalHandovers == 0, "nothing was given up")
        while !fleet[0].sent.isEmpty { _ = fleet.giveUp(fleet[0]) }
        fleet.pass(.seconds(1))
        #expect(fleet[0].claims.state.unavailable != nil, "no session, and no answer for the time of a lease")
        while !fleet[0].sent.isEmpty { _ = fleet.giveUp(fleet[0]) }
        fleet[0].holdsRequests = false
        fleet.pass(.seconds(1))
        #expect(fleet[0].claims.state.session != former && fleet[0].claims.state.phase == .live)
        #expect(fleet[0].claims.state.unavailable == nil)
        #expect(fleet.store.liveLeases.count == 1, "the former lease was revoked")
    }

    @Test("a lease that was revoked by another ends all claims")
    func revoked() {
        let fleet = TestFleet(1)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet.store.endLease(fleet[0].claims.state.lease)
        fleet.run()
        #expect(fleet[0].rules(job).lost == 1)
        #expect(fleet[0].claims.state.phase == .live, "a new session")
    }

    @Test("a second daemon with the same host name waits for the first one's lease, and then says so")
    func hostName() throws {
        let fleet = TestFleet(2) { configuration in
            configuration.host = HostName("web1") ?? configuration.host
        }
        fleet.hosts[1].isStopped = true
        fleet.run()
        fleet.hosts[1].isStopped = false
        fleet.pass(.seconds(14))
        #expect(fleet[1].claims.state.phase == .beginning)
        fleet.pass(.seconds(2))
        #expect(isFailed(fleet[1], .hostNameTaken(try #require(HostName("web1")))))
        fleet.store.endLease(fleet[0].claims.state.lease)
        fleet[0].isStopped = true
        fleet.pass(.seconds(3))
        #expect(fleet[1].claims.state.phase == .live)
    }

    @Test("the same daemon takes its host name back at once")
    func sameInstance() {
        let fleet = TestFleet(1)
        fleet.run()
        fleet[0].claims = Claims(fleet[0].configuration)
        fleet.run()
        #expect(fleet[0].claims.state.phase == .live)
        #expect(fleet.store.liveLeases.count == 1)
    }

    @Test("other prefixes are refused, as one name would be two locks")
    func prefixes() {
        let fleet = TestFleet(1)
        fleet.put("prwlock/fleet", "prwlock-fleet 1\nprefix fleet/\noffset 0\n")
        fleet.run()
        #expect(isFailed(fleet[0], .otherPrefixes(["fleet/"])))
        #expect(fleet.store.liveLeases.isEmpty)
    }

    @Test("settings and a host's key that are damaged are a clear fault")
    func damagedKeys() {
        let settings = TestFleet(1)
        settings.put("prwlock/fleet", "hello")
        settings.run()
        #expect(isFailed(settings[0], .damagedKey("prwlock/fleet")))
        let host = TestFleet(1)
        host.put("prwlock/hosts/web1", "hello")
        host.run()
        #expect(isFailed(host[0], .damagedKey("prwlock/hosts/web1")))
        // No daemon waits a year for another one's lease.
        #expect(HostRecord(text: Array("prwlock-host 1\ninstance a\nlease 3600\n".utf8)) != nil)
        #expect(HostRecord(text: Array("prwlock-host 1\ninstance a\nlease 31536000\n".utf8)) == nil)
    }

    @Test("a damaged register is a fault for its name alone, and no grant")
    func damagedRegister() {
        let fleet = TestFleet(1)
        fleet.put("prwlock/n/job", "prwlock-claim 1\nholds all web1 3\n")
        fleet.put("prwlock/n/%", "not a name")
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet[0].acquire(other, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [] && fleet[0].holders(other) == [.write])
        let fault = "the key prwlock/n/job is not one of a prwlockd, and must be removed"
        #expect(fleet[0].rules(job).refusals == [.damaged(fault)])
        #expect(fleet[0].events.contains(.damagedRegister(job)))
        _ = fleet.store.carryOut(
            .transaction(Transaction(then: [.delete(key: Array("prwlock/n/job".utf8))])), at: fleet.now)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].holders(job) == [.write])
    }

    @Test("a register that another program deletes takes the lock away")
    func deletedRegister() {
        let fleet = TestFleet(1)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        _ = fleet.store.carryOut(
            .transaction(Transaction(then: [.delete(key: Array("prwlock/n/job".utf8))])), at: fleet.now)
        fleet.run()
        #expect(fleet[0].holders(job) == [] && fleet[0].rules(job).lost == 1)
    }

    @Test("what dead hosts have left on many names is removed in portions")
    func manyDead() {
        let fleet = TestFleet(1)
        fleet.run()
        for number in 0..<1_000 {
            fleet.put("prwlock/n/job\(number)", "prwlock-claim 1\nholds read gone 1\n")
        }
        fleet.put("prwlock/hosts/gone", "prwlock-host 1\ninstance gone\nlease 10\n")
        fleet.run()
        #expect(fleet[0].claims.state.registers == 1_000)
        fleet[0].holdsAnswers = true
        _ = fleet.store.carryOut(
            .transaction(Transaction(then: [.delete(key: Array("prwlock/hosts/gone".utf8))])), at: fleet.now)
        fleet.pass(.milliseconds(10))
        #expect((1...200).contains(fleet[0].claims.records.count))
        fleet[0].holdsAnswers = false
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].claims.records.isEmpty)
        #expect(fleet.store.pairs(prefix: Array("prwlock/n/".utf8)).isEmpty)
    }

    @Test("a full store refuses new claims, and keeps those that are held")
    func full() {
        let fleet = TestFleet(2)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet.store.isFull = true
        fleet[1].acquire(other, .write)
        fleet.pass(.seconds(30))
        #expect(fleet[0].holders(job) == [.write] && fleet[1].holders(other) == [])
        #expect(fleet[1].rules(other).refusals.first == .unavailable("the cluster has no room"))
        #expect(fleet[1].events.contains(.noRoom))
        fleet.store.isFull = false
        fleet[1].acquire(other, .write)
        fleet.pass(.seconds(2))
        #expect(fleet[1].holders(other) == [.write])
    }

    @Test("a full store is asked for room for tokens now and then, and not again at once")
    func fullOfTokens() {
        let fleet = TestFleet(1)
        fleet.run()
        let gate = fleet[0].claims.tokens.gate
        fleet.store.isFull = true
        fleet[0].holdsRequests = true
        var refused = 0
        for _ in 0..<10 {
            fleet[0].claims.raiseGate()
            fleet.run()
            refused += fleet[0].sent.count
            while !fleet[0].sent.isEmpty { fleet.carryOut(fleet[0]) }
            fleet.run()
        }
        #expect(refused == 1 && fleet[0].events.contains(.noRoom))
        #expect(fleet[0].claims.nextDeadline == fleet.now.advanced(by: .milliseconds(200)))
        fleet.store.isFull = false
        fleet[0].holdsRequests = false
        fleet.pass(.milliseconds(200))
        fleet[0].claims.raiseGate()
        fleet.run()
        #expect(fleet[0].claims.tokens.gate > gate)
    }

    @Test("a store that was full refuses nothing later, also on a name that is claimed")
    func fullNoMore() {
        let fleet = TestFleet(2)
        fleet.run()
        for host in fleet.hosts {
            host.acquire(job, .read)
            fleet.run()
        }
        fleet.store.isFull = true
        fleet[1].acquire(job, .write)
        fleet.run()
        #expect(fleet[1].rules(job).refusals == [.unavailable("the cluster has no room")])
        fleet.store.isFull = false
        fleet.pass(.seconds(2))
        for host in fleet.hosts { host.release(job) }
        fleet[1].acquire(job, .write)
        fleet.pass(.milliseconds(100))
        #expect(fleet[1].holders(job) == [.write] && fleet[1].rules(job).refusals.count == 1)
    }

    @Test("a full store only delays the sweep of a name that no session wants")
    func fullSweep() {
        let fleet = TestFleet(2)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet.store.isFull = true
        fleet[1].isStopped = true
        fleet.pass(.seconds(15))
        #expect(fleet.register(job).contains("holds write web2"))
        fleet.store.isFull = false
        fleet.pass(.seconds(2))
        #expect(fleet.register(job) == "prwlock-claim 1\nmark maybe\n")
    }

    @Test("the orderly end gives all idle claims up in few transactions, and revokes the lease")
    func leave() {
        let fleet = TestFleet(1)
        fleet.run()
        for number in 0..<120 {
            let name = LockName(known: "job\(number)")
            fleet[0].acquire(name, .write)
            fleet.run()
            fleet[0].release(name, died: number == 7)
        }
        fleet.run()
        let before = fleet.store.revision
        fleet[0].claims.leave(at: fleet.now)
        fleet[0].settle()
        fleet.run()
        #expect(fleet[0].claims.state.phase == .left)
        #expect(fleet.store.revision - before <= 5, "50 names in a transaction, and the end of the lease")
        #expect(fleet.store.liveLeases.isEmpty)
        let left = fleet.store.pairs(prefix: Array("prwlock/n/".utf8)).map {
            String(decoding: $0.value, as: UTF8.self)
        }
        #expect(left == ["prwlock-claim 1\nmark yes\n"])
        #expect(fleet[0].claims.nextDeadline == nil)
    }

    @Test("idle claims beyond the limit are given up, the longest idle first")
    func evict() {
        let fleet = TestFleet(1) { $0.idleClaims = 10 }
        fleet.run()
        for number in 0..<15 {
            let name = LockName(known: "job\(number)")
            fleet[0].acquire(name, .write)
            fleet.run()
            fleet[0].release(name)
            fleet.run()
        }
        #expect(fleet[0].claims.state.claims == 10)
        #expect(
            fleet.register(LockName(known: "job4")) == "" && fleet.register(LockName(known: "job5")) != "")
    }

    @Test("ten thousand idle claims cost one keep-alive in an interval")
    func idle() {
        let fleet = TestFleet(1)
        fleet.run()
        for number in 0..<10_000 {
            let name = LockName(known: "job\(number)")
            fleet[0].acquire(name, .write)
            fleet[0].release(name)
        }
        fleet.run()
        let before = fleet.store.revision
        let keepAlives = fleet[0].claims.state.totalKeepAlives
        fleet.pass(.seconds(10))
        #expect(fleet.store.revision == before)
        #expect(fleet[0].claims.state.totalKeepAlives - keepAlives <= 4)
    }

    @Test("what a watch has lost is listed anew")
    func relist() {
        let fleet = TestFleet(2)
        fleet.run()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].holdsEvents = true
        fleet[1].acquire(job, .write)
        fleet.run()
        for number in 0..<5 { fleet.put("prwlock/n/x\(number)", "prwlock-claim 1\nmark yes\n") }
        fleet.store.compact()
        fleet[0].holdsEvents = false
        fleet[0].release(job)
        fleet.pass(.milliseconds(300))
        #expect(fleet[1].holders(job) == [.write])
    }
}
