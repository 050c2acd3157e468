import CLinux
import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The process that was called as `prwlock run`, while its child becomes the command.
///
///                  granted                     lost: TERM                      KILL
///   [ ASKING ] ──────────────▶ [ GUARDING ] ─────────────▶ [ ENDING ] ──────────────────▶ [ ENDING ]
///       │                           │                           │  `killAfter` has passed       │
///       └────── the child ended ────┴── its end is passed on ───┴───────── status 79 ───────────┘
///
/// It does for the command what a caller expects of the process that it started: it passes on signals that were sent
/// to it alone, stops and goes on with the command, and ends as the command ended. It renews the lease, and ends the
/// command when the grant is lost. It asks for nothing itself: the session is the child's (G6), which made the
/// connection; this process has a copy of it.
///
/// Which signals it passes on:
/// 1. What the terminal or the kernel sends to a process group, the child gets as well: not passed on.
/// 2. What the command or one of its descendants sends, such as by `kill 0`: not passed on, it would be an echo.
/// 3. Any other signal. Of one that was sent to the whole group the command so gets two: they cannot be told apart.
///
/// Interleavings that matter:
/// - The command ends, and the daemon therefore closes the connection, before this process knows of either. So before
///   a loss is believed, this process looks whether the child has ended.
/// - The notice of a loss comes together with the grant, and the child reads it before it hands the connection over.
///   So this process first asks the daemon whether the token is valid.
/// - The grant is lost while both are stopped. Nothing happens until they go on, and then this process acts first on
///   what it finds: the loss.
/// - Somebody continues the job between the stop of the child and that of this process: then a pending CONT says so,
///   and this process does not stop.
/// - A signal killed the command: the daemon looks at the status of the dead process for the mark (G11), which is gone
///   once the process was waited for. So this process waits for it only after the daemon has closed the session.
struct Monitor: ~Copyable {
    private let child: Int32
    private let request: Acquire
    private let killAfter: Duration
    private let signals: TakenSignals
    private let channel: OwnedDescriptor
    private let relay: ServiceManager.Relay?

    /// How the child ended; it was not waited for yet.
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

    /// Guards the child to its end, and ends as it ended.
    consuming func run() -> Never {
        keepNothingElse()
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
            case .waits(let words): relay?.manager.tellWaiting(words)
            case .granted(let token, let socket):
                guardCommand(token, BlockingConnection(over: socket))
            case .end: hasEndOfChannel = true
            }
        }
        passOn()
    }

    /// Negative, which `poll` passes over, if there is none.
    private var relayNumber: Int32 { relay?.rawValue ?? -1 }

    /// Lets go of all that the command was given, but for standard error: who reads from the command's pipes is to see
    /// their end when the command closes them.
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

    private mutating func guardCommand(_ token: Token, _ connection: consuming BlockingConnection) {
        var connection = connection
        var upkeep = Upkeep(request, token)
        // That the session has ended is the next event.
        try? connection.send(Request(verb: .validate(request.name, token)), by: Deadline(after: .seconds(1)))
        while end == nil {
            switch upkeep.keep(over: &connection, watching: [signals.rawValue, relayNumber]) {
            case .ready:
                takeSignals()
                relay?.passOn(from: child)
            case .lost(let loss):
                collect()
                if end == nil { endCommand(because: loss) }
            }
        }
        if let end, end.code != CLD_EXITED, !hasLost { awaitEnd(of: &connection) }
    }

    /// Ends the command that has lost its grant.
    private mutating func endCommand(because loss: Upkeep.Loss) {
        hasLost = true
        kill(child, SIGTERM)
        // A stopped command does not hear TERM.
        kill(child, SIGCONT)
        say("lost the lock \(request.name.shown): \(loss.inWords); the command gets TERM")
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

    /// Waits until the daemon has ended the session of the command.
    private func awaitEnd(of connection: inout BlockingConnection) {
        let deadline = Deadline(after: Self.patience)
        while true {
            switch connection.nextEvent(until: deadline) {
            case .ended, .moment: return
            case .line, .ready: break
            }
        }
    }

    /// Says it on the standard error that this process was given, unless that would block.
    private func say(_ line: String) {
        var request = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&request, 1, 1000) == 1, request.revents & Int16(POLLOUT) != 0 else { return }
        StandardError.say(line)
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
        // SI_KERNEL
        if signal.ssi_code == 0x80 {
            switch number {
            // A terminal that hangs up tells the leader of its session only.
            case SIGHUP: return getsid(0) == getpid()
            case SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH, SIGCONT: return false
            default: return true
            }
        }
        // A shell continues the whole group, and the command goes on by itself then.
        if number == SIGCONT { return Ancestors.isStopped(child) }
        // The sender of a timer's signal is no process.
        let sender = Int32(bitPattern: signal.ssi_pid)
        return signal.ssi_code != 0 || sender <= 0 || !Ancestors.line(from: sender).contains(child)
    }

    /// Looks at children: this one, and as process 1 also all that have lost their parents.
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

    /// The command was stopped: so is this process, where a shell waits for that.
    ///
    /// Not without a terminal: who stops the command there, and continues it, need not know of this process, which
    /// would stay stopped.
    private func stop(by signal: Int32) {
        let terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
        guard terminal >= 0 else { return }
        let isInForeground = tcgetpgrp(terminal) == getpgrp()
        close(terminal)
        guard signal != SIGSTOP || isInForeground, !signals.isPending(SIGCONT) else { return }
        signals.act(on: signal)
    }

    // MARK: The end

    /// Ends as the command ended.
    private func passOn() -> Never {
        var status: Int32 = 0
        waitpid(child, &status, WNOHANG)
        if hasLost { exit(Complaint.lost) }
        guard let end, end.code != CLD_EXITED else { exit(self.end?.status ?? Complaint.system) }
        // The core, if there is one, is the command's.
        linux_forbid_core_dump()
        signals.act(on: end.status)
        // Process 1 does not die by signals.
        exit(128 + end.status)
    }
}
