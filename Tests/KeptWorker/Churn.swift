import Glibc
import Keeping
import Posix

/// Takes over a parcel, from descriptor 3 on, and puts and removes sockets until it is killed.
///
/// Descriptor 1 gets a message for each session that lasts: after its socket is in the parcel, and before it is removed.
enum Churn {
    /// What a message says of the socket with a cookie.
    enum Kind: UInt64 {
        case isKept
        case leaves
    }

    static func run() -> Never {
        let parcel = SocketParcel(adopting: [3, 4, 5, 6])
        var lasting: [Int32] = []
        guard (try? parcel.unpack { lasting.append($0.release()) }) != nil else { exit(1) }
        while true {
            guard let pair = try? UnixSocket.pair() else { exit(1) }
            for _ in 0..<20 {
                let passing = dup(pair.second.rawValue)
                guard parcel.put(passing) == .kept else { exit(2) }
                parcel.remove(passing)
                close(passing)
            }
            // No other process has a copy, and the parcel has one.
            let socket = dup(pair.first.rawValue)
            guard parcel.put(socket) == .kept else { exit(2) }
            report(.isKept, socket)
            lasting.append(socket)
            while lasting.count > 300 {
                let oldest = lasting.removeFirst()
                report(.leaves, oldest)
                parcel.remove(oldest)
                close(oldest)
            }
        }
    }

    private static func report(_ kind: Kind, _ socket: Int32) {
        let message = [kind.rawValue, UnixSocket.cookie(of: socket) ?? 0]
        guard send(STDOUT_FILENO, message, 16, 0) == 16 else { exit(3) }
    }
}
