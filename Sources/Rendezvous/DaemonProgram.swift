import Glibc
import Posix

/// The program that is started as a daemon.
///
/// It is the first that exists of: `PRWLOCK_DAEMON`; `prwlockd` beside the running program or the calling library, so
/// that both are from one build; `prwlockd` on `PATH`; `prwlockd` in the folders that packages use.
struct DaemonProgram {
    static let name = "prwlockd"

    /// The absolute path of an executable file.
    let path: String

    static func find(in surroundings: Surroundings) throws(RendezvousError) -> DaemonProgram {
        if let chosen = surroundings.variable("PRWLOCK_DAEMON") {
            // An unusable choice is an error: a fallback would run a program that the user did not choose.
            guard chosen.hasPrefix("/"), isExecutable(chosen) else {
                throw .noProgram(searched: ["PRWLOCK_DAEMON=\(chosen)"])
            }
            return DaemonProgram(path: chosen)
        }
        let folders = folders(in: surroundings)
        for folder in folders where isExecutable("\(folder)/\(name)") {
            return DaemonProgram(path: "\(folder)/\(name)")
        }
        throw .noProgram(searched: folders)
    }

    private static func folders(in surroundings: Surroundings) -> [String] {
        // Skip relative entries of PATH: they name another folder in every working directory.
        let path = (surroundings.variable("PATH") ?? "").split(separator: ":").filter { $0.hasPrefix("/") }
        let beside = surroundings.programDirectory.map { [$0] } ?? []
        let all = beside + path.map(String.init) + surroundings.packageDirectories
        var seen: Set<String> = []
        return all.filter { seen.insert($0).inserted }
    }

    private static func isExecutable(_ path: String) -> Bool {
        guard let file = try? FileStatus(following: path), !file.isDirectory else { return false }
        return access(path, X_OK) == 0
    }
}
