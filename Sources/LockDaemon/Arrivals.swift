import Glibc
import LockServer
import Posix

/// An accepted connection that waits for a session.
final class Arrival {
    let peer: Peer
    let seat: Seat
    private var socket: ClientSocket?

    init(_ socket: consuming ClientSocket, _ peer: Peer, _ seat: Seat) {
        self.socket = consume socket
        self.peer = peer
        self.seat = seat
    }

    /// Takes the socket, once.
    func takeSocket() -> ClientSocket {
        guard let socket = socket.take() else { preconditionFailure("the socket was taken before") }
        return socket
    }
}

/// The accepted connections that have no session yet: first come, first served for each user, and users in turns.
///
///                        the user has as many as allowed
///  ( backlog ) ────┬───────────────────────────────────────────▶ refused
///                  ▼
///             [ WAITING ] ──── the user's turn ──┬── bytes ──▶ a session
///                                                ├── nothing yet ──▶ a silent session, or refused if there are too many
///                                                └── end of input ──▶ closed
///
/// All users share the backlog, which the kernel serves in the order of arrival. So the daemon empties it fast: it accepts
/// a connection and reads its credentials, which takes a few microseconds. What is expensive (the watch on the process, the
/// facts for the policy, the session) waits here for the user's turn. So a user who connects without pause delays only that
/// user's own connections: the first of another user is at most one turn of each user away.
///
/// A connection that waits here holds no lock, as one in the backlog. The watch on its process begins with the session. If
/// the process has died before, the session ends in its first batch, after its lines (G6).
///
/// Invariant: a user is in `turns` exactly if connections of this user wait, and once.
struct Arrivals: ~Copyable {
    /// The connections of one user that get a session in a batch, and those of all users.
    private static let turn = 2
    private static let most = 8
    /// The connections of a limited user beyond which the user is a crowd.
    private static let crowd = 512

    enum Welcome {
        case waits
        /// It waits, behind so many of its user that connections should be accepted at a pace.
        case crowds
        /// Its user has as many as allowed: it has got the refusal, and is closed.
        case refused
    }

    private var users: [UInt32: UserConnections] = [:]
    private let all = ConnectionCount()
    private var turns: [UserConnections] = []
    /// How many connections wait.
    private(set) var count = 0

    /// Closes the connections that wait. Each refers to its user through its seat, so none would end by itself.
    deinit { for user in users.values { user.waiting = [] } }

    /// Takes a connection of a user who may have this many.
    mutating func welcome(_ socket: consuming ClientSocket, _ peer: Peer, atMost most: Int) -> Welcome {
        let user = connections(of: peer.userID)
        guard let seat = user.takeSeat(atMost: most) else {
            Connection.turnAway(socket.descriptor)
            return .refused
        }
        if user.waiting.isEmpty { turns.append(user) }
        user.waiting.append(Arrival(socket, peer, seat))
        count += 1
        return most < .max && user.waiting.count > Self.crowd ? .crowds : .waits
    }

    /// A seat for a connection that a former worker has accepted, whatever the limits are now.
    mutating func takeSeat(for userID: UInt32) -> Seat {
        guard let seat = connections(of: userID).takeSeat(atMost: .max) else {
            preconditionFailure("a seat without a limit")
        }
        return seat
    }

    /// How many connections all users but this one have, those with a session included.
    func countOfOthers(than userID: UInt32) -> Int { users[userID]?.countOfOthers ?? all.count }

    private mutating func connections(of userID: UInt32) -> UserConnections {
        if let user = users[userID] { return user }
        users = users.filter { $0.value.count > 0 }
        let user = UserConnections(of: all)
        users[userID] = user
        return user
    }

    /// Takes the connections that get a session now: a few of each user in turn.
    mutating func takeTurn() -> [Arrival] { take(atMost: Self.most) }

    /// Takes all connections.
    mutating func takeAll() -> [Arrival] {
        var all: [Arrival] = []
        while count > 0 { all += take(atMost: .max) }
        return all
    }

    private mutating func take(atMost most: Int) -> [Arrival] {
        var taken: [Arrival] = []
        var served = 0
        for user in turns where taken.count < most {
            served += 1
            let number = min(Self.turn, user.waiting.count)
            taken += user.waiting.prefix(number)
            user.waiting.removeFirst(number)
            if !user.waiting.isEmpty { turns.append(user) }
        }
        turns.removeFirst(served)
        count -= taken.count
        return taken
    }
}

/// What a socket has for its first reader.
enum FirstInput {
    case bytes
    case nothing
    /// The peer sends nothing, ever.
    case end

    init(of socket: borrowing OwnedDescriptor) {
        var byte: UInt8 = 0
        switch recv(socket.rawValue, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) {
        case 1: self = .bytes
        case 0: self = .end
        default: self = .nothing
        }
    }
}
