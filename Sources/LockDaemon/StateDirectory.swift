import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// The folder for the state that outlives the daemon. The daemon locks it for as long as it runs.
///
/// Two daemons never share a folder: the tokens of one would fall behind those of the other.
struct StateDirectory: ~Copyable {
    enum Fault: Error {
        /// No option names a folder, and the environment names no home.
        case nowhere
        /// Another daemon has the folder; this one, if its lock file names it.
        case inUse(String, by: Occupant?)
        case unusable(String, SystemError)
        /// Another user could replace the folder.
        case replaceable(String, PathFault)
        /// The system's table of users names no home for this user.
        case noUser
        /// The home is missing, or belongs to another user.
        case noHome(String)
        /// The file of tokens is damaged.
        case damaged(String)

        var isDamage: Bool { if case .damaged = self { true } else { false } }
    }

    let path: String
    let directory: DirectoryDescriptor
    private let lock: FileLock

    /// The longest wait for a daemon that is about to leave.
    private static let patience = Duration.milliseconds(1_500)

    /// Opens the folder and locks it; makes it if it is missing.
    ///
    /// - Parameter socketPath: the path that an error message of another daemon shows.
    static func open(_ path: String, socketPath: String) throws(Fault) -> StateDirectory {
        do throws(PathFault) {
            let directory = try PathTrust.own().folder(path, making: true)
            if let free = try StateDirectory(directory, path) {
                free.sign(Occupant(socketPath: socketPath))
                return free
            }
        } catch {
            if case .system(let fault) = error { throw .unusable(path, fault) }
            throw .replaceable(path, error)
        }
        throw .inUse(path, by: Occupant(readFrom: path))
    }

    /// Writes into the lock file which daemon has the folder.
    private borrowing func sign(_ occupant: Occupant) {
        ftruncate(lock.file.rawValue, 0)
        // Only an error message uses this line.
        try? FileContents.write(Array("\(occupant.line)\n".utf8), to: lock.file)
    }

    private init?(_ directory: consuming DirectoryDescriptor, _ path: String) throws(PathFault) {
        let free: FileLock?
        do throws(SystemError) { free = try Self.lock(directory, path) } catch { throw .system(error) }
        guard let lock = free else { return nil }
        self.path = path
        self.directory = directory
        self.lock = lock
    }

    /// The folder's lock; nil if another process keeps it.
    private static func lock(
        _ directory: borrowing DirectoryDescriptor, _ path: String
    ) throws(SystemError) -> FileLock? {
        let end = Deadline(after: patience)
        while true {
            let file = try directory.open("lock", flags: O_RDWR | O_CREAT)
            if let lock = try FileLock(trying: file) { return lock }
            // A daemon of another host or container does not leave for this one.
            let isNear = Occupant(readFrom: path)?.isNear ?? true
            guard isNear, !end.isOver else { return nil }
            usleep(2_000)
        }
    }

    /// The folder of the user's own daemon, whatever its socket: below the home that the system's table of users names.
    ///
    /// `HOME` and `XDG_STATE_HOME` may differ between processes of one user. A missing home does not serve, nor a home of
    /// another user, which many system users have.
    static func ownPath(in surroundings: Surroundings) throws(Fault) -> String {
        guard let home = surroundings.homeDirectory else { throw .noUser }
        guard let status = try? FileStatus(following: home), status.isDirectory,
            status.userID == surroundings.userID
        else { throw .noHome(home) }
        return home + "/.local/state/prwlock/own"
    }

    /// The path of a daemon's folder: that of the option, that of the service, or one for each socket in the user's folder.
    static func path(
        named: String?, socketPath: String, in surroundings: Surroundings
    ) throws(Fault) -> String {
        if let named { return named }
        // systemd lists all folders of the service, with colons between them.
        if let service = surroundings.variable("STATE_DIRECTORY")?.split(separator: ":").first {
            return String(service)
        }
        guard let own = surroundings.stateDirectory else { throw .nowhere }
        return own + "/" + folderName(for: socketPath)
    }

    /// A file name that no two paths of sockets share: `%` stands for `/`, and `%%` for `%`.
    private static func folderName(for socketPath: String) -> String {
        var name = ""
        for character in socketPath {
            switch character {
            case "/": name += "%"
            case "%": name += "%%"
            default: name.append(character)
            }
        }
        return name
    }
}

extension StateDirectory.Fault: CustomStringConvertible {
    var description: String {
        switch self {
        case .nowhere:
            "no state directory: set --state-directory, or HOME"
        case .inUse(let path, let occupant):
            "another lock daemon\(occupant.map { " (\($0))" } ?? "") has the state directory \(path): "
                + "stop it first, or choose another with --state-directory"
        case .noUser: "the system's table of users names no home for this user"
        case .noHome(let path): "the home \(path) is missing or another user's"
        case .replaceable(let path, let fault):
            "the state directory \(path) is not used, because another user could replace it, and tokens would not rise "
                + "then: \(fault)"
        case .unusable(let path, let error):
            "the state directory \(path) cannot be used (\(error)): tokens would not rise over a restart without it"
        case .damaged(let path):
            "\(path)/tokens is damaged: what tokens were given out is not known. If none of them is in use any more, "
                + "remove the file; else write a first line into it by hand, from a copy"
        }
    }
}
