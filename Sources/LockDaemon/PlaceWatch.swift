import CLinux
import Glibc
import LockVocabulary
import Posix

/// The watch over the daemon's place: whether its path still names its socket, and whether the system's daemon appears.
///
/// inotify reports each change, and the daemon then checks the files: an event may be out of date, and inotify misses some
/// changes (a folder further up is renamed, another file system is mounted), which any later check finds.
///
/// Invariants:
/// 1. The watch begins before the check, so it reports every change after the check.
/// 2. A descriptor that can do nothing else keeps the socket's file open: no other file gets its number meanwhile.
/// 3. A worker's keeper has the inotify descriptor as well, and the next worker goes on with it. The kernel takes several
///    milliseconds to close the last one, and that would be a part of each worker's end.
/// 4. The folder has a shared `flock` if it is private to the daemon's user: systemd-tmpfiles(8) skips a folder that it
///    cannot lock. A cleaner may clean a folder that others use.
struct PlaceWatch: ~Copyable {
    /// The inotify descriptor, which lives as long as this; nil where the limit of this user is reached.
    private let events: OwnedDescriptor?
    private let path: String
    private let systemDirectory: String?
    private var watches: [Int32] = []
    /// Nil if the socket's file or its folder cannot be opened.
    private var file: SocketFile?

    /// The socket's file and its folder, kept open.
    private struct SocketFile: ~Copyable {
        let folder: DirectoryDescriptor
        let socket: OwnedDescriptor
        /// The mode of the folder, for a new folder in its place.
        let folderMode: UInt32

        init(_ path: String, in parent: String) throws(SystemError) {
            let folder = try DirectoryDescriptor(parent)
            let socket = try OwnedDescriptor(holding: path)
            let status = try folder.status()
            folderMode = status.permissions
            if status.userID == geteuid(), status.permissions & 0o077 == 0 {
                // Another daemon may share this lock, for another socket in the folder.
                flock(folder.rawValue, LOCK_SH | LOCK_NB)
            }
            self.folder = folder
            self.socket = socket
        }
    }

    /// Watches the socket at the path, and the folder that `systemDirectory` would be in.
    ///
    /// - Parameter kept: the inotify descriptor of the worker before this one. What that watched is watched still, so an event
    ///   may concern a file that is no longer the daemon's.
    init(_ path: String, systemDirectory: String?, kept: consuming OwnedDescriptor?) {
        if kept != nil {
            events = kept
        } else {
            let number = inotify_init1(Int32(IN_NONBLOCK | IN_CLOEXEC))
            events = number >= 0 ? OwnedDescriptor(owning: number) : nil
        }
        self.path = path
        self.systemDirectory = systemDirectory
        renew()
    }

    /// Watches the file that the path names now, and no other.
    mutating func renew() {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let parent = slash == path.startIndex ? "/" : String(path[..<slash])
        file = try? SocketFile(path, in: parent)
        guard let events = rawValue else { return }
        for watch in watches { inotify_rm_watch(events, watch) }
        // A check for another reason finds the changes of a file that cannot be watched.
        let watch = { (path: String, mask: Int32) in inotify_add_watch(events, path, UInt32(mask)) }
        watches = [
            // To unlink a socket changes its number of names (an attribute), while the daemon keeps the file open.
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

    /// Drops the events so far, before a check.
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
