import CLinux
import Dispatch
import Glibc

/// The signals of an administrator, by sources of the main queue.
@MainActor struct Signals {
    private let sources: [any DispatchSourceSignal]

    /// Blocks the signals for the whole process. Call this before the process starts a thread, which inherits the mask.
    ///
    /// libdispatch reads signals from a `signalfd`. A signal stays there only if all threads block it. A signal that comes
    /// before its source exists waits.
    static func block() {
        var taken = sigset_t()
        sigemptyset(&taken)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&taken, signal) }
        pthread_sigmask(SIG_BLOCK, &taken, nil)
        // A call to a peer that is gone, or a write beyond the limit of a file, must fail and not end the daemon.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }

    /// - Parameters:
    ///   - end: the handler of TERM and INT.
    ///   - reload: the handler of HUP.
    init(end: @escaping @MainActor () -> Void, reload: @escaping @MainActor () -> Void) {
        sources = [(SIGTERM, end), (SIGINT, end), (SIGHUP, reload)].map { signal, handler in
            let source = DispatchSource.makeSignalSource(signal: signal, queue: .main)
            source.setEventHandler { handler() }
            source.activate()
            return source
        }
    }
}
