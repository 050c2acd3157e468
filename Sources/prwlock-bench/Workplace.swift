import CBench
import Glibc

/// A temporary directory for sockets, state and what the servers print; gone at the end with all that is in it.
final class Workplace {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/prwlock-bench.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("temporary directory in \(base)", errno: errno) }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? base
    }

    deinit { bench_remove_tree(path) }

    /// The path of a file in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }
}
