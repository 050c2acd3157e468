import CTestSupport
import Glibc
import Posix

/// A directory for one test, which `deinit` removes with its contents.
public final class TemporaryDirectory: Sendable {
    public let path: String

    public init() throws {
        TestProcess.raiseDescriptorLimit()
        var template = Array("/tmp/prwlock-tests-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
        path = String(cString: made)
    }

    deinit { support_remove_tree(path) }

    /// The path of an entry of the directory.
    public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}
