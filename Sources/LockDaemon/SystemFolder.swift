import CLinux
import Glibc
import Posix

/// Tells when the folder of the system's daemon appears: from then on every client means that one.
///
/// Only its appearing counts. A user's own daemon may be there beside the system's for locks that have no name.
struct SystemFolder: ~Copyable {
    private let descriptor: OwnedDescriptor
    private let name: String

    /// Watches the folder that `path` would be in.
    init(_ path: String) throws(SystemError) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        let number = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        guard number >= 0 else { throw .last("inotify_init1") }
        let descriptor = OwnedDescriptor(owning: number)
        guard inotify_add_watch(number, parent, UInt32(IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)) >= 0 else {
            throw .last("inotify_add_watch", parent)
        }
        name = String(path[slash...].dropFirst())
        self.descriptor = descriptor
    }

    /// The descriptor's number, readable when something has appeared beside it.
    var rawValue: Int32 { descriptor.rawValue }

    /// Whether it has appeared since it was last asked.
    func hasAppeared() -> Bool {
        var hasAppeared = false
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 8) { buffer in
            while case let count = read(descriptor.rawValue, buffer.baseAddress, buffer.count), count > 0 {
                var place = 0
                while place < count {
                    let event = buffer.loadUnaligned(fromByteOffset: place, as: inotify_event.self)
                    let start = place + MemoryLayout<inotify_event>.size
                    let field = UnsafeRawBufferPointer(rebasing: buffer[start..<start + Int(event.len)])
                    if field.prefix(while: { $0 != 0 }).elementsEqual(name.utf8) { hasAppeared = true }
                    place = start + Int(event.len)
                }
            }
        }
        return hasAppeared
    }
}
