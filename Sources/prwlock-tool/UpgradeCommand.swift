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
        discussion: """
            For a daemon with --keep, as the service has: its keeper, the parent of the process that serves, starts the new \
            program. Root may do this, and the daemon's own user. No session and no lock ends if both programs have the same \
            ledger format (`ledger-format` of `prwlock stats`).

            Exit status:
              0   the new program serves, with all sessions and locks
              66  the keeper does not take the program on disk; nothing has changed
              69  no daemon runs, or it runs without --keep, and nothing has changed; or the program passed its check and \
            then did not start: all sessions and locks have ended
              75  the daemon or its keeper does not answer or is stopped
              77  you may not do this; nothing has changed
              79  the new program serves, but without the former sessions and locks
            """)

    @OptionGroup var show: ShowOptions
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        let outcome = try complaining { () throws(Complaint) in
            var upgrade = try Upgrade(daemon.choice)
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
            case .hello(_, let server, _, _, _) = try connection.ask(
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
///   LOOK ──▶ SIGNAL ──▶ ASK AGAIN ─┬─ the keeper is another program ──▶ (done: this very session went over)
///                          ▲       ├─ it is not: it tries the program on disk
///                          │       │                └─ it has decided, and has executed nothing ──▶ (it was refused)
///                          └───────┤
///                                  └─ the session has ended ──▶ RECONNECT ─┬─ a daemon serves ──▶ (it started empty)
///                                                                          └─ the keeper has ended ──▶ (no program serves)
///
/// While no process serves, the question waits in the socket as all others do. What can happen at the same time:
///
/// - *The process that serves dies by itself.* `restarts` rises, but the next one is a copy of the keeper, so of the former
///   program. So `restarts` is no sign of an upgrade, unless the kernel does not show which program the keeper is.
/// - *The keeper executes the program while a question is under way.* The former process was buried before that, so an answer
///   is of the new program if the keeper was another program before the question. Only that counts.
/// - *The trial has ended well, and the keeper has not yet killed the process that serves.* The trial is gone then, and the
///   keeper does not rest. So it has decided if the trial is gone and it rests after that. If it decided for the program, no
///   question is answered before the program is executed, and the keeper is another program after the answer. If it is
///   not, it has refused. A trial that was too short to be seen counts as gone after some rest.
struct Upgrade: ~Copyable {
    private let daemon: DaemonChoice
    private var connection: BlockingConnection
    private let path: String

    /// How long the new program may take until it serves: a million locks take it some seconds.
    private static let patience = Duration.seconds(60)
    /// How long the former program may answer after the signal. The keeper tries a program for ten seconds at most.
    private static let trial = Duration.seconds(15)
    /// How long a keeper rests that has taken the signal, and has ended its trial before that was seen.
    private static let rest = Duration.seconds(1)
    private static let pause: UInt32 = 5_000
    private static let reasons = "standard error of the keeper, or the journal under systemd, says why"

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

    init(_ daemon: DaemonChoice) throws(Complaint) {
        self.daemon = daemon
        connection = try daemon.connectToRunning()
        path = connection.location()?.path ?? ""
    }

    mutating func carryOut() throws(Complaint) -> Outcome {
        let before = try ServingDaemon(over: &connection, patience: CallTime.patience)
        guard before.restarts != nil else { throw isNotKept() }
        let keeper = try KeeperProcess.find(listeningAt: path)
        guard !keeper.isStopped else { throw isStopped(keeper, has: "it go on") }
        let start = Instant.now
        let trialEnd = Deadline(after: Self.trial)
        try keeper.upgrade()
        var line = ProgressLine()
        var trial = Trial(rest: Self.rest)
        while !trialEnd.isOver {
            line.update()
            let isNew = keeper.isAnotherProgram
            let isDecided = trial.isOver(keeper)
            let after: ServingDaemon
            do throws(Complaint) {
                after = try ServingDaemon(over: &connection, patience: Self.patience)
            } catch {
                line.erase()
                guard error.code == Complaint.unavailable else { throw error }
                throw sessionEnded(before, keeper)
            }
            if isNew ?? (after.restarts != before.restarts) {
                line.erase()
                return Outcome(before: before, after: after, time: start.duration(to: .now))
            }
            if keeper.isAnotherProgram == true { continue }
            if isDecided, trial.isOver(keeper) { break }
            usleep(Self.pause)
        }
        line.erase()
        throw keeper.isStopped ? isStopped(keeper, has: "it go on with the upgrade") : isRefused(keeper)
    }

    /// The check of the new program, as it is seen from outside.
    private struct Trial {
        private var wasSeen = false
        private var restEnd: Deadline?
        private let rest: Duration

        init(rest: Duration) { self.rest = rest }

        mutating func isOver(_ keeper: borrowing KeeperProcess) -> Bool {
            guard let count = keeper.childCount else { return false }
            if count > 1 { wasSeen = true }
            // The keeper is looked at after its children.
            guard count == 1, keeper.isAtRest else {
                restEnd = nil
                return false
            }
            let end = restEnd ?? Deadline(after: rest)
            restEnd = end
            return wasSeen || end.isOver
        }
    }

    /// Says on a terminal that this process waits, after a second.
    private struct ProgressLine {
        private let begin = Deadline(after: .seconds(1))
        private var isShown = false

        mutating func update() {
            guard !isShown, begin.isOver, StandardError.isForegroundTerminal else { return }
            StandardError.write("prwlock: waiting for the new program …")
            isShown = true
        }

        mutating func erase() {
            guard isShown, StandardError.isForegroundTerminal else { return }
            StandardError.write("\r\u{1B}[K")
            isShown = false
        }
    }

    private func isStopped(_ keeper: borrowing KeeperProcess, has effect: String) -> Complaint {
        Complaint(
            "the keeper, process \(keeper.process), is stopped, and the lock daemon serves as before: `kill -CONT "
                + "\(keeper.process)` has \(effect)", code: Complaint.temporary)
    }

    private func isRefused(_ keeper: borrowing KeeperProcess) -> Complaint {
        let missing =
            keeper.missingProgram.map { "; there is no program at \($0), where its own one was" } ?? ""
        return Complaint(
            "the keeper, process \(keeper.process), does not take the program on disk, and the lock daemon serves as before: "
                + Self.reasons + missing, code: Complaint.noInput)
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
            "no program serves at \(path), and all sessions and locks have ended, as the program on disk did not start "
                + "(\(Self.reasons)): install a program that starts, and start the lock daemon",
            code: Complaint.unavailable)
    }

    private func startedEmpty(_ before: ServingDaemon, _ after: ServingDaemon) -> Complaint {
        let cause =
            switch (before.ledgerFormat, after.ledgerFormat) {
            case (let old?, let new?) where old != new:
                "it reads ledgers of format \(new), and the former program wrote format \(old)"
            default:
                "what the former program had kept failed a check, which standard error, or the journal under systemd, names"
            }
        return Complaint(
            "\(before.server) served, and \(after.server) serves now, but without the former sessions and locks: \(cause)",
            code: Complaint.lost)
    }
}

extension DaemonChoice {
    /// Connects to the daemon, and starts none.
    fileprivate func connectToRunning() throws(Complaint) -> BlockingConnection {
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        do throws(RendezvousError) {
            return try BlockingConnection(
                path.map(SocketLocation.init(path:)), in: surroundings, by: .never)
        } catch {
            guard case .startForbidden = error else { throw Complaint(error) }
            throw Complaint(
                "no lock daemon runs, so there is none to upgrade: the next one is the program that is now on disk",
                code: Complaint.unavailable)
        }
    }
}
