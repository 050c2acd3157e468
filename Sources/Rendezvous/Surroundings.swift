import CLinux
import Glibc
import Posix

/// What decides where the daemon is and how one is started: the user, the environment and a few well-known folders.
///
/// A value, so that whoever asks twice gets the same answer, and so that tests can say where "/run" is.
public struct Surroundings: Sendable {
    /// The environment's variables; empty in a program that runs with more rights than its caller.
    public var environment: [String: String]
    /// The user whose locks they are.
    public var userID: UInt32
    /// What stands before `/run`, `/tmp` and the user's home: nothing, but a folder of their own in tests.
    public var root: String
    /// The path of the user's runtime folder, in which the user's service manager has its socket.
    public var userRuntimeDirectory: String { "\(runtimeRoot)/user/\(userID)" }
    /// The folder for what lasts until the next boot.
    public var runtimeRoot: String { root + "/run" }
    /// The folder in which every user may make files.
    var temporaryRoot: String { root + "/tmp" }
    /// The folder of the system's daemon.
    public var systemDirectory: String { runtimeRoot + "/prwlock" }
    /// The folder of the running program; nil if the kernel does not tell.
    public var programDirectory: String?
    /// Where packages put the daemon.
    public var packageDirectories = ["/usr/libexec", "/usr/bin"]
    /// Where packages and administrators put units for users' service managers.
    public var unitDirectories = [
        "/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
    ]

    public init(environment: [String: String], userID: UInt32) {
        self.environment = environment
        self.userID = userID
        root = environment["PRWLOCK_TEST_ROOT"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? ""
    }

    /// Whether the system has a daemon for all users: the folder is there, whatever is in it.
    public var hasSystemDirectory: Bool {
        (try? FileStatus(following: systemDirectory))?.isDirectory ?? false
    }

    /// Those of this process, now.
    public static func current() -> Surroundings {
        var surroundings = Surroundings(environment: processEnvironment(), userID: geteuid())
        surroundings.programDirectory = executablePath().flatMap(folder(of:))
        return surroundings
    }

    /// A variable's value; nil if it is unset or empty, which mean the same here as everywhere in XDG's rules.
    public func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A variable's value, if it is an absolute path; a relative one means nothing to a daemon.
    func absolutePath(in name: String) -> String? {
        variable(name).flatMap { $0.utf8.first == UInt8(ascii: "/") ? $0 : nil }
    }

    /// Where a daemon that is not the user's own keeps what must outlive it; nil if no variable says where home is.
    ///
    /// `$XDG_STATE_HOME/prwlock`, or `~/.local/state/prwlock`. (A service's own is `$STATE_DIRECTORY`.)
    public var stateDirectory: String? {
        if let state = absolutePath(in: "XDG_STATE_HOME") { return state + "/prwlock" }
        return absolutePath(in: "HOME").map { $0 + "/.local/state/prwlock" }
    }

    /// The user's home by the system's table of users, whatever `HOME` says; nil if the table does not know the user.
    public var homeDirectory: String? {
        guard root.isEmpty else { return root + "/home" }
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 65_536) { buffer in
            guard let start = buffer.baseAddress,
                getpwuid_r(userID, &entry, start, buffer.count, &found) == 0, found != nil,
                let home = entry.pw_dir
            else { return nil }
            return String(cString: home)
        }
    }

    /// The part of the environment that a daemon started from here is given.
    var daemonEnvironment: [String: String] {
        environment.filter { name, _ in
            name == "HOME" || name == "PATH" || name.hasPrefix("XDG_") || name.hasPrefix("PRWLOCK_")
        }
    }

    private static func processEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        guard var entry = linux_environment() else { return variables }
        while let text = entry.pointee {
            let pair = String(cString: text).split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            // The first of two equal names counts, as it does for getenv(3).
            if let name = pair.first, let value = pair.dropFirst().first, variables[String(name)] == nil {
                variables[String(name)] = String(value)
            }
            entry += 1
        }
        return variables
    }

    private static func executablePath() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let count = readlink("/proc/self/exe", start, buffer.count)
            guard count > 0, count < buffer.count else { return nil }
            return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }
}

/// The folder that a path's last part is in; nil for a bare name.
func folder(of path: String) -> String? {
    guard let slash = path.lastIndex(of: "/") else { return nil }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
