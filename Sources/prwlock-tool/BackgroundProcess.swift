import CLinux
import Glibc
import Posix

/// Turns a forked process into one that outlives this command and shares neither its terminal nor its pipes.
enum BackgroundProcess {
    /// Detaches this process: it gets its own session, `/` as its directory, only the given descriptors, and blocks all
    /// signals.
    static func become(_ name: String, keeping descriptors: [Int32]) {
        setsid()
        chdir("/")
        rename(to: name)
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_SETMASK, &all, nil)
        InheritedDescriptors.closeAll(but: descriptors)
        let nothing = open("/dev/null", O_RDWR)
        // `nothing` has the lowest free number. That is 0, unless a kept descriptor is 0.
        for standard in STDIN_FILENO...STDERR_FILENO where !descriptors.contains(standard) {
            dup2(nothing, standard)
        }
        if nothing > STDERR_FILENO { close(nothing) }
    }

    /// Sets the name that `ps` and `/proc/PID/comm` show. The kernel keeps 15 bytes of it.
    private static func rename(to name: String) {
        let file = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        writeAll(name, to: file)
        close(file)
    }
}
