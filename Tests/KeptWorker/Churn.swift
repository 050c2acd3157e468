import Glibc
import Keeping
import Posix

/// Takes over a parcel, from descriptor 3 on, and puts and removes sockets until it is killed.
enum Churn {
    static func run() -> Never {
        let parcel = SocketParcel(adopting: [3, 4, 5, 6])
        var sockets: [Int32] = []
        guard (try? parcel.unpack { sockets.append($0.release()) }) != nil, let pair = try? UnixSocket.pair()
        else {
            exit(1)
        }
        print(sockets.count)
        fflush(nil)
        var next = 0
        while true {
            // Mostly sessions that come and go, and at times one that lasts and comes again.
            for _ in 0..<100 {
                let passing = dup(pair.first.rawValue)
                guard parcel.put(passing) == .kept else { exit(2) }
                parcel.remove(passing)
                close(passing)
            }
            let again = dup(sockets[next % sockets.count])
            guard parcel.put(again) == .kept else { exit(2) }
            parcel.remove(sockets[next % sockets.count])
            close(sockets[next % sockets.count])
            sockets[next % sockets.count] = again
            next += 1
        }
    }
}
