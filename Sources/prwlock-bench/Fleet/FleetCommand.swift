import ArgumentParser
import CBench
import Glibc

/// The command `prwlock-bench fleet`.
struct FleetCommand: ParsableCommand {
    static let name = "fleet"

    static let configuration = CommandConfiguration(
        commandName: "prwlock-bench \(name)",
        abstract: "Measure locks that hosts share through etcd, beside etcd itself and other locks.",
        discussion: """
            Three members of etcd run on loopback, with their data in the temporary directory, and two daemons, each \
            with a host name of its own. All talk to the same member. A bare transaction is one call of etcd's \
            interface that puts an absent key, on a connection that stays open, by a client that does nothing else.

            first acquire: WRITE of a name that no host has a claim on, until GRANTED is read. Each has another name.

            hand-over: WRITE on one host, while the other one has the claim and no session uses the lock, until \
            GRANTED is read. The hosts take turns.

            etcdctl lock: a process that acquires a lock, runs true(1) and releases it.

            PostgreSQL advisory lock: SELECT pg_advisory_lock, on a Unix socket, until its result is read.

            under a held claim: WRITE and RELEASE, one at a time, on a shared name, and the same requests to a daemon \
            without a fleet.

            keep-alives: how many a daemon with \(FleetContest.claims) claims sends in each third of its lease.

            All processes stay on one processor, as in prwlock-bench; each has its turn many times in every run, and \
            shown is the median of the runs. The daemon must be built with the trait Etcd. etcd must be installed; \
            what else is not is left out. The status is 0 if all promises hold, 1 if one does not, 2 if something \
            could not be measured.
            """)

    @Flag(help: "Print one JSON object instead of tables.")
    var json = false

    @Option(help: ArgumentHelp("How long each is measured in each run.", valueName: "seconds"))
    var seconds = 1.0

    @Option(help: ArgumentHelp("How many runs; the median counts.", valueName: "number"))
    var runs = 5

    @Option(help: ArgumentHelp("The daemon; without it, prwlockd beside this program.", valueName: "path"))
    var daemon: String?

    @Flag(help: "Let the scheduler choose the processors, and do not keep all processes on one.")
    var unpinned = false

    func validate() throws {
        if !(0.01...600).contains(seconds) { throw ValidationError("--seconds: 0.01 to 600") }
        if !(1...1000).contains(runs) { throw ValidationError("--runs: 1 to 1000") }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        do {
            let reports = try measure()
            let allHold = reports.allSatisfy { $0.outcome.claims.allSatisfy(\.holds) }
            throw ExitCode(allHold ? 0 : 1)
        } catch let failure as Failure {
            writeError("prwlock-bench: \(failure)\n")
            throw ExitCode(2)
        }
    }

    /// Measures and prints.
    private func measure() throws -> [Report] {
        let machine = Machine()
        if !json { print(machine.text) }
        var placement = Placement.free
        if !unpinned {
            placement = .pinned(Int(bench_pin()))
            guard placement != .pinned(-1) else { throw Failure("not permitted to pin: --unpinned") }
        }
        let program = try daemonPath(daemon)
        let bench = Bench(
            daemon: LockDaemon(program: program), attacks: [], redis: nil, runs: runs,
            duration: .nanoseconds(Int64(seconds * 1e9)), workplace: try Workplace(), progress: Progress())
        let contest = try FleetContest(bench, placement: placement)
        var reports: [Report] = []
        for measurement in [contest.acrossHosts, contest.underHeldClaim, contest.keepAlives] {
            let report = try measurement()
            bench.progress.clear()
            if !json { print("\n\(report.table)") }
            reports.append(report)
        }
        if json {
            print(JSON.object([("machine", machine.json), ("results", .array(reports.map(\.json)))]).text)
        }
        return reports
    }
}
