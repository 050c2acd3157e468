import CLinux

/// The open descriptors that a forked process inherited from its parent.
public enum InheritedDescriptors {
    /// Closes all descriptors except `kept`; ignores negative numbers in `kept`.
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
