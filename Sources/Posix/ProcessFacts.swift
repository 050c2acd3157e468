import CLinux
import Glibc

/// Facts about a process that the kernel reports, beside its user. After reading a fact, check that the process is
/// alive, through a watch that was opened for this very process. Otherwise the process may have ended, and the fact may
/// belong to another process with the same id.
public enum ProcessFacts {
    /// The supplementary groups of the process at the socket's other end, as they were at its `connect()`.
    public static func groups(ofPeer socket: borrowing OwnedDescriptor) -> [UInt32] {
        var room = 64
        // Linux permits 65,536 groups for a process.
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

    /// Finds the unit in the lines of `/proc/PID/cgroup`. In systemd's layout it is the first part of the control
    /// group's path after the slices. The unit itself controls the parts after that, and a user controls those after
    /// the user's manager, so they prove nothing.
    public static func unit(inControlGroups lines: [UInt8]) -> String? {
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            let text = String(decoding: line, as: UTF8.self)
            let fields = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            // The hierarchy that systemd manages: the unified one, or its own one if there are others.
            guard fields.count == 3, fields[1] == "" || fields[1] == "name=systemd" else { continue }
            let parts = fields[2].split(separator: "/").drop { $0.hasSuffix(".slice") }
            guard let part = parts.first else { continue }
            // systemd puts an underscore before a name that could be taken for one of the kernel's files.
            let name = part.hasPrefix("_") ? part.dropFirst() : part
            let kinds = [".service", ".scope", ".socket", ".mount", ".swap"]
            if kinds.contains(where: { name.utf8.count > $0.utf8.count && name.hasSuffix($0) }) {
                return String(name)
            }
        }
        return nil
    }

    /// Whether a process is stopped, by a signal or a debugger; false if this is not visible.
    public static func isStopped(_ process: Int32) -> Bool {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096),
            let nameEnd = line.lastIndex(of: UInt8(ascii: ")"))
        else { return false }
        // The state is the letter after the name, which may contain blanks and parentheses.
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
