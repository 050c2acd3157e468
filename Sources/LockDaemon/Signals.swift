import CLinux
import Dispatch
import Glibc

/// What an administrator tells the daemon by signals, from sources of the main queue.
@MainActor struct Signals {
    private let sources: [any DispatchSourceSignal]

    /// Blocks the signals for the whole process. To be called before there is any other thread, which inherits that.
    ///
    /// Libdispatch reads signals from a `signalfd`, and only a signal that all threads block stays there to be read. A signal
    /// that comes before the source is made waits for it.
    static func block() {
        var taken = sigset_t()
        sigemptyset(&taken)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&taken, signal) }
        pthread_sigmask(SIG_BLOCK, &taken, nil)
        // A peer that is gone, or a file that may not grow, is an error of the call and no end of the daemon.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }

    /// - Parameters:
    ///   - end: is called for TERM and INT.
    ///   - reload: is called for HUP.
    init(end: @escaping @MainActor () -> Void, reload: @escaping @MainActor () -> Void) {
        sources = [(SIGTERM, end), (SIGINT, end), (SIGHUP, reload)].map { signal, handler in
            let source = DispatchSource.makeSignalSource(signal: signal, queue: .main)
            source.setEventHandler { handler() }
            source.activate()
            return source
        }
    }
}
