// A client in a process of its own. For tests: `turn NAME`, `timed NAME`, `fork NAME` or `fork-async NAME`. For the fault
// drivers (`Tests/faults`): `history FOLDER SOCKET SEED` or `witness NAME FILE ROUNDS SEED`.

import Glibc
import PRWLock
import Seeded

let arguments = CommandLine.arguments
if arguments.count == 5, arguments[1] == "history", let seed = UInt64(arguments[4]) {
    var worker = HistoryWorker(folder: arguments[2], socket: arguments[3], seed: seed)
    worker.run()
    exit(0)
}
if arguments.count == 6, arguments[1] == "witness", let rounds = Int(arguments[4]),
    let seed = UInt64(arguments[5])
{
    var worker = WitnessWorker(
        name: arguments[2], witness: arguments[3], random: SeededGenerator(seed: seed))
    worker.run(rounds: rounds)
    exit(0)
}
guard arguments.count == 3 else { exit(64) }
let name = arguments[2]

/// Writes a line without a buffer: parent and child would both write what a buffer holds at the fork.
func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    write(STDOUT_FILENO, bytes, bytes.count)
}

/// Runs the body in a forked child, which then ends without any clean-up.
func inChild(_ body: () throws -> Void) rethrows {
    let child = fork()
    if child == 0 {
        try body()
        _exit(0)
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    say("child ended with \(status)")
}

do {
    switch arguments[1] {
    case "turn":
        // Waits until the test has started all clients, and closes their input together.
        while getchar() != EOF {}
        let grant = try BlockingRWLock(name).acquireWrite()
        say("token \(grant.token)")
        try grant.release()

    case "timed":
        do {
            try BlockingRWLock(name).withWriteLock(timeout: .zero) { say("blocking: granted") }
        } catch LockError.unreachable {
            say("blocking: in time")
        }
        do {
            try await RWLock(name).withWriteLock(timeout: .zero) { say("async: granted") }
        } catch LockError.unreachable {
            say("async: in time")
        }

    case "fork":
        let lock = BlockingClient().lock(name)
        var grant: BlockingGrant? = try lock.acquireWrite()
        try inChild {
            if let loss = grant?.lost { say("child: \(loss.cause)") }
            // This must not release the parent's lock.
            grant = nil
            do {
                _ = try lock.acquireWrite(timeout: .zero)
                say("child has it")
            } catch LockError.timedOut(_, _, _, let heldBy) {
                say("child: held by parent: \(heldBy.named.first?.processID == getppid())")
            }
            // This must not end the parent's session.
            lock.client.close()
            do { _ = try lock.acquireWrite() } catch LockError.closed { say("child: closed") }
        }
        if let grant = grant.take() {
            try grant.release()
            say("parent released")
        }

    case "fork-async":
        let client = Client()
        var grant: Grant? = try await client.lock(name).acquireWrite()
        inChild {
            grant = nil
            client.close()
            say("child dropped it")
        }
        if let grant = grant.take() {
            try await grant.release()
            say("parent released")
        }

    default: exit(64)
    }
} catch {
    say("error: \(error)")
    exit(1)
}
