import ArgumentParser
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// `prwlock run`: a command under a lock, as `flock FILE COMMAND`; `RunPlan` carries it out.
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

    func validate() throws { _ = try plan() }

    func run() throws {
        let plan = try plan()
        try complaining { () throws(Complaint) in throw plan.carryOut() }
    }

    func plan() throws -> RunPlan {
        // The parser takes an unknown option for the first word. It also shows no help for a command without words.
        if let option = words.first, option.hasPrefix("-"), option != "-" {
            if option == "--help" || option == "-h" { throw CleanExit.helpRequest(self) }
            throw ValidationError("unknown option '\(ByteString(ByteString.bytes(in: option)).shown)'")
        }
        let words = words.map { ByteString(ByteString.bytes(in: $0)) }
        guard let spelled = words.first else { throw ValidationError("a lock's name is missing") }
        let name = try encoding.name(of: spelled)
        do throws(RunPlan.Fault) {
            let command = try RunPlan.command(in: words.dropFirst(), commandLine)
            var plan = RunPlan(name: name, command: command)
            plan.terms = lock.terms
            plan.daemon = daemon.choice
            plan.closesConnection = closesConnection
            plan.hasNoMonitor = hasNoMonitor
            plan.killAfter = killAfter.duration
            plan.inherits = inherit
            try plan.validate()
            return plan
        } catch {
            throw ValidationError(error.line)
        }
    }
}
