import CLinux
import Glibc
import Posix

/// The process that the caller started. Its child draws on the terminal; the guardian undoes what a killed child leaves.
///
///     guardian (the shell's job) ── fork ──▶ child: draws until it ends, leaves the screen, ends
///         waits for the child                    notices by a pipe that the guardian has died, leaves the screen, ends
///         the child was killed or stopped: leaves the screen, and then does the same
///
/// A signal from the terminal reaches both, and the child acts on it; the guardian passes on any other one. A process that
/// gets SIGKILL can do nothing. Which of the two gets it, the other one is there to leave the screen.
struct ScreenGuardian: ~Copyable {
    /// What the child has.
    struct Ward: ~Copyable {
        let screen: FullScreen
        let signals: TakenSignals
        /// At end of file when the guardian has died.
        let guardian: OwnedDescriptor
    }

    private let screen: FullScreen
    private let signals: TakenSignals
    private let child: Int32

    /// Forks. Returns in the child only; the guardian ends as the child does.
    static func fork(_ screen: FullScreen) throws(Complaint) -> Ward {
        let (reading, writing) = try pipe()
        let signals = try TakenSignals()
        let child = Glibc.fork()
        guard child >= 0 else { throw Complaint(.last("fork")) }
        if child == 0 {
            close(writing)
            return Ward(screen: screen, signals: signals, guardian: OwnedDescriptor(owning: reading))
        }
        close(reading)
        // The other end stays open until this process dies: then the child reads the end of the file.
        ScreenGuardian(screen: screen, signals: signals, child: child).run()
    }

    private static func pipe() throws(Complaint) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0, let reading = ends.first, let writing = ends.last else {
            throw Complaint(.last("pipe"))
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (reading, writing)
    }

    private func run() -> Never {
        while true {
            var request = pollfd(fd: signals.rawValue, events: Int16(POLLIN), revents: 0)
            poll(&request, 1, -1)
            while let signal = signals.next() { passOn(signal) }
            collect()
        }
    }

    private func passOn(_ signal: signalfd_siginfo) {
        let number = Int32(signal.ssi_signo)
        // `SI_KERNEL`: from the terminal, and to the child as well. Only of a hang-up the child may get none.
        guard signal.ssi_code != 0x80 || number == SIGHUP, number != SIGCHLD else { return }
        kill(child, number)
    }

    private func collect() {
        var waited: Int32 = 0
        var code: Int32 = 0
        var status: Int32 = 0
        while linux_wait(child, WSTOPPED, &waited, &code, &status) == 0, waited == child { stop() }
        guard linux_wait(child, WEXITED, &waited, &code, &status) == 0, waited == child else { return }
        screen.leave()
        if code == CLD_EXITED { exit(status) }
        linux_forbid_core_dump()
        signals.act(on: status)
        exit(128 + status)
    }

    /// Stops this process after the child has stopped, so that the shell sees its job stop; then both go on together.
    private func stop() {
        // A child that was stopped by SIGSTOP has not left the screen.
        screen.leave()
        // A stop signal would discard a CONT that is pending.
        if !signals.isPending(SIGCONT) { signals.act(on: SIGTSTP) }
        kill(child, SIGCONT)
    }
}
