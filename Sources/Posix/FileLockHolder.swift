import Glibc

/// A process that another one waits for, in its state at this moment.
public struct RunningProcess: Hashable, Sendable {
    public let id: Int32
    /// The name of its program, reduced to printable characters; nil if it is not visible.
    public let program: String?
    /// Whether the process is stopped (`SIGSTOP`, a debugger).
    public let isStopped: Bool

    public init(_ id: Int32) {
        self.id = id
        let name = try? FileContents.read("/proc/\(id)/comm", limit: 64)
        program = name.map { bytes in
            let printable = bytes.prefix { $0 != UInt8(ascii: "\n") }.map {
                (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?")
            }
            return String(decoding: printable, as: UTF8.self)
        }
        isStopped = ProcessFacts.isStopped(id)
    }
}

extension RunningProcess: CustomStringConvertible {
    public var description: String {
        "process \(id)" + (program.map { " (\($0))" } ?? "") + (isStopped ? ", which is stopped" : "")
    }
}

extension FileLock {
    /// The process that holds the lock on the file at the path; nil if none does, or the kernel does not report it.
    ///
    /// `/proc/locks` names the process that took the lock. A child that inherited the lock may keep it after that
    /// process has ended.
    public static func holder(at path: String) -> RunningProcess? {
        guard let file = try? FileStatus(at: path),
            let lines = try? FileContents.read("/proc/locks", limit: 1 << 22)
        else { return nil }
        return holder(of: file.kernelName, inLocks: lines).map(RunningProcess.init)
    }

    /// Finds the process in the lines of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 811 fe:00:1441796 0 EOF`.
    ///
    /// On some file systems (overlayfs, btrfs) the device number there differs from the one that `stat` returns. Then
    /// the inode number decides, if only one lock is on a file with this number.
    package static func holder(of file: String, inLocks lines: [UInt8]) -> Int32? {
        let inode = file.split(separator: ":").last
        var alike: [Int32] = []
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
            // Skip waiters (an arrow in the second field) and processes of other namespaces (0 or less).
            guard fields.count > 5, fields[1] == "FLOCK", let process = Int32(fields[4]), process > 0 else {
                continue
            }
            if fields[5] == file { return process }
            if fields[5].split(separator: ":").last == inode { alike.append(process) }
        }
        return alike.count == 1 ? alike.first : nil
    }
}
