import ArgumentParser
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock hot`: the locks that have cost most.
struct HotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hot", abstract: "Show which locks have cost most, the worst first.",
        discussion: """
            The daemon counts since its process began to serve, for a few hundred locks. A wait counts when it ends; \
            `prwlock top` shows what waits now.
            """)

    @Option(
        help: ArgumentHelp(
            "What to order them by.", valueName: "cost"))
    var by = CostArgument(rank: .waited)

    @Option(help: ArgumentHelp("Show at most so many locks.", valueName: "number"))
    var limit = 20

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    @OptionGroup var names: PrefixOptions

    func validate() throws {
        if limit < 1 { throw ValidationError("--limit is a number from 1 on") }
    }

    func run() throws {
        var listing = Listing(HotLock.columns, show)
        let (space, wait) = try complaining { () throws(Complaint) in
            var connection = try daemon.choice.connect()
            let facts = try ProcessDescription.lookup(over: &connection)
            let clock = DisplayClock()
            var longest = Duration.zero
            try connection.askForHotLocks(prefix: names.prefix, by: by.rank, limit: limit) { row in
                longest = max(longest, row.longest)
                let lock = HotLock(row, facts: facts)
                listing.add(lock.cells(clock), lock.json)
            }
            let wait = show.json ? nil : try connection.presentWait(names.prefix, longerThan: longest)
            return (LockSpace(of: connection), wait)
        }
        listing.finish(orPrint: "no lock has cost anything yet; a time counts when it ends")
        if let wait { StandardError.report(wait) }
        space.printRemark(show)
    }
}

/// What locks are ordered by, as a word of the command line.
struct CostArgument: ExpressibleByArgument {
    let rank: HotRank

    init(rank: HotRank) { self.rank = rank }

    init?(argument: String) {
        guard let rank = HotRank(rawValue: argument) else { return nil }
        self.rank = rank
    }

    var defaultValueDescription: String { rank.rawValue }

    static var allValueStrings: [String] { HotRank.allCases.map(\.rawValue) }
}

extension BlockingConnection {
    /// Names the longest wait that goes on, if it is longer than all that the table shows: the table then lacks what costs most at
    /// this moment.
    fileprivate mutating func presentWait(
        _ prefix: String, longerThan longest: Duration
    ) throws(Complaint) -> String? {
        var found: Row.Lock?
        _ = try ask(.list(prefix: prefix, after: nil, limit: 1, by: .waited)) { content in
            if case .lock(let lock) = content { found = lock }
        }
        guard let lock = found, let waited = lock.waited, waited > longest else { return nil }
        let name = Table.cut(lock.name.shown, to: 48)
        return "not counted yet: a wait of \(waited.inWords) for '\(name)' goes on (`prwlock top` shows it)"
    }

    /// Passes the rows of `HOT` to `row`, the worst first.
    mutating func askForHotLocks(
        prefix: String = "", by rank: HotRank?, limit: Int, patience: Duration = CallTime.patience,
        row: (Row.Hot) -> Void
    ) throws(Complaint) {
        do throws(Complaint) {
            _ = try ask(.hot(prefix: prefix, by: rank, limit: limit), patience: patience) { content in
                if case .hot(let hot) = content { row(hot) }
            }
        } catch {
            guard error.code == Complaint.protocolFault else { throw error }
            throw Complaint(
                "the lock daemon is older than this command, and does not count what locks cost: "
                    + "install the new one, then `prwlock upgrade`", code: Complaint.protocolFault)
        }
    }
}
