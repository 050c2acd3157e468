import CLinux
import Glibc
import LockVocabulary
import PRWLock
import Posix

/// The mark by which `release` and a later `hold` find the process that holds a grant: a named in-memory file that the
/// process keeps open.
///
/// The daemon reports a process id of its own namespace. In a container, that id may belong to another process or to
/// none. `/proc` shows the open files of each process in the reader's namespace.
///
/// The name of the file contains the owner, the token, and a hash of the lock's name and the daemon's path. The hash is
/// needed because another daemon may give out the same token.
struct HolderMark {
    private let name: String

    /// The mark of a grant.
    init(_ lock: LockName, _ owner: OwnerID, _ token: Token, over connection: borrowing BlockingConnection) {
        let path = connection.location()?.path ?? ""
        name = "prwlock-\(owner)-\(token)-\(Self.checkWord(of: "\(lock) \(path)"))"
    }

    /// The FNV-1a hash (Fowler, Noll and Vo, 1991), in hexadecimal digits.
    private static func checkWord(of text: String) -> String {
        var word: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { word = (word ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(word, radix: 16)
    }

    /// Opens the mark in this process, and returns its descriptor. The kernel removes it when the process ends.
    ///
    /// - Parameter callers: the abstract socket at which the process answers to later calls of `hold`. The mark contains
    ///   its name, so that no other process can pretend to be this one.
    func open(announcing callers: String) -> Int32 {
        let number = linux_memory_file(name)
        if number >= 0 { writeAll(callers, to: number) }
        return number
    }

    /// A process that has the mark open.
    struct Found: ~Copyable {
        let process: Int32
        let watch: ProcessWatch
        /// The path of the mark in `/proc`.
        fileprivate let path: String

        /// Connects to the process; nil if it is not this user's, or cannot be reached.
        func connect() -> OwnedDescriptor? {
            guard let name = try? FileContents.read(path, limit: 64), !name.isEmpty,
                let socket = try? AbstractSocket.connect(to: String(decoding: name, as: UTF8.self)),
                let peer = try? PeerCredentials(of: socket), peer.processID == process,
                peer.userID == geteuid()
            else { return nil }
            return socket
        }
    }

    /// Finds the process with the mark; nil if this namespace has none, or it belongs to another user.
    ///
    /// - Parameter likely: the process id that the daemon reports; try it first.
    func find(likely: Int32?) -> Found? {
        if let likely, let found = found(in: likely) { return found }
        for process in Directory.names(in: "/proc").compactMap({ Int32($0) }) {
            if let found = found(in: process) { return found }
        }
        return nil
    }

    private func found(in process: Int32) -> Found? {
        // Check the mark again after opening the watch. From then on, the process id cannot pass to another process
        // unnoticed.
        guard path(in: process) != nil, let watch = try? ProcessWatch(process: process),
            let path = path(in: process)
        else { return nil }
        return Found(process: process, watch: watch, path: path)
    }

    private func path(in process: Int32) -> String? {
        guard ProcessDescription.name(of: process) == BackgroundHolder.processName else { return nil }
        let wanted = "/memfd:\(name) (deleted)"
        let folder = "/proc/\(process)/fd"
        let number = Directory.names(in: folder).first { number in
            var target = [CChar](repeating: 0, count: 300)
            let count = readlink("\(folder)/\(number)", &target, target.count)
            let bytes = target.prefix(max(0, count)).map(UInt8.init(bitPattern:))
            return String(decoding: bytes, as: UTF8.self) == wanted
        }
        return number.map { "\(folder)/\($0)" }
    }
}
