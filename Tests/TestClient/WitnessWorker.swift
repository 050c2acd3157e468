import Glibc
import PRWLock
import Seeded

/// Acquires the lock repeatedly, each time in a new session, and checks that it is alone.
///
/// The witness is a file that only one process at a time can create. Each round prints one line: `alone`, `violation`, or
/// the error of the request.
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
