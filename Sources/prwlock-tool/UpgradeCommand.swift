import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix
import Rendezvous

/// `prwlock upgrade`: has the keeper start the program that is now on disk.
struct UpgradeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upgrade",
        abstract: "Have the lock daemon's program that is now on disk serve; no session and no lock ends.",
        discussion: "For a daemon with a keeper. Root may do this, and the daemon's own user.")

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        let outcome = try complaining { () throws(Complaint) in
            var upgrade = try Upgrade(daemon)
            return try upgrade.carryOut()
        }
        StandardOutput.write(show.json ? "\(outcome.json.encoded)\n" : "\(outcome.line)\n")
    }
}

/// What a daemon says of itself.
struct ServingDaemon {
    /// The program and its version.
    let server: String
    /// Sessions other than that of this process.
    let sessions: Int
    let grants: Int
    let waiters: Int
    /// How often another process has begun to serve; nil if the daemon has no keeper.
    let restarts: Int?
    /// The major number of the format of what the next process goes on from; nil if the daemon does not say it.
    let ledgerFormat: Int?

    init(over connection: inout BlockingConnection, patience: Duration) throws(Complaint) {
        guard
            case .hello(_, let server, _, _) = try connection.ask(
                .hello(client: nil, recall: nil), patience: patience)
        else { throw Complaint.unexpected }
        var counters: [String: Int] = [:]
        _ = try connection.ask(.stats, patience: patience) { row in
            if case .stat(let name, let value) = row { counters[name] = value }
        }
        self.server = server
        sessions = max(0, (counters["sessions"] ?? 0) - 1)
        grants = counters["grants"] ?? 0
        waiters = counters["waiters"] ?? 0
        restarts = counters["restarts"]
        ledgerFormat = counters["ledger-format"]
    }

    var json: JSON {
        .object([
            ("server", .string(server)), ("sessions", .integer(sessions)), ("grants", .integer(grants)),
            ("waiters", .integer(waiters)),
        ])
    }
}

/// An upgrade from the first look at the daemon to the end.
///
///   LOOK ──▶ SIGNAL ──▶ ASK AGAIN ─┬─ `restarts` has risen ──▶ (done: this very session went over)
///                          ▲       ├─ it has not: the keeper tries the program ── for too long ──▶ (it was refused)
///                          └───────┤
///                                  └─ the session has ended ──▶ RECONNECT ─┬─ a daemon serves ──▶ (it started empty)
///                                                                          └─ the keeper has ended ──▶ (no program serves)
///
/// While no process serves, the question waits in the socket as all others do. If the process that serves crashes by itself
/// between LOOK and SIGNAL, its restart is taken for the upgrade; that process too is of the program on disk.
struct Upgrade: ~Copyable {
    private let daemon: DaemonOptions
    private var connection: BlockingConnection
    private let path: String

    /// How long the new program may take until it serves: a million locks take it some seconds.
    private static let patience = Duration.seconds(60)
    /// How long the former program may answer after the signal. The keeper tries a program for ten seconds at most.
    private static let trial = Duration.seconds(15)
    private static let pause: UInt32 = 5_000

    struct Outcome {
        let before: ServingDaemon
        let after: ServingDaemon
        let time: Duration

        var line: Shown {
            let counts =
                "\(Self.count(after.sessions, "session")) with \(Self.count(after.grants, "grant")) and "
                + "\(Self.count(after.waiters, "waiting request"))"
            return
                "\(before.server) served, and \(after.server) serves now: \(counts) went over, in \(time.wholeMilliseconds) ms"
        }

        private static func count(_ number: Int, _ noun: String) -> String {
            "\(number) \(noun)\(number == 1 ? "" : "s")"
        }

        var json: JSON {
            .object([
                ("before", before.json), ("after", after.json),
                ("restarts", .integer(after.restarts ?? 0)), ("upgrade_ms", .milliseconds(time)),
            ])
        }
    }

    init(_ daemon: DaemonOptions) throws(Complaint) {
        self.daemon = daemon
        connection = try daemon.connectToRunning()
        path = connection.location()?.path ?? ""
    }

    mutating func carryOut() throws(Complaint) -> Outcome {
        let before = try ServingDaemon(over: &connection, patience: CallTime.patience)
        guard before.restarts != nil else { throw isNotKept() }
        let keeper = try KeeperProcess.find(listeningAt: path)
        try keeper.checkProgram()
        let start = Instant.now
        let trialEnd = Deadline(after: Self.trial)
        try keeper.upgrade()
        while !trialEnd.isOver {
            let after: ServingDaemon
            do throws(Complaint) {
                after = try ServingDaemon(over: &connection, patience: Self.patience)
            } catch {
                guard error.code == Complaint.unavailable else { throw error }
                throw sessionEnded(before, keeper)
            }
            if after.restarts != before.restarts {
                return Outcome(before: before, after: after, time: start.duration(to: .now))
            }
            usleep(Self.pause)
        }
        throw Complaint(
            "the keeper, process \(keeper.process), does not take \(keeper.program ?? "the program on disk"), and the lock daemon "
                + "serves as before: its journal says why", code: Complaint.noInput)
    }

    private func isNotKept() -> Complaint {
        let unit = DaemonUnit(listeningAt: path)
        let end =
            if let name = unit?.unit, name.hasSuffix(".service") { "`systemctl restart \(name)`" } else {
                unit.map { "`kill \($0.process)`" } ?? "end it"
            }
        return Complaint(
            "the lock daemon at \(path) runs without --keep, so each upgrade ends its sessions: \(end) when no lock is "
                + "held, and start it with --keep the next time", code: Complaint.unavailable)
    }

    /// The session of this process has ended, and with it all others: finds out why.
    private func sessionEnded(
        _ before: ServingDaemon, _ keeper: borrowing KeeperProcess
    ) -> Complaint {
        let end = Deadline(after: Self.patience)
        while !keeper.hasEnded, !end.isOver {
            do throws(Complaint) {
                var next = try daemon.connectToRunning()
                let after = try ServingDaemon(over: &next, patience: Self.patience)
                return startedEmpty(before, after)
            } catch {
                usleep(Self.pause)
            }
        }
        return Complaint(
            "no program serves at \(path), and all sessions and locks have ended, as \(keeper.program ?? "the program on disk") "
                + "did not start: look at its journal, install a program that starts, and start the lock daemon",
            code: Complaint.unavailable)
    }

    private func startedEmpty(_ before: ServingDaemon, _ after: ServingDaemon) -> Complaint {
        let cause =
            switch (before.ledgerFormat, after.ledgerFormat) {
            case (let old?, let new?) where old != new:
                "it reads ledgers of format \(new), and the former program wrote format \(old)"
            default: "what the former program had kept failed a check, which the journal names"
            }
        return Complaint(
            "\(before.server) served, and \(after.server) serves now, but without the former sessions and locks: \(cause)",
            code: Complaint.lost)
    }
}

extension DaemonOptions {
    /// Connects to the daemon, and starts none.
    fileprivate func connectToRunning() throws(Complaint) -> BlockingConnection {
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        do throws(RendezvousError) {
            return try BlockingConnection(
                socket?.text.map(SocketLocation.init(path:)), in: surroundings, by: .never)
        } catch {
            guard case .startForbidden = error else { throw Complaint(error) }
            throw Complaint(
                "no lock daemon runs, so there is none to upgrade: the next one is the program that is now on disk",
                code: Complaint.unavailable)
        }
    }
}
