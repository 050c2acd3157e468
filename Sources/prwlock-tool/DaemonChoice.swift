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
            return try BlockingConnection(path.map(SocketLocation.init(path:)), by: deadline)
        } catch {
            throw Complaint(error)
        }
    }
}
