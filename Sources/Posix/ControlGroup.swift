/// The place of a process among the service manager's control groups.
public struct ControlGroup: Equatable, Sendable {
    /// The unit or session that bounds the life of a process, in systemd's layout of control groups.
    public enum Owner: Equatable, Sendable {
        /// A unit of the system's manager: `nginx.service`.
        case systemUnit(String)
        /// A login session, by its number: the scope `session-3.scope` of a user.
        case session(String)
        /// A unit of a user's own manager, and that user's number.
        case userUnit(String, UInt32)
    }

    /// The path below the root of the hierarchy that systemd manages.
    public let path: String

    /// The control group of a process; nil if `/proc` does not show it.
    public init?(of process: Int32) {
        guard let lines = try? FileContents.read("/proc/\(process)/cgroup", limit: 65_536) else { return nil }
        self.init(lines: lines)
    }

    private init(path: String) { self.path = path }

    /// Parses the lines of `/proc/PID/cgroup`.
    ///
    /// If there are several hierarchies, systemd manages either the one with its name or the unified one. The other
    /// one's path contains no unit.
    public init?(lines: [UInt8]) {
        var found: [ControlGroup] = []
        for line in lines.split(separator: UInt8(ascii: "\n")) {
            let text = String(decoding: line, as: UTF8.self)
            let fields = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[1] == "name=systemd" || fields[0] == "0" && fields[1] == ""
            else { continue }
            found.append(ControlGroup(path: String(fields[2])))
        }
        guard let group = found.first(where: { $0.owner != nil }) ?? found.first else { return nil }
        self = group
    }

    /// The unit or session that the process belongs to; nil if it belongs to none, or to the manager itself.
    ///
    /// The first part after the slices is the system's unit. Only after a user's manager does the search continue,
    /// because units do not contain other units. In a container the path may lead upwards (`/../..`), or be empty.
    public var owner: Owner? {
        let parts = path.split(separator: "/").filter { $0 != ".." }
        guard let index = parts.firstIndex(where: { !$0.hasSuffix(".slice") }) else { return nil }
        let part = parts[index]
        guard part != "init.scope", Self.isUnit(part) else { return nil }
        if let user = Self.inside(part, "user@", ".service").flatMap({ UInt32($0) }) {
            let inner = parts[(index + 1)...].first { Self.isUnit($0) && $0 != "init.scope" }
            return inner.map { .userUnit(String($0), user) }
        }
        if index > 0, parts[index - 1].hasPrefix("user-"),
            let session = Self.inside(part, "session-", ".scope")
        {
            return .session(String(session))
        }
        return .systemUnit(String(part))
    }

    private static func isUnit(_ part: Substring) -> Bool {
        [".service", ".scope", ".socket", ".mount", ".swap"].contains {
            part.count > $0.count && part.hasSuffix($0)
        }
    }

    private static func inside(_ part: Substring, _ prefix: String, _ suffix: String) -> Substring? {
        guard part.hasPrefix(prefix), part.hasSuffix(suffix), part.count > prefix.count + suffix.count else {
            return nil
        }
        return part.dropFirst(prefix.count).dropLast(suffix.count)
    }
}
