import CLinux
import Glibc
import Posix

/// The limit of open descriptors, and the sessions that it leaves room for.
enum DescriptorLimit {
    /// The descriptors that the daemon needs for itself: files, sources, and some process watches.
    private static let own = 64

    /// Raises the soft limit to the hard one. Returns the number of sessions that fit at least.
    ///
    /// A session needs a descriptor for its socket, and the first session of a process one more for the process watch.
    static func raise() -> Int {
        let resource = Int32(RLIMIT_NOFILE.rawValue)
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_limit(resource, &soft, &hard) == 0 else { return .max }
        if soft < hard, linux_set_limit(resource, hard, hard) == 0 { soft = hard }
        return max(0, Int(clamping: soft) - own) / 2
    }

    /// Whether a session with this descriptor leaves enough descriptors for the daemon's own work.
    ///
    /// The kernel assigns the lowest free number, so the number shows how full the table is. This reads the limit each
    /// time, because an administrator may change it (`prlimit`).
    static func leavesRoomForHouse(_ descriptor: Int32) -> Bool {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_limit(Int32(RLIMIT_NOFILE.rawValue), &soft, &hard) == 0 else { return true }
        return UInt64(descriptor) < soft - min(mostForHouse, soft / 8)
    }

    /// Whether the memory of a session's slots may have this descriptor, beside so many in the parcel. Sessions need the rest:
    /// each has a socket, perhaps a process watch, and a socket in the parcel.
    static func leavesRoomForSessions(_ descriptor: Int32, inFlight: Int) -> Bool {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_limit(Int32(RLIMIT_NOFILE.rawValue), &soft, &hard) == 0 else { return true }
        return UInt64(descriptor) < soft / 2 && UInt64(inFlight) < soft / 4
    }

    /// To read rules takes one descriptor. To bind the socket again, with its folder and lock file, takes a few.
    private static let mostForHouse: UInt64 = 16
}
