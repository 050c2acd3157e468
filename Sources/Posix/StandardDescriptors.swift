import Glibc

/// The descriptors 0, 1 and 2.
public enum StandardDescriptors {
    /// Opens those that are closed on `/dev/null`; to be called before anything else is opened.
    ///
    /// Otherwise the next socket or file gets such a number, and what is meant for standard error is written into it.
    /// A program that this process executes has them closed, as its caller wanted it.
    public static func openClosed() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number is this one, as those below are open.
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }
}
