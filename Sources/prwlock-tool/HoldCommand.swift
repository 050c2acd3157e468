import ArgumentParser
import Glibc
import LockVocabulary
import PRWLock
import Posix

/// `prwlock hold`: a lock for the rest of a script, like `exec 9>f; flock 9`.
///
///   [ prwlock hold ] ── fork ──▶ [ ASKING ] ── granted ──▶ [ HOLDING ] ── process ended, TERM ──▶ releases, ends
///          ▲                         │                         │
///          └──── exit code, token ───┴─────────────────────────┘
///
/// The forked process requests the lock, because the process that requests a lock holds it (G6). The foreground process
/// waits for its answer and exits with the code in it. Until it answers, the forked process keeps the terminal and ends
/// if the foreground process ends.
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

    @OptionGroup var lockName: NameOptions

    func run() throws {
        let client = try complaining { () throws(Complaint) in try process.callerToHoldFor(lockName.name) }
        let (answer, holder) = try complaining { () throws(Complaint) in try answerOfHolder(client.process) }
        guard answer.code == 0 else { throw ExitCode(answer.code) }
        if printToken, let error = StandardOutput.tryWrite("\(answer.token)\n") {
            // The caller did not receive the token, so release the lock.
            kill(holder, SIGTERM)
            var status: Int32 = 0
            while waitpid(holder, &status, 0) < 0, errno == EINTR {}
            StandardOutput.fail(error)
        }
        if StandardError.isForegroundTerminal {
            let name = lockName.name
            StandardError.report(
                "\(name.shown) is held for process \(client.process) (\(Harmless.show(client.name))) until that ends; "
                    + "`prwlock release \(name.typed)` ends it before")
        }
    }

    /// Forks the holder. Returns the holder's answer and its process id.
    private func answerOfHolder(_ process: Int32) throws(Complaint) -> (BackgroundHolder.Answer, Int32) {
        do throws(SystemError) {
            let client = try ProcessWatch(process: process)
            let pair = try UnixSocket.pair()
            let holder = fork()
            guard holder >= 0 else { throw SystemError.last("fork") }
            // Each process closes the other's end: only then does it notice when the other process ends.
            return pair.split { near, far in
                if holder == 0 {
                    _ = consume near
                    let terms = lock.terms
                    let request = terms.request(for: lockName.name, owner: HoldOwner(process: process).owner)
                    BackgroundHolder(request, terms, daemon.choice)
                        .run(for: client, signallingLoss: !noSignal, answering: far)
                    _exit(0)
                }
                _ = consume far
                return (BackgroundHolder.Answer(from: near), holder)
            }
        } catch {
            guard error.code == ESRCH else { throw Complaint(error) }
            throw Complaint("there is no process \(error.subject)", code: Complaint.noInput)
        }
    }
}

/// The option that names the process to hold a lock for.
struct ProcessOptions: ParsableArguments {
    @Option(
        name: .customLong("pid"),
        help: ArgumentHelp("The process that the lock is held for; the parent without it.", valueName: "pid"))
    var chosen: Int32?

    /// The process to hold a lock for. Throws if locks are not held for this kind of process.
    ///
    /// Call this before the fork: in the forked process, the parent is this process.
    func callerToHoldFor(_ name: LockName) throws(Complaint) -> Caller {
        let process = chosen ?? getppid()
        let advice = "`prwlock hold --pid $$ \(name.typed)`"
        guard process > 0 else {
            throw Complaint(
                "the parent of this process is not in this container: say for which process the lock is to be held, "
                    + "in a shell \(advice)", code: Complaint.usage)
        }
        let caller = Caller(process)
        let shown = Harmless.show(caller.name)
        if caller.isManager {
            throw Complaint(
                "process \(process) (\(shown)) is a service manager, and would get TERM if the lock were lost: "
                    + "run the service itself under the lock (`ExecStart=prwlock run \(name.typed) COMMAND`), "
                    + "or hold it for the service's process (`ExecStartPost=prwlock hold --pid $MAINPID \(name.typed)`)",
                code: Complaint.usage)
        }
        if chosen == nil, !caller.isShell {
            throw Complaint(
                "the parent of this process, \(process) (\(shown)), is not a shell: say for which process the lock is "
                    + "to be held, in a shell \(advice)", code: Complaint.usage)
        }
        return caller
    }

    /// The processes that `release` tries if the option is missing, the likeliest first.
    ///
    /// A shell may replace itself with its last command; this process then has the shell's process id.
    var candidates: [Int32] { chosen.map { [$0] } ?? [getpid(), getppid()] }

    func validate() throws {
        if let chosen, chosen <= 0 { throw ValidationError("--pid is a process id") }
    }
}
