import Glibc
import Posix

/// The keeper of the daemon that listens at a path: the process that starts the one that serves.
///
/// The kernel names the process that serves (`SO_PEERCRED`), in the caller's namespace of process ids, and the keeper is its
/// parent. A signal must reach no other process, and any of these may end in the meantime:
///
/// 1. *The process that serves has ended, and another one has its id.* Its descriptor (`SO_PEERPIDFD`) shows that, after the
///    parent was read. Without such a descriptor (before Linux 6.5), the name of the parent has to be that of a keeper.
/// 2. *The keeper has ended, and another process has its id.* A process gets another parent when its parent ends. So the
///    descriptor of the parent is opened first, and then the parent is read again: if it is still the same, the keeper lived
///    when the descriptor was opened. The signal goes through the descriptor.
/// 3. *The process that serves was replaced before it was a keeper's child in `/proc`.* Each failed attempt begins again with
///    a new connection, for a while.
struct KeeperProcess: ~Copyable {
    let process: Int32
    private let watch: ProcessWatch
    /// What the keeper's program was given when it was executed; nil if this process may not see it.
    private let image: [UInt8]?

    private static let patience = Duration.seconds(5)
    private static let pause: UInt32 = 5_000
    private static let name = "prwlock-keeper"

    /// Finds the keeper, or throws the reason why it cannot be found.
    static func find(listeningAt path: String) throws(Complaint) -> KeeperProcess {
        let end = Deadline(after: patience)
        while true {
            let server: Int32
            do throws(SystemError) {
                let connection = try UnixSocket.connect(to: path, by: end)
                server = try PeerCredentials(of: connection).processID
                guard server != 0 else { throw SystemError(code: ESRCH, call: "SO_PEERCRED") }
                if let keeper = keeper(of: server, at: connection) { return keeper }
            } catch {
                throw Complaint(
                    "the process that serves at \(path) cannot be seen from here (\(error)): run this in the same container",
                    code: Complaint.unavailable)
            }
            guard !end.isOver else {
                throw Complaint(
                    "process \(server) serves, and /proc does not show a keeper above it: run this as root",
                    code: Complaint.notPermitted)
            }
            usleep(pause)
        }
    }

    /// The keeper above a process that serves; nil if that process may have ended by now.
    private static func keeper(of server: Int32, at connection: borrowing OwnedDescriptor) -> KeeperProcess? {
        let serving = try? ProcessWatch(peerOf: connection)
        guard let parent = Ancestors.parent(of: server), parent > 0 else { return nil }
        guard let watch = try? ProcessWatch(process: parent) else { return nil }
        guard ProcessDescription.name(of: parent) == name, Ancestors.parent(of: server) == parent else {
            return nil
        }
        if let serving, serving.hasEnded { return nil }
        return KeeperProcess(process: parent, watch: watch, image: image(of: parent))
    }

    var hasEnded: Bool { watch.hasEnded }

    var isStopped: Bool { ProcessFacts.isStopped(process) }

    // MARK: - What the keeper does

    /// Whether the keeper has executed another program since it was found; nil if this process may not see that.
    var isAnotherProgram: Bool? {
        guard let image, let now = Self.image(of: process) else { return nil }
        return now != image
    }

    /// The auxiliary vector and the environment that the kernel gave a process with its program.
    ///
    /// Nothing but `execve` changes them: not the death of a worker, nor a trial, which is a child. They differ between two
    /// programs of a keeper also if the file is the same one: the vector has addresses that the kernel chooses at random,
    /// and each keeper gets a higher number of restarts from the one before it (`PRWLOCK_BEFORE`). The file's name or inode
    /// would not show an upgrade to the same file. The kernel shows both to root and to the process's own user
    /// (`PTRACE_MODE_READ`), but not if the process has capabilities that this one lacks, or if its file is not readable.
    private static func image(of process: Int32) -> [UInt8]? {
        guard let vector = try? FileContents.read("/proc/\(process)/auxv"), !vector.isEmpty,
            let environment = try? FileContents.read("/proc/\(process)/environ", limit: 8 << 20)
        else { return nil }
        return vector + environment
    }

    /// How many children the keeper has: a worker, and during a trial that one too; nil if `/proc` does not show it.
    var childCount: Int? {
        guard let list = try? FileContents.read("/proc/\(process)/task/\(process)/children") else {
            return nil
        }
        return list.split(separator: UInt8(ascii: " ")).count
    }

    /// Whether the keeper waits for events: it is between two decisions.
    var isAtRest: Bool {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096),
            let nameEnd = line.lastIndex(of: UInt8(ascii: ")"))
        else { return false }
        return line[(nameEnd + 1)...].starts(with: " S ".utf8)
    }

    // MARK: - The program

    /// The path of the file that was the program of a process at its start; the file may have been replaced.
    private static func program(of process: Int32) -> String? {
        ProcessFacts.executable(of: process).map { path in
            let deleted = " (deleted)"
            return path.hasSuffix(deleted) ? String(path.dropLast(deleted.count)) : path
        }
    }

    /// Where the keeper's program was last, if no program is there any more; nil if one is, or if this cannot be seen.
    ///
    /// This explains a refusal, and can foretell none: the link in `/proc` follows a file that was renamed, and the keeper
    /// executes the path that it has remembered.
    var missingProgram: String? {
        guard let program = Self.program(of: process) else { return nil }
        do throws(SystemError) {
            // The keeper may be in another mount namespace, as a service is.
            let status = try FileStatus(following: "/proc/\(process)/root\(program)")
            return status.isRegularFile && status.permissions & 0o111 != 0 ? nil : program
        } catch {
            return error.code == ENOENT || error.code == ENOTDIR ? program : nil
        }
    }

    /// Has the keeper start the program that is now on disk.
    func upgrade() throws(Complaint) {
        do throws(SystemError) {
            try watch.send(SIGUSR2)
        } catch {
            switch error.code {
            case EPERM, EACCES:
                let user = (try? FileStatus(at: "/proc/\(process)")).map {
                    ProcessDescription.userName($0.userID)
                }
                throw Complaint(
                    "you may not signal the keeper, process \(process)\(user.map { " of user \($0)" } ?? ""): run this as "
                        + "that user or as root", code: Complaint.notPermitted)
            case ESRCH:
                throw Complaint("the lock daemon has just ended", code: Complaint.unavailable)
            default: throw Complaint(error)
            }
        }
    }
}
