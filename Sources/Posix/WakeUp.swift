import CLinux
import Glibc

/// An eventfd through which one thread wakes another one that polls it.
public final class WakeUp: Sendable {
    private let descriptor: OwnedDescriptor

    public init() throws(SystemError) {
        descriptor = try OwnedDescriptor(checking: "eventfd") {
            eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        }
    }

    /// The descriptor's number. It is readable after `ring`, until `clear`.
    public var rawValue: Int32 { descriptor.rawValue }

    public func ring() {
        var one: UInt64 = 1
        write(descriptor.rawValue, &one, 8)
    }

    public func clear() {
        var count: UInt64 = 0
        read(descriptor.rawValue, &count, 8)
    }
}
