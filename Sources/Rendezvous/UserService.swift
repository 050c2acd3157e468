import Glibc
import Posix

/// The daemon's socket unit of the user's own service manager, where it is installed and the manager runs.
struct UserService {
    private static let unit = "prwlockd.socket"

    /// The user's runtime folder, by which the manager is found.
    private let runtime: String
    private let surroundings: Surroundings

    /// Nil if no such unit is installed, or no manager runs that could start it.
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

    /// Has the manager start it; false if it will not, or has not done so in time.
    func start(by deadline: Deadline) throws(SystemError) -> Bool {
        let nothing = try DirectoryDescriptor("/dev").open("null", flags: O_RDWR)
        // `cron` and `su` leave the variable unset, and without it the manager is not found.
        let environment = surroundings.environment.merging(["XDG_RUNTIME_DIR": runtime]) { $1 }
        let command = try ChildProcess(
            executable: "/usr/bin/systemctl",
            arguments: ["systemctl", "--user", "--quiet", "start", Self.unit],
            environment: environment.map { "\($0.key)=\($0.value)" },
            descriptors: [nothing.rawValue, nothing.rawValue, nothing.rawValue], directory: "/"
        ).spawn()
        let end = min(deadline, Deadline(after: .seconds(30)))
        // Where another part of this process waits for all children, connecting shows whether it went well.
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
