import ArgumentParser
import CBench
import Glibc

/// The command `prwlock-bench peers`.
struct PeersCommand: ParsableCommand {
    static let name = "peers"

    static let configuration = CommandConfiguration(
        commandName: "prwlock-bench \(name)",
        abstract: "Measure an acquire and a release by all kinds of locks that are installed, side by side.",
        discussion: """
            Each figure is the time of one acquire and one release as a process sees it: the time of the processes, \
            divided by their pairs. Nothing is done while the lock is held. Shown is the median of the runs.

            SCENARIOS

            \(PeerScenario.allCases.map { "\($0.heading): \($0.method)" }.joined(separator: "\n\n"))

            A lock without a way to read is measured all the same: its readers exclude each other, and its figures \
            have a mark.

            HOW IT IS MEASURED

            Each lock has two processes of its own, which live until the end and are driven alike: they get an order, \
            begin at the same instant, count their pairs for a time, and answer. A lock that takes micro- or \
            nanoseconds has five short windows in each run and scenario, in turns with the others, so that whatever \
            else the machine does meets all alike. A lock that is polled or written to disk has one window, which is \
            five times as long; with few grants in it, a figure is rough. Two writers in turns end together: a grant \
            that comes after the window does not count. A process that does not answer within 20 s is killed, and the \
            lock is out.

            A process that is alone shares one processor with its server. Two processes have a processor each, if \
            there are two, and servers are where the scheduler puts them. --unpinned leaves all to the scheduler. \
            As root, chrt --rr 10 prwlock-bench peers keeps other programs off the processors.

            WHAT IS MEASURED

            \(Peer.all.map { "\($0.id) (\($0.name)): \($0.remark)." }.joined(separator: "\n\n"))

            Servers are started for the measurement, on Unix sockets in a temporary directory (etcd: on a free port of \
            loopback), and ended with it. PostgreSQL runs as the user postgres or nobody if this runs as root.

            The locks of Python packages are measured by the interpreter of --python, with its packages; PYTHONPATH \
            counts. Cached grants from Python need the package's extension module. The original prwlock has the same \
            module name as this project's package, so it has a folder of its own: pip install --target FOLDER \
            'prwlock<1', and --original FOLDER. What is not installed is shown as that, with what to install.

            The status is 0, also if something is not installed; 1 if a lock failed; 2 if nothing could be measured.
            """)

    @Argument(help: ArgumentHelp("Which locks; all if none is named.", valueName: "lock"))
    var locks: [String] = []

    @Flag(help: "Print one JSON object instead of the table.")
    var json = false

    @Option(help: ArgumentHelp("Write the figures as a drawing, too.", valueName: "file"))
    var svg: String?

    @Option(
        help: ArgumentHelp("How long each lock is measured in each scenario and run.", valueName: "seconds"))
    var seconds = 0.5

    @Option(help: ArgumentHelp("How many runs; the median counts.", valueName: "number"))
    var runs = 5

    @Option(help: ArgumentHelp("The Python interpreter.", valueName: "program"))
    var python = "python3"

    @Option(help: ArgumentHelp("The folder of the original prwlock, version 0.4.", valueName: "folder"))
    var original: String?

    @Option(help: ArgumentHelp("The daemon; without it, prwlockd beside this program.", valueName: "path"))
    var daemon: String?

    @Flag(help: "Let the scheduler choose the processors.")
    var unpinned = false

    func validate() throws {
        if !(0.01...600).contains(seconds) { throw ValidationError("--seconds: 0.01 to 600") }
        if !(1...1000).contains(runs) { throw ValidationError("--runs: 1 to 1000") }
        for lock in locks where !Peer.all.contains(where: { $0.id == lock }) {
            let known = Peer.all.map(\.id).joined(separator: ", ")
            throw ValidationError("no lock '\(lock)'; there are \(known)")
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        do {
            let results = try measure()
            throw ExitCode(results.contains { if case .failed = $0.state { true } else { false } } ? 1 : 0)
        } catch let failure as Failure {
            writeError("prwlock-bench: \(failure)\n")
            throw ExitCode(2)
        }
    }

    /// Measures and prints.
    private func measure() throws -> [PeerResult] {
        let machine = Machine()
        let contest = PeerContest(
            PeerContest.Settings(
                daemon: try daemonPath(daemon), python: python, original: original, runs: runs,
                duration: .nanoseconds(Int64(seconds * 1e9)), isPinned: !unpinned),
            progress: Progress())
        let results = try contest.measure(
            locks.isEmpty ? Peer.all : Peer.all.filter { locks.contains($0.id) })
        let report = PeerReport(results: results, placement: contest.placement)
        if json {
            print(JSON.object([("machine", machine.json), ("results", .array([report.json]))]).text)
        } else {
            print("\(machine.text)\n\n\(report.table)")
        }
        if let svg {
            let drawing = PeerDrawing(results: results, captions: [machine.text, contest.placement])
            try write(drawing.text, to: svg)
        }
        return results
    }

    private func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "we") else { throw Failure(path, errno: errno) }
        let isWritten = fputs(text, file) >= 0
        if fclose(file) != 0 || !isWritten { throw Failure(path, errno: errno) }
    }
}
