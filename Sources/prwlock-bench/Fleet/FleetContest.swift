import CBench
import Glibc

/// The measurements of `prwlock-bench fleet`, with the servers that they share.
final class FleetContest {
    /// How many claims the daemon has of which the keep-alives are counted.
    static let claims = 10_000
    /// The lease of that daemon, in seconds, and how many thirds of it are counted.
    private static let lease = 3
    private static let intervals = 10

    private let bench: Bench
    private let placement: Placement
    private let etcd: FleetEtcd

    init(_ bench: Bench, placement: Placement) throws {
        (self.bench, self.placement) = (bench, placement)
        bench.progress.say("fleet: etcd starts")
        etcd = try FleetEtcd(in: bench.workplace)
    }

    /// Starts a daemon with a host name, which is ready for shared names.
    ///
    /// Its lease is long unless it is named, so that no notice of it comes between the requests of a measurement.
    private func host(_ name: String, lease: String = "1h") throws -> Server {
        var daemon = bench.daemon
        daemon.more = [
            "--cluster", "etcd://127.0.0.1:\(etcd.port)", "--cluster-host", name, "--cluster-lease", lease,
            "--max-session-grants", "100000",
        ]
        let server = try Server(daemon, in: bench.workplace, named: name)
        let session = try LineSession(server)
        try session.ask("WRITE ready-\(name) wait=30s", answered: "GRANTED")
        return server
    }

    // MARK: - What needs etcd

    func acrossHosts() throws -> Report {
        let (first, second) = (try host("bench-a"), try host("bench-b"))
        var contenders = [
            try bareTransaction(), try firstAcquire(first), try handOver(between: first, and: second),
        ]
        if let etcdctl = installedProgram("etcdctl") { contenders.append(lockCommand(etcdctl)) }
        let peers = try PeerServers([.postgreSQL], daemon: bench.daemon.program, in: bench.workplace)
        if let folder = peers.places[.postgreSQL] { contenders.append(try advisoryLock(folder)) }
        let samples = try bench.contest(contenders, "fleet")
        let bare = samples[0].quantiles(0.5)
        return Report(
            name: "fleet", summary: "locks that two hosts share, one request at a time", placement: placement,
            outcome: Outcome(
                rows: zip(contenders, samples).map { Row(subject: $0.name, figures: $1.latencies) },
                claims: [
                    Claim(
                        "first acquire, p50 against a bare transaction", .atMost, 1.2,
                        runs: samples[1].quantiles(0.5).ratios(to: bare)),
                    Claim(
                        "hand-over, p50 against a bare transaction", .atMost, 3.5,
                        runs: samples[2].quantiles(0.5).ratios(to: bare)),
                ]))
    }

    private func bareTransaction() throws -> Contender {
        let transactions = try BareTransactions(port: etcd.port, prefix: "bare")
        return repeating("bare transaction") { histogram in
            try histogram.time { try transactions.put() }
        }
    }

    private func firstAcquire(_ server: Server) throws -> Contender {
        let session = try LineSession(server)
        var number = 0
        return repeating("first acquire") { histogram in
            number += 1
            let name = "first-\(number)"
            try histogram.time { try session.ask("WRITE \(name) wait=10s", answered: "GRANTED") }
            try session.ask("RELEASE \(name)", answered: "RELEASED")
        }
    }

    private func handOver(between first: Server, and second: Server) throws -> Contender {
        var (next, other) = (try LineSession(first), try LineSession(second))
        return repeating("hand-over") { histogram in
            try histogram.time { try next.ask("WRITE shared wait=10s", answered: "GRANTED") }
            try next.ask("RELEASE shared", answered: "RELEASED")
            swap(&next, &other)
        }
    }

    private func lockCommand(_ etcdctl: String) -> Contender {
        let command = [etcdctl, "--endpoints=127.0.0.1:\(etcd.port)", "lock", "bench", "true"]
        let log = bench.workplace.file("etcdctl.log")
        return repeating("etcdctl lock") { histogram in
            try histogram.time {
                let process = spawn(command, log: log)
                var status: Int32 = 0
                guard process > 0, waitpid(process, &status, 0) == process, status == 0 else {
                    throw Failure("etcdctl lock: \(contents(of: log))")
                }
            }
        }
    }

    private func advisoryLock(_ folder: String) throws -> Contender {
        let deadline = Duration.now() + .seconds(20)
        var socket = bench_postgresql_connect(folder, "bench")
        // It starts.
        while socket < 0, Duration.now() < deadline {
            usleep(20_000)
            socket = bench_postgresql_connect(folder, "bench")
        }
        if socket < 0 { throw Failure("PostgreSQL", errno: -socket) }
        return repeating("PostgreSQL advisory lock") { [socket] histogram in
            try histogram.time {
                try check(bench_postgresql_query(socket, "SELECT pg_advisory_lock(1)"), "PostgreSQL")
            }
            try check(bench_postgresql_query(socket, "SELECT pg_advisory_unlock(1)"), "PostgreSQL")
        }
    }

    /// Repeats work that records one duration each time.
    private func repeating(_ name: String, _ work: @escaping (Histogram) throws -> Void) -> Contender {
        Contender(name: name) { duration, histogram in
            let end = Duration.now() + duration
            var count = 0
            repeat {
                try work(histogram)
                count += 1
            } while Duration.now() < end
            return count
        }
    }

    // MARK: - What needs no etcd any more

    func underHeldClaim() throws -> Report {
        let shared = try RoundTrip.contender(host("bench-c"))
        let local = try Server(bench.daemon, in: bench.workplace, named: "local")
        let again = try Server(bench.daemon, in: bench.workplace, named: "local-again")
        let contenders = [
            Contender(name: "under a held claim", server: shared.server, work: shared.work),
            Contender(name: "without a fleet", server: local, work: try RoundTrip.contender(local).work),
            Contender(name: "again", server: again, work: try RoundTrip.contender(again).work),
        ]
        let samples = try bench.contest(contenders, "held claim")
        let local50 = samples[1].quantiles(0.5)
        return Report(
            name: "held-claim", summary: "WRITE and RELEASE in turns, one request at a time",
            placement: placement,
            outcome: Outcome(
                rows: zip(contenders, samples).map { $1.row($0.name) },
                claims: [
                    Claim(
                        "under a held claim, p50 against none", .atMost, 1.05,
                        runs: samples[0].quantiles(0.5).ratios(to: local50))
                ],
                noise: [
                    Figure(
                        "without a fleet, against the same, p50", .ratio,
                        samples[2].quantiles(0.5).ratios(to: local50))
                ]))
    }

    func keepAlives() throws -> Report {
        let server = try host("bench-d", lease: "\(Self.lease)s")
        let session = try LineSession(server)
        for number in 0..<Self.claims {
            if number % 100 == 0 { bench.progress.say("fleet: \(number) of \(Self.claims) claims") }
            try session.ask("WRITE many-\(number) wait=10s", answered: "GRANTED")
            try session.ask("RELEASE many-\(number)", answered: "RELEASED")
        }
        let before = try session.figures()
        let begin = Duration.now()
        let third = Duration.seconds(Self.lease) / 3
        bench.progress.say("fleet: keep-alives")
        usleep(UInt32((third * Self.intervals).nanoseconds / 1000))
        let after = try session.figures()
        let intervals = (Duration.now() - begin).inSeconds / third.inSeconds
        guard let sent = before["total-keepalives"], let sentLater = after["total-keepalives"],
            let claims = after["cluster-claims"]
        else { throw Failure("the daemon has no figures of keep-alives") }
        let each = Double(sentLater - sent) / intervals
        return Report(
            name: "keep-alives", summary: "in each third of a lease of \(Self.lease) s", placement: placement,
            outcome: Outcome(
                rows: [
                    Row(
                        subject: "prwlockd",
                        figures: [
                            Figure("claims", .count, [Double(claims)]),
                            Figure("keep-alives", .ratio, [each]),
                        ])
                ],
                claims: [
                    Claim("claims", .atLeast, Double(Self.claims), in: .count, runs: [Double(claims)]),
                    // One more may come by chance at either end.
                    Claim(
                        "keep-alives in an interval", .atMost, 1 + 1 / Double(Self.intervals), runs: [each]),
                ]))
    }
}

extension Histogram {
    /// Records how long this takes.
    func time(_ work: () throws -> Void) rethrows {
        let begin = Duration.now()
        try work()
        record(.now() - begin)
    }
}
