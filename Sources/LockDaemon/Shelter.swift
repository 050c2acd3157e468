import Glibc
import Posix
import Rendezvous
import Systemd

/// Where a daemon that a client started goes, so that it does not end with that client's unit or login session.
///
/// It serves all processes of the user, and may have been started by a job that is stopped the next minute. So it asks a
/// service manager for a scope of its own, where there is one that outlives that unit or session:
///
/// | user | manager that is asked | when |
/// |---|---|---|
/// | root | the system's | always |
/// | another | the user's own | the user lingers; or the daemon is in a unit of that manager already; or logind ends the processes of a session with it |
///
/// The user's own manager ends with the last login unless the user lingers, and all its units with it. So a daemon that
/// another unit or a session keeps alive longer stays there: `nohup` and `cron` jobs would lose their locks otherwise.
/// Which unit or session it is, `prwlock ping` says.
struct Shelter {
    var userID: UInt32
    /// What the daemon belongs to now.
    var owner: ControlGroup.Owner?
    /// Whether the host was booted with systemd.
    var hasSystemManager: Bool
    /// Whether the user's own manager runs.
    var hasUserManager: Bool
    var lingers: Bool
    /// Whether logind ends a session's processes with it; asked only where it decides.
    var sessionsKillTheirProcesses: () -> Bool

    enum Manager: Equatable {
        case system
        case user
    }

    /// The manager to ask; nil to stay.
    var manager: Manager? {
        // A unit of its own already: a client may have started it through a manager.
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

    /// Moves this process into a scope of its own, where the rules above say so. To be called before there are threads.
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

    /// Waits until the manager has done what it was asked for, for a second at the most.
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
