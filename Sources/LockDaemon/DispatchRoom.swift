import Glibc
import Posix

/// Descriptors and threads, which libdispatch takes for granted.
///
/// libdispatch ends the process when it needs a descriptor and none is left. When a limit of processes leaves no room for a
/// thread, libdispatch tries again every second, on the thread that adds the work, which may be the serving thread. So the
/// daemon checks first, and gets an error instead.
enum DispatchRoom {
    /// The handle of the main queue, an epoll set with its own wake-up, two timers, and a descriptor for each signal.
    private static let descriptors = 16

    /// Throws if there is no room for what libdispatch opens when the first sources are made.
    static func checkStart() throws(SystemError) {
        var opened: [Int32] = []
        defer { for descriptor in opened { close(descriptor) } }
        for _ in 0..<descriptors {
            let descriptor = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
            guard descriptor >= 0 else { throw .last("fcntl") }
            opened.append(descriptor)
        }
        try checkThread()
    }

    /// Throws if no thread can be started.
    static func checkThread() throws(SystemError) {
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, { _ in nil }, nil)
        guard code == 0 else { throw SystemError(code: code, call: "pthread_create") }
        // Joined, because a thread that has not ended yet still counts against the limit.
        pthread_join(thread, nil)
    }
}
