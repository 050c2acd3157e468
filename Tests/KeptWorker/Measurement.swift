import CLinux
import Glibc
import Keeping
import Posix

/// Prints what a parcel costs: `swift run -c release kept-worker measure`.
enum Measurement {
    static func run() -> Never {
        do {
            for count in [1_000, 5_000, 9_500] { try measure(count) }
            exit(0)
        } catch {
            print(error)
            exit(1)
        }
    }

    private static func measure(_ count: Int) throws {
        var sockets: [(Int32, Int32)] = []
        for _ in 0..<count {
            let pair = try UnixSocket.pair()
            sockets.append(pair.split { ($0.release(), $1.release()) })
        }
        let parcel = try SocketParcel()
        var slowest: Int64 = 0
        let start = BootClock.now()
        for socket in sockets {
            let begin = BootClock.now()
            guard parcel.put(socket.0) == .kept else { exit(1) }
            slowest = max(slowest, BootClock.now() - begin)
        }
        let put = BootClock.now() - start
        // The next process has only the parcel.
        let ends = parcel.descriptors.map { dup($0) }
        for socket in sockets { close(socket.0) }
        let again = BootClock.now()
        let next = SocketParcel(adopting: ends)
        var taken: [Int32] = []
        try next.unpack { taken.append($0.release()) }
        let unpacked = BootClock.now() - again
        let churn = BootClock.now()
        var worst: Int64 = 0
        for number in taken {
            let begin = BootClock.now()
            next.remove(number)
            worst = max(worst, BootClock.now() - begin)
        }
        let removed = BootClock.now() - churn
        print(
            "\(count) sockets: put \(put / Int64(count)) ns each, slowest \(slowest / 1000) µs;",
            "unpack \(Double(unpacked / 1000) / 1000) ms for \(taken.count);",
            "remove \(removed / Int64(count)) ns each, slowest \(worst / 1000) µs; left in flight \(next.inFlight)"
        )
        for number in taken { close(number) }
        for socket in sockets { close(socket.1) }
    }
}
