import Glibc
import LockVocabulary
public import Posix

/// The reason why no daemon could be reached, started, or bound to its socket. The description also suggests a remedy.
public enum RendezvousError: Error, Hashable, Sendable {
    /// No daemon listens there, and a client may not start one.
    case notRunning(SocketLocation)
    /// No daemon listens there, and `PRWLOCK_AUTOSTART=0` forbids starting one.
    case startForbidden(SocketLocation)
    /// This user may not connect to that socket.
    case notPermitted(SocketLocation)
    /// A daemon that listens there, or is being started, did not answer in time.
    case noAnswer(SilentDaemon)
    /// A daemon was started, and did not answer in time; the file has its output.
    case slowStart(SocketLocation, output: String)
    /// The daemon answered with this line, and refused the session.
    case turnedAway(SocketLocation, String)
    /// The server that listens there is not a lock daemon.
    case stranger(SocketLocation)
    /// This user serves there, and is not to be trusted for the given reason.
    case untrustedServer(SocketLocation, user: UInt32, reason: String)
    /// The folder of the socket may be under another user's control, for the given reason.
    case unsafeDirectory(String, reason: String)
    /// Another user could replace the file at the path, at this part of the path.
    case untrustedPath(String, part: String)
    /// The path names a file that is not a socket, so it is not removed.
    case notASocket(String)
    /// Another daemon listens there.
    case alreadyServed(String, by: RunningProcess?)
    /// A daemon of this user serves at a path where this process cannot reach it.
    case servedElsewhere(PlaceGuard.Holder)
    /// No daemon listens there, and these folders contain no `prwlockd` to start.
    case noProgram(searched: [String])
    /// No daemon listens there, and another user could replace the program to start, at the given part of its path.
    case untrustedProgram(String, part: String)
    /// No daemon listens there, and a daemon started by this process could not serve under this limit.
    case limitTooLow(SocketLocation, LowLimit)
    /// A daemon was started, and ended before it answered; the file has its output.
    case endedAtStart(SocketLocation, output: String)
    /// Another process, if the kernel reports it, holds the lock file and makes no progress.
    case startLockHeld(String, by: RunningProcess?)
    /// A system call failed.
    case system(SystemError)
}

extension RendezvousError: CustomStringConvertible {
    /// The error in a sentence, with a remedy. It may contain a false server's line, and names of processes and paths.
    public var description: String { Harmless.show(words) }

    private var words: String {
        switch self {
        case .notRunning(let location): Self.notRunning(location)
        case .startForbidden(let location):
            "no lock daemon listens at \(location.path), and PRWLOCK_AUTOSTART=0 forbids starting one: "
                + "run `prwlockd`, or unset PRWLOCK_AUTOSTART"
        case .notPermitted(let location): Self.notPermitted(location)
        case .noAnswer(let daemon): daemon.description
        case .slowStart(let location, let output):
            "a lock daemon was started for \(location.path) and has not answered in time: "
                + "try again, or see \(output)"
        case .turnedAway(let location, let words):
            "the lock daemon at \(location.path) turned this session away: \(words)"
        case .stranger(let location):
            "what listens at \(location.path) is not a lock daemon: choose another path with --socket or "
                + "PRWLOCK_SOCKET, or stop it"
        case .untrustedServer(let location, let user, let reason):
            Self.untrustedServer(location, user, reason)
        case .unsafeDirectory(let path, let reason):
            "\(path) \(reason), so the lock daemon in it cannot be trusted: "
                + "have its owner or root remove it, or say where the daemon is in PRWLOCK_SOCKET"
        case .untrustedPath(let path, let part):
            "\(path) is not used, because another user could replace it: \(part)"
        case .notASocket(let path):
            "\(path) is not a socket: move it away, or choose another path for the lock daemon's socket"
        case .alreadyServed(let path, let process):
            "another lock daemon\(process.map { ", \($0)," } ?? "") listens at \(path): "
                + "stop it first, or choose another path with --socket"
        case .servedElsewhere(let holder): Self.servedElsewhere(holder)
        case .noProgram(let searched):
            "no lock daemon is running, and no prwlockd to start was found in \(searched.joined(separator: ", ")): "
                + "install it, or say where it is in PRWLOCK_DAEMON"
        case .untrustedProgram(let program, let part):
            "no lock daemon is running, and \(program) is not started, because another user could replace it: \(part)"
        case .limitTooLow(let location, let limit):
            "no lock daemon listens at \(location.path), and one that this process starts would inherit its \(limit): "
                + "start it where that limit is not set (`prwlock ping` in another shell), or install the service"
        case .endedAtStart(let location, let output):
            "a lock daemon was started for \(location.path) and ended before it answered: see \(output)"
        case .startLockHeld(let path, let process):
            "\(process?.description ?? "another process") has \(path), so that no lock daemon can be started, "
                + "and does nothing: continue or end it (`fuser \(path)` lists all that have the file)"
        case .system(let error): error.description
        }
    }

    private static func notRunning(_ location: SocketLocation) -> String {
        let nobody = "no lock daemon listens at \(location.path)"
        return switch location.origin {
        case .system:
            "\(nobody), though this system has the service: look at `systemctl status prwlockd.socket prwlockd`, "
                + "and run `systemctl start prwlockd.socket`; or remove the folder if the service is gone"
        case .environment:
            "\(nobody), where PRWLOCK_SOCKET points: run `prwlockd`, or unset PRWLOCK_SOCKET"
        case .path, .userOwn:
            "\(nobody): run `prwlockd --socket \(absolute(location.path))`"
        }
    }

    private static func untrustedServer(_ location: SocketLocation, _ user: UInt32, _ reason: String)
        -> String
    {
        let owner =
            UserNamespace.isAmbiguous(user)
            ? "a user without a number in this user namespace (\(user))" : "user \(user)"
        return
            "\(owner) serves at \(location.path), neither root nor you, and \(reason): connect to a daemon that you trust, "
            + "or trust this user's with PRWLOCK_SERVER_UID=\(user)"
    }

    private static func servedElsewhere(_ holder: PlaceGuard.Holder) -> String {
        let process = holder.processID.map { "process \($0)" } ?? "a process that cannot be seen from here"
        return
            "this user's lock daemon (\(process)) serves \(holder.path ?? "a socket that it does not name"), which cannot "
            + "be reached from here: this process may have another /tmp or /run (PrivateTmp=, a container), or the daemon "
            + "hangs. Set PRWLOCK_SOCKET to a socket that both can reach, install the service, or end that process"
    }

    private static func notPermitted(_ location: SocketLocation) -> String {
        let refused = "you may not connect to the lock daemon at \(location.path)"
        guard location.origin == .system else { return "\(refused): it belongs to another user" }
        return "\(refused): \(wayIn(for: ProcessFacts.unit(of: getpid())))"
    }

    /// How a process of this unit is added to the group. A service does not log in, and the user of a service with
    /// `DynamicUser=` is in no user database file, so a group cannot list it.
    package static func wayIn(for unit: String?) -> String {
        if let unit, unit.hasSuffix(".service"), !unit.hasPrefix("user@") {
            return "set SupplementaryGroups=prwlock in \(unit) (`systemctl edit \(unit)`), and restart it"
        }
        return "ask to be added to the group prwlock (`adduser USER prwlock`), then log in again; "
            + "for a service, set SupplementaryGroups=prwlock"
    }

    /// The absolute path, because the daemon may be started in another working directory.
    private static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
        defer { free(here) }
        return "\(String(cString: here))/\(path)"
    }
}
