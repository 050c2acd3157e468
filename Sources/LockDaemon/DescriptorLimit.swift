import CLinux
import Glibc
import Posix

/// How many descriptors the daemon may have open.
enum DescriptorLimit {
    /// What a daemon needs beyond one for each session: its own files, and room for processes to be watched.
    private static let own = 64

    /// Raises the limit as far as it may go. Returns how many sessions that leaves room for at least.
    ///
    /// A session needs one for its socket, and its process one more if no other session of it is there.
    static func raise() -> Int {
        let resource = Int32(RLIMIT_NOFILE.rawValue)
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_limit(resource, &soft, &hard) == 0 else { return .max }
        if soft < hard, linux_set_limit(resource, hard, hard) == 0 { soft = hard }
        return max(0, Int(clamping: soft) - own) / 2
    }

    /// Whether a session with this descriptor leaves enough of them for the daemon's own work.
    ///
    /// The kernel hands out the lowest free number, so the number says how full the table is. The limit is asked for
    /// each time, because an administrator may change it (`prlimit`).
    static func leavesRoomForHouse(_ descriptor: Int32) -> Bool {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_limit(Int32(RLIMIT_NOFILE.rawValue), &soft, &hard) == 0 else { return true }
        return UInt64(descriptor) < soft - min(mostForHouse, soft / 8)
    }

    /// To read rules again takes one; to bind the socket again, with its folder and lock file, takes a few.
    private static let mostForHouse: UInt64 = 16
}
