import CLinux
import Glibc
import Posix

/// The inputs that decide the daemon's place and its start: the user, the environment and some well-known folders.
///
/// It is a value, so that all decisions of one call use the same inputs, and tests can choose the place of "/run".
public struct Surroundings: Sendable {
    /// The environment's variables; empty in a program that runs with more rights than its caller.
    public var environment: [String: String]
    /// The user that the locks belong to.
    public var userID: UInt32
    /// The prefix of `/run`, `/tmp` and the user's home: empty, except in tests, which use a folder of their own.
    public var root: String
    /// The user's runtime folder, which contains the socket of the user's service manager.
    public var userRuntimeDirectory: String { "\(runtimeRoot)/user/\(userID)" }
    /// The folder for files that last until the next boot.
    public var runtimeRoot: String { root + "/run" }
    /// The folder in which every user may make files.
    var temporaryRoot: String { root + "/tmp" }
    /// The folder of the system's daemon.
    public var systemDirectory: String { runtimeRoot + "/prwlock" }
    /// The folder of the running program; nil if the kernel does not report it.
    public var programDirectory: String?
    /// The running program, if its caller has no fewer rights than it and so may choose what it runs.
    var program: String?
    /// The folders in which packages install the daemon.
    public var packageDirectories = ["/usr/libexec", "/usr/bin"]
    /// The folders in which packages and administrators install units for users' service managers.
    public var unitDirectories = [
        "/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user",
    ]

    public init(environment: [String: String], userID: UInt32) {
        self.environment = environment
        self.userID = userID
        root = environment["PRWLOCK_TEST_ROOT"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? ""
    }

    /// Whether the system has a daemon for all users. The folder decides this, whatever it contains.
    public var hasSystemDirectory: Bool {
        (try? FileStatus(following: systemDirectory))?.isDirectory ?? false
    }

    /// The surroundings of this process at this moment.
    public static func current() -> Surroundings {
        var surroundings = Surroundings(environment: processEnvironment(), userID: geteuid())
        let program = executablePath()
        surroundings.programDirectory = program.flatMap(folder(of:))
        surroundings.program = linux_environment() == nil ? nil : program
        return surroundings
    }

    /// The value of a variable; nil if it is unset or empty, which the XDG specifications treat alike.
    public func variable(_ name: String) -> String? {
        environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The value of a variable if it is an absolute path. A relative path would depend on the working directory.
    func absolutePath(in name: String) -> String? {
        variable(name).flatMap { $0.utf8.first == UInt8(ascii: "/") ? $0 : nil }
    }

    /// The folder for the persistent state of a daemon that is not the user's own; nil if neither variable is set.
    ///
    /// It is `$XDG_STATE_HOME/prwlock` or `~/.local/state/prwlock`. (A service uses `$STATE_DIRECTORY`.)
    public var stateDirectory: String? {
        if let state = absolutePath(in: "XDG_STATE_HOME") { return state + "/prwlock" }
        return absolutePath(in: "HOME").map { $0 + "/.local/state/prwlock" }
    }

    /// The user's home in the user database, independent of `HOME`; nil if the database does not have the user.
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

    /// The variables that a daemon started by this process inherits.
    var daemonEnvironment: [String: String] {
        environment.filter { name, _ in
            name == "HOME" || name == "PATH" || name.hasPrefix("XDG_") || name.hasPrefix("PRWLOCK_")
        }
    }

    private static func processEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        variables.reserveCapacity(64)
        guard var entry = linux_environment() else { return variables }
        while let text = entry.pointee {
            if let equals = strchr(text, Int32(UInt8(ascii: "="))) {
                let bytes = UnsafeRawBufferPointer(start: text, count: equals - text)
                let name = String(decoding: bytes, as: UTF8.self)
                // The first of two equal names counts, as in getenv(3).
                if variables[name] == nil { variables[name] = String(cString: equals + 1) }
            }
            entry += 1
        }
        return variables
    }

    /// The running program; nil if the kernel does not report it.
    static func executablePath() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let count = readlink("/proc/self/exe", start, buffer.count)
            guard count > 0, count < buffer.count else { return nil }
            return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
    }
}

/// The folder part of a path; nil if the path has no slash.
func folder(of path: String) -> String? {
    guard let slash = path.lastIndex(of: "/") else { return nil }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
