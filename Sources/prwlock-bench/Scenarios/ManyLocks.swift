/// The memory of a million held locks, and their effect on other requests.
struct ManyLocks {
    static let few = 1000
    static let many = 1_000_000
    /// The default limit of locks for one session, rounded down.
    private static let locksEach = 10_000

    func measure(_ bench: Bench) throws -> Outcome {
        let small = try Crowd(of: Self.few, bench.daemon, in: bench, named: "many-locks-few")
        let large = try Crowd(of: Self.many, bench.daemon, in: bench, named: "many-locks")
        var crowds = [small, large]
        if let redis = bench.redis {
            crowds.append(try Crowd(of: Self.few, redis, in: bench, named: "many-locks-redis-few"))
            crowds.append(try Crowd(of: Self.many, redis, in: bench, named: "many-locks-redis"))
        }
        let alone = try bench.contest(try crowds.map { try $0.roundTrips() }, "many-locks, one at a time")
        let pipelined = try bench.contest(try crowds.map { try $0.pipelined() }, "many-locks, pipelined")

        let rows = crowds.indices.map { index in
            Row(
                subject: crowds[index].name,
                figures: [
                    Figure("resident", .bytes, [crowds[index].resident]),
                    Figure("a lock", .bytes, [crowds[index].bytesEach]),
                    Figure("p50", .nanoseconds, alone[index].quantiles(0.5)),
                    Figure("pipelined", .perSecond, pipelined[index].rates),
                    Figure("server CPU", .nanoseconds, pipelined[index].map(\.processorTimeEach)),
                ])
        }
        return Outcome(
            rows: rows,
            claims: [
                Claim("resident", .atMost, 300e6, in: .bytes, runs: [large.resident]),
                Claim(
                    "round trip, p50 against few", .atMost, 1.3,
                    runs: alone[1].quantiles(0.5).ratios(to: alone[0].quantiles(0.5))),
                Claim(
                    "pipelined, time of a request against few", .atMost, 1.3,
                    runs: pipelined[0].rates.ratios(to: pipelined[1].rates)),
            ])
    }

    /// A server with `count` held locks, and the sessions that hold them.
    private struct Crowd {
        let name: String
        let server: Server
        let holders: Load
        let resident: Double
        let bytesEach: Double

        init(of count: Int, _ service: any Service, in bench: Bench, named label: String) throws {
            name = "\(service.name), \(count) held"
            bench.progress.say("many-locks: \(name)")
            server = try Server(service, in: bench.workplace, named: label)
            let before = server.resident
            holders = Load(of: name)
            for first in stride(from: 0, to: count, by: locksEach) {
                let script = Script()
                for lock in first..<min(first + locksEach, count) {
                    try service.addHold("held-\(lock)", to: script)
                }
                try holders.connect(to: server.socket, script)
            }
            try holders.batches(of: 100, count: min(count, locksEach) / 100)
            resident = server.resident
            bytesEach = (resident - before) / Double(count)
        }

        func roundTrips() throws -> Contender { try RoundTrip.contender(server) }

        /// Uses many free locks, so that requests reach all parts of the tables.
        func pipelined() throws -> Contender { try Pipelined.contender(server, lease: false, locksEach: 64) }
    }
}
