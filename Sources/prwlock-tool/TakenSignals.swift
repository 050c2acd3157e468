import CLinux
import CRun
import Glibc
import Posix

/// All signals of this process, blocked and read from a descriptor.
///
/// Make this before the fork, or a signal could be lost. The process that executes a program first calls `restore`,
/// which puts back the caller's mask and dispositions.
struct TakenSignals: ~Copyable {
    private let descriptor: OwnedDescriptor
    private var mask = sigset_t()
    private var childAction = sigaction()

    init() throws(Complaint) {
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_SETMASK, &all, &mask)
        // If the caller ignores SIGCHLD, the kernel discards the exit status of children, so install the default
        // action.
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

    /// The signals as `CRun` has taken them.
    init(_ begun: run_begun) {
        descriptor = OwnedDescriptor(owning: begun.signals)
        mask = begun.mask
        childAction = begun.child_action
    }

    /// The descriptor. It is readable when a signal is pending.
    var rawValue: Int32 { descriptor.rawValue }

    /// Takes the next pending signal; nil if there is none.
    borrowing func next() -> signalfd_siginfo? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(descriptor.rawValue, &information, size) == size else { return nil }
        return information
    }

    /// Whether a signal is pending.
    borrowing func isPending(_ signal: Int32) -> Bool {
        var pending = sigset_t()
        sigpending(&pending)
        return sigismember(&pending, signal) == 1
    }

    /// Puts back the caller's signal mask and action for SIGCHLD. No other disposition was changed.
    borrowing func restore() {
        var action = childAction
        sigaction(SIGCHLD, &action, nil)
        var mask = mask
        sigprocmask(SIG_SETMASK, &mask, nil)
    }

    /// Applies the default action of a signal to this process: the signal ends or stops it. Returns if the signal does
    /// neither, or when the process continues.
    borrowing func act(on signal: Int32) {
        var standard = sigaction()
        var before = sigaction()
        standard.__sigaction_handler.sa_handler = SIG_DFL
        sigaction(signal, &standard, &before)
        var only = sigset_t()
        sigemptyset(&only)
        sigaddset(&only, signal)
        kill(getpid(), signal)
        // The signal takes effect as soon as it is unblocked.
        sigprocmask(SIG_UNBLOCK, &only, nil)
        sigprocmask(SIG_BLOCK, &only, nil)
        sigaction(signal, &before, nil)
    }
}
