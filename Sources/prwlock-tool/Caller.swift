import Glibc
import Posix

/// The process that `prwlock hold` is to hold a lock for, and what kind of process it is.
///
/// A lock that is held for a process ends with that process, and the process gets TERM if the lock is lost. A script
/// wants both. A parent that only starts programs (`timeout`, `su`, `xargs`, `make`) ends at once or never, so the lock
/// would become free without notice or be held for ever. TERM to a service manager would stop all its services.
struct Caller {
    let process: Int32
    /// The process's name in messages.
    let name: String
    /// Whether the process runs a shell.
    let isShell: Bool
    /// Whether the process is a service manager, or process 1 of this namespace and not a shell.
    let isManager: Bool

    private static let shells: Set<String> = [
        "sh", "bash", "dash", "ash", "zsh", "ksh", "ksh93", "mksh", "lksh", "pdksh", "oksh", "loksh", "yash",
        "posh",
        "fish", "csh", "tcsh", "rc", "es", "elvish", "nu", "osh", "ysh", "oil", "xonsh", "pwsh", "rbash",
        "rksh",
    ]
    private static let managers: Set<String> = [
        "systemd", "init", "runit", "runsvdir", "s6-svscan", "openrc-init", "dinit", "upstart", "launchd",
        "tini",
        "dumb-init", "docker-init", "catatonit", "supervisord",
    ]
    /// Programs that contain many commands; the first argument selects one.
    private static let multicall: Set<String> = ["busybox", "toybox"]

    init(_ process: Int32) {
        self.process = process
        let comm = ProcessDescription.name(of: process)
        let program = Self.program(of: process)
        name = program ?? comm ?? "?"
        isShell = program.map(Self.isShell) ?? false
        isManager =
            Self.managers.contains(program ?? "") || Self.managers.contains(comm ?? "")
            || (process == 1 && !isShell)
    }

    /// Accepts a version suffix too, as in `bash-5.2` and `zsh5`.
    static func isShell(_ program: String) -> Bool {
        if shells.contains(program) { return true }
        let stem = program.prefix { $0 != "-" }
        return shells.contains(String(stem))
            || shells.contains(String(stem.reversed().drop { $0.isNumber || $0 == "." }.reversed()))
    }

    /// The name of the program that a process runs; nil if this user may not see it.
    private static func program(of process: Int32) -> String? {
        guard let path = ProcessFacts.executable(of: process) else { return nil }
        let deleted = " (deleted)"
        let program = lastPart(of: path.hasSuffix(deleted) ? String(path.dropLast(deleted.count)) : path)
        guard multicall.contains(program) else { return program }
        // The command line is `busybox sh script`, or begins with the name of a link to the program, such as `sh`.
        let line = (try? FileContents.read("/proc/\(process)/cmdline")) ?? []
        let arguments = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        let applets = arguments.prefix(2).map {
            lastPart(of: $0.hasPrefix("-") ? String($0.dropFirst()) : $0)
        }
        return applets.first { !multicall.contains($0) } ?? program
    }

    private static func lastPart(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}
