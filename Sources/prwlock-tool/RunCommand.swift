import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock run`: a command under a lock, as `flock FILE COMMAND`.
///
/// The process that asked for the lock becomes the command, so the lock is the command's own: the kernel tells the
/// daemon when that process is gone (G6), and nobody has to live, or to pass on signals, terminal or exit status, for
/// it. What the command forks does not keep the lock, with or without the connection in it.
///
///                   fork (twice)
///   [ prwlock ] ─────────────────────▶ [ MONITOR ]   watches: the session's lines, the command's end
///        │ exec                             │
///   [ COMMAND ] ◀── TERM, later KILL ───────┘        only when the grant is lost
///
/// | who ends | the command | the lock | the monitor |
/// |---|---|---|---|
/// | the command, by whatever | | is free | ends |
/// | the monitor, killed | goes on | stays; nobody renews a lease, or tells of a loss | |
/// | the grant (revoked, expired, daemon gone) | gets TERM, then KILL | is others' | ends after the command |
/// | the command's children | goes on | stays | goes on |
///
/// The monitor has the connection open too, since some commands close all descriptors that they do not know (`ssh` and
/// `sudo` do). The command's own, on a high number where scripts do not step on it, is for when the monitor is killed.
///
/// The monitor is nobody's child and has a session of its own: a command that waits for all its children would
/// otherwise wait for it for ever, and an interrupt from the terminal would end it before the command.
///
/// Nobody can say a last word for a command that has ended, so the release is said before it begins, for its end
/// (`RELEASE … at=end`): a command that ends leaves no mark that the last writer died (G11). How it ended, its parent
/// alone learns.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a command under a lock, as flock(1) does.",
        usage: """
            prwlock run [<options>] <name> [--] <command> [<argument> ...]
            prwlock run [<options>] <name> -c <command line>
            """,
        discussion: """
            The command sees the fencing token in PRWLOCK_TOKEN, and PRWLOCK_OWNERDIED=1 if the last writer died.
            """)

    @OptionGroup var lock: LockOptions

    @Flag(
        name: [.customShort("o"), .customLong("close")],
        help: "Close the connection in the command: only the monitor keeps it.")
    var closesConnection = false

    @Flag(
        name: [.customShort("F"), .customLong("no-fork")],
        help: "Run the command without a monitor beside it.")
    var hasNoMonitor = false

    @Option(
        name: [.customShort("c"), .customLong("command")],
        help: ArgumentHelp("Give a command line to the shell, $SHELL or /bin/sh.", valueName: "command line"))
    var commandLine: String?

    @Option(
        name: [.customShort("k", allowingJoined: true), .customLong("kill-after")],
        help: ArgumentHelp(
            "How long after TERM a command that lost its lock gets KILL.", valueName: "seconds"))
    var killAfter = Seconds(.seconds(10))

    @OptionGroup var daemon: DaemonOptions

    @Argument(
        parsing: .captureForPassthrough,
        help: ArgumentHelp("The lock's name, and the command.", valueName: "name and command"),
        completion: LockNames.thenCommand)
    var words: [String] = []

    func validate() throws {
        if hasNoMonitor, closesConnection {
            throw ValidationError("-F and -o together leave nobody to hold the lock")
        }
        if hasNoMonitor, lock.lease != nil {
            throw ValidationError("-F and --lease together leave nobody to renew the lease")
        }
        _ = try target()
    }

    func run() throws {
        let target = try target()
        let request = lock.request(for: target.name)
        try complaining { () throws(Complaint) in
            var acquisition = try Acquisition(request, at: daemon)
            switch try acquisition.decide() {
            case .granted(let token, let ownerDied):
                if lock.verbose {
                    StandardError.say("\(target.name): granted after \(acquisition.elapsed.inWords)")
                }
                setenv("PRWLOCK_TOKEN", token.description, 1)
                if ownerDied { setenv("PRWLOCK_OWNERDIED", "1", 1) } else { unsetenv("PRWLOCK_OWNERDIED") }
                let release = Verb.releaseAtEnd(target.name, Chooser(token: token))
                guard case .ok = try acquisition.connection.ask(release) else { throw Complaint.unexpected }
                try keepConnection(acquisition.connection)
                if !hasNoMonitor {
                    try Monitor(request, token, killAfter: killAfter.duration)
                        .start(over: &acquisition.connection)
                }
                throw Program(target.command).execute()
            case .conflict(let holders):
                throw lock.conflict(target.name, holders, after: acquisition.elapsed)
            case .abandoned: preconditionFailure("nothing is watched")
            }
        }
    }

    /// Leaves the session open in the command, unless told otherwise.
    private func keepConnection(_ connection: borrowing BlockingConnection) throws(Complaint) {
        guard !closesConnection else { return }
        // A number that no script uses for itself; any, where the limit is lower.
        guard fcntl(connection.descriptor, F_DUPFD, 200) < 0 else { return }
        do throws(SystemError) { try connection.keepOverExec() } catch { throw Complaint(error) }
    }

    private struct Target {
        var name: LockName
        var command: [String]
    }

    /// The name and the command out of the words, in any of the ways to say them.
    private func target() throws -> Target {
        // `--` ends the options, as in `run -n -- NAME`: what follows is a name though it begins with a dash.
        let endsOptions = words.first == "--"
        let words = endsOptions ? words.dropFirst() : words[...]
        guard let spelled = words.first else { throw ValidationError("a lock's name is missing") }
        // The parser takes what it does not know for the first word, and help is asked of commands without words.
        if !endsOptions, spelled == "--help" || spelled == "-h" { throw CleanExit.helpRequest(self) }
        if !endsOptions, spelled.hasPrefix("-") { throw ValidationError("unknown option '\(spelled)'") }
        guard let name = NameArgument(argument: spelled)?.name else {
            throw ValidationError("a lock's name has 1 to 255 bytes")
        }
        var command = Array(words.dropFirst())
        if let commandLine {
            guard command.isEmpty else { throw ValidationError("-c and a command cannot both be run") }
            return Target(name: name, command: Program.shell(commandLine))
        }
        if let option = command.first, option == "-c" || option == "--command" {
            guard command.count == 2 else {
                throw ValidationError("\(option) takes exactly one command line")
            }
            return Target(name: name, command: Program.shell(command[1]))
        }
        if command.first == "--" { command.removeFirst() }
        guard !command.isEmpty else {
            throw ValidationError("a command is missing; `prwlock hold` locks without one")
        }
        return Target(name: name, command: command)
    }
}
