import ArgumentParser
import CBench
import Glibc

/// The command: it chooses the scenarios, the length and number of runs, and the form of the output.
struct Benchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prwlock-bench",
        abstract:
            "Measure prwlockd beside a C echo server, redis-server and flock(2), and check what it promises.",
        discussion: """
            All servers run at the same time, each on a Unix socket in a temporary directory, and are driven by the \
            same load. In every run each has its turn many times, so that whatever else the machine does meets them \
            alike; a ratio is between figures of one run. Shown is the median of the runs, and for a promise their \
            range. Percentiles are exact to one percent.

            The echo server is a C program with a blocking epoll_wait that sends back what it reads. A server that \
            refuses what it is asked ends the benchmark: a refusal is fast, and no measure.

            A round trip takes a quarter of the time where the scheduler happens to put client and server on one \
            processor, and it does so for one server and not for its twin. So all processes stay on one processor, \
            which the headings name; a server then gets no help from a second processor. In neighbour they do not, \
            as it is about processes that run at the same time. --unpinned leaves the choice to the scheduler: the \
            row "noise" tells what that does. --real-time (as root) measures round-trip and hand-over unpinned and \
            with real-time priority for all, which gives each a processor of its own.

            The status is 0 if all promises hold, 1 if one does not, 2 if something could not be measured.

            SCENARIOS

            \(Scenario.allCases.map { "\($0.rawValue): \($0.summary). \($0.method)" }.joined(separator: "\n\n"))

            PEERS

            prwlock-bench peers measures an acquire and a release by all kinds of locks that are installed; see \
            prwlock-bench peers --help.

            FLEET

            prwlock-bench fleet measures locks that hosts share through etcd; see prwlock-bench fleet --help.
            """)

    @Argument(help: ArgumentHelp("What to measure; everything if nothing is named.", valueName: "scenario"))
    var scenarios: [Scenario] = []

    @Flag(help: "Print one JSON object instead of tables.")
    var json = false

    @Option(help: ArgumentHelp("How long each server is measured in each run.", valueName: "seconds"))
    var seconds = 1.0

    @Option(help: ArgumentHelp("How many runs; the median counts.", valueName: "number"))
    var runs = 5

    @Option(help: ArgumentHelp("The daemon; without it, prwlockd beside this program.", valueName: "path"))
    var daemon: String?

    @Option(
        name: .customLong("attack"),
        help: ArgumentHelp("An attack of neighbour; may be repeated. Without it, all.", valueName: "attack"))
    var attacks: [Attack] = []

    @Option(help: ArgumentHelp("Limit the daemon's address space.", valueName: "MiB"))
    var addressSpace: Int?

    @Flag(help: "Let the scheduler choose the processors, and do not keep all processes on one.")
    var unpinned = false

    @Flag(help: "Measure round-trip and hand-over with real-time priority, unpinned.")
    var realTime = false

    func validate() throws {
        if !(0.01...3600).contains(seconds) { throw ValidationError("--seconds: 0.01 to 3600") }
        if !(1...1000).contains(runs) { throw ValidationError("--runs: 1 to 1000") }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        do {
            let allHold = try measure()
            throw ExitCode(allHold ? 0 : 1)
        } catch let failure as Failure {
            writeError("prwlock-bench: \(failure)\n")
            throw ExitCode(2)
        }
    }

    /// Measures and prints; returns whether all claims hold.
    private func measure() throws -> Bool {
        bench_raise_descriptor_limit()
        let bench = Bench(
            daemon: LockDaemon(program: try daemonPath(daemon), addressSpace: addressSpace),
            attacks: attacks.isEmpty ? Attack.allCases : attacks, redis: Redis(), runs: runs,
            duration: .nanoseconds(Int64(seconds * 1e9)), workplace: try Workplace(), progress: Progress())
        let machine = Machine()
        if !json { print(machine.text) }

        var reports: [Report] = []
        for scenario in scenarios.isEmpty ? Scenario.allCases : scenarios {
            let isRealTime = scenario.isOfLatency && realTime
            if isRealTime, !bench_set_real_time(true) { throw Failure("--real-time: not permitted") }
            var placement = isRealTime ? Placement.realTime : .free
            if !unpinned, !isRealTime, scenario.isPinned {
                placement = .pinned(Int(bench_pin()))
                guard placement != .pinned(-1) else { throw Failure("not permitted to pin: --unpinned") }
            }
            let outcome = try scenario.measure(bench)
            bench_unpin()
            if isRealTime { bench_set_real_time(false) }
            let report = Report(
                name: scenario.rawValue, summary: scenario.summary, placement: placement, outcome: outcome)
            bench.progress.clear()
            if !json { print("\n\(report.table)") }
            reports.append(report)
        }
        if json {
            let results = JSON.array(reports.map(\.json))
            print(JSON.object([("machine", machine.json), ("results", results)]).text)
        }
        return reports.allSatisfy { $0.outcome.claims.allSatisfy(\.holds) }
    }
}
