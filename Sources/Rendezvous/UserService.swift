import Glibc
import Posix

/// The daemon's socket unit in the user's own service manager.
struct UserService {
    private static let unit = "prwlockd.socket"

    /// The user's runtime folder, which `systemctl` needs to find the manager.
    private let runtime: String
    private let surroundings: Surroundings

    /// Returns nil if the unit is not installed, or the manager does not run.
    init?(in surroundings: Surroundings) {
        let runtime = surroundings.userRuntimeDirectory
        guard (try? FileStatus(at: runtime + "/systemd/private"))?.isSocket ?? false else { return nil }
        self.runtime = runtime
        self.surroundings = surroundings
        let isInstalled = Self.unitDirectories(runtime: runtime, in: surroundings).contains { directory in
            (try? FileStatus(following: "\(directory)/\(Self.unit)")) != nil
        }
        guard isInstalled else { return nil }
    }

    /// Starts the unit; returns false if the manager refuses, or does not finish in time.
    func start(by deadline: Deadline) throws(SystemError) -> Bool {
        let nothing = try DirectoryDescriptor("/dev").open("null", flags: O_RDWR)
        // `cron` and `su` leave `XDG_RUNTIME_DIR` unset, and `systemctl` cannot find the manager without it.
        let environment = surroundings.environment.merging(["XDG_RUNTIME_DIR": runtime]) { $1 }
        let command = try ChildProcess(
            executable: "/usr/bin/systemctl",
            arguments: ["systemctl", "--user", "--quiet", "start", Self.unit],
            environment: environment.map { "\($0.key)=\($0.value)" },
            descriptors: [nothing.rawValue, nothing.rawValue, nothing.rawValue], directory: "/"
        ).spawn()
        let end = min(deadline, Deadline(after: .seconds(30)))
        // If another part of this process reaps all children, no status is left: then connecting shows the result.
        if let status = ChildProcess.status(of: command, by: end) { return status == 0 }
        return !end.isOver
    }

    private static func unitDirectories(runtime: String, in surroundings: Surroundings) -> [String] {
        var folders = [runtime + "/systemd/user"]
        if let configuration = surroundings.absolutePath(in: "XDG_CONFIG_HOME") {
            folders.append(configuration + "/systemd/user")
        } else if let home = surroundings.absolutePath(in: "HOME") {
            folders.append(home + "/.config/systemd/user")
        }
        if let data = surroundings.absolutePath(in: "XDG_DATA_HOME") {
            folders.append(data + "/systemd/user")
        } else if let home = surroundings.absolutePath(in: "HOME") {
            folders.append(home + "/.local/share/systemd/user")
        }
        return folders + surroundings.unitDirectories
    }
}
