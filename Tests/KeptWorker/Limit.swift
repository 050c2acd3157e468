import CLinux
import Glibc
import Keeping
import Posix

/// Puts sockets into a parcel beyond the limit of descriptors in flight, as a user without rights, and prints what happens.
enum Limit {
    private static let limit = 400

    static func reach() -> Never {
        do {
            let resource = Int32(RLIMIT_NOFILE.rawValue)
            var (soft, hard): (UInt64, UInt64) = (0, 0)
            linux_limit(resource, &soft, &hard)
            // Root has no such limit.
            if getuid() == 0, setuid(65_533) != 0 { exit(1) }
            linux_set_limit(resource, hard, hard)
            var sockets: [Int32] = []
            for _ in 0..<300 { sockets += try UnixSocket.pair().split { [$0.release(), $1.release()] } }
            let parcel = try SocketParcel()
            linux_set_limit(resource, UInt64(limit), hard)
            var refusal: SystemError?
            for socket in sockets {
                guard refusal == nil, case .refused(let error) = parcel.put(socket) else { continue }
                refusal = error
            }
            let isAtLimit = limit...(limit + 1) ~= parcel.count
            print("too many: \(refusal?.code == ETOOMANYREFS), at the limit: \(isAtLimit)")
            linux_set_limit(resource, hard, hard)
            let next = SocketParcel(adopting: parcel.descriptors.map { dup($0) })
            try next.unpack { _ in }
            print("all come out: \(next.count == parcel.count)")
            exit(0)
        } catch {
            print(error)
            exit(1)
        }
    }
}
