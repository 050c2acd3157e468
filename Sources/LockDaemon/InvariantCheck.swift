import Glibc
import LockCore
import LockServer

extension Reactor {
    /// Crashes if the batch has broken an invariant; in debug builds only, and if a test asks for it.
    @inline(__always)
    func checkInvariants() {
        #if DEBUG
            guard Self.checksInvariants else { return }
            do {
                try server.checkInvariants()
            } catch {
                fatalError("a batch has broken an invariant: \(error.description)")
            }
        #endif
    }

    #if DEBUG
        private static let checksInvariants = getenv("PRWLOCK_TEST_INVARIANTS") != nil
    #endif
}
