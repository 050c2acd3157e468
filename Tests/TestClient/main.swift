// A client in a process of its own. For tests: `turn NAME`, `timed NAME`, `fork NAME`, `fork-async NAME`,
// `fork-cached NAME` or `stop-cached NAME`. For people: `pairs`. For the fault
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
if arguments.count == 2, arguments[1] == "pairs" {
    do { try await PairCost().measure() } catch { say("error: \(error)") }
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

/// Forks within a body under a cached grant: the child does not hold the lock, and does not release it.
func inChild(from lock: BlockingRWLock) throws {
    var isChild = false
    do {
        try lock.withWriteLock {
            let child = fork()
            isChild = child == 0
            if isChild { return }
            var status: Int32 = 0
            waitpid(child, &status, 0)
        }
        say(isChild ? "child released it" : "parent held it to the end")
    } catch let loss as LockLost {
        say("child: \(loss.cause)")
    }
    if isChild { _exit(0) }
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

    case "fork-cached":
        let lock = BlockingClient().lock(name)
        for _ in 0..<3 { try lock.withWriteLock {} }
        try inChild {
            // The daemon takes the lock from the parent, where no body holds it.
            try lock.withWriteLock(timeout: .zero) { say("child has it") }
        }
        try lock.withWriteLock { say("parent has it") }
        for _ in 0..<3 { try lock.withWriteLock {} }
        try inChild(from: lock)
        try lock.withWriteLock { say("parent has it again") }

    case "stop-cached":
        let lock = BlockingClient().lock(name)
        for _ in 0..<3 { try lock.withWriteLock {} }
        let grant = try lock.acquireWrite()
        say("held")
        kill(getpid(), SIGSTOP)
        try grant.release()
        for _ in 0..<3 { try lock.withWriteLock {} }
        say("idle")
        kill(getpid(), SIGSTOP)
        try lock.withWriteLock { say("again") }

    default: exit(64)
    }
} catch {
    say("error: \(error)")
    exit(1)
}
