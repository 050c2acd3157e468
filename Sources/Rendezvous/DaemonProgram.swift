import Glibc
import Posix

/// Which program is started as a daemon.
///
/// The first of: `PRWLOCK_DAEMON`; `prwlockd` beside the running program or beside the library that asks, so that
/// both come from one build; on `PATH`; where packages put it.
struct DaemonProgram {
    static let name = "prwlockd"

    /// An absolute path of something that may be executed.
    let path: String

    static func find(in surroundings: Surroundings) throws(RendezvousError) -> DaemonProgram {
        if let chosen = surroundings.variable("PRWLOCK_DAEMON") {
            // A choice that cannot be followed is an error: falling back would run what was not asked for.
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
        // A relative entry of PATH names another folder in every working directory, so it is passed over.
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
