import CBench
import Glibc

/// One client with one request at a time, beside another user that attacks the server.
struct Neighbour {
    /// The most that the client may wait.
    private static let most = 20e6
    /// The most that all buffers of the daemon may take, with the allocator's part.
    private static let buffers = 1.2 * 268_435_456
    /// The backlog of the echo server.
    static let backlog = 128
    /// How long an attack with an end of its own may last.
    private static let patience = Duration.seconds(60)
    /// How long the client goes on after the attack.
    private static let tail = Duration.milliseconds(300)
    private static let slice = Duration.milliseconds(20)

    /// How the client uses the server.
    private enum Use {
        case roundTrips
        case firstAnswers
    }

    /// One attack on one server, measured several times.
    private struct Subject {
        let attack: Attack
        let service: any Service
        let use: Use
        var alone: [Histogram] = []
        var beside: [Histogram] = []
        /// The most resident bytes, and by how much they rose during the attack.
        var peaks: [Double] = []
        var rises: [Double] = []
        /// Whether the server outlived the attack.
        var survivals: [Double] = []

        var name: String {
            "\(service.name) beside \(attack.name)\(use == .firstAnswers ? ", first answer" : "")"
        }
    }

    func measure(_ bench: Bench) throws -> Outcome {
        var daemon = bench.daemon
        daemon.more += ["--socket-mode", "0666"]
        let echo = EchoServer(backlog: Self.backlog)
        var subjects: [Subject] = []
        for attack in bench.attacks {
            let services: [any Service] = attack.suitsEcho ? [daemon, echo] : [daemon]
            subjects += services.map { Subject(attack: attack, service: $0, use: .roundTrips) }
            guard attack.isOfConnections else { continue }
            subjects += services.map { Subject(attack: attack, service: $0, use: .firstAnswers) }
        }
        for run in 1...bench.runs {
            for index in subjects.indices {
                bench.progress.say("neighbour: run \(run) of \(bench.runs), \(subjects[index].name)")
                try measure(&subjects[index], bench, named: "n\(run)-\(index)")
            }
        }
        return Outcome(
            rows: subjects.map(Self.row), claims: subjects.flatMap { Self.claims($0, among: subjects) },
            noise: subjects.filter { $0.service is EchoServer && $0.use == .roundTrips }.map {
                Figure("\($0.name), p99 against alone", .ratio, Self.ratios($0))
            })
    }

    /// Measures a new server alone and then under the attack.
    private func measure(_ subject: inout Subject, _ bench: Bench, named label: String) throws {
        let server = try Server(subject.service, in: bench.workplace, named: label)
        chmod(server.socket, 0o666)
        chmod(bench.workplace.path, 0o755)
        let work: (Duration, Histogram) throws -> Void
        switch subject.use {
        case .roundTrips:
            let contender = try RoundTrip.contender(server)
            work = { _ = try contender.work($0, $1) }
        case .firstAnswers:
            let (request, answer) = server.service.greeting
            work = { duration, histogram in
                let code = bench_first_answers(
                    server.socket, request, answer, duration.nanoseconds, histogram.raw)
                try check(code, server.name)
            }
        }
        let (alone, beside) = (Histogram(), Histogram())
        try work(bench.duration, alone)
        let attacker = try Attack.Attacker(subject.attack, on: server.socket)
        // The preparation is not the attack: what it left is done when a few requests have been answered.
        try work(Self.slice, Histogram())
        let before = server.resident
        var survives = true
        do {
            try attacker.strike()
            try Self.run(
                work, beside, for: subject.attack.isEndless ? bench.duration : Self.patience,
                while: attacker)
        } catch {
            // The client sees the end of the server as an error.
            guard bench_has_ended(server.process) else { throw error }
            survives = false
        }
        subject.alone.append(alone)
        subject.beside.append(beside)
        subject.peaks.append(survives ? server.peakResident : 0)
        subject.rises.append(survives ? server.peakResident - before : 0)
        subject.survivals.append(survives ? 1 : 0)
        attacker.end()
    }

    /// Works until the attack is over: by itself, or after this time.
    private static func run(
        _ work: (Duration, Histogram) throws -> Void, _ histogram: Histogram, for duration: Duration,
        while attacker: Attack.Attacker
    ) throws {
        let begin = Duration.now()
        while !attacker.hasEnded, .now() - begin < duration {
            try work(slice, histogram)
        }
        attacker.end()
        try work(tail, histogram)
    }

    private static func ratios(_ subject: Subject) -> [Double] {
        subject.beside.map { $0.quantile(0.99) }.ratios(to: subject.alone.map { $0.quantile(0.99) })
    }

    private static func row(_ subject: Subject) -> Row {
        func figure(_ label: String, _ share: Double, _ histograms: [Histogram]) -> Figure {
            Figure(label, .nanoseconds, histograms.map { $0.quantile(share) })
        }
        return Row(
            subject: subject.name,
            figures: [
                figure("alone p99", 0.99, subject.alone), figure("p50", 0.5, subject.beside),
                figure("p99", 0.99, subject.beside), figure("max", 1, subject.beside),
                Figure("memory", .bytes, subject.peaks),
            ])
    }

    private static func claims(_ subject: Subject, among subjects: [Subject]) -> [Claim] {
        guard subject.service is LockDaemon else { return [] }
        let name = "beside \(subject.attack.name)"
        switch subject.use {
        case .roundTrips:
            return [
                Claim("\(name): ended", .atLeast, 1, in: .count, runs: subject.survivals),
                Claim(
                    "\(name): max", .atMost, most, in: .nanoseconds,
                    runs: subject.beside.map { $0.quantile(1) }),
                Claim("\(name): p99 against alone", .atMost, 3, runs: ratios(subject)),
                Claim("\(name): memory", .atMost, buffers, in: .bytes, runs: subject.rises),
            ]
        case .firstAnswers:
            guard
                let echo = subjects.first(where: {
                    $0.service is EchoServer && $0.use == .firstAnswers
                        && $0.attack.name == subject.attack.name
                })
            else { return [] }
            return [
                Claim(
                    "\(name): first answer, p99 against echo", .atMost, 3,
                    runs: subject.beside.map { $0.quantile(0.99) }
                        .ratios(to: echo.beside.map { $0.quantile(0.99) }))
            ]
        }
    }
}
