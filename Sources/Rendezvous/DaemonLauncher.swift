import Glibc
import Posix

/// Starts the user's own daemon: as a service if the user's service manager has the unit, otherwise as a process.
///
/// A daemon started as a process requests a scope of its own (`Shelter` in `LockDaemon`). Without that scope it may end
/// with the unit or session of the process that started it.
struct DaemonLauncher {
    private let location: SocketLocation
    private let surroundings: Surroundings

    init(_ location: SocketLocation, in surroundings: Surroundings) {
        self.location = location
        self.surroundings = surroundings
    }

    /// Starts the socket unit; false if the user's service manager has no such unit, or cannot start it.
    func startService(by deadline: Deadline) -> Bool {
        guard let service = UserService(in: surroundings) else { return false }
        return (try? service.start(by: deadline)) ?? false
    }

    /// Listens, and starts a daemon that serves the listener. If the system's daemon has appeared meanwhile, it removes
    /// the socket and returns nil.
    ///
    /// The caller listens, not the daemon, so that clients that connect from now on wait in the backlog.
    func start(under lock: consuming StartLock) throws(RendezvousError) -> StartLock? {
        if let limit = LowLimit.find() { throw .limitTooLow(location, limit) }
        let program = try DaemonProgram.find(in: surroundings)
        let listener = try lock.listen()
        // Check after the bind: if a client has seen the system's folder and missed this socket, then this check sees
        // the folder.
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
            // `EAGAIN` means that the user has reached the limit of processes.
            if error.code == EAGAIN { throw .limitTooLow(location, .ofProcesses()) }
            throw .system(error)
        }
        return lock
    }

    /// The file for the daemon's output. It is beside the socket, so all clients that start a daemon use the same file.
    var outputPath: String { outputFolder + "/" + Self.outputName }

    private var outputFolder: String { folder(of: location.path) ?? "/" }

    private static let outputName = "prwlockd.log"

    /// If the file is larger than this, the next start truncates it.
    private static let mostOutput: Int64 = 1 << 20

    /// Returns nil if the file cannot be written: a daemon without an output file is better than no daemon.
    private func openOutput() -> OwnedDescriptor? {
        guard
            let folder = try? DirectoryDescriptor.creating(outputFolder),
            let output = try? folder.open(Self.outputName, flags: O_WRONLY | O_APPEND | O_CREAT)
        else { return nil }
        if lseek(output.rawValue, 0, SEEK_END) > Self.mostOutput { ftruncate(output.rawValue, 0) }
        return output
    }
}
