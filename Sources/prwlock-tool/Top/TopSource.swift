import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// What to ask the daemon for.
struct TopQuestion {
    var order = TopOrder.waiters
    /// The prefix of names, encoded.
    var prefix = ""
    /// The most rows of a table.
    var rows = 24
    /// The lock to look at; nil for the first one.
    var lock: LockName?
    /// The process to look at.
    var process: Int32?
    /// Whether to look at a lock at all.
    var hasReport = true
}

/// The connection of `prwlock top`, and what it asks.
///
/// All answers have a bounded number of rows, so that the daemon's work does not depend on how many locks it has. The only
/// exception is a look at a process, which a person asks for.
struct TopSource: ~Copyable {
    private var connection: BlockingConnection
    private let daemon: String
    private let facts: (Int32?) -> ProcessDescription
    private var rates = GrantRates()

    /// How long the daemon may stay silent.
    private let patience: Duration
    /// The most rows of `HOT`.
    private static let hottest = 200
    /// The most locks that are looked at for a process, and the most rows of each.
    private static let mostLocks = 1000

    /// Connects. The first time, the user's own daemon is started if none runs, as by every command that looks.
    /// The default is for a screen, which does not react while the daemon is silent.
    init(_ choice: DaemonChoice, mayStart: Bool, patience: Duration = .seconds(1)) throws(Complaint) {
        self.patience = patience
        var connection = try Self.connect(choice, mayStart: mayStart, patience)
        facts = try ProcessDescription.lookup(over: &connection)
        daemon = Self.describe(connection)
        self.connection = connection
    }

    private static func connect(
        _ choice: DaemonChoice, mayStart: Bool, _ patience: Duration
    ) throws(Complaint) -> BlockingConnection {
        if mayStart { return try choice.connect() }
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        do throws(RendezvousError) {
            return try BlockingConnection(
                choice.path.map(SocketLocation.init(path:)), in: surroundings, by: Deadline(after: patience))
        } catch {
            throw Complaint(error)
        }
    }

    private static func describe(_ connection: borrowing BlockingConnection) -> String {
        let path = connection.location()?.path ?? ""
        var words =
            switch LockSpace(of: connection) {
            case .system: "locks of all users"
            case .user: "locks of \(ProcessDescription.userName(Surroundings.current().userID)) only"
            case .socket: "locks at \(path)"
            }
        if let unit = DaemonUnit(listeningAt: path) {
            words += ", daemon \(unit.process)"
            if let name = unit.unit { words += " (\(name))" }
        }
        return words
    }

    mutating func ask(_ question: TopQuestion) throws(Complaint) -> TopSample {
        var sample = TopSample()
        sample.daemon = daemon
        sample.clock = DisplayClock()
        sample.time = .now
        _ = try connection.ask(.stats, patience: patience) { row in
            if case .stat(let name, let value) = row { sample.counters[name] = value }
        }
        try readRates(question.prefix, total: sample.counters["total-grants"] ?? 0)
        sample.rate = rates.total
        sample.locks = try locks(question)
        if let process = question.process {
            sample.process = try report(of: process, locks: sample.counters["locks"] ?? 0)
        }
        if question.hasReport, let lock = question.lock ?? sample.locks.first?.name {
            sample.report = try LockReport(
                of: lock, over: &connection, limit: question.rows, patience: patience, facts: facts)
        }
        return sample
    }

    mutating func revoke(_ revocation: Revocation) throws(Complaint) {
        try Revocation.carryOut(revocation.lock, revocation.token, over: &connection)
    }

    // MARK: - Locks

    private mutating func readRates(_ prefix: String, total: Int) throws(Complaint) {
        var counts: [LockName: Int] = [:]
        try ask(.hot(prefix: prefix, by: .grants, limit: Self.hottest)) { row in
            if case .hot(let hot) = row { counts[hot.name] = hot.grants }
        }
        rates.read(counts, total: total, at: .now)
    }

    private mutating func locks(_ question: TopQuestion) throws(Complaint) -> [TopLock] {
        switch question.order {
        case .waiters: return try list(question.prefix, limit: question.rows, by: .waiters)
        case .waited: return try list(question.prefix, limit: question.rows, by: .waited)
        case .grants:
            let busiest = Self.busiest(rates.perSecond, most: question.rows)
            let waiting = try list(question.prefix, limit: question.rows, by: .waiters)
            var locks: [TopLock] = []
            for name in busiest {
                var found = waiting.first { $0.name == name }
                if found == nil {
                    // Of all names that begin like this one, it is the first, if the lock exists now.
                    found = try list(name.text, limit: 1, by: nil).first { $0.name == name }
                }
                locks.append(found ?? TopLock(name: name, rate: rates.perSecond[name]))
            }
            return locks
        }
    }

    /// The names with the highest rates; those without grants are left out.
    static func busiest(_ rates: [LockName: Double], most: Int) -> [LockName] {
        let sorted = rates.filter { $0.value > 0 }.sorted {
            $0.value == $1.value ? $0.key.text < $1.key.text : $0.value > $1.value
        }
        return sorted.prefix(most).map(\.key)
    }

    private mutating func list(_ prefix: String, limit: Int, by rank: WaitRank?) throws(Complaint)
        -> [TopLock]
    {
        var rows: [Row.Lock] = []
        try ask(.list(prefix: prefix, after: nil, limit: limit, by: rank)) { row in
            if case .lock(let lock) = row { rows.append(lock) }
        }
        return rows.map { row in
            TopLock(
                name: row.name, mode: row.mode, holders: row.holders, waiters: row.waiters,
                waited: row.waited,
                rate: rates.perSecond[row.name])
        }
    }

    /// Asks what an older daemon does not know.
    private mutating func ask(_ verb: Verb, row: (Row) -> Void) throws(Complaint) {
        do throws(Complaint) {
            _ = try connection.ask(verb, patience: patience) { content throws(Complaint) in row(content)
            }
        } catch {
            throw error.code == Complaint.protocolFault ? Self.tooOld : error
        }
    }

    private static let tooOld = Complaint(
        "this lock daemon is of an older release, and cannot name the locks that most requests wait for: "
            + "install the present one and run `prwlock upgrade`", code: Complaint.protocolFault)

    // MARK: - A process

    /// Looks at all locks if these are not many, and else at those for which most requests wait.
    private mutating func report(of process: Int32, locks count: Int) throws(Complaint) -> ProcessReport {
        var report = ProcessReport(of: process, facts(process))
        _ = try connection.ask(.sessions, patience: patience) { row in
            guard case .session(let session) = row, session.processID == process else { return }
            report.grants += session.grants
            report.waiting += session.waiters
        }
        let locks = try list("", limit: Self.mostLocks, by: count <= Self.mostLocks ? nil : .waiters)
        for lock in locks where report.unseen > 0 {
            report.add(
                try LockReport(
                    of: lock.name, over: &connection, limit: Self.mostLocks, patience: patience,
                    facts: { _ in .init() }))
        }
        return report
    }
}
