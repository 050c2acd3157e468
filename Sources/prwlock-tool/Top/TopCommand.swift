import ArgumentParser
import Glibc
import LockVocabulary
import PRWLock
import Posix
import Rendezvous

/// `prwlock top`: a live table of the locks that requests wait for.
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Show the locks that most requests wait for, until it is ended.",
        discussion: "The key h shows the keys. With --once it prints the table once, also without a terminal."
    )

    @Option(
        help: ArgumentHelp("Look at the daemon so often; also 250ms, 2m.", valueName: "seconds"))
    var interval = Seconds(.milliseconds(500))

    @Option(
        help: ArgumentHelp("The first order of the locks: waiters, waited or grants.", valueName: "order"))
    var sort = TopOrder.waiters

    @Flag(help: "Print the table once, and end.")
    var once = false

    @Flag(help: "Draw with ASCII only, as in a locale without UTF-8.")
    var ascii = false

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var names: PrefixOptions

    /// The most rows of a table that is printed once.
    private static let rows = 40

    func validate() throws {
        if show.json, !once { throw ValidationError("--json needs --once") }
        if interval.duration < .milliseconds(100) {
            throw ValidationError("--interval: a tenth of a second is the least")
        }
    }

    func run() throws {
        try complaining { () throws(Complaint) in
            if once { try printOnce() } else { try draw() }
        }
    }

    private func draw() throws(Complaint) {
        let environment = Surroundings.current().environment
        for (descriptor, words) in [(STDOUT_FILENO, "standard output"), (STDIN_FILENO, "standard input")]
        where isatty(descriptor) == 0 {
            throw Self.noScreen("\(words) is not a terminal")
        }
        if ["", "dumb"].contains(environment["TERM"] ?? "") {
            throw Self.noScreen("this terminal cannot move its cursor (TERM=\(environment["TERM"] ?? ""))")
        }
        guard let screen = FullScreen() else { throw Complaint(.last("mmap")) }
        var state = TopState()
        state.order = sort
        state.prefix = NameAlphabet.decode(names.prefix)
        var top = try Top(
            daemon.choice, state, interval: interval.duration, Pen(environment, isASCII: ascii),
            try ScreenGuardian.fork(screen))
        top.run()
    }

    private static func noScreen(_ cause: String) -> Complaint {
        Complaint("\(cause): use `prwlock top --once`, for programs with --json", code: Complaint.usage)
    }

    private func printOnce() throws(Complaint) {
        var source = try TopSource(daemon.choice, mayStart: true, patience: CallTime.patience)
        var question = TopQuestion(order: sort, prefix: names.prefix, rows: Self.rows)
        question.hasReport = false
        _ = try source.ask(question)
        // Rates need two looks.
        usleep(UInt32(clamping: interval.duration.wholeNanoseconds / 1000))
        let sample = try source.ask(question)
        StandardOutput.write(
            show.json
                ? "\(sample.json.encoded)\n"
                : sample.text(show.style, question.order, isFiltered: !names.prefix.isEmpty))
    }
}

extension Pen {
    /// The pen for the terminal that the environment describes.
    init(_ environment: [String: String], isASCII: Bool) {
        hasColour = (environment["NO_COLOR"] ?? "").isEmpty
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        let spelling = locale?.lowercased() ?? "utf-8"
        self.isASCII = isASCII || !(spelling.contains("utf-8") || spelling.contains("utf8"))
    }
}

extension TopSample {
    /// For people: the counters, and the table of locks.
    func text(_ style: Style, _ order: TopOrder, isFiltered: Bool) -> Shown {
        let layout = TopLayout(
            columns: style.columns ?? 1000, rows: 0, state: TopState(), sample: self, problem: nil)
        var text: Shown = "\(daemon)\n\(layout.counters)\n"
        guard !locks.isEmpty else { return text + "\(emptiness(order, isFiltered: isFiltered))\n" }
        var table = TopLayout.table(style)
        text += "\n" + table.render(locks.map(\.cells))
        return text
    }

    /// Why the table is empty.
    func emptiness(_ order: TopOrder, isFiltered: Bool) -> String {
        let names = isFiltered ? " with such a name" : ""
        switch order {
        case .waiters, .waited: return "no request waits" + (isFiltered ? " for a lock" + names : "")
        case .grants where rate == nil: return "the rates are known after the next look"
        case .grants: return "no lock\(names) was granted since the last look"
        }
    }

    /// For programs: durations are in milliseconds.
    var json: JSON {
        let counters = [
            "sessions", "locks", "grants", "waiters", "total-grants", "total-timeouts", "total-deadlocks",
        ]
        let numbers = counters.map { (JSON.key($0), JSON.integer(self.counters[$0] ?? 0)) }
        return .object(numbers + [("grants_per_s", .optional(rate)), ("rows", .array(locks.map(\.json)))])
    }
}

extension TopLock {
    fileprivate var json: JSON {
        .object([
            ("name", .string(name.decoded)), ("encoded", .string(name.text)),
            ("mode", .optional(mode?.description)), ("holders", .integer(holders)),
            ("waiters", .integer(waiters)), ("longest_wait_ms", .milliseconds(waited)),
            ("grants_per_s", .optional(rate)),
        ])
    }
}
