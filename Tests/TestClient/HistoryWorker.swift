import Glibc
import PRWLock
import Posix
import Seeded

/// Locks at random through the library until TERM, and records what it did and saw in the format of
/// `Tests/faults/history.py`.
struct HistoryWorker {
    private static let locks = ["a", "b", "c", "d", "e", "f"]
    private static let waits = [0, 50, 300, 1_500, 3_000]

    private let client: BlockingClient
    private let file: Int32
    private var generator: SeededGenerator
    private var session = 0
    /// The lock and mode of the last turn: in most turns it is the same, so that grants are cached.
    private var last = (name: "a", mode: LockMode.read)

    init(folder: String, socket: String, seed: UInt64) {
        client = BlockingClient(socketPath: socket)
        file = open("\(folder)/\(getpid()).jsonl", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        generator = SeededGenerator(seed: seed)
    }

    mutating func run() {
        // TERM is blocked, and checked between two requests.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let parent = getppid()
        var number = 0
        while getppid() == parent {
            var pending = sigset_t()
            sigpending(&pending)
            if sigismember(&pending, SIGTERM) == 1 { return }
            number += 1
            turn(number)
        }
    }

    private mutating func turn(_ op: Int) {
        let wait = generator.pick(Self.waits)
        if generator.number(0...3) == 0 {
            let mode = generator.pick([LockMode.read, .read, .read, .update, .write, .write])
            last = (generator.pick(Self.locks), mode)
        }
        let (name, mode) = last
        let lock = client.lock(name)
        note(
            "ask",
            #""op": \#(op), "s": \#(session), "lock": "\#(name)", "mode": "\#(mode)", "owner": "-", "#
                + #""wait": \#(wait), "lease": null"#)
        do {
            let timeout = Duration.milliseconds(wait)
            let grant =
                switch mode {
                case .read: try lock.acquireRead(timeout: timeout)
                case .update: try lock.acquireUpdate(timeout: timeout)
                case .write: try lock.acquireWrite(timeout: timeout)
                }
            note(
                "granted",
                #""op": \#(op), "token": \#(grant.token), "died": \#(grant.previousOwnerDied)"#)
            usleep(UInt32(generator.number(0...4_000)))
            note("releasing", #""op": \#(op)"#)
            do {
                try grant.release()
                note("released", #""op": \#(op)"#)
            } catch {
                lose()
            }
        } catch {
            switch error {
            case .timedOut: refused(op, wait == 0 ? "BUSY" : "TIMEOUT")
            case .deadlock: refused(op, "DEADLOCK")
            case .denied: refused(op, "DENIED")
            case .refused(let code, _): refused(op, code.rawValue)
            case .clusterUnavailable: refused(op, ErrorCode.clusterUnavailable.rawValue)
            case .wrongMode: refused(op, "wrong-mode")
            case .invalidArgument: refused(op, "invalid-argument")
            case .unreachable, .disconnected, .closed: lose()
            }
        }
    }

    private func refused(_ op: Int, _ how: String) { note("refused", #""op": \#(op), "how": "\#(how)""#) }

    private mutating func lose() {
        note("lost", #""s": \#(session)"#)
        session += 1
        usleep(10_000)
    }

    private func note(_ event: String, _ fields: String) {
        let line = #"{"t": \#(BootClock.now()), "p": \#(getpid()), "e": "\#(event)", \#(fields)}"# + "\n"
        let bytes = Array(line.utf8)
        write(file, bytes, bytes.count)
    }
}
