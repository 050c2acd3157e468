import Glibc
import Posix

/// What kind of process `prwlock hold` is asked to hold a lock for.
///
/// A lock that is held for a process ends with it, and on a loss the process gets TERM. That is what a script wants. A
/// parent that only starts programs (`timeout`, `su`, `xargs`, `make`) ends at once, or never: then the lock would be
/// free without a word, or held for ever. TERM for a service manager would end all its services.
struct Caller {
    let process: Int32
    /// What the process is called in messages.
    let name: String
    /// Whether it runs a shell.
    let isShell: Bool
    /// Whether it is a service manager, or the first process of this namespace and no shell.
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
    /// One program with many names; which one it is, its first argument says.
    private static let multicall: Set<String> = ["busybox", "toybox"]

    init(_ process: Int32) {
        self.process = process
        let comm = (try? FileContents.read("/proc/\(process)/comm", limit: 64)).map {
            String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
        let program = Self.program(of: process)
        name = program ?? comm ?? "?"
        isShell = program.map(Self.isShell) ?? false
        isManager =
            Self.managers.contains(program ?? "") || Self.managers.contains(comm ?? "")
            || (process == 1 && !isShell)
    }

    /// `bash`, and also `bash-5.2` and `zsh5`.
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
        // `busybox sh script`, or `sh` as a link to it.
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
