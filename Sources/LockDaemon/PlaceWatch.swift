import CLinux
import Glibc
import Posix

/// The daemon's look at its place: that its path still names its socket, and that no system's daemon takes its place.
///
/// It learns of each change by inotify, and then looks itself: what an event says may be out of date, and what happens
/// where inotify does not reach (a folder further up is renamed, another file system is mounted) is seen with any look.
///
/// Invariants:
/// 1. The watch stands before the look, so that no change after the look is missed.
/// 2. The socket's file is kept open, by a descriptor that can do nothing with it: no other file gets its number while
///    this lives.
/// 3. The folder has a shared `flock` if it is private to the daemon's user: systemd-tmpfiles(8) passes over a folder
///    that it cannot lock. A folder that others use is theirs to be cleaned.
struct PlaceWatch: ~Copyable {
    /// Nil where the system lets this user watch no more.
    private let events: OwnedDescriptor?
    private let path: String
    private let systemDirectory: String?
    private var watches: [Int32] = []
    /// Nil if the path leads to nothing that can be opened.
    private var file: SocketFile?

    /// The socket's file and its folder, kept open.
    private struct SocketFile: ~Copyable {
        let folder: DirectoryDescriptor
        let socket: OwnedDescriptor
        /// The mode of the folder, for the one that takes its place.
        let folderMode: UInt32

        init(_ path: String, in parent: String) throws(SystemError) {
            let folder = try DirectoryDescriptor(parent)
            let socket = try OwnedDescriptor(holding: path)
            let status = try folder.status()
            folderMode = status.permissions
            if status.userID == geteuid(), status.permissions & 0o077 == 0 {
                // Another daemon may have it too, on another socket in the folder.
                flock(folder.rawValue, LOCK_SH | LOCK_NB)
            }
            self.folder = folder
            self.socket = socket
        }
    }

    /// Watches the socket at the path, and the folder that `systemDirectory` would be in.
    init(_ path: String, systemDirectory: String?) {
        let number = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
        events = number >= 0 ? OwnedDescriptor(owning: number) : nil
        self.path = path
        self.systemDirectory = systemDirectory
        renew()
    }

    /// Watches what stands at the path now, and nothing else any more.
    mutating func renew() {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        file = try? SocketFile(path, in: parent)
        guard let events = rawValue else { return }
        for watch in watches { inotify_rm_watch(events, watch) }
        // What cannot be watched is seen with the next look that another occasion gives.
        let watch = { (path: String, mask: Int32) in inotify_add_watch(events, path, UInt32(mask)) }
        watches = [
            // An unlinked socket has one name less (an attribute), while the daemon keeps the file.
            watch(path, IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF),
            watch(parent, IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR),
        ]
        if let systemDirectory, let slash = systemDirectory.lastIndex(of: "/") {
            watches.append(watch(String(systemDirectory[..<slash]), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR))
        }
    }

    /// The descriptor's number, readable when something has changed; nil where nothing can be watched.
    var rawValue: Int32? { events.inspect { $0.rawValue } }

    /// The mode of the socket's folder, should it have to be made again.
    var folderMode: UInt32 { file.inspect { $0.folderMode } ?? 0o700 }

    /// Takes note of all changes so far, before a look.
    func acknowledge() {
        guard let rawValue else { return }
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 8) { buffer in
            while read(rawValue, buffer.baseAddress, buffer.count) > 0 {}
        }
    }

    /// Whether the path names the daemon's socket.
    var isIntact: Bool {
        file.inspect { file in
            guard let named = try? FileStatus(at: path), let own = try? FileStatus(of: file.socket) else {
                return false
            }
            return named.isSameFile(as: own)
        } ?? false
    }
}
