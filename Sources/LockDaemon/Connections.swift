import LockServer
import LockVocabulary
import Posix

/// The connections of all sessions, with the watches and the facts of the processes that connected, and the connections
/// that wait for a session.
struct Connections: ~Copyable {
    /// By the slots of their sessions.
    private var slots: [Connection?] = []
    private(set) var count = 0
    private var arrivals = Arrivals()
    private var watches: ProcessWatches
    /// The facts that the daemon reads of each peer: those of the policy, and those that the journal reports.
    private var facts: Policy.Facts
    private let reportedFacts: Policy.Facts

    init(
        watching support: ProcessWatch.Support, facts: Policy.Facts, reporting reportedFacts: Policy.Facts
    ) {
        watches = ProcessWatches(support)
        self.facts = facts.union(reportedFacts)
        self.reportedFacts = reportedFacts
    }

    /// Nil if the session's connection was closed.
    subscript(_ session: SessionID) -> Connection? {
        let slot = Int(session.slot)
        guard slot < slots.count, let connection = slots[slot], connection.session == session
        else { return nil }
        return connection
    }

    /// The sessions of a process watch.
    func sessions(of watch: Int32) -> Set<SessionID> { watches.sessions(of: watch) }

    /// How many connections wait for a session.
    var waitingCount: Int { arrivals.count }

    /// Takes an accepted connection, which waits for a session.
    mutating func welcome(
        _ socket: consuming ClientSocket, to server: inout Server, at now: Instant
    ) throws(SystemError) -> Arrivals.Welcome {
        let credentials = try PeerCredentials(of: socket.descriptor)
        let peer = Peer(
            processID: credentials.processID == 0 ? nil : credentials.processID, userID: credentials.userID,
            groupID: credentials.groupID)
        let most = server.connectionLimits(
            of: peer.userID, besides: arrivals.countOfOthers(than: peer.userID)
        ).all
        let welcome = arrivals.welcome(socket, peer, atMost: most)
        if welcome == .refused { server.noteRefusal(of: peer, at: now) }
        return welcome
    }

    /// The connections that get a session now.
    mutating func takeArrivals(all: Bool) -> [Arrival] { all ? arrivals.takeAll() : arrivals.takeTurn() }

    /// Begins a session on a connection that waited for it; nil if the client has ended it, or the server has no room for it.
    ///
    /// - Throws: that the system has no room for it.
    ///   In all these cases the connection is closed, and the client has got the refusal.
    mutating func admit(
        _ arrival: Arrival, to server: inout Server, in events: borrowing EventSet, at now: Instant
    ) throws(SystemError) -> Connection? {
        let socket = arrival.takeSocket()
        var peer = arrival.peer
        switch FirstInput(of: socket.descriptor) {
        case .bytes: break
        case .end: return nil
        case .nothing:
            let others = arrival.seat.countOfOthers
            let most = server.connectionLimits(of: peer.userID, besides: others).silent
            guard arrival.seat.fallSilent(atMost: most) else {
                server.noteRefusal(of: peer, at: now)
                Connection.turnAway(socket.descriptor)
                return nil
            }
        }
        // This is certain only if the process is alive when its watch begins, below. If not, the session ends in its
        // first batch.
        peer.identity = Peer.Identity(of: socket.descriptor, process: peer.processID, facts)
        guard let session = server.open(peer, at: now) else {
            Connection.turnAway(socket.descriptor)
            return nil
        }
        let watch: ProcessWatches.Outcome
        do throws(SystemError) {
            watch = try watches.begin(session, socket.descriptor, process: peer.processID, in: events)
        } catch {
            server.close(session, at: now)
            Connection.turnAway(socket.descriptor)
            throw error
        }
        let connection = Connection(session, socket, arrival.seat, process: peer.processID, watch: watch)
        insert(connection)
        do throws(SystemError) {
            try events.add(connection.socket.rawValue, .session(session), connection.awaited)
        } catch {
            Connection.turnAway(connection.socket.descriptor)
            close(connection, in: &server, at: now)
            throw error
        }
        return connection
    }

    mutating func close(_ connection: Connection, in server: inout Server, at now: Instant) {
        server.close(connection.session, at: now)
        if case .watched(let watch) = connection.watch { watches.end(connection.session, of: watch) }
        slots[Int(connection.session.slot)] = nil
        count -= 1
    }

    /// Goes on with the connection of a session that a former worker had. It never fails for want of room: then the session
    /// ends with its socket.
    mutating func restore(
        _ session: SessionID, _ peer: Peer, _ socket: consuming ClientSocket, in events: borrowing EventSet
    ) throws(SystemError) -> Connection {
        var watch = ProcessWatches.Outcome.unseen
        do throws(SystemError) {
            watch = try watches.begin(session, socket.descriptor, process: peer.processID, in: events)
        } catch {}
        let seat = arrivals.takeSeat(for: peer.userID)
        let connection = Connection(session, socket, seat, process: peer.processID, watch: watch)
        insert(connection)
        try events.add(connection.socket.rawValue, .session(session), connection.awaited)
        return connection
    }

    private mutating func insert(_ connection: Connection) {
        let slot = Int(connection.session.slot)
        while slots.count <= slot { slots.append(nil) }
        precondition(slots[slot] == nil, "the session's slot is taken")
        slots[slot] = connection
        count += 1
    }

    // MARK: - What a policy goes by

    /// Sets another policy in the server, with the facts of each peer that this policy needs.
    mutating func setPolicy(_ policy: Policy, of server: inout Server) {
        facts = policy.facts.union(reportedFacts)
        server.setPolicy(policy) { identity(of: $0) }
    }

    /// The facts about a session's peer that are certain now.
    private func identity(of session: SessionID) -> Peer.Identity? {
        guard let connection = self[session] else { return nil }
        var identity = Peer.Identity(of: connection.socket.descriptor, process: connection.process, facts)
        if case .watched(let watch) = connection.watch, !ProcessWatch.hasEnded(watch) { return identity }
        // The facts of its process are not certain; those of the socket are.
        identity.unit = nil
        identity.executable = nil
        return identity
    }
}
