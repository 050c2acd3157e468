import CLinux
import Glibc
import Posix

/// What an administrator tells the daemon by signals, as a member of the event set.
struct Signals: ~Copyable {
    enum Kind {
        /// TERM or INT.
        case end
        /// HUP.
        case reload
    }

    private let descriptor: OwnedDescriptor

    /// Takes the signals for the whole process; to be made before any other thread, which inherits that.
    init() throws(SystemError) {
        var taken = sigset_t()
        sigemptyset(&taken)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&taken, signal) }
        pthread_sigmask(SIG_BLOCK, &taken, nil)
        // A peer that is gone, or a file that may not grow, is an error of the call and no end of the daemon.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let number = signalfd(-1, &taken, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        guard number >= 0 else { throw .last("signalfd") }
        descriptor = OwnedDescriptor(owning: number)
    }

    /// The descriptor's number, readable when a signal has come.
    var rawValue: Int32 { descriptor.rawValue }

    /// The next signal that has come; nil if there is none.
    func next() -> Kind? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(descriptor.rawValue, &information, size) == size else { return nil }
        return Int32(information.ssi_signo) == SIGHUP ? .reload : .end
    }
}
