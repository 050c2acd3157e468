import LockServer
import LockVocabulary
import Posix

/// The sessions that have ended. The server does not have all their lines yet.
///
/// A session may send a megabyte of lines and end. The server carries these lines out before the end (G6), in turns, as it
/// does with all lines. Until then, other sessions' lines about the locks of this session wait.
///
/// A peer that only sends nothing more (`halfClosed`) is alive and may read, so there is no hurry: the loop reads its lines
/// as before, and finds their end.
struct Ends {
    enum Cause: Int {
        /// The peer sends nothing more, and may still read.
        case halfClosed
        /// The peer has closed its end.
        case closed
        /// The process has ended, and another process may have its socket.
        case processDied
    }

    /// How one session has ended.
    struct End {
        var cause: Cause
        /// The bytes that were in the socket when its process was found dead. What comes later is another process's.
        var bytesLeft = Int.max
        /// Whether the server has all its lines.
        var isComplete = false
    }

    /// Ended sessions that the server still takes for open.
    fileprivate var new: [SessionID] = []
    /// Ended sessions with lines in their sockets.
    fileprivate var unread: [SessionID] = []

    var isEmpty: Bool { new.isEmpty && unread.isEmpty }
}

extension Reactor {
    /// How many ended sessions the loop completes in one batch.
    private static var endsInBatch: Int { 64 }
    /// How many portions of last lines the loop reads from one of them in one batch.
    private static var portionsInBatch: Int { 4 }

    /// Notes the end of a session, unless it is known.
    mutating func note(_ cause: Ends.Cause, of session: SessionID) {
        guard let connection = connections[session] else { return }
        if let end = connection.end, end.cause == .halfClosed ? cause == .halfClosed : true { return }
        let isComplete = connection.end?.isComplete ?? false
        let bytesLeft = cause == .processDied ? connection.readableBytes : .max
        connection.end = Ends.End(cause: cause, bytesLeft: bytesLeft, isComplete: isComplete)
        ends.new.append(session)
    }

    /// Notes that the loop has read to the end of a session's lines.
    mutating func noteEndOfInput(of connection: Connection) {
        if connection.end?.cause == .halfClosed {
            ends.unread.append(connection.session)
        } else {
            note(.halfClosed, of: connection.session)
        }
    }

    /// Tells the server of all sessions that have ended, before the last lines of any of them: otherwise one could get a lock
    /// that another's last line releases.
    mutating func beginEnds() {
        for session in lost { server.beginEnd(session, at: now) }
        for session in ends.new where connections[session]?.end?.cause != .halfClosed {
            server.beginEnd(session, at: now)
        }
    }

    /// Gives the server the last lines of sessions that have ended, and then their ends. Call `beginEnds` before it.
    mutating func carryOutEnds() {
        guard !ends.isEmpty else { return }
        for index in 0..<arena.slices.count where connections[arena.slices[index].session]?.end != nil {
            receive(arena.slices[index])
            arena.noteReceived(index)
        }
        ends.unread += ends.new
        let some = Array(ends.unread.prefix(Self.endsInBatch))
        ends.unread.removeFirst(some.count)
        for session in ends.unread.suffix(ends.new.count) { awaitNothing(from: session) }
        ends.new.removeAll(keepingCapacity: true)
        for session in some {
            if let connection = connections[session], !complete(connection) {
                ends.unread.append(session)
                awaitNothing(from: session)
            }
        }
    }

    /// Reads the last lines of a session as far as it has its turn. Returns whether nothing is left to do here.
    private mutating func complete(_ connection: Connection) -> Bool {
        guard var end = connection.end else { return true }
        let session = connection.session
        var portions = 0
        while !end.isComplete, portions < Self.portionsInBatch {
            guard case .open(reads: true, _) = server.interest(in: session) else { break }
            let room = min(Arena.portion, end.bytesLeft)
            switch room > 0 ? readOnce(connection, atMost: room) : .end {
            case .bytes(let bytes):
                server.receive(bytes, from: session, at: now)
                end.bytesLeft -= bytes.count
                portions += 1
            case .nothing, .end: end.isComplete = true
            case .noRoom: portions = Self.portionsInBatch
            }
        }
        // A session that the server has cut off has no more lines.
        if server.interest(in: session) == .close { end.isComplete = true }
        connection.end = end
        visits.append(session)
        guard end.isComplete else { return end.cause == .halfClosed }
        let wasKilled = { connection.wasProcessKilled }
        if end.cause == .halfClosed {
            server.endOfInput(session, wasKilled: wasKilled, at: now)
        } else {
            server.died(session, wasKilled: wasKilled, at: now)
        }
        return true
    }
}
