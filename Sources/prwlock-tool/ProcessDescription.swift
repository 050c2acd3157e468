import Glibc
import LockWire
import PRWLock
import Posix

/// What `/proc` shows of a process, as far as this user may see it. The texts are not escaped.
struct ProcessDescription: Equatable {
    var user: String?
    var command: String?
    /// The systemd unit: the innermost service or scope.
    var unit: String?

    init(user: String? = nil, command: String? = nil, unit: String? = nil) {
        self.user = user
        self.command = command
        self.unit = unit
    }

    /// Describes the process that has this id now. All members are nil if `process` is nil.
    init(of process: Int32?) {
        guard let process else { return }
        let folder = "/proc/\(process)"
        user = (try? FileStatus(at: folder)).map { Self.userName($0.userID) }
        command = (try? FileContents.read(folder + "/cmdline")).flatMap(Self.command)
        // A kernel thread and a zombie have no command line.
        if command == nil { command = Self.name(of: process).map { "[\($0)]" } }
        unit = (try? FileContents.read(folder + "/cgroup")).flatMap(Self.unit)
    }

    /// Returns a function that describes the processes that a daemon names. If the daemon is in another namespace of
    /// process ids, the function returns nothing, because the same id is a different process here.
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

    /// The kernel's name of a process; nil if the process does not exist.
    static func name(of process: Int32) -> String? {
        (try? FileContents.read("/proc/\(process)/comm", limit: 64)).map {
            String(decoding: $0.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
    }

    /// The name of a user; the number if the user has no name.
    static func userName(_ userID: UInt32) -> String {
        guard let entry = getpwuid(userID), let name = entry.pointee.pw_name else { return String(userID) }
        return String(cString: name)
    }

    /// The arguments in one line. An argument that is empty or contains a space is quoted.
    static func command(_ bytes: [UInt8]) -> String? {
        guard bytes.contains(where: { $0 != 0 }) else { return nil }
        let end = bytes.last == 0 ? bytes.dropLast() : bytes[...]
        let arguments = end.split(separator: 0, omittingEmptySubsequences: false).map { bytes in
            let argument = String(decoding: bytes, as: UTF8.self)
            return argument.isEmpty || argument.contains(" ") ? "'\(argument)'" : argument
        }
        return arguments.joined(separator: " ")
    }

    /// The unit in the lines of `/proc/PID/cgroup`. Only the unified hierarchy (`0::`) is read.
    static func unit(_ bytes: [UInt8]) -> String? {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let path = lines.first(where: { $0.hasPrefix("0::") }) else { return nil }
        let unit = path.split(separator: "/").last { $0.hasSuffix(".service") || $0.hasSuffix(".scope") }
        return unit.map(String.init)
    }
}
