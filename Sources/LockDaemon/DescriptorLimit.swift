import CLinux
import Posix

/// How many descriptors the daemon may have open.
enum DescriptorLimit {
    /// What a daemon needs beyond one for each session: its own files, and room for processes to be watched.
    private static let own = 64

    /// Raises the limit as far as it may go. Returns how many sessions that leaves room for at least.
    ///
    /// A session needs one for its socket, and its process one more if no other session of it is there.
    static func raise() -> Int {
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        guard linux_descriptor_limit(&soft, &hard) == 0 else { return .max }
        if soft < hard, linux_set_descriptor_limit(hard, hard) == 0 { soft = hard }
        return max(0, Int(clamping: soft) - own) / 2
    }
}
