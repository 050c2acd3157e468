import PRWLock
import Rendezvous

/// Which processes share the locks that a command shows.
///
/// Without the system's service each user has a daemon, and one name means another lock for each user. A command that
/// shows locks says so: an operator who looks as root would else see no lock at all and believe it.
enum LockSpace: String {
    /// All users of the host share the system's daemon.
    case system
    /// The processes of one user share the user's own daemon.
    case user
    /// All that were told this socket share its daemon.
    case socket

    init(of connection: borrowing BlockingConnection) {
        switch connection.location()?.origin {
        case .system: self = .system
        case .userOwn: self = .user
        case .path, .environment, nil: self = .socket
        }
    }

    /// For a person who looks; nil where the space is the system's, or is the one that the caller named.
    var remark: String? {
        guard self == .user else { return nil }
        let user = ProcessDescription.userName(Surroundings.current().userID)
        return "these are the locks of user \(user) only; the locks of other users are not shown"
    }

    /// Says the remark behind what was shown, apart from it.
    func sayRemark(_ show: ShowOptions) {
        guard !show.json, let remark else { return }
        StandardError.say(remark)
    }
}
