import CLinux
import Glibc
import LockVocabulary
import PRWLock
import Posix

/// The sign by which `prwlock release` finds the process that holds a grant: an open file in memory with a name.
///
/// The daemon says which process holds a grant, but by a number of its own namespace of process ids; in a container the
/// same number is another process, or none. What a process has open, `/proc` shows in the reader's namespace.
///
/// The name has the owner, the token, and a check word of the lock's name and the daemon's path: tokens are of one daemon,
/// and another daemon gives out the same number.
struct HolderMark {
    private let name: String

    /// The mark of a grant.
    init(_ lock: LockName, _ owner: OwnerID, _ token: Token, over connection: borrowing BlockingConnection) {
        let path = connection.location()?.path ?? ""
        name = "prwlock-\(owner)-\(token)-\(Self.checkWord(of: "\(lock) \(path)"))"
    }

    /// FNV-1a (Fowler, Noll and Vo, 1991), in hexadecimal digits.
    private static func checkWord(of text: String) -> String {
        var word: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { word = (word ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(word, radix: 16)
    }

    /// Opens the mark in this process; it goes with the process.
    func open() -> Int32 { linux_memory_file(name) }

    /// A process with a mark.
    struct Found: ~Copyable {
        let process: Int32
        let watch: ProcessWatch
    }

    /// The process with the mark; nil if there is none here, or it is another user's.
    ///
    /// - Parameter likely: which it is, if the daemon's numbers mean the same here.
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
        // Once the watch is open, the id cannot become another process's unseen.
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
