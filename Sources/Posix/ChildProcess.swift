import CLinux
import Glibc

/// A program to start as a child. It inherits only what this value names.
public struct ChildProcess {
    /// The program's file; `PATH` is not searched.
    public var executable: String
    /// All arguments, beginning with the program's own name.
    public var arguments: [String]
    /// The environment's variables, each as `NAME=value`.
    public var environment: [String]
    /// The child's descriptors 0, 1, 2 … in this order; it has no others.
    public var descriptors: [Int32]
    /// The child's working directory; nil for the parent's.
    public var directory: String?
    /// Whether the child leads a session of its own, without a terminal.
    public var startsSession: Bool

    public init(
        executable: String, arguments: [String], environment: [String], descriptors: [Int32],
        directory: String? = nil, startsSession: Bool = false
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.descriptors = descriptors
        self.directory = directory
        self.startsSession = startsSession
    }

    /// Starts the program with the default action for every signal and no signal blocked, and returns its process id.
    ///
    /// The caller must reap the process (`waitpid`). `ENOENT`: no such program.
    public func spawn() throws(SystemError) -> Int32 {
        // Copy the descriptors to numbers above all targets, or a `dup2` could overwrite a later source.
        var sources: [Int32] = []
        defer { for source in sources { close(source) } }
        for descriptor in descriptors {
            sources.append(
                try checked("fcntl", "\(descriptor)") {
                    fcntl(descriptor, F_DUPFD_CLOEXEC, Int32(descriptors.count))
                })
        }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (target, source) in sources.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, source, Int32(target))
        }
        linux_spawn_close_from(&actions, Int32(sources.count))
        if let directory { linux_spawn_change_directory(&actions, directory) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        let signals = Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)
        posix_spawnattr_setflags(&attributes, startsSession ? signals | linux_spawn_new_session : signals)

        var process: pid_t = 0
        let code = Self.withCStrings(arguments) { arguments in
            Self.withCStrings(environment) { environment in
                posix_spawn(&process, executable, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw SystemError(code: code, call: "posix_spawn", subject: executable) }
        return process
    }

    /// Waits for the end of a child, and returns its status as `wait` reports it; kills the child at the deadline.
    ///
    /// Returns nil if it killed the child, or if another part of this process has reaped it.
    public static func status(of child: Int32, by deadline: Deadline) -> Int32? {
        let watch = linux_pidfd_open(child)
        defer { if watch >= 0 { close(watch) } }
        var status: Int32 = 0
        while true {
            let ended = waitpid(child, &status, WNOHANG)
            if ended == child { return status }
            if ended < 0, errno != EINTR { return nil }
            if deadline.isOver {
                kill(child, SIGKILL)
                while waitpid(child, &status, 0) < 0, errno == EINTR {}
                return nil
            }
            // Without a pidfd the only way is to poll.
            guard watch >= 0 else {
                usleep(5_000)
                continue
            }
            var request = pollfd(fd: watch, events: Int16(POLLIN), revents: 0)
            poll(&request, 1, deadline.milliseconds)
        }
    }

    /// Passes the strings as a C array of pointers that ends with a null pointer.
    static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
