import Glibc
import PRWLock
import Seeded

/// Takes the lock again and again, with a new session each time, and sees whether it is alone.
///
/// The witness is a file that only one process at a time can make. Each round tells one line: `alone`, `violation`, or the
/// error that kept it from the lock.
struct WitnessWorker {
    let name: String
    let witness: String
    var random: SeededGenerator

    mutating func run(rounds: Int) {
        for _ in 0..<rounds {
            usleep(UInt32(random.number(0...30_000)))
            do {
                let grant = try BlockingRWLock(name, client: BlockingClient()).acquireWrite(
                    timeout: .seconds(60))
                let file = open(witness, O_CREAT | O_EXCL | O_WRONLY, 0o600)
                say(file >= 0 ? "alone" : "violation")
                usleep(UInt32(random.number(0...3_000)))
                if file >= 0 {
                    close(file)
                    unlink(witness)
                }
                try grant.release()
            } catch {
                say("error: \(error)")
            }
        }
    }
}
