import CLinux
import Glibc

/// What the kernel tells of a process beside its user: to be taken for true only of one that is seen alive afterwards, by
/// a watch that was sure of it, for until then its id cannot have become another's.
public enum ProcessFacts {
    /// The supplementary groups of the process that called `connect()` on the socket's other end, as they were then.
    public static func groups(ofPeer socket: borrowing OwnedDescriptor) -> [UInt32] {
        var room = 64
        // Linux lets a process have 65,536.
        while room <= 65_536 {
            var groups = [UInt32](repeating: 0, count: room)
            let count = linux_peer_groups(socket.rawValue, &groups, Int32(room))
            if count >= 0 { return Array(groups.prefix(Int(count))) }
            guard errno == ERANGE else { return [] }
            room *= 4
        }
        return []
    }

    /// The system's unit that a process belongs to; nil if it belongs to none, or `/proc` does not show it.
    public static func unit(of process: Int32) -> String? {
        (try? FileContents.read("/proc/\(process)/cgroup", limit: 65_536)).flatMap(unit(inControlGroups:))
    }

    /// The unit by the lines of `/proc/PID/cgroup`: the first part of the control group's path behind its slices, as
    /// systemd lays them out. What is behind that is the unit's own, and of a user's manager that user's: what stands there
    /// proves nothing.
    public static func unit(inControlGroups lines: [UInt8]) -> String? {
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            let text = String(decoding: line, as: UTF8.self)
            let fields = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            // The hierarchy that systemd keeps: the unified one, or where there are still others, its own.
            guard fields.count == 3, fields[1] == "" || fields[1] == "name=systemd" else { continue }
            let parts = fields[2].split(separator: "/").drop { $0.hasSuffix(".slice") }
            guard let part = parts.first else { continue }
            // What would be taken for a file of the kernel's has an underscore in front.
            let name = part.hasPrefix("_") ? part.dropFirst() : part
            let kinds = [".service", ".scope", ".socket", ".mount", ".swap"]
            if kinds.contains(where: { name.utf8.count > $0.utf8.count && name.hasSuffix($0) }) {
                return String(name)
            }
        }
        return nil
    }

    /// Whether a process is stopped, by a signal or a debugger; no, if that cannot be seen.
    public static func isStopped(_ process: Int32) -> Bool {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096),
            let nameEnd = line.lastIndex(of: UInt8(ascii: ")"))
        else { return false }
        // The state is the letter after the name, which may hold blanks and parentheses.
        let state = line[(nameEnd + 1)...].first { $0 != UInt8(ascii: " ") }
        return state == UInt8(ascii: "T") || state == UInt8(ascii: "t")
    }

    /// The path of the program that a process runs; nil if this process may not see it.
    public static func executable(of process: Int32) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/\(process)/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
