import LockVocabulary
import LockWire

/// The terms on which `run` and `hold` ask for a lock: the values of their options.
struct LockTerms: Equatable {
    var mode = LockMode.write
    var wait = TimeLimit.forever
    /// The exit code when others hold the lock.
    var conflictExitCode: UInt8 = 1
    var lease = TimeLimit.forever
    var note = Note.none
    var verbose = false

    func request(for name: LockName, owner: OwnerID = .session) -> Acquire {
        Acquire(name: name, mode: mode, wait: wait, lease: lease, owner: owner, note: note)
    }

    /// The complaint if others hold the lock: an exit code, and as in `flock(1)` a message only with `--verbose`.
    func conflict(_ name: LockName, _ holders: HeldBy, after elapsed: Duration) -> Complaint {
        let words = "\(name.shown): not granted after \(elapsed.inWords); held by \(holders.inWords)"
        return Complaint(verbose ? words : "", code: Int32(conflictExitCode))
    }
}
