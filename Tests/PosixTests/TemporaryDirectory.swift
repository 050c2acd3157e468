import Glibc
import Posix

/// A directory for one test; the test removes its files before the directory is removed.
final class TemporaryDirectory {
    let path: String
    private var names: [String] = []

    init() throws {
        var template = Array("/tmp/posix-tests-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw SystemError.last("mkdtemp") }
        path = String(cString: made)
    }

    deinit {
        for name in names { remove(name) }
        rmdir(path)
    }

    /// The path of a file in the directory, which is removed with the directory.
    func callAsFunction(_ name: String) -> String {
        let file = "\(path)/\(name)"
        names.insert(file, at: 0)
        return file
    }
}
