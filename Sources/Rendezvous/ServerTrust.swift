import Glibc
import Posix

/// The decision whether a client trusts the user that serves at a socket.
///
/// The kernel reports the effective user of the process that called `listen()`. A client trusts
/// 1. root, and its own user;
/// 2. the user that `PRWLOCK_SERVER_UID` names;
/// 3. a user for which root or the client's own user has put the socket there. That holds if no other user can put a file
///    in the socket's folder (`PathTrust`, where groups count as other users), and the socket's file belongs to root, to the
///    client's user or to that user. The folder of the system's daemon may belong to that user too, because only root makes
///    folders in `/run`.
///
/// The folder is checked before the connection is made, so that no other user can exchange it in between. A user's own place
/// is private to the user, and needs no check here.
struct ServerTrust {
    private let location: SocketLocation
    private let surroundings: Surroundings
    private let folder: Folder

    private enum Folder {
        /// Only root, the client's user and the folder's owner can put a file there.
        case exclusive(owner: UInt32)
        case open(reason: String)
    }

    init(in location: SocketLocation, _ surroundings: Surroundings) {
        self.location = location
        self.surroundings = surroundings
        guard !location.isUserOwn || UserNamespace.isAmbiguous(surroundings.userID) else {
            folder = .open(reason: "it is your own place")
            return
        }
        let named = SocketLocation(naming: location.path, in: surroundings)
        var trust = PathTrust([surroundings.userID])
        trust.groups = .none
        trust.acceptsUnknownRoot = false
        trust.acceptsAnyLastOwner = named.origin == .system
        do throws(PathFault) {
            folder = try Self.folder(of: location.path, trust)
        } catch {
            folder = .open(reason: "\(error)")
        }
    }

    private static func folder(of path: String, _ trust: PathTrust) throws(PathFault) -> Folder {
        let status = try trust.parentStatus(of: path)
        guard status.permissions & 0o022 == 0 else {
            return .open(reason: "the socket is in a folder that others may write to")
        }
        return .exclusive(owner: status.userID)
    }

    /// Checks the user at the other end of a connection, before anything is sent.
    ///
    /// - Throws: `untrustedServer` if the client does not trust that user.
    func check(_ connection: borrowing OwnedDescriptor) throws(RendezvousError) {
        let user: UInt32
        do throws(SystemError) { user = try PeerCredentials(of: connection).userID } catch {
            throw .system(error)
        }
        guard let reason = reason(against: user) else { return }
        throw .untrustedServer(location, user: user, reason: reason)
    }

    /// The reason not to trust the user; nil to trust it.
    private func reason(against user: UInt32) -> String? {
        if user == 0 || user == surroundings.userID && !UserNamespace.isAmbiguous(user) { return nil }
        if let trusted = surroundings.variable("PRWLOCK_SERVER_UID"), UInt32(trusted) == user { return nil }
        switch folder {
        case .open(let reason): return reason
        case .exclusive(let owner):
            let trusted = [0, surroundings.userID, user]
            guard trusted.contains(owner) else { return "the folder of the socket belongs to user \(owner)" }
            guard let socket = try? FileStatus(at: location.path), socket.isSocket else {
                return "the path does not name a socket"
            }
            return trusted.contains(socket.userID)
                ? nil : "the socket's file belongs to user \(socket.userID)"
        }
    }
}
