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
/// `Server` decides on the state. A connection only remembers what the event set waits for.
final class Connection {
    let session: SessionID
    let socket: ClientSocket
    let seat: Seat
    /// The way in which the daemon learns of the end of its process.
    let watch: ProcessWatches.Outcome
    /// The process that connected; nil for a process of a namespace that this one cannot see.
    let process: Int32?
    /// Whether it is a member of the event set.
    var isMember = true
    /// The conditions that the event set waits for.
    var awaited: Conditions = [.readable, .halfClosed]
    /// Whether the loop reads from it.
    var reads = true
    /// How it has ended; nil while the peer may send more.
    var end: Ends.End?
    /// Whether the socket was full at the last send and has not become writable since.
    var isFull = false
    /// Whether it has sent in this batch, and the server does not know yet.
    var hasSent = false
    /// The descriptors that the next bytes hand over.
    var descriptors: [Int32] = []
    /// The last batch that read from it.
    var lastRead: UInt64 = 0

    init(
        _ session: SessionID, _ socket: consuming ClientSocket, _ seat: Seat, process: Int32?,
        watch: ProcessWatches.Outcome
    ) {
        self.seat = seat
        self.process = process
        self.session = session
        self.socket = socket
        self.watch = watch
    }

    /// Whether it is read from, and the event set waits for nothing else.
    var awaitsOnlyLines: Bool { reads && end == nil && awaited == [.readable, .halfClosed] }

    enum ReadOutcome {
        case bytes(Int)
        /// The socket is empty.
        case nothing
        /// The peer sends nothing more.
        case end
    }

    /// Reads once.
    func read(into room: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        while true {
            let count = linux_recv(socket.rawValue, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
            if count > 0 { return .bytes(count) }
            if count == 0 { return .end }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .nothing
            default: return .end
            }
        }
    }

    /// How many bytes the socket has now.
    var readableBytes: Int {
        var count: Int32 = 0
        return linux_readable_bytes(socket.rawValue, &count) == 0 ? Int(count) : 0
    }

    /// Whether the kernel reports that a signal ended the process that connected.
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
        /// The peer has closed its end.
        case broken
    }

    /// Sends what the socket takes at once.
    func send(_ bytes: UnsafeRawBufferPointer) -> SendOutcome {
        if !descriptors.isEmpty { return sendWithDescriptors(bytes) }
        return Self.send(bytes, to: socket.descriptor)
    }

    private func sendWithDescriptors(_ bytes: UnsafeRawBufferPointer) -> SendOutcome {
        Self.outcome(of: bytes) {
            Int(
                linux_send_descriptors(
                    socket.rawValue, bytes.baseAddress, bytes.count, descriptors, Int32(descriptors.count)))
        } sent: {
            descriptors = []
        } refused: {
            // The kernel lets no more descriptors be in flight. Without them the client goes on by the socket.
            defer { descriptors = [] }
            return !descriptors.isEmpty
        }
    }

    /// Sends the refusal for a connection that gets no session.
    static func turnAway(_ socket: borrowing OwnedDescriptor) {
        // An empty socket takes a line. A client that is gone needs no answer.
        _ = Server.refusal.withUnsafeBytes { send($0, to: socket) }
    }

    /// Sends what a socket takes at once.
    static func send(_ bytes: UnsafeRawBufferPointer, to socket: borrowing OwnedDescriptor) -> SendOutcome {
        let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
        let number = socket.rawValue
        return outcome(of: bytes) {
            linux_send(number, bytes.baseAddress, bytes.count, flags)
        } sent: {
        } refused: {
            false
        }
    }

    @inline(__always)
    private static func outcome(
        of bytes: UnsafeRawBufferPointer, _ send: () -> Int, sent: () -> Void, refused: () -> Bool
    ) -> SendOutcome {
        while true {
            let count = send()
            if count > 0 { sent() }
            if count >= 0 { return count == bytes.count ? .all(count) : .part(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .part(0)
            case ETOOMANYREFS where refused(): continue
            default: return .broken
            }
        }
    }
}
