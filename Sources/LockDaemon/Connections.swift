import LockServer
import LockVocabulary
import Posix

/// The connections of all sessions, and what is known of the processes behind them.
struct Connections: ~Copyable {
    /// By the place of their session.
    private var places: [Connection?] = []
    private(set) var count = 0
    private var watches: ProcessWatches
    /// What is asked of the kernel for each peer: what the policy goes by, and what the journal reports.
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
        let place = Int(session.slot)
        guard place < places.count, let connection = places[place], connection.session == session
        else { return nil }
        return connection
    }

    /// The sessions of a process watch.
    func sessions(of watch: Int32) -> Set<SessionID> { watches.sessions(of: watch) }

    /// Begins a session on a connection that was just accepted; nil if the server has no room for it.
    ///
    /// An error says that the system has no room for it. In both cases the client was told so, and the connection is closed.
    mutating func admit(
        _ socket: consuming OwnedDescriptor, to server: inout Server, in events: borrowing EventSet,
        at now: Instant
    ) throws(SystemError) -> Connection? {
        let credentials = try PeerCredentials(of: socket)
        var peer = Peer(
            processID: credentials.processID == 0 ? nil : credentials.processID, userID: credentials.userID,
            groupID: credentials.groupID)
        // True if the process is alive when its watch begins, below; if not, the session ends with its first batch.
        peer.identity = Peer.Identity(of: socket, process: peer.processID, facts)
        guard let session = server.open(peer, at: now) else {
            Connection.turnAway(socket)
            return nil
        }
        let watch: ProcessWatches.Outcome
        do throws(SystemError) {
            watch = try watches.begin(session, socket, process: peer.processID, in: events)
        } catch {
            server.close(session, at: now)
            Connection.turnAway(socket)
            throw error
        }
        let connection = Connection(session, socket, process: peer.processID, watch: watch)
        insert(connection)
        do throws(SystemError) {
            try events.add(connection.socket.rawValue, .session(session), connection.awaited)
        } catch {
            Connection.turnAway(connection.socket)
            close(connection, in: &server, at: now)
            throw error
        }
        return connection
    }

    mutating func close(_ connection: Connection, in server: inout Server, at now: Instant) {
        server.close(connection.session, at: now)
        if case .watched(let watch) = connection.watch { watches.end(connection.session, of: watch) }
        places[Int(connection.session.slot)] = nil
        count -= 1
    }

    private mutating func insert(_ connection: Connection) {
        let place = Int(connection.session.slot)
        while places.count <= place { places.append(nil) }
        precondition(places[place] == nil, "the session's place is taken")
        places[place] = connection
        count += 1
    }

    // MARK: - What a policy goes by

    /// Has the server go by another policy, with what it goes by of each peer.
    mutating func setPolicy(_ policy: Policy, of server: inout Server) {
        facts = policy.facts.union(reportedFacts)
        server.setPolicy(policy) { identity(of: $0) }
    }

    /// What is certain now about the peer of a session.
    private func identity(of session: SessionID) -> Peer.Identity? {
        guard let connection = self[session] else { return nil }
        var identity = Peer.Identity(of: connection.socket, process: connection.process, facts)
        if case .watched(let watch) = connection.watch, !ProcessWatch.hasEnded(watch) { return identity }
        // What was read of its process is not certain; what the socket tells is.
        identity.unit = nil
        identity.executable = nil
        return identity
    }
}
