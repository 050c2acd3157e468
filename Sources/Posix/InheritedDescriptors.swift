import CLinux

/// What a forked process has open because its parent had.
public enum InheritedDescriptors {
    /// Closes all but these; a negative number is none.
    public static func closeAll(but kept: [Int32]) {
        var first: UInt32 = 0
        for descriptor in Set(kept).sorted() where descriptor >= 0 {
            let number = UInt32(descriptor)
            if number > first { linux_close_range(first, number - 1) }
            first = number + 1
        }
        linux_close_range(first, .max)
    }
}
