import Glibc
import Rendezvous

/// A folder for one test, removed with everything in it.
final class TemporaryFolder {
    let path: String

    init() {
        var template = Array("/tmp/prwlock-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("no temporary folder: \(errno)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { Self.remove(path) }

    /// Makes a folder in it.
    func make(_ name: String, mode: mode_t = 0o700) -> String {
        mkdir("\(path)/\(name)", mode)
        chmod("\(path)/\(name)", mode)
        return "\(path)/\(name)"
    }

    /// Surroundings of a user whose whole system is in this folder.
    func surroundings(_ environment: [String: String] = [:]) -> Surroundings {
        var surroundings = Surroundings(environment: environment, userID: geteuid())
        surroundings.systemDirectory = "\(path)/run/prwlock"
        surroundings.runtimeRoot = "\(path)/run/user"
        surroundings.temporaryRoot = make("tmp")
        surroundings.packageDirectories = []
        surroundings.unitDirectories = []
        return surroundings
    }

    private static func remove(_ path: String) {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { remove("\(path)/\(name)") }
            }
            closedir(folder)
        }
        if unlink(path) != 0 { rmdir(path) }
    }
}
