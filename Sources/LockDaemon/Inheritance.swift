import CLinux
import Glibc
import Posix
import Systemd

/// The settings that the daemon inherits from the process that starts it, and resets.
///
/// A daemon serves all processes of its user, or of the host. A client that starts a daemon may have one second of CPU time
/// left, run at nice 19, ignore signals, or work in a folder that an administrator wants to unmount. The daemon must
/// inherit none of that. But a unit file, or a person with `nice` or `taskset`, may choose such settings for the daemon
/// itself.
///
/// | started by | the daemon resets |
/// |---|---|
/// | a service manager | ignored and blocked signals, umask, closed descriptors 0 to 2 |
/// | a person | also the working directory, and descriptors that no option names |
/// | a client | also soft limits, scheduling policy, nice value, I/O priority, processors, `oom_score_adj` |
///
/// In all cases the daemon raises the soft limit of descriptors (`DescriptorLimit`).
///
/// The kernel does not permit to reset hard limits (a client checks them before it starts a daemon), a nice value above 0 or
/// `SCHED_IDLE` without the right to leave them, and an `oom_score_adj` that a service manager set. The journal reports
/// what remains.
struct Inheritance {
    enum Starter {
        case serviceManager
        case person
        case client
    }

    let starter: Starter
    /// The settings that the daemon could not reset, in words.
    let remains: [String]

    /// Resets the inherited settings. Call this before the process opens a file or starts a thread.
    ///
    /// - Parameter goesOn: whether a keeper has reset them: this process is a worker, or was a keeper of another version.
    init(_ configuration: Configuration, goesOn: Bool) {
        starter = Self.starter(configuration)
        linux_open_standard_descriptors()
        linux_reset_signals()
        // The keeper has blocked those that this process takes, so that none comes too early.
        if !goesOn { linux_unblock_signals() }
        linux_set_thread_stack(2 << 20)
        // No other user may use a file that the daemon makes.
        umask(0o077)
        var remains: [String] = []
        if starter != .serviceManager, !goesOn {
            let listener = configuration.listenDescriptor.map { [$0] } ?? []
            InheritedDescriptors.closeAll(but: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] + listener)
            if chdir("/") != 0 { remains.append("its working directory") }
        }
        if starter == .client, !goesOn {
            linux_raise_limits()
            linux_reset_scheduling()
            remains += Self.scheduling() + Self.resetKillerScore()
        }
        self.remains = remains
    }

    private static func starter(_ configuration: Configuration) -> Starter {
        // LISTEN_PID names the process that the manager started: a client may have inherited its own.
        let isActivated = getenv("LISTEN_PID").map { String(cString: $0) } == "\(getpid())"
        if isActivated || getenv("NOTIFY_SOCKET") != nil { return .serviceManager }
        return configuration.isAutoStarted ? .client : .person
    }

    private static func scheduling() -> [String] {
        var remains: [String] = []
        let nice = linux_nice_value()
        if nice > 0 { remains.append("nice \(nice)") }
        if linux_scheduling_policy() != linux_standard_policy { remains.append("its scheduling policy") }
        return remains
    }

    /// Keeps the kernel's out-of-memory killer from preferring the daemon because it prefers the client.
    private static func resetKillerScore() -> [String] {
        let path = "/proc/self/oom_score_adj"
        guard let text = try? FileContents.read(path, limit: 64),
            let score = Int(String(decoding: text.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)),
            score != 0
        else { return [] }
        let file = open(path, O_WRONLY | O_CLOEXEC)
        defer { if file >= 0 { close(file) } }
        return file >= 0 && write(file, "0", 1) == 1 ? [] : ["oom_score_adj \(score)"]
    }
}
