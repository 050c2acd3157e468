import Glibc
import LockWire
import PRWLock
import Posix

/// What `/proc` tells of a process, as far as this user may see it; text as it stands there, not yet harmless.
struct ProcessDescription: Equatable {
    var user: String?
    var command: String?
    /// The systemd unit, the innermost that is a service or a scope.
    var unit: String?

    init(user: String? = nil, command: String? = nil, unit: String? = nil) {
        self.user = user
        self.command = command
        self.unit = unit
    }

    /// Of the process that has the id now; nothing for one that the daemon does not see.
    init(of process: Int32?) {
        guard let process else { return }
        let folder = "/proc/\(process)"
        user = (try? FileStatus(at: folder)).map { Self.userName($0.userID) }
        command = (try? FileContents.read(folder + "/cmdline")).flatMap(Self.command)
        if command == nil, let name = try? FileContents.read(folder + "/comm") {
            // A kernel thread, or one that has ended and was not waited for.
            command = "[" + String(decoding: name.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self) + "]"
        }
        unit = (try? FileContents.read(folder + "/cgroup")).flatMap(Self.unit)
    }

    /// How to tell of the processes that a daemon names: nothing where it has another namespace of process ids, as the
    /// same id is another process here.
    static func lookup(
        over connection: inout BlockingConnection, patience: Duration = CallTime.patience
    ) throws(Complaint) -> (Int32?) -> ProcessDescription {
        var namespace: UInt64?
        _ = try connection.ask(.stats, patience: patience) { row in
            if case .stat("pid-namespace", let number) = row { namespace = UInt64(exactly: number) }
        }
        if let namespace, namespace != ProcessNamespace.own { return { _ in ProcessDescription() } }
        return { ProcessDescription(of: $0) }
    }

    /// The name of a user; the number if nobody knows one.
    static func userName(_ userID: UInt32) -> String {
        guard let entry = getpwuid(userID), let name = entry.pointee.pw_name else { return String(userID) }
        return String(cString: name)
    }

    /// The arguments in one line, in quotes where a blank would tear them apart.
    static func command(_ bytes: [UInt8]) -> String? {
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let end = bytes.last == 0 ? bytes.dropLast() : bytes[...]
        let arguments = end.split(separator: 0, omittingEmptySubsequences: false).map { bytes in
            let argument = String(decoding: bytes, as: UTF8.self)
            return argument.isEmpty || argument.contains(" ") ? "'\(argument)'" : argument
        }
        return arguments.joined(separator: " ")
    }

    /// The unit out of the lines of `/proc/PID/cgroup`; only the unified hierarchy (`0::`) has one that systemd made.
    static func unit(_ bytes: [UInt8]) -> String? {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let path = lines.first(where: { $0.hasPrefix("0::") }) else { return nil }
        let unit = path.split(separator: "/").last { $0.hasSuffix(".service") || $0.hasSuffix(".scope") }
        return unit.map(String.init)
    }
}
