import CTestSupport
import Glibc
import Posix

/// A directory for one test, gone with it and with all that is in it.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        var template = Array("/tmp/prwlock-tests-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
        path = String(cString: made)
    }

    deinit { support_remove_tree(path) }

    /// The path of something in the directory.
    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}
