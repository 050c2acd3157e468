import PRWLock
import Posix
import Rendezvous

/// The daemon that a command uses: at the socket that the caller names, or where the rules of all clients lead.
struct DaemonChoice: Equatable {
    /// The path of the socket; nil if the caller names none.
    var path: String?

    /// Connects to the daemon by the deadline. Starts the user's own daemon if none runs.
    func connect(by deadline: Deadline = .never) throws(Complaint) -> BlockingConnection {
        try connect(in: .current(), by: deadline)
    }

    /// Connects to the daemon by the deadline. Fails if none runs.
    func connectToRunning(by deadline: Deadline) throws(Complaint) -> BlockingConnection {
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        return try connect(in: surroundings, by: deadline)
    }

    private func connect(
        in surroundings: Surroundings, by deadline: Deadline
    ) throws(Complaint) -> BlockingConnection {
        do throws(RendezvousError) {
            return try BlockingConnection(
                path.map(SocketLocation.init(path:)), in: surroundings, by: deadline)
        } catch {
            throw Complaint(error)
        }
    }
}
