import CBench

/// The cost of contention: one process releases, and a sleeping process is granted.
struct HandOver {
    func measure(_ bench: Bench) throws -> Outcome {
        let daemon = try Server(bench.daemon, in: bench.workplace, named: "hand-over")
        let file = bench.workplace.file("hand-over")
        let echo = try RoundTrip.contender(Server(EchoServer(), in: bench.workplace, named: "hand-over-echo"))
        let contenders = [
            Contender(name: "prwlockd", server: daemon) { duration, histogram in
                let before = histogram.count
                try check(bench_hand_over(daemon.socket, duration.nanoseconds, histogram.raw), "hand-over")
                return histogram.count - before
            },
            Contender(name: "echo in C, a round trip", server: echo.server, work: echo.work),
            Contender(name: "flock(2)") { duration, histogram in
                let before = histogram.count
                try check(bench_flock_hand_over(file, duration.nanoseconds, histogram.raw), "flock")
                return histogram.count - before
            },
        ]
        let samples = try bench.contest(contenders, "hand-over")
        let ratios = samples[0].quantiles(0.5).ratios(to: samples[1].quantiles(0.5))
        return Outcome(
            rows: zip(contenders, samples).map { Row(subject: $0.name, figures: $1.latencies) },
            claims: [Claim("p50 against a round trip to echo", .atMost, 1.5, runs: ratios)])
    }
}
