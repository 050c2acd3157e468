import LockClaims
import LockVocabulary
import Seeded
import SimulatedStore

/// What goes wrong: hosts, their processes, the network and the store.
extension FleetSimulation {
    mutating func beginStorm() {
        guard !isEnding else { return }
        isStorm = true
        oracle.calmSince = nil
        network.faults = generator.happens(60) ? .hostile : .none
        focus = generator.happens(50) ? generator.number(0...119) : nil
        trace.add(now, "world", "a storm begins")
        agenda.note(.fault, at: after(10, 500))
        agenda.note(.calm, at: after(5_000, 20_000))
    }

    mutating func beginCalm() throws {
        guard isStorm else { return }
        isStorm = false
        trace.add(now, "world", "the storm is over")
        network.calm(at: now)
        network.store.isFull = false
        // A store is only restored after a silence for which all claims have ended, and this ends the silence.
        agenda.removeAll { event in
            switch event {
            case .fails, .restored: true
            default: false
            }
        }
        for index in hosts.indices {
            if hosts[index].isStopped { try goOn(index) }
            if hosts[index].daemon == nil, !hosts[index].isGone { try start(index) }
        }
        oracle.calmSince = now
        // Only in a long calm must all go on again; a short one is for what the last storm has left.
        let calm =
            generator.happens(60)
            ? .milliseconds(generator.number(500...3_000))
            : settings.recovery + .milliseconds(generator.number(2_000...12_000))
        if !isEnding { agenda.note(.storm, at: now.advanced(by: calm)) }
    }

    mutating func fault() throws {
        let host = generator.number(0...hosts.count - 1)
        let lease = Int(settings.lease.wholeMilliseconds)
        let drawn = generator.number(0...119)
        switch generator.happens(70) ? focus ?? drawn : drawn {
        case 100...: slowDown(host)
        case ..<15:
            note("links cut", host)
            let end = after(100, 2 * lease)
            // Both ways, or only that to the store.
            if generator.happens(50) {
                network.silence(host, until: end)
            } else {
                network.mute(host, until: end)
            }
        case ..<25:
            note("connections lost", host)
            network.disconnect(host, for: .milliseconds(generator.number(1...lease)), at: now)
        case ..<35:
            note("leader changes", host)
            network.changeLeader(for: .milliseconds(generator.number(200...3_000)), at: now)
        case ..<42:
            note("compactions", host)
            network.store.compact()
        case ..<48:
            note("quota", host)
            network.store.isFull.toggle()
        case ..<66: stop(host, for: generator.number(20...2 * lease))
        case ..<78: crash(host)
        case ..<84:
            guard let lease = network.store.liveLeases.randomElement(using: &generator) else { return }
            note("revoked leases", host)
            revoke(lease)
        case ..<90: backUp()
        default:
            note("client deaths", host)
            if let client = hosts[host].clients.randomElement(using: &generator) {
                try die(client.number, of: host)
            }
        }
    }

    /// A link is slow in some of its ways; in the end it may be cut for so long that the lease ends.
    private mutating func slowDown(_ host: Int) {
        note("slow links", host)
        let most = Int(settings.lease.wholeMilliseconds) / 3
        var delays = [Duration.zero, .zero, .zero]
        for way in delays.indices where generator.happens(60) {
            delays[way] = .milliseconds(
                generator.happens(50) ? generator.number(1...most) : generator.number(1...30))
        }
        // A watch may be behind for as long as a lease; nothing ends a claim for it. What answers do not tell is unseen then.
        let isBehind = generator.happens(40)
        if isBehind { delays[2] = .milliseconds(generator.number(most...3 * most)) }
        let end = isBehind ? after(2 * most, 9 * most) : after(most, 4 * most)
        network.slowDown(
            host,
            by: SimulatedNetwork.Delays(
                requests: delays[0], answers: delays[1], events: delays[2], lostAnswers: isBehind ? 200 : 0),
            until: end)
        if generator.happens(60) { agenda.note(.cut(host), at: end) }
    }

    mutating func note(_ what: String, _ host: Int) {
        oracle.count(what)
        trace.add(now, hosts[host].name, what)
    }

    /// An administrator revokes a lease. What rests on it is lost at once, and its host hears of it later: until then nothing
    /// protects what the host grants, so the oracle counts none of it.
    private mutating func revoke(_ lease: Int64) {
        let owner = hosts.indices.first { index in
            network.store[Array("prwlock/hosts/\(hosts[index].name)".utf8)]?.lease == lease
        }
        if let owner { oracle.losesProtection(owner) }
        network.store.endLease(lease)
    }

    /// The daemon and all else on its host stop for some time: a suspended machine, or `SIGSTOP`.
    mutating func stop(_ host: Int, for milliseconds: Int) {
        guard hosts[host].daemon != nil, !hosts[host].isStopped else { return }
        note("stops", host)
        hosts[host].isStopped = true
        agenda.note(.goesOn(host), at: after(milliseconds, milliseconds))
    }

    mutating func goOn(_ host: Int) throws {
        guard hosts[host].isStopped else { return }
        trace.add(now, hosts[host].name, "goes on")
        hosts[host].isStopped = false
        let inbox = hosts[host].inbox
        hosts[host].inbox = []
        // What it reads first is not known: its clients or the store.
        let lines = inbox.filter { if case .line = $0 { true } else { false } }
        let others = inbox.filter { if case .line = $0 { false } else { true } }
        try batch(host, generator.happens(50) ? lines + others : inbox)
    }

    /// The daemon dies with all its sessions. The next one has the same host name and knows nothing.
    mutating func crash(_ host: Int) {
        guard hosts[host].daemon != nil else { return }
        note("crashes", host)
        hosts[host].epoch = hosts[host].daemon?.highestEpoch ?? 0
        hosts[host].daemon = nil
        hosts[host].isStopped = false
        hosts[host].inbox = []
        hosts[host].clients = []
        hosts[host].yielded = [:]
        oracle.daemonDies(host)
        network.restart(host, at: now)
        if generator.happens(30) {
            // The machine starts anew, and so does its clock.
            hosts[host].boots += 1
            let passed = HostClock(start: .zero, gain: hosts[host].clock.gain).local(now)
            hosts[host].clock = HostClock(
                start: Instant(nanoseconds: 10_000_000_000 - passed.nanoseconds), gain: hosts[host].clock.gain
            )
        }
        let lease = Int(settings.lease.wholeMilliseconds)
        // Some hosts stay away for so long that others must remove what is left of them.
        let others = hosts.indices.contains { $0 != host && !hosts[$0].isGone }
        hosts[host].isGone = generator.happens(30) && others
        agenda.note(
            .starts(host), at: hosts[host].isGone ? after(10 * lease, 30 * lease) : after(10, 2 * lease))
    }

    mutating func start(_ host: Int) throws {
        guard hosts[host].daemon == nil, !isEnding || !hosts[host].isGone else { return }
        hosts[host].isGone = false
        trace.add(now, hosts[host].name, "a daemon starts")
        network.restart(host, at: now)
        starts += 1
        hosts[host].daemon = maker(
            HostIdentity(
                name: hosts[host].name, instance: "machine-\(host).boot-\(hosts[host].boots)",
                highestEpoch: hosts[host].epoch, firstToken: UInt64(starts) << 40),
            settings, local(host))
        try batch(host, [])
    }

    /// The cluster is away for so long that all claims end, and is then restored from a backup.
    private mutating func backUp() {
        guard network.store.revision > 20 else { return }
        note("backups", 0)
        // So much that is changed after it is lost.
        agenda.note(.fails(network.store), at: after(200, generator.happens(50) ? 2_000 : 10_000))
    }

    mutating func fail(_ backup: SimulatedStore) {
        guard isStorm else { return }
        let end = now.advanced(by: settings.lease * 11 / 10)
        for host in hosts.indices { network.silence(host, until: end) }
        agenda.note(.restored(backup), at: end)
    }

    mutating func restore(_ backup: SimulatedStore) throws {
        // A calm has ended the silence before.
        guard isStorm, backup.revision < network.store.revision,
            oracle.holds.allSatisfy({ !settings.isShared($0.name) })
        else { return }
        note("restored backups", 0)
        network.restore(backup, at: now)
        try registers.begin(anew: network.store)
        oracle.storeIsRestored()
    }
}
