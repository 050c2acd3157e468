import CLinux
import Glibc
import Posix
import Systemd

/// What the daemon inherits from the process that starts it, and how much of that it resets.
///
/// A daemon serves all processes of its user, or of the host. A client that starts one may have one second of CPU time
/// left, run at nice 19, ignore signals, or stand in a folder that is to be unmounted. None of that may become the
/// daemon's. But a unit file, or a person with `nice` or `taskset`, may choose such settings for the daemon itself.
///
/// | started by | the daemon resets |
/// |---|---|
/// | a service manager | ignored and blocked signals, umask, closed descriptors 0 to 2 |
/// | a person | also the working directory, and descriptors that it was not given |
/// | a client | also soft limits, scheduling policy, nice value, I/O priority, processors, `oom_score_adj` |
///
/// The soft limit of descriptors is raised in all cases (`DescriptorLimit`).
///
/// What stays because the kernel does not permit a reset: hard limits (a client looks at them before it starts a daemon),
/// a nice value above 0 or `SCHED_IDLE` without the right to leave them, and an `oom_score_adj` that a service manager
/// set. The journal says so.
struct Inheritance {
    enum Starter {
        case serviceManager
        case person
        case client
    }

    let starter: Starter
    /// What could not be reset, in words; empty if nothing is left.
    let remains: [String]

    /// Resets what the process inherited. To be called before anything is opened, and before there are threads.
    init(_ configuration: Configuration) {
        starter = Self.starter(configuration)
        linux_open_standard_descriptors()
        linux_reset_signals()
        linux_set_thread_stack(2 << 20)
        // No file that it makes is another user's.
        umask(0o077)
        var remains: [String] = []
        if starter != .serviceManager {
            let listener = configuration.listenDescriptor.map { [$0] } ?? []
            InheritedDescriptors.closeAll(but: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] + listener)
            if chdir("/") != 0 { remains.append("its working directory") }
        }
        if starter == .client {
            linux_raise_limits()
            linux_reset_scheduling()
            remains += Self.scheduling() + Self.resetKillerScore()
        }
        self.remains = remains
    }

    private static func starter(_ configuration: Configuration) -> Starter {
        // LISTEN_PID names the process that the manager started: a client's own may stand in its environment.
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

    /// The kernel's out-of-memory killer must not prefer the daemon because it prefers the client.
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
