/// What all scenarios share: the daemon, how long and how often to measure, and where.
struct Bench {
    let daemon: LockDaemon
    let redis: Redis?
    let runs: Int
    /// How long each server is measured in each run.
    let duration: Duration
    let workplace: Workplace
    let progress: Progress

    /// The daemon, the echo server and, where it is installed, Redis: all running.
    func startAll(_ label: String) throws -> [Server] {
        let services: [(any Service)?] = [daemon, EchoServer(), redis]
        return try services.compactMap { $0 }.enumerated().map { index, service in
            try Server(service, in: workplace, named: "\(label)-\(index)")
        }
    }
}

/// Something that is measured in turns with others.
struct Contender {
    let name: String
    /// The process whose processor time counts.
    var server: Server?
    /// Does whatever is measured for so long, and returns how many requests that were.
    let work: (Duration, Histogram) throws -> Int
}

/// What one contender did in one run.
struct Sample {
    let histogram = Histogram()
    var requests = 0
    var elapsed = Duration.zero
    var processorTime = Duration.zero

    var rate: Double { Double(requests) / elapsed.inSeconds }

    /// Of the server, polling included.
    var processorTimeEach: Double { Double(processorTime.nanoseconds) / Double(requests) }
}

extension Bench {
    /// Measures all contenders in every run, in turns of a twentieth of the time, each turn begun by another one:
    /// whatever else the machine does, and whatever one leaves behind for the next, meets them alike. Returns their
    /// samples, an array of runs for each contender.
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

    /// The percentiles and the rate, and what the server spent.
    func row(_ subject: String, processorTime: Bool = true) -> Row {
        var figures = latencies + [Figure("requests", .perSecond, rates)]
        if processorTime { figures.append(Figure("server CPU", .nanoseconds, map(\.processorTimeEach))) }
        return Row(subject: subject, figures: figures)
    }
}
