import Glibc
import Posix
import Rendezvous
import Systemd

/// The move of a daemon that a client started out of that client's unit or login session.
///
/// The daemon serves all processes of the user, and the job that starts it may end the next minute. So it requests a scope
/// of its own from a service manager that outlives that unit or session:
///
/// | user | manager | when |
/// |---|---|---|
/// | root | the system's | always |
/// | another | the user's own | the user lingers; or the daemon is in a unit of that manager already; or logind ends the processes of a session with it |
///
/// The user's own manager ends with the last login unless the user lingers, and its units end with it. So a daemon stays in a
/// unit or session that lives longer: otherwise `nohup` and `cron` jobs would lose their locks. `prwlock ping` shows the
/// unit or session.
struct Shelter {
    var userID: UInt32
    /// The unit or session of the daemon.
    var owner: ControlGroup.Owner?
    /// Whether systemd manages the host.
    var hasSystemManager: Bool
    /// Whether the user's own manager runs.
    var hasUserManager: Bool
    var lingers: Bool
    /// Whether logind ends the processes of a session with it; a query only if this decides.
    var sessionsKillTheirProcesses: () -> Bool

    enum Manager: Equatable {
        case system
        case user
    }

    /// The manager for the request; nil to stay.
    var manager: Manager? {
        // The daemon has its own unit already: a client may have started it through a manager.
        switch owner {
        case .systemUnit(let unit) where unit.hasPrefix("prwlockd"): return nil
        case .userUnit(let unit, _) where unit.hasPrefix("prwlockd"): return nil
        default: break
        }
        if userID == 0 { return hasSystemManager ? .system : nil }
        guard hasUserManager else { return nil }
        if case .userUnit(_, userID) = owner { return .user }
        return lingers || sessionsKillTheirProcesses() ? .user : nil
    }

    /// Moves this process into a scope of its own, if the rules above say so. Call this before the process starts a thread.
    static func seek(in surroundings: Surroundings, _ journal: Journal) {
        let run = surroundings.runtimeRoot
        let sockets = [
            Manager.system: run + "/systemd/private",
            Manager.user: surroundings.userRuntimeDirectory + "/systemd/private",
        ]
        let shelter = Shelter(
            userID: surroundings.userID, owner: ControlGroup(of: getpid())?.owner,
            hasSystemManager: (try? FileStatus(at: run + "/systemd/system"))?.isDirectory ?? false,
            hasUserManager: sockets[.user].flatMap { try? FileStatus(at: $0) }?.isSocket ?? false,
            lingers: lingers(surroundings.userID),
            sessionsKillTheirProcesses: OwnScope.sessionsKillTheirProcesses)
        guard let manager = shelter.manager, let socket = sockets[manager] else { return }
        let unit = "prwlockd-\(getpid()).scope"
        let refusal = OwnScope.request(
            unit, description: "Lock daemon of user \(surroundings.userID)", managerSocket: socket)
        if refusal == nil, isMoved(to: unit) { return }
        journal.write(
            .notice,
            "no scope of its own (\(refusal ?? "not moved in time")): it ends with the unit or session of its starter"
        )
    }

    /// Waits until the manager has moved the process, for a second at the most.
    private static func isMoved(to unit: String) -> Bool {
        for _ in 0..<200 {
            if ControlGroup(of: getpid())?.path.hasSuffix("/" + unit) ?? false { return true }
            usleep(5_000)
        }
        return false
    }

    /// Whether the user's manager runs without a login.
    private static func lingers(_ userID: UInt32) -> Bool {
        guard let entry = getpwuid(userID), let name = entry.pointee.pw_name else { return false }
        return (try? FileStatus(at: "/var/lib/systemd/linger/" + String(cString: name))) != nil
    }
}
