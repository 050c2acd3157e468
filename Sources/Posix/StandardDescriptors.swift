import Glibc

/// The descriptors 0, 1 and 2.
public enum StandardDescriptors {
    /// Opens `/dev/null` for each of them that is closed. Call this before anything else is opened.
    ///
    /// Otherwise the next socket or file gets such a number, and messages for standard error are written into it. A
    /// program that this process executes finds them closed, as the caller of this process chose.
    public static func openClosed() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // `open` returns the lowest free number, which is this one, because all lower numbers are open.
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }
}
