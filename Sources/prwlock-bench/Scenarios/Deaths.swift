import CBench

/// Kills processes that hold or wait; measures when the next waiter has the lock, and checks the mark in its grant.
struct Deaths {
    static let count = 1000

    private let kinds: [(name: String, victim: bench_victim)] = [
        ("a holder", BENCH_HOLDER),
        ("a waiter", BENCH_WAITER),
        ("a holder whose child keeps the socket", BENCH_HOLDER_WITH_CHILD),
        ("kernel alone, to end of file", BENCH_PEER),
    ]

    func measure(_ bench: Bench) throws -> Outcome {
        let graves = try kinds.enumerated().map { index, kind in
            let daemon = try Server(bench.daemon, in: bench.workplace, named: "deaths-\(index)")
            return try Grave(kind.name, kind.victim, daemon)
        }
        for round in 1...Self.count {
            if round % 50 == 1 { bench.progress.say("deaths: \(round) of \(Self.count)") }
            for grave in graves { try grave.dig() }
        }
        return Outcome(
            rows: graves.map(\.row), claims: graves.filter { $0.victim != BENCH_PEER }.flatMap(\.claims))
    }
}

/// Deaths of one kind.
private final class Grave {
    private let name: String
    let victim: bench_victim
    private let daemon: Server
    private let histogram = Histogram()
    private var told = 0
    private var raw: OpaquePointer?

    init(_ name: String, _ victim: bench_victim, _ daemon: Server) throws {
        self.name = name
        self.victim = victim
        self.daemon = daemon
        try check(bench_deaths_create(daemon.socket, victim, &raw), "\(name): preparation")
    }

    deinit { if let raw { bench_deaths_free(raw) } }

    func dig() throws {
        var wasTold = false
        try check(bench_deaths_one(raw, histogram.raw, &wasTold), "death of \(name)")
        if wasTold { told += 1 }
    }

    var row: Row {
        let shares: [(String, Double)] = [("p50", 0.5), ("p99", 0.99), ("max", 1)]
        return Row(
            subject: name,
            figures: shares.map { Figure($0.0, .nanoseconds, [histogram.quantile($0.1)]) }
                + [Figure("deaths", .count, [Double(histogram.count)])])
    }

    var claims: [Claim] {
        [
            Claim(
                "\(name): next in line, told of it", .atLeast, Double(Deaths.count), in: .count,
                runs: [Double(told)]),
            Claim("\(name): p99", .atMost, 10e6, in: .nanoseconds, runs: [histogram.quantile(0.99)]),
        ]
    }
}
