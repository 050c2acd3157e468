/// The time from starting the program until its first answer.
struct StartUp {
    /// The number of starts in each run.
    static let count = 10

    func measure(_ bench: Bench) throws -> Outcome {
        let services: [any Service] = [bench.daemon] + (bench.redis.map { [$0] } ?? [])
        let samples = services.map { _ in (1...bench.runs).map { _ in Histogram() } }
        for run in 0..<bench.runs {
            bench.progress.say("start-up: run \(run + 1) of \(bench.runs)")
            for _ in 0..<Self.count {
                for (index, service) in services.enumerated() {
                    let server = try Server(service, in: bench.workplace, named: "start-up-\(index)")
                    samples[index][run].record(server.startUp)
                    server.end()
                }
            }
        }
        let rows = zip(services, samples).map { service, histograms in
            Row(
                subject: service.name,
                figures: [
                    Figure("p50", .nanoseconds, histograms.map { $0.quantile(0.5) }),
                    Figure("max", .nanoseconds, histograms.map { $0.quantile(1) }),
                ])
        }
        let claim = Claim("p50", .atMost, 4e6, in: .nanoseconds, runs: rows[0].figures[0].runs)
        return Outcome(rows: rows, claims: [claim])
    }
}
