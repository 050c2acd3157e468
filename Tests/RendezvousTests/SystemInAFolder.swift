import Glibc
import Posix
import Rendezvous
import TestSupport

extension TemporaryDirectory {
    /// Makes a folder and its parents.
    @discardableResult
    func make(_ name: String, mode: UInt32 = 0o700) throws -> String {
        _ = try DirectoryDescriptor.creating(self(name))
        // The umask must not change the mode.
        chmod(self(name), mode)
        return self(name)
    }

    /// The surroundings of a user with a whole system in this folder.
    func surroundings(_ environment: [String: String] = [:]) throws -> Surroundings {
        for folder in ["run", "tmp", "home"] { try make(folder) }
        let root = ["PRWLOCK_TEST_ROOT": path]
        var surroundings = Surroundings(environment: environment.merging(root) { $1 }, userID: geteuid())
        surroundings.packageDirectories = []
        surroundings.unitDirectories = []
        return surroundings
    }
}
