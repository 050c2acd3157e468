import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The process that the caller started as `prwlock run`. Its child becomes the command.
///
///                  granted                     lost: TERM                      KILL
///   [ ASKING ] ──────────────▶ [ GUARDING ] ─────────────▶ [ ENDING ] ──────────────────▶ [ ENDING ]
///       │                           │                           │  `killAfter` has passed       │
///       └──── the child ended ──────┴── ends in the same way    └───────── status 79 ───────────┘
///
/// The caller expects the process that it started to behave like the command. The monitor therefore forwards signals
/// that were sent to it alone, stops and continues with the command, and ends in the same way. It renews the lease, and
/// ends the command when the grant is lost. It notices by its own clock when a grant on a shared lock counts no more. It requests no lock itself: the session belongs to the child, which made
/// the connection (G6), and the monitor has a copy of the descriptor.
///
/// Which signals it forwards:
/// 1. A signal from the terminal or the kernel to a process group also reaches the child: not forwarded.
/// 2. A signal from the command or one of its descendants, such as by `kill 0`, would return to its sender: not
///    forwarded.
/// 3. Any other signal is forwarded. If it was sent to the whole group, the command gets it twice: the monitor cannot
///    tell this case from a signal to the monitor alone.
///
/// Interleavings that matter:
/// - The command ends, and the daemon closes the connection before the monitor notices the end. So the monitor checks
///   whether the child has ended before it treats the closed connection as a loss.
/// - The notice of a loss arrives with the grant, and the child reads it before it passes the connection on. So the
///   monitor first asks the daemon whether the token is valid.
/// - The grant is lost while the command and the monitor are stopped. When they continue, the monitor finds the loss
///   and ends the command.
/// - Another process continues the job after the child stopped and before the monitor stops. Then CONT is pending, and
///   the monitor does not stop.
/// - A signal kills the command. The daemon reads the exit status of the zombie to decide about the mark (G11), and
///   `waitpid` removes the zombie. So the monitor calls `waitpid` only after the daemon has closed the session.
struct Monitor: ~Copyable {
    private let child: Int32
    private let request: Acquire
    private let killAfter: Duration
    private let signals: TakenSignals
    private let channel: OwnedDescriptor
    private let relay: ServiceManager.Relay?

    /// How the child ended. The child is still a zombie.
    private var end: (code: Int32, status: Int32)?
    private var hasLost = false

    /// How long the daemon may take to notice that the command was killed.
    private static let patience = Duration.milliseconds(500)

    init(
        of child: Int32, _ request: Acquire, killAfter: Duration, _ signals: consuming TakenSignals,
        _ channel: consuming OwnedDescriptor, _ relay: ServiceManager.Relay?
    ) {
        self.child = child
        self.request = request
        self.killAfter = killAfter
        self.signals = signals
        self.channel = channel
        self.relay = relay
    }

    /// Guards the child until it ends, and then ends in the same way.
    consuming func run() -> Never {
        keepNothingElse()
        // A signal may have been taken already, before this process began to guard.
        takeSignals()
        var hasEndOfChannel = false
        while end == nil {
            var requests = [
                pollfd(fd: signals.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: relayNumber, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hasEndOfChannel ? -1 : channel.rawValue, events: Int16(POLLIN), revents: 0),
            ]
            poll(&requests, nfds_t(requests.count), -1)
            takeSignals()
            relay?.passOn(from: child)
            guard requests.last?.revents != 0 else { continue }
            switch Handover.next(from: channel.rawValue) {
            case .waits(let words): relay?.manager.reportWaiting(words)
            case .granted(let token, let until, let socket):
                guardCommand(token, until: until, BlockingConnection(over: socket))
            case .end: hasEndOfChannel = true
            }
        }
        passOn()
    }

    /// Guards a child that has the lock and has passed on its connection.
    consuming func run(
        guarding token: Token, until: Instant?, _ connection: consuming OwnedDescriptor
    ) -> Never {
        takeSignals()
        guardCommand(token, until: until, BlockingConnection(over: connection))
        passOn()
    }

    /// The relay's descriptor, or -1, which `poll` ignores.
    private var relayNumber: Int32 { relay?.rawValue ?? -1 }

    /// Closes the descriptors that the command inherited, except standard error. A reader of the command's pipes must
    /// see end of file when the command closes them.
    private func keepNothingElse() {
        InheritedDescriptors.closeAll(
            but: [STDERR_FILENO, signals.rawValue, channel.rawValue, relayNumber].filter { $0 >= 0 })
        for descriptor in [STDIN_FILENO, STDOUT_FILENO] {
            let nothing = open("/dev/null", O_RDWR | O_CLOEXEC)
            if nothing >= 0, nothing != descriptor {
                dup2(nothing, descriptor)
                close(nothing)
            }
        }
        chdir("/")
    }

    // MARK: The grant

    private mutating func guardCommand(
        _ token: Token, until: Instant?, _ connection: consuming BlockingConnection
    ) {
        var connection = connection
        var upkeep = Upkeep(request, token, until: until)
        // If the session has ended, `keep` reports that as its next event, so ignore the error here.
        try? connection.send(Request(verb: .validate(request.name, token)), by: Deadline(after: .seconds(1)))
        while end == nil {
            switch upkeep.keep(over: &connection, watching: [signals.rawValue, relayNumber]) {
            case .ready:
                takeSignals()
                relay?.passOn(from: child)
            case .lost(let loss):
                collect()
                if end == nil { endCommand(because: loss) }
            // The monitor gives its requests no tag.
            case .answered: break
            }
        }
        if let end, end.code != CLD_EXITED, !hasLost { awaitEnd(of: &connection) }
    }

    /// Ends the command after the loss of its grant: TERM, and KILL after `killAfter`.
    private mutating func endCommand(because loss: Upkeep.Loss) {
        hasLost = true
        kill(child, SIGTERM)
        // A stopped command does not act on TERM.
        kill(child, SIGCONT)
        report("lost the lock \(request.name.shown): \(loss.inWords); the command gets TERM")
        var deadline = Deadline(after: killAfter)
        while end == nil {
            var requests = [signals.rawValue, relayNumber].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            poll(&requests, nfds_t(requests.count), deadline.milliseconds)
            takeSignals()
            relay?.passOn(from: child)
            if deadline.isOver, end == nil {
                kill(child, SIGKILL)
                deadline = .never
            }
        }
    }

    /// Waits until the daemon has closed the command's session, at most `patience`.
    private func awaitEnd(of connection: inout BlockingConnection) {
        let deadline = Deadline(after: Self.patience)
        while true {
            switch connection.nextEvent(until: deadline) {
            case .ended, .moment: return
            case .line, .ready: break
            }
        }
    }

    /// Prints the line on standard error, unless that would block for more than a second.
    private func report(_ line: String) {
        var request = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&request, 1, 1000) == 1, request.revents & Int16(POLLOUT) != 0 else { return }
        StandardError.report(line)
    }

    // MARK: Signals and children

    private mutating func takeSignals() {
        while let signal = signals.next() {
            if Int32(signal.ssi_signo) != SIGCHLD, isPassedOn(signal) { kill(child, Int32(signal.ssi_signo)) }
        }
        collect()
    }

    private func isPassedOn(_ signal: signalfd_siginfo) -> Bool {
        let number = Int32(signal.ssi_signo)
        // The signal is from the kernel (`SI_KERNEL`).
        if signal.ssi_code == 0x80 {
            switch number {
            // When a terminal hangs up, the kernel sends HUP only to the session leader.
            case SIGHUP: return getsid(0) == getpid()
            case SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT: return false
            default: return true
            }
        }
        // A shell continues the whole group, so forward CONT only if the command is still stopped.
        if number == SIGCONT { return Ancestors.isStopped(child) }
        // The signal of a timer has no sending process.
        let sender = Int32(bitPattern: signal.ssi_pid)
        return signal.ssi_code != 0 || sender <= 0 || !Ancestors.line(from: sender).contains(child)
    }

    /// Handles the children that stopped or ended. As process 1, the monitor also reaps orphans.
    private mutating func collect() {
        var waited: Int32 = 0
        var code: Int32 = 0
        var status: Int32 = 0
        while linux_wait(child, WSTOPPED, &waited, &code, &status) == 0, waited == child {
            stop(by: status)
        }
        if linux_wait(child, WEXITED | WNOWAIT, &waited, &code, &status) == 0, waited == child {
            end = (code, status)
        }
        while linux_wait(0, WEXITED | WNOWAIT, &waited, &code, &status) == 0, waited > 0, waited != child {
            var ignored: Int32 = 0
            waitpid(waited, &ignored, WNOHANG)
        }
    }

    /// Stops this process after the command stopped, if a shell with job control waits for that.
    ///
    /// Without a terminal it does not stop: a process that stops and continues the command may not know of the monitor,
    /// which would then stay stopped.
    private func stop(by signal: Int32) {
        let terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return }
        let isInForeground = tcgetpgrp(terminal) == getpgrp()
        close(terminal)
        guard signal != SIGSTOP || isInForeground, !signals.isPending(SIGCONT) else { return }
        signals.act(on: signal)
    }

    // MARK: The end

    /// Ends this process in the way in which the command ended.
    private func passOn() -> Never {
        var status: Int32 = 0
        waitpid(child, &status, WNOHANG)
        if hasLost { exit(Complaint.lost) }
        guard let end, end.code != CLD_EXITED else { exit(self.end?.status ?? Complaint.system) }
        // If the command dumped core, this process must not overwrite that file.
        linux_forbid_core_dump()
        signals.act(on: end.status)
        // Signals do not kill process 1 by default.
        exit(128 + end.status)
    }
}
