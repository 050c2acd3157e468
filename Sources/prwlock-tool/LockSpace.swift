import PRWLock
import Rendezvous

/// The set of processes that share the locks that a command shows.
///
/// Without the system's service, each user has a daemon, and one name means a different lock for each user. A command
/// that shows locks reports this; otherwise an operator who runs it as root would see no locks, and believe that there
/// are none.
enum LockSpace: String {
    /// All users of the host share the system's daemon.
    case system
    /// The processes of one user share that user's daemon.
    case user
    /// All processes that use this socket share its daemon.
    case socket

    init(of connection: borrowing BlockingConnection) {
        switch connection.location()?.origin {
        case .system: self = .system
        case .userOwn: self = .user
        case .path, .environment, nil: self = .socket
        }
    }

    /// A warning for a person; nil if the space is the system's, or the caller chose the socket.
    var remark: String? {
        guard self == .user else { return nil }
        let user = ProcessDescription.userName(Surroundings.current().userID)
        return "these are the locks of user \(user) only; the locks of other users are not shown"
    }

    /// Prints the remark to standard error.
    func printRemark(_ show: ShowOptions) {
        guard !show.json, let remark else { return }
        StandardError.report(remark)
    }
}
