import LockVocabulary
import SimulatedStore
import Testing

@testable import LockClaims

@Suite("How claims go from host to host")
struct HandoverTests {
    private func fleet(_ count: Int = 2) -> TestFleet {
        let fleet = TestFleet(count)
        fleet.run()
        return fleet
    }

    @Test("an idle claim is given up at once, in two transactions for the hand-over")
    func idle() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        let before = fleet.store.revision
        fleet[1].acquire(job, .write)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write])
        #expect(fleet.store.revision - before == 2)
    }

    @Test("a used claim is recalled after its shortest turn, and before all local waiters after its longest")
    func turns() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        #expect(fleet[0].claims.directive(for: job).recall == .none)
        fleet.pass(.milliseconds(5))
        #expect(fleet[0].claims.directive(for: job).recall == .all)
        #expect(!fleet[0].claims.directive(for: job).recallsFirst)
        fleet.pass(.seconds(1))
        #expect(fleet[0].claims.directive(for: job).recallsFirst)
    }

    @Test("a writer's host lets another host read beside its own readers")
    func share() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].acquire(job, .read)
        fleet[1].acquire(job, .read)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.read] && fleet[1].holders(job) == [.read])
    }

    @Test("a waiting writer on one host keeps new readers out on the others")
    func writersFirst() {
        let fleet = fleet(3)
        fleet[0].acquire(job, .read)
        fleet[1].acquire(job, .read)
        fleet.run()
        fleet[2].acquire(job, .write)
        fleet.pass(.milliseconds(10))
        fleet[0].acquire(job, .read)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.read], "the later reader waits")
        fleet[0].release(job)
        fleet[1].release(job)
        fleet.run()
        #expect(fleet[2].holders(job) == [.write] && fleet[0].holders(job) == [])
        fleet[2].release(job)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.read])
    }

    @Test("an upgrade waits for the readers of other hosts, and a second one is a deadlock")
    func upgrade() throws {
        let fleet = fleet()
        for host in fleet.hosts { host.acquire(job, .read) }
        fleet.pass(.milliseconds(10))
        fleet[0].upgrade(job)
        fleet.run()
        fleet[1].upgrade(job)
        fleet.run()
        #expect(fleet[1].rules(job).refusals == [.deadlock(try #require(HostName("web1")))])
        fleet[1].release(job)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.write])
    }

    @Test("a probe gets an idle claim, and is refused for one in use")
    func probe() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write, isProbe: true)
        fleet.run()
        #expect(fleet[1].rules(job).refusals == [.busy] && fleet[1].rules(job).waiting.isEmpty)
        #expect(!fleet.register(job).contains("probe"))
        fleet[0].release(job)
        fleet.run()
        fleet[1].acquire(job, .write, isProbe: true)
        fleet.run()
        #expect(fleet[1].holders(job) == [.write])
    }

    @Test("a reading probe shares a write claim that only readers use")
    func readingProbe() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job)
        fleet[0].acquire(job, .read)
        fleet[1].acquire(job, .read, isProbe: true)
        fleet.run()
        #expect(fleet[1].holders(job) == [.read] && fleet[0].holders(job) == [.read])
        fleet[0].release(job)
        fleet[1].release(job)
        fleet[0].acquire(job, .write)
        fleet.pass(.milliseconds(20))
        fleet[1].acquire(job, .read, isProbe: true)
        fleet.pass(.milliseconds(10))
        #expect(fleet[1].rules(job).refusals == [.busy])
    }

    @Test("a probe behind another host's waiter is refused, by a swap that proves what it was decided on")
    func lateProbe() {
        let fleet = fleet(3)
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        fleet.run()
        fleet[2].acquire(job, .read, isProbe: true)
        fleet.run()
        #expect(fleet[2].rules(job).refusals == [.busy])
    }

    @Test(
        "a probe without an answer is refused after half a second, as unavailable if no other host is known to have the claim"
    )
    func probeLimit() {
        let fleet = fleet()
        fleet[1].holdsRequests = true
        fleet[1].acquire(job, .write, isProbe: true)
        fleet.pass(.milliseconds(499))
        #expect(fleet[1].rules(job).refusals == [])
        fleet.pass(.milliseconds(1))
        #expect(fleet[1].rules(job).refusals == [.unavailable("no answer from the cluster in time")])
        fleet[1].holdsRequests = false
        fleet.run()
        #expect(fleet[1].holders(job) == [])
    }

    @Test("a mark goes with the claim, until a writer has seen it")
    func mark() {
        let fleet = fleet(3)
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[0].release(job, died: true)
        fleet[1].acquire(job, .read)
        fleet.pass(.milliseconds(10))
        #expect(fleet[1].rules(job).shown == .yes)
        fleet[1].release(job)
        fleet[2].acquire(job, .write)
        fleet.pass(.milliseconds(10))
        #expect(fleet[2].rules(job).shown == .yes)
        fleet[2].release(job)
        fleet[0].acquire(job, .write)
        fleet.pass(.milliseconds(10))
        #expect(fleet[0].holders(job) == [.write] && fleet[0].rules(job).shown == nil)
    }

    @Test(
        "a host that ends with an unused read claim leaves no mark, and its registers are swept by the oldest host"
    )
    func sweep() {
        let fleet = fleet(3)
        fleet[1].acquire(job, .read)
        fleet[1].acquire(other, .write)
        fleet.run()
        fleet[1].isStopped = true
        fleet.pass(.seconds(12))
        #expect(fleet.register(job) == "")
        #expect(fleet.register(other) == "prwlock-claim 1\nmark maybe\n")
    }

    @Test("each later claim has higher tokens, and a new revision opens the gate")
    func tokens() {
        let fleet = fleet()
        var highest = Token(rawValue: 0)
        for round in 0..<6 {
            let host = fleet[round % 2]
            host.acquire(job, .write)
            fleet.pass(.milliseconds(10))
            #expect(host.holders(job) == [.write])
            #expect(host.claims.tokens.floor >= highest)
            highest = host.claims.tokens.gate
            host.claims.raiseGate()
            fleet.run()
            #expect(host.claims.tokens.gate > highest)
            highest = host.claims.tokens.gate
            host.release(job)
            fleet.run()
        }
    }

    /// The circle that two hosts with edges of a circle end: after how many hundredths of a second, and by which host. From a
    /// moment on, the hosts say that they wait for nothing any more.
    private func endOfCircle(withEdgesUntil last: Int = .max) -> (after: Int, by: Int, circle: FleetCircle)? {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet[1].acquire(other, .write)
        fleet.run()
        fleet[0].acquire(other, .write)
        fleet[1].acquire(job, .write)
        let edges = [
            WaitEdge(held: job, wanted: other, waiter: 5), WaitEdge(held: other, wanted: job, waiter: 8),
        ]
        for step in 0..<100 {
            fleet.pass(.milliseconds(10))
            var ends: [(after: Int, by: Int, circle: FleetCircle)] = []
            for (index, host) in fleet.hosts.enumerated() {
                if host.claims.takeWaitsWanted() {
                    host.claims.updateWaits(step <= last ? [edges[index]] : [], at: fleet.now)
                }
                ends += host.claims.takeCircles().map { (step, index, $0) }
            }
            #expect(ends.count <= 1)
            if let end = ends.first { return end }
        }
        return nil
    }

    @Test("a circle through two hosts is ended within a second, by the host with the younger edge")
    func circle() {
        #expect(endOfCircle()?.circle.hops.count == 2)
    }

    @Test("a circle that is none any more at the last look is not ended") func formerCircle() throws {
        let end = try #require(endOfCircle())
        #expect(endOfCircle(withEdgesUntil: end.after)?.by == end.by)
        #expect(endOfCircle(withEdgesUntil: end.after - 1) == nil)
    }

    @Test(
        "edges that another program has written cost no host much time, and end no request without a circle")
    func foreignEdges() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        let edges = (0..<20_000).map { "edge job\($0 == 0 ? "" : String($0)) job\($0 + 1) 1 0\n" }
        for count in [1_000, 20_000] {
            fleet.put("prwlock/waits/other", "prwlock-waits 1\n" + edges.prefix(count).joined())
            for _ in 0..<20 {
                fleet.pass(.milliseconds(50))
                guard fleet[0].claims.takeWaitsWanted() else { continue }
                fleet[0].claims.updateWaits([WaitEdge(held: other, wanted: job, waiter: 5)], at: fleet.now)
                #expect(fleet[0].claims.takeCircles().isEmpty)
            }
        }
    }

    @Test("a publication of edges that is carried out late is replaced by what is so now")
    func latePublication() {
        let fleet = fleet()
        fleet[0].acquire(job, .write)
        fleet.run()
        fleet[1].acquire(job, .write)
        let key = Array("prwlock/waits/web1".utf8)
        let edge = WaitEdge(held: job, wanted: other, waiter: 5)
        func answer(_ edges: [WaitEdge]) {
            for _ in 0..<50 {
                fleet.pass(.milliseconds(10))
                if fleet[0].claims.takeWaitsWanted() { fleet[0].claims.updateWaits(edges, at: fleet.now) }
            }
        }
        answer([edge])
        let former = fleet.store[key]?.value ?? []
        #expect(String(decoding: former, as: UTF8.self).hasPrefix("prwlock-waits 1\nedge job other 5 "))
        answer([])
        #expect(fleet.store[key] == nil)
        fleet.put("prwlock/waits/web1", String(decoding: former, as: UTF8.self))
        answer([])
        #expect(fleet.store[key] == nil)
    }
}
