import Glibc
import Posix

/// The daemon that has a state folder, as it says in the file that it keeps locked there.
///
/// The lock of a folder that hosts or containers share (a home over NFS, a volume) may be held by a daemon that no process
/// here can speak with. So the line also says which kernel, and which of its process id namespaces, the process is in.
struct Occupant: CustomStringConvertible {
    private let processID: Int32
    private let socketPath: String
    private let world: String

    /// This process.
    init(socketPath: String) {
        processID = getpid()
        self.socketPath = socketPath
        world = Self.ownWorld
    }

    /// The one that the folder's lock file tells of; nil if it tells of none.
    init?(readFrom folder: String) {
        guard let contents = try? FileContents.read(folder + "/lock", limit: 4_096) else { return nil }
        let line = String(decoding: contents.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        // The path is the last, as it may have blanks in it.
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count == 4, words[0] == "prwlockd", let process = Int32(words[1]) else { return nil }
        processID = process
        world = String(words[2])
        socketPath = String(words[3])
    }

    var line: String { "prwlockd \(processID) \(world) \(socketPath)" }

    /// Whether it is a process that can be seen from here.
    var isNear: Bool { world == Self.ownWorld }

    var description: String {
        isNear ? "process \(processID), at \(socketPath)" : "of another host or container, at \(socketPath)"
    }

    /// The boot of this kernel, and the process id namespace.
    private static var ownWorld: String {
        let boot = (try? FileContents.read("/proc/sys/kernel/random/boot_id", limit: 64)) ?? []
        var space = [UInt8](repeating: 0, count: 64)
        let count = space.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { chars in
                chars.baseAddress.map { readlink("/proc/self/ns/pid", $0, chars.count) } ?? -1
            }
        }
        return String(
            decoding: boot.prefix { $0 != UInt8(ascii: "\n") } + space.prefix(max(0, count)), as: UTF8.self)
    }
}
