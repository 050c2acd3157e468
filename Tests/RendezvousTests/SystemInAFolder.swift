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
        var surroundings = Surroundings(environment: environment, userID: geteuid())
        surroundings.systemDirectory = self("run/prwlock")
        surroundings.runtimeRoot = self("run/user")
        surroundings.temporaryRoot = try make("tmp")
        surroundings.packageDirectories = []
        surroundings.unitDirectories = []
        return surroundings
    }
}
