import Glibc
import Posix

/// A forked process that stays behind this command and shares nothing with the terminal and the pipes around it.
enum BackgroundProcess {
    /// Makes this process one: a session of its own, no directory, no descriptors but the named, all signals blocked.
    static func become(_ name: String, keeping descriptors: [Int32]) {
        setsid()
        chdir("/")
        rename(to: name)
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_SETMASK, &all, nil)
        InheritedDescriptors.closeAll(but: descriptors)
        let nothing = open("/dev/null", O_RDWR)
        // It has the lowest free number, which is 0 unless one of the kept has that.
        for standard in STDIN_FILENO...STDERR_FILENO where !descriptors.contains(standard) {
            dup2(nothing, standard)
        }
        if nothing > STDERR_FILENO { close(nothing) }
    }

    /// What `ps` and `/proc/PID/comm` call this process, 15 bytes at the most.
    private static func rename(to name: String) {
        let file = open("/proc/self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        writeAll(name, to: file)
        close(file)
    }
}
