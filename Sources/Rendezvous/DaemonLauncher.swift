import Glibc
import Posix

/// Starts the user's own daemon: as a service where the user's manager has it, else as a process of its own.
///
/// Such a process asks for a scope of its own (`Shelter` in `LockDaemon`). Where it gets none, it may end with the unit or
/// session of the process that started it.
struct DaemonLauncher {
    private let location: SocketLocation
    private let surroundings: Surroundings

    init(_ location: SocketLocation, in surroundings: Surroundings) {
        self.location = location
        self.surroundings = surroundings
    }

    /// Has the user's service manager listen; false where it does not know the daemon, or cannot.
    func startService(by deadline: Deadline) -> Bool {
        guard let service = UserService(in: surroundings) else { return false }
        return (try? service.start(by: deadline)) ?? false
    }

    /// Listens, and starts a daemon that serves the listener; false, and nothing is left, where the system's daemon has
    /// come meanwhile.
    ///
    /// The caller listens rather than the daemon, so that clients that come from now on wait for it in the queue.
    func start(under lock: consuming StartLock) throws(RendezvousError) -> StartLock? {
        if let limit = LowLimit.find() { throw .limitTooLow(location, limit) }
        let program = try DaemonProgram.find(in: surroundings)
        let listener = try lock.listen()
        // Not before the bind: a client that finds the system's folder then finds this socket, or this look the folder.
        if surroundings.hasSystemDirectory {
            shutdown(listener.rawValue, Int32(SHUT_RDWR))
            try lock.removeSocket()
            return nil
        }
        do throws(SystemError) {
            let nothing = try DirectoryDescriptor("/dev").open("null", flags: O_RDWR)
            let output = if let file = openOutput() { file } else { try nothing.duplicate() }
            try DetachedProcess(
                executable: program.path,
                arguments: [program.path, "--listen-fd", "3", "--exit-when-idle"],
                environment: surroundings.daemonEnvironment.map { "\($0.key)=\($0.value)" },
                descriptors: [nothing.rawValue, output.rawValue, output.rawValue, listener.rawValue]
            ).spawn()
        } catch {
            // The kernel says so where a user has as many processes as the limit permits.
            if error.code == EAGAIN { throw .limitTooLow(location, .ofProcesses()) }
            throw .system(error)
        }
        return lock
    }

    /// The file that takes what a daemon says: beside its socket, so that all who start it mean the same.
    var outputPath: String { outputFolder + "/" + Self.outputName }

    private var outputFolder: String { folder(of: location.path) ?? "/" }

    private static let outputName = "prwlockd.log"

    /// More than this, and a new daemon begins the file anew.
    private static let mostOutput: Int64 = 1 << 20

    /// Nil where it cannot be written; a daemon is worth more than its words.
    private func openOutput() -> OwnedDescriptor? {
        guard
            let folder = try? DirectoryDescriptor.creating(outputFolder),
            let output = try? folder.open(Self.outputName, flags: O_WRONLY | O_APPEND | O_CREAT)
        else { return nil }
        if lseek(output.rawValue, 0, SEEK_END) > Self.mostOutput { ftruncate(output.rawValue, 0) }
        return output
    }
}
