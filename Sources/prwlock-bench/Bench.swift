/// The inputs that all scenarios share: the daemon, the length and number of runs, and the place for files.
struct Bench {
    let daemon: LockDaemon
    /// The attacks of the scenario `neighbour`.
    let attacks: [Attack]
    let redis: Redis?
    let runs: Int
    /// The time for which each server is measured in each run.
    let duration: Duration
    let workplace: Workplace
    let progress: Progress

    /// Starts the daemon, the echo server and, if it is installed, Redis.
    func startAll(_ label: String) throws -> [Server] {
        let services: [(any Service)?] = [daemon, EchoServer(), redis]
        return try services.compactMap { $0 }.enumerated().map { index, service in
            try Server(service, in: workplace, named: "\(label)-\(index)")
        }
    }
}

/// A server or call that is measured in turns with others.
struct Contender {
    let name: String
    /// The server that is charged with processor time.
    var server: Server?
    /// Runs the measured work for a duration, and returns the number of requests.
    let work: (Duration, Histogram) throws -> Int
}

/// The result of one contender in one run.
struct Sample {
    let histogram = Histogram()
    var requests = 0
    var elapsed = Duration.zero
    var processorTime = Duration.zero

    var rate: Double { Double(requests) / elapsed.inSeconds }

    /// The processor time of the server for each request, including its polling.
    var processorTimeEach: Double { Double(processorTime.nanoseconds) / Double(requests) }
}

extension Bench {
    /// Measures all contenders in every run, in turns of a twentieth of the time. Each round of turns begins with
    /// another contender. So other activity on the machine, and the after-effects of the contender before, affect all
    /// contenders alike. Returns an array of samples, one for each run, for each contender.
    func contest(_ contenders: [Contender], _ what: String) throws -> [[Sample]] {
        let turns = 20
        var samples: [[Sample]] = Array(repeating: [], count: contenders.count)
        for run in 1...runs {
            progress.say("\(what): run \(run) of \(runs)")
            for index in contenders.indices { samples[index].append(Sample()) }
            for turn in 0..<turns {
                for place in contenders.indices {
                    let index = (turn + place) % contenders.count
                    try take(turn: duration / turns, contenders[index], &samples[index][run - 1])
                }
            }
        }
        return samples
    }

    private func take(turn: Duration, _ contender: Contender, _ sample: inout Sample) throws {
        let before = contender.server?.processorTime ?? .zero
        let begin = Duration.now()
        sample.requests += try contender.work(turn, sample.histogram)
        sample.elapsed += .now() - begin
        sample.processorTime += (contender.server?.processorTime ?? .zero) - before
    }
}

extension [Sample] {
    func quantiles(_ share: Double) -> [Double] { map { $0.histogram.quantile(share) } }

    var rates: [Double] { map(\.rate) }

    var latencies: [Figure] {
        [
            Figure("p50", .nanoseconds, quantiles(0.5)),
            Figure("p99", .nanoseconds, quantiles(0.99)),
            Figure("p99.9", .nanoseconds, quantiles(0.999)),
        ]
    }

    /// The percentiles, the rate and the server's processor time.
    func row(_ subject: String, processorTime: Bool = true) -> Row {
        var figures = latencies + [Figure("requests", .perSecond, rates)]
        if processorTime { figures.append(Figure("server CPU", .nanoseconds, map(\.processorTimeEach))) }
        return Row(subject: subject, figures: figures)
    }
}
