import ArgumentParser
import Glibc
import LockVocabulary
import Posix

/// The command `prwlock`: locks for scripts, and views of the daemon's state.
@main
struct Prwlock: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prwlock",
        abstract: "Reader-writer locks for the processes of a host.",
        discussion:
            "The manual page prwlock(1) has examples, exit statuses, and how it differs from flock(1).",
        version: "prwlock \(Release.version)",
        groupedSubcommands: [
            CommandGroup(
                name: "Locking",
                subcommands: [RunCommand.self, HoldCommand.self, ReleaseCommand.self]),
            CommandGroup(
                name: "Looking",
                subcommands: [
                    StatusCommand.self, ListCommand.self, TopCommand.self, GraphCommand.self,
                    HotCommand.self, WatchCommand.self, WaitCommand.self, LogCommand.self,
                    SessionsCommand.self, StatsCommand.self, PingCommand.self, DoctorCommand.self,
                ]),
            CommandGroup(name: "Fencing", subcommands: [ValidateCommand.self, RevokeCommand.self]),
            CommandGroup(name: "Running", subcommands: [UpgradeCommand.self]),
        ])

    static func main() {
        StandardDescriptors.openClosed()
        if let fault = CommandWords.fault {
            StandardError.report(fault)
            Glibc.exit(Complaint.system)
        }
        do {
            var command = try parseAsRoot(ArgumentSpelling.read(CommandLine.carriedArguments))
            try command.run()
        } catch let fault as ArgumentSpelling.Fault {
            StandardError.report(ByteString(ByteString.bytes(in: fault.line)).shown)
            Glibc.exit(ExitCode.validationFailure.rawValue)
        } catch {
            end(because: error)
        }
    }

    /// Prints the error's message and ends with its exit code.
    ///
    /// It replaces the parser's own function, which ignores write errors and prints words in their encoded form.
    private static func end(because error: any Error) -> Never {
        let message = fullMessage(for: error)
        let code = exitCode(for: error).rawValue
        if !message.isEmpty {
            if code == 0 {
                // A value from outside can only be a completion, and `LockNames` offers no harmful ones.
                StandardOutput.write(Shown(ofThisProgram: message) + "\n")
            } else {
                StandardError.write(Shown(lines: ByteString.bytes(in: message)) + "\n")
            }
        }
        Glibc.exit(code)
    }
}
