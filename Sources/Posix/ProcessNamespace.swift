import Glibc

/// A namespace of process ids: a process id identifies a process only within one.
public enum ProcessNamespace {
    /// The number of this process's namespace; nil if `/proc` does not show it.
    public static var own: UInt64? {
        var status = stat()
        guard stat("/proc/self/ns/pid", &status) == 0 else { return nil }
        return UInt64(status.st_ino)
    }
}
