import Glibc

/// The processes that this one descends from.
public enum Ancestors {
    /// This process, its parent, and so on, up to the last one that is visible in this namespace of process ids.
    public static func andSelf() -> [Int32] { line(from: getpid()) }

    /// A process, its parent, and so on.
    public static func line(from process: Int32) -> [Int32] {
        var line: [Int32] = []
        var next: Int32? = process
        // During the walk a parent may end and another process may get its id, so a repeated id must end the walk.
        while let process = next, process > 0, !line.contains(process) {
            line.append(process)
            next = parent(of: process)
        }
        return line
    }

    /// The parent of a process; nil if the process is not visible.
    public static func parent(of process: Int32) -> Int32? {
        field(3, of: process).flatMap { Int32($0) }
    }

    /// Whether a process is stopped.
    public static func isStopped(_ process: Int32) -> Bool {
        field(2, of: process).map { $0 == "T" || $0 == "t" } ?? false
    }

    /// A field of `/proc/PID/stat` after the program's name, counted from 0 for the process id. It searches for the
    /// last `)`, because the name may contain blanks and parentheses.
    private static func field(_ index: Int, of process: Int32) -> String? {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096),
            let nameEnd = line.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = line[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > index - 2, index >= 2 else { return nil }
        return String(decoding: fields[fields.startIndex + index - 2], as: UTF8.self)
    }
}
