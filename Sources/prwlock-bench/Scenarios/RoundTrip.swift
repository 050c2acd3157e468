import CBench

/// The cost of a free lock: one client, one request at a time, no other load.
struct RoundTrip {
    func measure(_ bench: Bench) throws -> Outcome {
        var contenders = try bench.startAll("round-trip").map { try Self.contender($0) }
        contenders.append(Self.flock(bench))
        contenders.append(
            try Self.contender(Server(EchoServer("echo again"), in: bench.workplace, named: "control")))
        let samples = try bench.contest(contenders, "round-trip")
        let (ours, echo, control) = (samples[0], samples[1], samples[samples.count - 1])
        return Outcome(
            rows: zip(contenders, samples).map { $1.row($0.name, processorTime: $0.server != nil) },
            claims: [
                Claim(
                    "p50 against echo", .atMost, 1.25,
                    runs: ours.quantiles(0.5).ratios(to: echo.quantiles(0.5))),
                Claim(
                    "p99 against echo", .atMost, 1.5,
                    runs: ours.quantiles(0.99).ratios(to: echo.quantiles(0.99))),
            ],
            noise: [
                Figure(
                    "echo against echo, p50", .ratio, control.quantiles(0.5).ratios(to: echo.quantiles(0.5))),
                Figure(
                    "echo against echo, p99", .ratio, control.quantiles(0.99).ratios(to: echo.quantiles(0.99))
                ),
            ])
    }

    /// One connection that acquires and releases a lock.
    static func contender(_ server: Server, lock: String = "n") throws -> Contender {
        let load = Load(of: server.name)
        let script = Script()
        try server.service.addPair(lock, lease: false, to: script)
        try load.connect(to: server.socket, script)
        return Contender(name: server.name, server: server) { duration, histogram in
            let before = load.answers
            try load.roundTrips(for: duration, into: histogram)
            return load.answers - before
        }
    }

    private static func flock(_ bench: Bench) -> Contender {
        let file = bench.workplace.file("flock")
        return Contender(name: "flock(2)") { duration, histogram in
            let before = histogram.count
            try check(bench_flock_round_trips(file, duration.nanoseconds, histogram.raw), "flock")
            return histogram.count - before
        }
    }
}
