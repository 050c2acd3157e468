import PRWLock
import Posix
import Rendezvous

/// The daemon that a command uses: at the socket that the caller names, or where the rules of all clients lead.
struct DaemonChoice: Equatable {
    /// The path of the socket; nil if the caller names none.
    var path: String?

    /// Connects to the daemon by the deadline. Starts the user's own daemon if none runs.
    func connect(by deadline: Deadline = .never) throws(Complaint) -> BlockingConnection {
        do throws(RendezvousError) {
            return try connect(in: .current(), by: deadline)
        } catch {
            throw Complaint(error)
        }
    }

    /// Connects to the daemon by the deadline. Fails if none runs.
    func connectToRunning(by deadline: Deadline) throws(Complaint) -> BlockingConnection {
        var surroundings = Surroundings.current()
        surroundings.environment["PRWLOCK_AUTOSTART"] = "0"
        do throws(RendezvousError) {
            return try connect(in: surroundings, by: deadline)
        } catch {
            if case .startForbidden(let location) = error {
                throw Complaint("no lock daemon listens at \(location.path)", code: Complaint.unavailable)
            }
            throw Complaint(error)
        }
    }

    private func connect(
        in surroundings: Surroundings, by deadline: Deadline
    ) throws(RendezvousError) -> BlockingConnection {
        try BlockingConnection(path.map(SocketLocation.init(path:)), in: surroundings, by: deadline)
    }
}
