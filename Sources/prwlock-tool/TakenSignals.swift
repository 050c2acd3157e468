import CLinux
import Glibc
import Posix

/// All signals of this process, taken out of a descriptor, and what becomes of them in a program that is executed.
///
/// To be made before a fork, so that no signal is lost in between: the one of both that executes a program puts back
/// what the caller of this process chose (`restore`), and only then do signals act there.
struct TakenSignals: ~Copyable {
    private let descriptor: OwnedDescriptor
    private var mask = sigset_t()
    private var childAction = sigaction()

    init() throws(Complaint) {
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_SETMASK, &all, &mask)
        // Where the caller ignores the ends of children, the kernel would keep no exit status to wait for.
        var standard = sigaction()
        standard.__sigaction_handler.sa_handler = SIG_DFL
        sigaction(SIGCHLD, &standard, &childAction)
        let number = signalfd(-1, &all, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        guard number >= 0 else {
            let error = SystemError.last("signalfd")
            sigprocmask(SIG_SETMASK, &mask, nil)
            throw Complaint(error)
        }
        descriptor = OwnedDescriptor(owning: number)
    }

    /// The descriptor's number, readable when a signal has come.
    var rawValue: Int32 { descriptor.rawValue }

    /// The next signal that has come; nil if there is none.
    borrowing func next() -> signalfd_siginfo? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(descriptor.rawValue, &information, size) == size else { return nil }
        return information
    }

    /// Whether a signal has come and was not taken yet.
    borrowing func isPending(_ signal: Int32) -> Bool {
        var pending = sigset_t()
        sigpending(&pending)
        return sigismember(&pending, signal) == 1
    }

    /// Puts back what the caller of this process chose. Signals that are ignored were so all the time.
    borrowing func restore() {
        var action = childAction
        sigaction(SIGCHLD, &action, nil)
        var mask = mask
        sigprocmask(SIG_SETMASK, &mask, nil)
    }

    /// Has a signal do to this process what it does by default: end or stop it. Returns if it does not, or when the
    /// process goes on.
    borrowing func act(on signal: Int32) {
        var standard = sigaction()
        var before = sigaction()
        standard.__sigaction_handler.sa_handler = SIG_DFL
        sigaction(signal, &standard, &before)
        var only = sigset_t()
        sigemptyset(&only)
        sigaddset(&only, signal)
        kill(getpid(), signal)
        // It acts as soon as it is not blocked.
        sigprocmask(SIG_UNBLOCK, &only, nil)
        sigprocmask(SIG_BLOCK, &only, nil)
        sigaction(signal, &before, nil)
    }
}
