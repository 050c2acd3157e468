import CLinux
import Glibc
import LockVocabulary
import Posix

/// The sign by which `prwlock release` finds the process that holds a grant: an open file in memory, named by the grant's
/// token.
///
/// The daemon says which process holds a grant, but by a number of its own namespace of process ids; in a container the
/// same number is another process, or none. What a process has open, `/proc` shows in the reader's namespace.
///
/// A token is of one grant only, so a mark that is found belongs to a process that holds, or held, that grant.
enum HolderMark {
    private static func name(_ token: Token) -> String { "prwlock-hold-\(token)" }

    /// Opens the mark of this process; it goes with the process.
    static func open(for token: Token) -> Int32 { linux_memory_file(name(token)) }

    /// A process with a mark.
    struct Found: ~Copyable {
        let process: Int32
        let watch: ProcessWatch
    }

    /// The process with the mark of a token; nil if there is none here, or it is another user's.
    static func find(_ token: Token) -> Found? {
        guard let folder = opendir("/proc") else { return nil }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let text = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = Int32(text), hasMark(process, token) else { continue }
            // Once the watch is open, the id cannot become another process's unseen.
            guard let watch = try? ProcessWatch(process: process), hasMark(process, token) else { continue }
            return Found(process: process, watch: watch)
        }
        return nil
    }

    private static func hasMark(_ process: Int32, _ token: Token) -> Bool {
        guard let comm = try? FileContents.read("/proc/\(process)/comm", limit: 64),
            String(decoding: comm, as: UTF8.self) == Holder.processName + "\n",
            let folder = opendir("/proc/\(process)/fd")
        else { return false }
        defer { closedir(folder) }
        let wanted = "/memfd:\(name(token)) (deleted)"
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
