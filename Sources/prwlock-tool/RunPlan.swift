import CRun
import Glibc
import LockVocabulary
import LockWire
import Posix

/// What `prwlock run` is to do, as plain values: run a command under a lock.
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
/// | the grant (revoked, expired, not confirmed, daemon gone) | gets TERM, then KILL | is free for others | ends with status 79 |
/// | the command's children | continues | stays | continues |
///
/// Both processes have the connection open. The monitor needs it because some commands, such as `ssh` and `sudo`, close
/// all descriptors that they do not know. The command needs it in case the monitor is killed; its descriptor has a high
/// number that scripts do not use.
struct RunPlan: Equatable {
    let name: LockName
    /// The words of the command; at least one.
    let command: [ByteString]
    var terms = LockTerms()
    var daemon = DaemonChoice()
    /// Whether the command does not inherit the connection.
    var closesConnection = false
    /// Whether this process becomes the command itself, without a parent that guards it.
    var hasNoMonitor = false
    /// How long after TERM a command that lost its lock gets KILL.
    var killAfter = RunPlan.usualKillAfter
    /// Whether to reuse a grant that the command runs under already.
    var inherits = false

    static let usualKillAfter = Duration.seconds(10)

    /// A fault of the command line.
    struct Fault: Error {
        let line: String
    }

    init(name: LockName, command: [ByteString]) {
        self.name = name
        self.command = command
    }

    var request: Acquire { terms.request(for: name) }

    /// The command from the words after the lock's name, in each of the permitted forms.
    ///
    /// - Parameter commandLine: the value of the option `-c` before the name.
    static func command(
        in words: some Sequence<ByteString>, _ commandLine: ByteString?
    ) throws(Fault) -> [ByteString] {
        var command = Array(words)
        if let commandLine {
            guard command.isEmpty else { throw Fault(line: "-c and a command cannot both be run") }
            return Program.shell(commandLine)
        }
        if let option = command.first?.text, option == "-c" || option == "--command" {
            guard command.count == 2, let line = command.last else {
                throw Fault(line: "\(option) takes exactly one command line")
            }
            return Program.shell(line)
        }
        if command.first?.text == "--" { command.removeFirst() }
        guard !command.isEmpty else {
            throw Fault(line: "a command is missing; `prwlock hold` locks without one")
        }
        return command
    }

    /// Refuses options that contradict each other.
    func validate() throws(Fault) {
        if hasNoMonitor, closesConnection {
            throw Fault(line: "-F and -o together leave no process that holds the lock")
        }
        if hasNoMonitor, terms.lease != .forever {
            throw Fault(line: "-F and --lease together leave no process that renews the lease")
        }
    }

    /// Runs the command. Returns only if it cannot be executed, with the reason.
    ///
    /// `CRun` may have begun before this program's `main`, and this process may be a child of it.
    func carryOut() -> Complaint {
        let command = LockedCommand(self)
        let begun = run_begun()
        switch begun.place {
        case RUN_ASKING: return command.execute(handingTo: begun.channel)
        case RUN_UNEXECUTED: return Program(self.command).failure(begun.error)
        case RUN_GUARDING: guardChild(begun)
        default: break
        }
        guard !hasNoMonitor else { return command.execute(handingTo: nil) }
        do throws(Complaint) { return try runBelowMonitor(command) } catch { return error }
    }

    /// Guards the child that `CRun` has forked.
    private func guardChild(_ begun: run_begun) -> Never {
        let monitor = Monitor(
            of: begun.child, request, killAfter: killAfter, TakenSignals(begun),
            OwnedDescriptor(owning: begun.channel), nil)
        guard begun.connection >= 0 else { monitor.run() }
        monitor.run(
            guarding: Token(rawValue: begun.token), until: Instant(passedOn: begun.until),
            OwnedDescriptor(owning: begun.connection))
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
                of: child, command.request, killAfter: killAfter, signals,
                OwnedDescriptor(owning: near), relay
            ).run()
        }
        signals.restore()
        relay?.enter()
        ManagerVariables.claim(from: parent)
        return command.execute(handingTo: far)
    }
}
