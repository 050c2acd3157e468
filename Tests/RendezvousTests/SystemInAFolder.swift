import Glibc
import Posix
import Rendezvous
import TestSupport

extension TemporaryDirectory {
    /// Makes a folder in it, and those above it.
    @discardableResult
    func make(_ name: String, mode: UInt32 = 0o700) throws -> String {
        _ = try DirectoryDescriptor.creating(self(name))
        // Whatever the umask is.
        chmod(self(name), mode)
        return self(name)
    }

    /// Surroundings of a user whose whole system is in this folder.
    func surroundings(_ environment: [String: String] = [:]) throws -> Surroundings {
        for folder in ["run", "tmp", "home"] { try make(folder) }
        let root = ["PRWLOCK_TEST_ROOT": path]
        var surroundings = Surroundings(environment: environment.merging(root) { $1 }, userID: geteuid())
        surroundings.packageDirectories = []
        surroundings.unitDirectories = []
        return surroundings
    }
}
