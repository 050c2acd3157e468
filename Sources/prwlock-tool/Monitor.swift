import Glibc
import LockVocabulary
import LockWire
import PRWLock
import Posix

/// The process beside a command under a lock: it renews the lease, and ends the command when the grant is lost.
///
///   [ GUARDING ] ──── grant lost: TERM ────▶ [ ENDING ] ──── still there: KILL ────▶ (gone)
///        │                                       │
///        └────────── the command ended ──────────┴──────────▶ (gone)
///
/// It has nothing open that the command was given, so that whoever reads from the command's pipes sees their end, and
/// it blocks every signal: it ends with the command, and with nothing else but KILL.
struct Monitor {
    private let request: Acquire
    private let token: Token
    private let killAfter: Duration
    private let commandID = getpid()

    init(_ request: Acquire, _ token: Token, killAfter: Duration) {
        self.request = request
        self.token = token
        self.killAfter = killAfter
    }

    /// Starts the monitor of this process, which goes on as it was.
    func start(over connection: inout BlockingConnection) throws(Complaint) {
        let command: ProcessWatch
        do throws(SystemError) { command = try ProcessWatch(process: commandID) } catch {
            throw Complaint(error)
        }
        let between = fork()
        guard between >= 0 else { throw Complaint(.last("fork")) }
        if between == 0 {
            BackgroundProcess.become("prwlock-monitor", keeping: [connection.descriptor, command.rawValue])
            // The second fork leaves the monitor without a parent that would have to wait for it.
            let monitor = fork()
            if monitor == 0 { guardCommand(command, &connection) }
            _exit(monitor < 0 ? 1 : 0)
        }
        var status: Int32 = 0
        while waitpid(between, &status, 0) < 0 {
            // Where children's ends are ignored, there is nothing to wait for, and it was well as far as we know.
            guard errno == EINTR else { return }
        }
        guard status == 0 else {
            throw Complaint(SystemError(code: EAGAIN, call: "fork"))
        }
    }

    private func guardCommand(_ command: borrowing ProcessWatch, _ connection: inout BlockingConnection) {
        var upkeep = Upkeep(request, token)
        switch upkeep.keep(over: &connection, watching: [command.rawValue]) {
        case .ready: return
        case .lost(let loss): end(command, because: loss)
        }
    }

    private func end(_ command: borrowing ProcessWatch, because loss: Upkeep.Loss) {
        say("lost the lock \(request.name): \(loss.inWords); the command gets TERM")
        // That it has ended already, or is another user's by now, changes nothing here.
        try? command.send(SIGTERM)
        // A stopped command does not hear TERM.
        try? command.send(SIGCONT)
        if !command.hasEnded(within: killAfter) { try? command.send(SIGKILL) }
    }

    /// Says it where the command's own errors go; to nobody, if that cannot be opened anew.
    private func say(_ line: String) {
        let descriptor = open(
            "/proc/\(commandID)/fd/2", O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        writeAll("prwlock: \(line)\n", to: descriptor)
        close(descriptor)
    }
}

extension ProcessWatch {
    /// Waits for the end of the process; false if it has not come in time.
    func hasEnded(within time: Duration) -> Bool {
        let end = Instant.now.advanced(by: time)
        while true {
            var request = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
            let left = end.nanoseconds - BootClock.now()
            if poll(&request, 1, left <= 0 ? 0 : Int32(clamping: (left - 1) / 1_000_000 + 1)) == 1 {
                return true
            }
            if left <= 0 { return false }
        }
    }
}
