import CLinux
import Glibc
import LockVocabulary
import PRWLock
import Posix

/// The mark by which `prwlock release` finds the process that holds a grant: a named in-memory file that the process
/// keeps open.
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

    /// Opens the mark in this process. The kernel removes it when the process ends.
    func open() -> Int32 { linux_memory_file(name) }

    /// A process that has the mark open.
    struct Found: ~Copyable {
        let process: Int32
        let watch: ProcessWatch
    }

    /// Finds the process with the mark; nil if this namespace has none, or it belongs to another user.
    ///
    /// - Parameter likely: the process id that the daemon reports; try it first.
    func find(likely: Int32?) -> Found? {
        if let likely, let found = found(in: likely) { return found }
        guard let folder = opendir("/proc") else { return nil }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let text = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let process = Int32(text), let found = found(in: process) { return found }
        }
        return nil
    }

    private func found(in process: Int32) -> Found? {
        // Check the mark again after opening the watch. From then on, the process id cannot pass to another process
        // unnoticed.
        guard isOpen(in: process), let watch = try? ProcessWatch(process: process), isOpen(in: process)
        else { return nil }
        return Found(process: process, watch: watch)
    }

    private func isOpen(in process: Int32) -> Bool {
        guard let comm = try? FileContents.read("/proc/\(process)/comm", limit: 64),
            String(decoding: comm, as: UTF8.self) == BackgroundHolder.processName + "\n",
            let folder = opendir("/proc/\(process)/fd")
        else { return false }
        defer { closedir(folder) }
        let wanted = "/memfd:\(name) (deleted)"
        while let entry = readdir(folder) {
            let path = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                "/proc/\(process)/fd/" + String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var target = [CChar](repeating: 0, count: 300)
            let count = readlink(path, &target, target.count)
            let bytes = target.prefix(max(0, count)).map(UInt8.init(bitPattern:))
            if String(decoding: bytes, as: UTF8.self) == wanted { return true }
        }
        return false
    }
}
