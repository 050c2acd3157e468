import Glibc

/// The number of wake-ups of a server without requests.
struct Idle {
    static let rest = Duration.seconds(8)
    static let watched = Duration.seconds(10)

    func measure(_ bench: Bench) throws -> Outcome {
        let servers = try bench.startAll("idle")
        // Each server has served requests, and one of its two sessions holds a lock.
        let loads = try servers.map { server in
            let load = Load(of: server.name)
            let script = Script()
            try server.service.addPair("idle", lease: false, to: script)
            let holding = Script()
            try server.service.addHold("held", to: holding)
            try load.connect(to: server.socket, script)
            try load.roundTrips(for: .milliseconds(200), into: Histogram())
            let holder = Load(of: server.name)
            try holder.connect(to: server.socket, holding)
            try holder.batches(of: 1, count: 1)
            return [load, holder]
        }
        bench.progress.say("idle: \(Self.rest.inSeconds) s until all is quiet")
        usleep(UInt32(Self.rest.nanoseconds / 1000))
        let before = servers.map(\.switches)
        bench.progress.say("idle: \(Self.watched.inSeconds) s")
        usleep(UInt32(Self.watched.nanoseconds / 1000))
        let wakeUps = zip(servers, before).map { Double($0.switches - $1) }
        withExtendedLifetime(loads) {}
        return Outcome(
            rows: zip(servers, wakeUps).map {
                Row(subject: $0.name, figures: [Figure("wake-ups", .count, [$1])])
            },
            claims: [Claim("wake-ups", .atMost, 0, in: .count, runs: [wakeUps[0]])])
    }
}
