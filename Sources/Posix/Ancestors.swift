import Glibc

/// The processes that this one descends from.
public enum Ancestors {
    /// This process, its parent, and so on, as far as they can be seen in this namespace of process ids.
    public static func andSelf() -> [Int32] { line(from: getpid()) }

    /// A process, its parent, and so on.
    public static func line(from process: Int32) -> [Int32] {
        var line: [Int32] = []
        var next: Int32? = process
        // A parent may end while this looks, and its id be another's: no line is longer than there are processes.
        while let process = next, process > 0, !line.contains(process) {
            line.append(process)
            next = parent(of: process)
        }
        return line
    }

    /// The parent of a process; nil if it is not seen.
    public static func parent(of process: Int32) -> Int32? {
        field(3, of: process).flatMap { Int32($0) }
    }

    /// Whether a process is stopped.
    public static func isStopped(_ process: Int32) -> Bool {
        field(2, of: process).map { $0 == "T" || $0 == "t" } ?? false
    }

    /// A field of `/proc/PID/stat` behind the program's name, which may hold blanks and parentheses; counted from 0 for
    /// the process id.
    private static func field(_ index: Int, of process: Int32) -> String? {
        guard let line = try? FileContents.read("/proc/\(process)/stat", limit: 4096),
            let nameEnd = line.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = line[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > index - 2, index >= 2 else { return nil }
        return String(decoding: fields[fields.startIndex + index - 2], as: UTF8.self)
    }
}
