import CLinux
import Glibc
import LockServer
import LockVocabulary
import Posix

/// One session's socket.
///
///               end of input              all is sent
///  [ READ ] ──────────────────▶ [ ENDED ] ─────────────▶ (closed)
///    │  ▲
///    ▼  │  unread replies over, under the limit
///  [ PAUSED ]
///
/// The server says which of these it is in; here it is only remembered what the event set was told of it.
final class Connection {
    let session: SessionID
    let socket: OwnedDescriptor
    /// How the end of its process would be seen.
    let watch: ProcessWatches.Outcome
    /// Who connected; nil for a process that cannot be seen from here.
    let process: Int32?
    /// What the event set waits for.
    var awaited: Conditions = [.readable, .halfClosed]
    /// Whether it is read from.
    var reads = true
    /// Whether its end was carried out.
    var hasEnded = false
    /// Whether it took less than it was sent, and has not said since that it has room.
    var isFull = false
    /// The batch in which it was last read, and what came.
    var lastRead: (batch: UInt64, slice: Arena.Slice?) = (0, nil)

    init(
        _ session: SessionID, _ socket: consuming OwnedDescriptor, process: Int32?,
        watch: ProcessWatches.Outcome
    ) {
        self.process = process
        self.session = session
        self.socket = socket
        self.watch = watch
    }

    enum ReadOutcome {
        case bytes(Int)
        /// Nothing is there now.
        case nothing
        /// Nothing will come any more.
        case end
    }

    /// Reads once into the room given.
    func read(into room: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        while true {
            let count = recv(socket.rawValue, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .nothing
            default: return .end
            }
        }
    }

    /// How much stands in the socket now.
    var readableBytes: Int {
        var count: Int32 = 0
        return linux_readable_bytes(socket.rawValue, &count) == 0 ? Int(count) : 0
    }

    /// Whether the process that connected is known to have been killed by a signal.
    var wasProcessKilled: Bool {
        guard let process else { return false }
        if case .watched(let descriptor) = watch {
            return ProcessEnd.wasKilled(process, descriptor: descriptor)
        }
        return ProcessEnd.wasKilled(process, descriptor: nil)
    }

    enum SendOutcome {
        case all(Int)
        /// The socket is full.
        case part(Int)
        /// Nobody will read it.
        case broken
    }

    /// Sends what the socket takes at once.
    func send(_ bytes: UnsafeRawBufferPointer) -> SendOutcome { Self.send(bytes, to: socket) }

    /// Tells the client of a connection that there is no room for a session.
    static func turnAway(_ socket: borrowing OwnedDescriptor) {
        // The first bytes of a socket are always taken; a client that is gone needs no answer.
        _ = Server.refusal.withUnsafeBytes { send($0, to: socket) }
    }

    /// Sends what a socket takes at once.
    static func send(_ bytes: UnsafeRawBufferPointer, to socket: borrowing OwnedDescriptor) -> SendOutcome {
        let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        while true {
            let count = Glibc.send(socket.rawValue, bytes.baseAddress, bytes.count, flags)
            if count >= 0 { return count == bytes.count ? .all(count) : .part(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .part(0)
            default: return .broken
            }
        }
    }
}
