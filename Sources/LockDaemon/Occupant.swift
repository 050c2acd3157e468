import Glibc
import Posix

/// The daemon that has a state folder, as the lock file in that folder describes it.
///
/// Hosts or containers may share a folder (a home over NFS, a volume), and then a daemon that no process here can reach may
/// have its lock. So the line also names the kernel's boot and the process id namespace of the daemon.
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

    /// The daemon that the folder's lock file names; nil if it names none.
    init?(readFrom folder: String) {
        guard let contents = try? FileContents.read(folder + "/lock", limit: 4_096) else { return nil }
        let line = String(decoding: contents.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        // The path comes last, as it may contain blanks.
        let words = line.split(separator: " ", maxSplits: 3)
        guard words.count == 4, words[0] == "prwlockd", let process = Int32(words[1]) else { return nil }
        processID = process
        world = String(words[2])
        socketPath = String(words[3])
    }

    var line: String { "prwlockd \(processID) \(world) \(socketPath)" }

    /// Whether this process can see the daemon's process.
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
