public import LockVocabulary

/// Carrying out one line at a time, for a shell that must know which line it is that ends its process.
///
/// The shell gives what was read to `hold`, and then calls `takeStep` for each session of `unfinishedSessions` until none has a
/// next step. It carries out no other work of these sessions meanwhile: no `resumeWork`.
extension Server {
    /// What a session does next.
    public enum Step: Sendable, Equatable {
        /// It has a line carried out, or gets a page of rows.
        case line
        /// It ends, as its lines are carried out.
        case end
    }

    /// Keeps bytes of a session, to be carried out later as if they had come then.
    public mutating func hold(_ bytes: UnsafeRawBufferPointer, from session: SessionID) {
        guard let client = conversations.openIndex(of: session) else { return }
        conversations.count(received: bytes.count, from: client)
        conversations[client].park(bytes)
        // Until the session has its turn, nothing else goes on with its lines.
        accounts.queue(session, of: conversations[client].account)
        finish(client)
    }

    /// The sessions that have lines, rows or an end left, in the order of their places.
    public var unfinishedSessions: [SessionID] {
        conversations.indices.filter { conversations[$0].hasRest }.map { conversations[$0].session }
    }

    /// The next step of a session; nil if it has nothing left, or must wait until the client reads.
    public func nextStep(of session: SessionID) -> Step? {
        guard let client = conversations.index(of: session) else { return nil }
        if conversations[client].isWritingRows {
            return conversations[client].unread < Self.bytesOfRows ? .line : nil
        }
        guard conversations[client].phase == .open, !conversations.isBlocked(client) else { return nil }
        if conversations[client].hasParked { return .line }
        return conversations[client].ending == nil || awaitsHosts(client) ? nil : .end
    }

    /// Takes the next step of a session; false if its line cannot be decided yet, and stays the next one.
    public mutating func takeStep(of session: SessionID, at now: Instant) -> Bool {
        guard let step = nextStep(of: session), let client = conversations.index(of: session) else {
            return false
        }
        let linesBefore = statistics.lines
        defer { finish(client) }
        switch step {
        case .line where conversations[client].isWritingRows: writeRows(client, at: now)
        case .line:
            let parked = conversations[client].takeParked()
            parked.withUnsafeBytes { carryOutLines($0, client, atMost: 1, now) }
            return statistics.lines > linesBefore || !conversations[client].hasParked
        case .end: endIfDone(client, now)
        }
        return true
    }

    /// Cuts off a session because of a line that ends the process whenever it is carried out. Drops that line.
    ///
    /// - Parameter program: the program of the session's process, for the log; nil if that is not certain.
    public mutating func cutOff(forFatalLine session: SessionID, of program: String?, at now: Instant) {
        guard let client = conversations.index(of: session), conversations[client].phase != .cutOff else {
            return
        }
        var event = ServerEvent(.fatalLine, session: session, peer: conversations[client].peer)
        if let program { event.peer?.identity.executable = program }
        log.note(event, at: now)
        end(client, as: .cutOff, isLater: true, now)
        finish(client)
    }
}
