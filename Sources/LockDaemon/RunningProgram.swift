import CLinux
import Glibc
import Keeping
import Posix
import Rendezvous
import Systemd

/// The program, from its first line to its exit status.
extension Daemon {
    /// Runs a daemon, and ends the process with its status. Returns only in a new worker, a copy of this process, which
    /// begins again from the program's first line: the files of options may have changed since the keeper's start.
    public static func run(_ configuration: Configuration) {
        var kept = KeptDescriptors.takeInheritance()
        let isWorker = kept != nil
        let goesOn = isWorker || (configuration.isKept && Keeper.goesOn)
        let inheritance = Inheritance(configuration, goesOn: goesOn)
        let journal = Journal(program: "prwlockd", level: configuration.logLevel)
        if !inheritance.remains.isEmpty {
            let list = inheritance.remains.joined(separator: ", ")
            journal.write(
                .notice, "keeps \(list) of the process that started it: resetting that is not permitted")
        }
        if configuration.detaches, !goesOn {
            // A fork copies only one thread, so this comes before all others start.
            let code = linux_detach()
            guard code == 0 else {
                let fault = SystemError(code: code, call: "fork")
                journal.write(.error, "cannot go into the background: \(fault)")
                exit(Departure.Status.cannotListen.rawValue)
            }
        }
        if inheritance.starter == .client, !goesOn { Shelter.seek(in: .current(), journal) }
        if configuration.isKept, !isWorker { return keep(journal) }
        do throws(Departure) {
            Signals.block()
            // libdispatch reports to syslog, which may wait (D20).
            setenv("LIBDISPATCH_LOG", "NO", 0)
            let daemon = try Daemon(configuration, journal, kept.take())
            try daemon.serve()
            // The end of the process frees the memory faster than deinitializers would.
            exit(Departure.Status.done.rawValue)
        } catch {
            journal.write(.error, error.reason)
            exit(error.status.rawValue)
        }
    }

    /// Makes this process the keeper of workers, and ends it with the status of the last one. Returns in each worker.
    private static func keep(_ journal: Journal) {
        guard let program = ProgramFile.own else {
            journal.write(.error, "cannot start a worker: /proc does not show the program's file")
            exit(Departure.Status.cannotListen.rawValue)
        }
        let keeper = Keeper(
            program: program, arguments: CommandLine.arguments,
            trial: CommandLine.arguments + ["--check-config"],
            environment: Surroundings.current().environment.map { "\($0.key)=\($0.value)" })
        if let status = keeper.run() { exit(status) }
    }

    /// Writes a text to standard output, and ends the process.
    public nonisolated static func print(_ text: String) -> Never {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                end(Departure(.noOutput, "\(SystemError.last("write", "standard output"))"))
            }
            rest = rest.dropFirst(count)
        }
        exit(Departure.Status.done.rawValue)
    }

    /// Ends the process because its options or rules have a fault.
    public nonisolated static func refuse(_ reason: String) -> Never { end(Departure(.usage, reason)) }

    /// Ends the process, and reports the reason.
    nonisolated static func end(_ departure: Departure) -> Never {
        Journal(program: "prwlockd", level: .error).write(.error, departure.reason)
        exit(departure.status.rawValue)
    }
}
