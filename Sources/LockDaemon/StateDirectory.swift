import Glibc
import LockVocabulary
import Posix
import Rendezvous

/// The folder where the daemon keeps what outlives it, locked for as long as it runs.
///
/// Two daemons never share one: their tokens would fall behind each other's.
struct StateDirectory: ~Copyable {
    enum Fault: Error {
        /// Nobody says where home is, and no folder was named.
        case nowhere
        /// Another daemon has it.
        case inUse(String)
        case unusable(String, SystemError)
        /// The tokens' file says nothing that can be understood.
        case damaged(String)

        var isDamage: Bool { if case .damaged = self { true } else { false } }
    }

    let path: String
    let directory: DirectoryDescriptor
    private let lock: FileLock

    /// How long to wait for a daemon that is about to leave.
    private static let patience = Duration.seconds(5)

    /// Opens the folder and locks it; what is missing is made.
    static func open(_ path: String) throws(Fault) -> StateDirectory {
        do throws(SystemError) {
            if let free = try StateDirectory(path) { return free }
        } catch {
            throw .unusable(path, error)
        }
        throw .inUse(path)
    }

    private init?(_ path: String) throws(SystemError) {
        let directory = try DirectoryDescriptor.creating(path)
        guard let lock = try Self.lock(directory) else { return nil }
        self.path = path
        self.directory = directory
        self.lock = lock
    }

    /// The folder's lock; nil if somebody else keeps it.
    private static func lock(_ directory: borrowing DirectoryDescriptor) throws(SystemError) -> FileLock? {
        let end = BootClock.now() + patience.wholeNanoseconds
        while true {
            let file = try directory.open("lock", flags: O_RDWR | O_CREAT)
            if let lock = try FileLock(trying: file) { return lock }
            guard BootClock.now() < end else { return nil }
            usleep(2_000)
        }
    }

    /// Where a daemon's folder is: the one that is named, the service's, or one for each socket in the user's own.
    static func path(
        named: String?, socketPath: String, in surroundings: Surroundings
    ) throws(Fault) -> String {
        if let named { return named }
        // systemd names all folders of the service, with colons between them.
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
        case .inUse(let path):
            "another lock daemon has the state directory \(path): stop it first, or choose another with --state-directory"
        case .unusable(let path, let error):
            "the state directory \(path) cannot be used (\(error)): tokens would not rise over a restart without it"
        case .damaged(let path):
            "\(path)/tokens is damaged: what tokens were given out is not known. If none of them is in use any more, "
                + "remove the file; else write a first line into it by hand, from a copy"
        }
    }
}
