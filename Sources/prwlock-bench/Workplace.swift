import CBench
import Glibc

/// A temporary directory for sockets, state and the servers' output.
///
/// A process of its own removes the directory after the benchmark, even if the benchmark is interrupted or killed.
final class Workplace {
    let path: String
    private let sweeper: pid_t
    private var lifeline: Int32 = -1

    /// - Parameter owner: the user to which the directory belongs; this user if nil.
    init(owner: uid_t? = nil) throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/prwlock-bench.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("temporary directory in \(base)", errno: errno) }
        path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } } ?? base
        sweeper = bench_sweeper_start(path, &lifeline)
        if sweeper < 0 { throw Failure("fork", errno: -sweeper) }
        if let owner, chown(path, owner, .max) != 0 { throw Failure("chown \(path)", errno: errno) }
    }

    deinit { bench_sweeper_end(sweeper, lifeline) }

    /// The path of a file in the directory.
    func file(_ name: String) -> String { "\(path)/\(name)" }
}
