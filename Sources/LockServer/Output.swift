public import LockVocabulary

/// What the shell does for each session with output, in one call each.
extension Server {
    /// Whether `nextReadySession` would return one.
    public var hasReadySessions: Bool { conversations.hasReady }

    /// Calls the body with all sessions that `nextReadySession` would return.
    public mutating func takeReadySessions(_ body: (SessionID) -> Void) {
        while let session = conversations.nextReady() { body(session) }
    }

    /// Shows the output of a session. Not generic, so that other modules need not see how it is kept.
    @usableFromInline
    func showOutput(of session: SessionID, to body: (UnsafeRawBufferPointer) -> Void) {
        guard let client = conversations.index(of: session) else {
            return body(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        body(conversations[client].output.bytes)
    }

    /// Drops output that was sent. Goes on with rows and lines that had no room.
    public mutating func wrote(_ count: Int, to session: SessionID, at now: Instant) {
        guard let client = conversations.index(of: session) else { return }
        let isUpToDate = conversations[client].isUpToDate
        conversations[client].dropSent(count, within: limits.unread)
        if !isUpToDate { goOn(client, now) }
    }

    /// Drops output of which the socket took all, if that is all that is to be done for the session: it is to be read from as
    /// before, and nothing waited for the room. Returns false if not: call `wrote` instead.
    public mutating func wroteLast(_ count: Int, to session: SessionID) -> Bool {
        guard let client = conversations.index(of: session) else { return false }
        return conversations.dropLast(count, of: client)
    }
}
