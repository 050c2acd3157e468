import LockVocabulary
import Seeded
import SimulatedStore
import Testing

@testable import LockClaims

/// Three hosts with random sessions on a network that loses, delays, doubles and reorders.
private final class Storm {
    private static let names = ["a", "b", "c"].map { LockName(known: $0) }

    private var generator: SeededGenerator
    private var network: SimulatedNetwork
    private var hosts: [TestHost] = []
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var stoppedUntil: [Instant]
    private(set) var grants = 0
    private(set) var faults: [String] = []

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        network = SimulatedNetwork(hosts: 3, seed: seed, faults: .hostile)
        stoppedUntil = Array(repeating: .zero, count: 3)
        for number in 1...3 {
            guard let name = HostName("web\(number)") else { fatalError("a host name") }
            var configuration = ClaimsConfiguration(host: name, instance: "instance\(number)")
            configuration.leaseSeconds = 3
            hosts.append(TestHost(configuration, at: now))
        }
    }

    // MARK: - Time

    func run(for duration: Duration, isCalm: Bool = false) {
        let end = now.advanced(by: duration)
        while now < end {
            for index in hosts.indices where stoppedUntil[index] <= now { serve(index, isCalm) }
            check()
            var next = now.advanced(by: .milliseconds(generator.number(1...20)))
            next = Instant.earliest(next, network.nextDeadline) ?? next
            now = max(next, now.advanced(byNanoseconds: 10_000))
            for (index, delivery) in network.take(until: now) { deliver(delivery, to: index) }
            if !isCalm { hurt() }
        }
    }

    func calm() {
        network.calm(at: now)
        stoppedUntil = Array(repeating: .zero, count: 3)
    }

    private var mailbox: [Int: [SimulatedNetwork.Delivery]] = [:]

    private func deliver(_ delivery: SimulatedNetwork.Delivery, to index: Int) {
        mailbox[index, default: []].append(delivery)
    }

    private func serve(_ index: Int, _ isCalm: Bool) {
        let host = hosts[index]
        host.now = now
        host.claims.advance(to: now)
        host.settle()
        for delivery in mailbox.removeValue(forKey: index) ?? [] {
            switch delivery {
            case .answer(let id, let answer): host.claims.answer(id, answer, at: now)
            case .event(let event): host.claims.note(event, at: now)
            }
            host.settle()
        }
        if !isCalm { act(host) }
        host.settle()
        while let (id, request, deadline) = host.claims.nextRequest(at: now) {
            host.settle()
            network.send(id, request, deadline: deadline, from: index, at: now)
        }
    }

    // MARK: - Sessions and faults

    private func act(_ host: TestHost) {
        let name = generator.pick(Self.names)
        let held = host.holders(name)
        switch generator.number(0...9) {
        case 0...2 where host.rules(name).waiting.count < 3:
            host.acquire(name, generator.happens(40) ? .write : .read, isProbe: generator.happens(20))
        case 3...6: host.release(name, died: generator.happens(5))
        case 7 where held.contains(.read): host.upgrade(name)
        default: break
        }
        grants += host.holders(name).count
    }

    private func hurt() {
        let index = generator.number(0...2)
        switch generator.number(0...3_000) {
        case 0...2:
            network.silence(index, until: now.advanced(by: .milliseconds(generator.number(1...6_000))))
        case 3...5: network.disconnect(index, for: .milliseconds(generator.number(1...6_000)), at: now)
        case 6...7: network.changeLeader(for: .milliseconds(generator.number(100...3_000)), at: now)
        case 8: network.store.compact()
        case 9...10: stoppedUntil[index] = now.advanced(by: .milliseconds(generator.number(1...6_000)))
        case 11...40 where stoppedUntil[index] <= now:
            network.restart(index, at: now)
            mailbox[index] = nil
            hosts[index].restart()
        case 43: network.store.isFull.toggle()
        default: break
        }
        if generator.happens(1), generator.happens(20) { network.store.isFull = false }
    }

    // MARK: - The oracle

    /// The sessions that hold a name, each on a host that could still tell them of a loss, or that have not passed their end.
    private func holding(_ name: LockName) -> [(host: Int, mode: ClaimMode)] {
        hosts.indices.flatMap { index -> [(Int, ClaimMode)] in
            guard let end = hosts[index].claims.validUntil, now < end else { return [] }
            return hosts[index].holders(name).map { (index, $0) }
        }
    }

    private func check() {
        for name in Self.names {
            let holding = holding(name)
            guard Set(holding.map(\.host)).count > 1, holding.contains(where: { $0.mode == .write }) else {
                continue
            }
            faults.append("\(name) is held by \(holding) at \(now)")
        }
    }

    /// Lets all sessions end, and returns what is left: requests that were not decided, and registers.
    func settleDown() -> [String] {
        network.store.isFull = false
        for _ in 0..<60 {
            run(for: .milliseconds(500), isCalm: true)
            for host in hosts {
                for name in Self.names { while !host.holders(name).isEmpty { host.release(name) } }
            }
        }
        let waiting = hosts.flatMap { host in
            Self.names.filter { !host.rules($0).waiting.isEmpty || host.rules($0).isUpgrading }.map {
                "\(host.configuration.host) waits for \($0): \(host.rules($0)), \(host.claims.directive(for: $0))"
            }
        }
        for host in hosts {
            host.claims.leave(at: now)
            host.settle()
        }
        run(for: .seconds(20), isCalm: true)
        let left = network.store.pairs(prefix: Array("prwlock/".utf8)).map {
            String(decoding: $0.key, as: UTF8.self) + " " + String(decoding: $0.value, as: UTF8.self)
        }
        let kept = ["-claim 1\nmark yes\n", "-claim 1\nmark maybe\n"]
        return waiting
            + left.filter { text in
                !text.hasPrefix("prwlock/fleet ") && !kept.contains { text.hasSuffix($0) }
            }
    }
}

@Suite("Three hosts in a storm")
struct StormTests {
    @Test(
        "no two hosts hold what excludes each other, and in the end all is decided and nothing is left",
        arguments: SeededGenerator.seeds)
    func storm(seed: UInt64) {
        let storm = Storm(seed: seed)
        storm.run(for: .seconds(60))
        #expect(storm.faults == [], "seed \(seed)")
        #expect(storm.grants > 100, "seed \(seed)")
        storm.calm()
        #expect(storm.settleDown() == [], "seed \(seed)")
        #expect(storm.faults == [], "seed \(seed)")
    }
}
