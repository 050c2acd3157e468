import Glibc
import Posix

/// The keeper of the daemon that listens at a path: the process that starts the one that serves.
///
/// The kernel names the process that serves (`SO_PEERCRED`), in the caller's namespace of process ids, and the keeper is its
/// parent. A signal must reach no other process, and any of these may end in the meantime:
///
/// 1. *The process that serves has ended, and another one has its id.* Its descriptor (`SO_PEERPIDFD`) shows that, after the
///    parent was read. Without such a descriptor (before Linux 6.5), the name of the parent has to be that of a keeper.
/// 2. *The keeper has ended, and another process has its id.* The keeper's descriptor is opened first. If then a process that
///    lives has the keeper as its parent, the descriptor is of the keeper, because a process whose parent has ended gets
///    another one. The signal goes through the descriptor.
/// 3. *The process that serves was replaced before it was a keeper's child in `/proc`.* Each failed attempt begins again with
///    a new connection, for a while.
struct KeeperProcess: ~Copyable {
    let process: Int32
    /// The program that the keeper starts; nil if this process may not see it.
    let program: String?
    private let watch: ProcessWatch

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
        return KeeperProcess(process: parent, program: program(of: parent), watch: watch)
    }

    var hasEnded: Bool { watch.hasEnded }

    /// The path of the file that was the program of a process at its start; the file may have been replaced.
    private static func program(of process: Int32) -> String? {
        ProcessFacts.executable(of: process).map { path in
            let deleted = " (deleted)"
            return path.hasSuffix(deleted) ? String(path.dropLast(deleted.count)) : path
        }
    }

    /// Checks that the program can be started, if this process can see that.
    func checkProgram() throws(Complaint) {
        guard let program else { return }
        // The keeper may be in another mount namespace, as a service is.
        let fault: String
        do throws(SystemError) {
            let status = try FileStatus(following: "/proc/\(process)/root\(program)")
            if status.isRegularFile, status.permissions & 0o111 != 0 { return }
            fault = "it is not an executable file"
        } catch {
            guard error.code == ENOENT || error.code == ENOTDIR else { return }
            fault = "no such file"
        }
        throw Complaint(
            "there is no program to upgrade to at \(program) (\(fault)): install it there; the lock daemon serves as before",
            code: Complaint.noInput)
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
