/// What a connection takes of its user's share of connections.
///
/// The seat belongs to the connection and goes with it, so no end of a connection can forget to give it back.
final class Seat {
    private let user: UserConnections
    /// Whether the connection has a session and has sent nothing.
    private(set) var isSilent = false

    fileprivate init(_ user: UserConnections) {
        self.user = user
        user.count += 1
        user.all.count += 1
    }

    /// Counts the connection as a silent one; returns false if its user has as many of them as allowed.
    func fallSilent(atMost most: Int) -> Bool {
        guard user.silentCount < most else { return false }
        isSilent = true
        user.silentCount += 1
        return true
    }

    /// The connection has sent something.
    func speak() {
        guard isSilent else { return }
        isSilent = false
        user.silentCount -= 1
    }

    /// The connections of all other users.
    var countOfOthers: Int { user.countOfOthers }

    deinit {
        speak()
        user.count -= 1
        user.all.count -= 1
    }
}

/// How many connections all users have.
final class ConnectionCount {
    fileprivate(set) var count = 0
}

/// The connections of one user.
final class UserConnections {
    /// All of them.
    fileprivate(set) var count = 0
    /// Those with a session that have sent nothing.
    fileprivate(set) var silentCount = 0
    /// Those that wait for a session, in the order in which they came.
    var waiting: [Arrival] = []
    fileprivate let all: ConnectionCount

    init(of all: ConnectionCount) { self.all = all }

    /// The connections of all other users.
    var countOfOthers: Int { all.count - count }

    /// Takes a seat; nil if the user has as many connections as allowed.
    func takeSeat(atMost most: Int) -> Seat? { count < most ? Seat(self) : nil }
}
