import ArgumentParser
import Glibc
import LockVocabulary
import PRWLock
import Posix

/// `prwlock hold`: a lock for the rest of a script, as `exec 9>f; flock 9`.
///
///   [ prwlock hold ] ── fork ──▶ [ ASKING ] ── granted ──▶ [ HOLDING ] ── process ended, TERM ──▶ releases, ends
///          ▲                         │                         │
///          └──── exit code, token ───┴─────────────────────────┘
///
/// The forked process asks for the lock, since whoever asks is who holds (G6); the one in front waits for its word and
/// ends with its exit code. Until then it has the terminal in front of it, and ends with the one in front.
struct HoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Hold a lock for the rest of a script.",
        discussion: "It ends with the script's process, or with `prwlock release`.")

    @OptionGroup var lock: LockOptions
    @OptionGroup var process: ProcessOptions

    @Flag(help: "Print the fencing token.")
    var printToken = false

    @Flag(help: "Leave the process alone when the grant is lost; without it, it gets TERM.")
    var noSignal = false

    @OptionGroup var daemon: DaemonOptions

    @Argument(help: "The lock's name.", completion: LockNames.completion)
    var name: NameArgument

    func run() throws {
        let answer = try complaining { () throws(Complaint) in try answerOfHolder() }
        guard answer.code == 0 else { throw ExitCode(answer.code) }
        if printToken { StandardOutput.write("\(answer.token)\n") }
    }

    private func answerOfHolder() throws(Complaint) -> Holder.Answer {
        do throws(SystemError) {
            // Once, and before the fork: the parent of the forked one is this process.
            let process = process.id
            let client = try ProcessWatch(process: process)
            let pair = try UnixSocket.pair()
            let holder = fork()
            guard holder >= 0 else { throw SystemError.last("fork") }
            // Each keeps only its own end, so that each sees the other's end in both meanings.
            return pair.split { near, far in
                if holder == 0 {
                    _ = consume near
                    let request = lock.request(for: name.name, owner: HoldOwner(process: process).owner)
                    Holder(request, lock, daemon)
                        .run(for: client, signallingLoss: !noSignal, answering: far)
                    _exit(0)
                }
                _ = consume far
                return Holder.Answer(from: near)
            }
        } catch {
            guard error.code == ESRCH else { throw Complaint(error) }
            throw Complaint("there is no process \(error.subject)", code: Complaint.noInput)
        }
    }
}

/// For which process a lock is held.
struct ProcessOptions: ParsableArguments {
    @Option(
        name: .customLong("pid"),
        help: ArgumentHelp("The process that the lock is held for; the parent without it.", valueName: "pid"))
    var chosen: Int32?

    var id: Int32 { chosen ?? getppid() }

    func validate() throws {
        if let chosen, chosen <= 0 { throw ValidationError("--pid is a process id") }
    }
}
