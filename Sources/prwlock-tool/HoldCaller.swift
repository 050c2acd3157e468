import Glibc
import LockWire
import PRWLock
import Posix

/// A later `prwlock hold`, as the background process that holds the lock already sees it.
///
/// It sends the request that it would send to the daemon, and gets a reply as the daemon's.
final class HoldCaller {
    private let socket: OwnedDescriptor
    private var reader = LineReader(limit: 4096)

    /// Accepts the next caller; nil if there is none, or if it belongs to another user.
    init?(from listener: borrowing OwnedDescriptor) {
        guard let accepted = try? UnixSocket.accept(from: listener),
            (try? PeerCredentials(of: accepted))?.userID == geteuid()
        else { return nil }
        socket = accepted
    }

    /// The socket's descriptor, for `poll`.
    var rawValue: Int32 { socket.rawValue }

    /// The requests that have arrived; nil if the caller has hung up, or sends lines of another kind.
    func requests() -> [Acquire]? {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = recv(socket.rawValue, &chunk, chunk.count, Int32(MSG_DONTWAIT))
        guard count > 0 else { return count < 0 && errno == EAGAIN ? [] : nil }
        var requests: [Acquire]? = []
        chunk.prefix(count).withUnsafeBytes { bytes in
            _ = reader.read(bytes) { line in
                if case .text(let text) = line, case .request(let request) = Request.parse(text),
                    case .acquire(let acquire) = request.verb
                {
                    requests?.append(acquire)
                } else {
                    requests = nil
                }
                return requests != nil
            }
        }
        return requests
    }

    func answer(_ reply: Reply) {
        var line: [UInt8] = []
        reply.encode(tag: nil, into: &line)
        // A caller that has hung up is noticed at the next read.
        _ = send(socket.rawValue, line, line.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
}
