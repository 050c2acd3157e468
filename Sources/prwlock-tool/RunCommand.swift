import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock run`: a command under a lock, as `flock FILE COMMAND`.
///
///                  fork
///   [ MONITOR ] ──────────▶ [ ASKING ] ── granted: exec ──▶ [ COMMAND ]
///        │  ▲                                                  │    ▲
///        │  └──────────── its end: the same status ────────────┘    │
///        └──────── signals; TERM, later KILL if the grant is lost ──┘
///
/// The session belongs to the command: `LockedCommand` requests the lock and becomes the command, so the kernel
/// notifies the daemon when that process ends (G6). The process that the caller started stays as its parent, `Monitor`.
///
/// | what ends | the command | the lock | the monitor |
/// |---|---|---|---|
/// | the command, in any way | | is free | ends in the same way |
/// | the monitor, killed, before the grant | is not executed | | |
/// | the monitor, killed, later | continues | stays; no process renews the lease or notices a loss | |
/// | the grant (revoked, expired, daemon gone) | gets TERM, then KILL | is free for others | ends with status 79 |
/// | the command's children | continues | stays | continues |
///
/// Both processes have the connection open. The monitor needs it because some commands, such as `ssh` and `sudo`, close
/// all descriptors that they do not know. The command needs it in case the monitor is killed; its descriptor has a high
/// number that scripts do not use.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a command under a lock, as flock(1) does.",
        usage: """
            prwlock run [<options>] <name> [--] <command> [<argument> ...]
            prwlock run [<options>] <name> -c <command line>
            """,
        discussion: """
            The command sees the fencing token in PRWLOCK_TOKEN, PRWLOCK_OWNERDIED=1 if the last writer died, and all \
            locks that it runs under in PRWLOCK_HELD. Exit code 79: the lock was lost while the command ran.
            """)

    @OptionGroup var lock: LockOptions
    @OptionGroup var encoding: EncodedFlag

    @Flag(
        name: [.customShort("o"), .customLong("close")],
        help: "Close the connection in the command: only its parent keeps it.")
    var closesConnection = false

    @Flag(
        name: [.customShort("F"), .customLong("no-fork")],
        help: "Execute the command in the place of this process, without a parent that guards it.")
    var hasNoMonitor = false

    @Option(
        name: [.customShort("c"), .customLong("command")],
        help: ArgumentHelp("Give a command line to the shell, $SHELL or /bin/sh.", valueName: "command line"))
    var commandLine: ByteString?

    @Option(
        name: [.customShort("k", allowingJoined: true), .customLong("kill-after")],
        help: ArgumentHelp(
            "How long after TERM a command that lost its lock gets KILL.", valueName: "seconds"))
    var killAfter = Seconds(.seconds(10))

    @Flag(
        help: "If the command runs under this lock already, execute it under that grant, without another one."
    )
    var inherit = false

    @OptionGroup var daemon: DaemonOptions

    @Argument(
        parsing: .captureForPassthrough,
        help: ArgumentHelp("The lock's name, and the command.", valueName: "name and command"),
        completion: LockNames.thenCommand)
    var words: [String] = []

    func validate() throws {
        if hasNoMonitor, closesConnection {
            throw ValidationError("-F and -o together leave no process that holds the lock")
        }
        if hasNoMonitor, lock.lease != nil {
            throw ValidationError("-F and --lease together leave no process that renews the lease")
        }
        _ = try target()
    }

    func run() throws {
        let target = try target()
        let command = LockedCommand(
            request: lock.request(for: target.name), command: target.command, lock: lock, daemon: daemon,
            closesConnection: closesConnection, inherits: inherit)
        try complaining { () throws(Complaint) in
            throw hasNoMonitor ? command.execute(handingTo: nil) : try runBelowMonitor(command)
        }
    }

    /// Forks: the child becomes the command, and this process its monitor. Returns only in the child, with the reason
    /// why the command cannot be executed.
    private func runBelowMonitor(_ command: LockedCommand) throws(Complaint) -> Complaint {
        let signals = try TakenSignals()
        let (near, far) = try Handover.channel()
        let relay = ServiceManager().flatMap(ServiceManager.Relay.init(to:))
        let parent = getpid()
        let child = fork()
        guard child >= 0 else { throw Complaint(.last("fork")) }
        // Each process closes the other's end: only then does it notice when the other process ends.
        close(child == 0 ? near : far)
        guard child == 0 else {
            Monitor(
                of: child, command.request, killAfter: killAfter.duration, signals,
                OwnedDescriptor(owning: near), relay
            ).run()
        }
        signals.restore()
        relay?.enter()
        ManagerVariables.claim(from: parent)
        return command.execute(handingTo: far)
    }

    private struct Target {
        var name: LockName
        var command: [ByteString]
    }

    /// The name and the command from the words, in each of the permitted forms.
    private func target() throws -> Target {
        let words = words.compactMap { ByteString(argument: $0) }
        guard let spelled = words.first else { throw ValidationError("a lock's name is missing") }
        // The parser takes an unknown option for the first word. It also shows no help for a command without words.
        if let option = self.words.first, option.hasPrefix("-"), option != "-" {
            if option == "--help" || option == "-h" { throw CleanExit.helpRequest(self) }
            throw ValidationError("unknown option '\(spelled.shown)'")
        }
        let name = try encoding.name(of: spelled)
        var command = Array(words.dropFirst())
        if let commandLine {
            guard command.isEmpty else { throw ValidationError("-c and a command cannot both be run") }
            return Target(name: name, command: Program.shell(commandLine))
        }
        if let option = command.first?.text, option == "-c" || option == "--command" {
            guard command.count == 2, let line = command.last else {
                throw ValidationError("\(option) takes exactly one command line")
            }
            return Target(name: name, command: Program.shell(line))
        }
        if command.first?.text == "--" { command.removeFirst() }
        guard !command.isEmpty else {
            throw ValidationError("a command is missing; `prwlock hold` locks without one")
        }
        return Target(name: name, command: command)
    }
}
