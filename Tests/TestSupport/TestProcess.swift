import CLinux
import Glibc

/// The process in which the tests run.
public enum TestProcess {
    private static let limit: Void = {
        let resource = Int32(RLIMIT_NOFILE.rawValue)
        var (soft, hard): (UInt64, UInt64) = (0, 0)
        linux_limit(resource, &soft, &hard)
        linux_set_limit(resource, hard, hard)
    }()

    /// Allows as many descriptors as the kernel does: tests have thousands at once, and the usual limit is 1024.
    public static func raiseDescriptorLimit() { _ = limit }
}
