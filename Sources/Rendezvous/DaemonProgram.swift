import Glibc
import Posix

/// The program that is started as a daemon.
///
/// It is the first that exists of: `PRWLOCK_DAEMON`; `prwlockd` beside the running program or the calling library, so
/// that both are from one build; `prwlockd` on `PATH`; `prwlockd` in the folders that packages use.
///
/// The environment may be another user's (`sudo -E`), and others may add a program beside one in `/tmp`. So a program that
/// another user could replace is not started, unless that user could replace the running program too.
package struct DaemonProgram {
    static let name = "prwlockd"

    /// The absolute path of an executable file.
    package let path: String

    /// Finds the program that would be started now.
    package static func find(in surroundings: Surroundings) throws(RendezvousError) -> DaemonProgram {
        if let chosen = surroundings.variable("PRWLOCK_DAEMON") {
            // An unusable choice is an error: a fallback would run a program that the user did not choose.
            guard chosen.hasPrefix("/"), isExecutable(chosen) else {
                throw .noProgram(searched: ["PRWLOCK_DAEMON=\(chosen)"])
            }
            if let fault = fault(of: chosen, in: surroundings) {
                throw .untrustedProgram("PRWLOCK_DAEMON=\(chosen)", part: "\(fault)")
            }
            return DaemonProgram(path: chosen)
        }
        let folders = folders(in: surroundings)
        var refusal: RendezvousError?
        for folder in folders where isExecutable("\(folder)/\(name)") {
            let path = "\(folder)/\(name)"
            guard let fault = fault(of: path, in: surroundings) else { return DaemonProgram(path: path) }
            refusal = refusal ?? .untrustedProgram(path, part: "\(fault)")
        }
        if let refusal { throw refusal }
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

    /// The reason why another user could replace the program; nil if none could.
    private static func fault(of path: String, in surroundings: Surroundings) -> PathFault? {
        var trust = PathTrust([surroundings.userID])
        // Who may write to a folder on PATH is the administrator's choice.
        trust.groups = .any
        guard let fault = trust.fault(of: path) else { return nil }
        guard let program = surroundings.program,
            let users = trust.usersThatCouldReplace(running: program), !users.isEmpty
        else { return fault }
        trust.users += users
        return trust.fault(of: path).map { _ in fault }
    }

    private static func isExecutable(_ path: String) -> Bool {
        guard let file = try? FileStatus(following: path), !file.isDirectory else { return false }
        return access(path, X_OK) == 0
    }
}

extension PathTrust {
    /// The users, besides the trusted ones, who could replace the running program, and so decide what this process runs
    /// anyway; nil if the path does not name the running program, as it may then be that of another user's file.
    fileprivate func usersThatCouldReplace(running path: String) -> [UInt32]? {
        var trust = self
        while case .replaceable(_, .belongs(let user)) = trust.fault(of: path), !trust.users.contains(user) {
            trust.users.append(user)
        }
        guard let file = try? trust.checkFile(path), let own = try? FileStatus(following: "/proc/self/exe"),
            file.isSameFile(as: own)
        else { return nil }
        return Array(trust.users.dropFirst(users.count))
    }

    /// The reason why the file cannot be found, or another user could replace it; nil if there is none.
    fileprivate func fault(of path: String) -> PathFault? {
        do throws(PathFault) {
            try checkFile(path)
            return nil
        } catch {
            return error
        }
    }
}
